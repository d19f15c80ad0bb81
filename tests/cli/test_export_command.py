"""`exemplar export`: which files appear for whom, and one line for what the user can mend."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.cli import main
from exemplar.export import write_npz
from exemplar.motion import MISSING
from exemplar.motion_files import write_motions
from tests.fixtures.made_motions import made_motion
from tests.fixtures.made_results import made_result


def run(*arguments: object) -> int:
    """Exit status of a command."""
    try:
        main(["export", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command prints."""
    assert run(*arguments) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    (line,) = shown.err.strip().splitlines()
    return line


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two people over four frames; the second lacks in one, and nobody sees a third."""
    people = [made_motion(frames=4, seed=seed) for seed in range(3)]
    gone = (MISSING,) * 4
    people[1] = replace(people[1], status=("ok", MISSING, "ok", "ok"))
    people[2] = replace(people[2], status=gone)
    write_motions(people, tmp_path / "clip" / "motion.npz")
    return tmp_path / "clip"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = np.zeros((300, 400, 3), np.uint8)
    result = made_result(image, [(100.0, 150.0), (250.0, 90.0)], 260.0, steps=0)
    (tmp_path / "photo").mkdir()
    write_npz(result, tmp_path / "photo" / "fit.npz")
    return tmp_path / "photo"


def new_files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(set(found) - {"motion.npz", "fit.npz"})


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("glb", ["motion.glb"]),
        ("csv", ["motion.csv"]),
        ("bvh", ["motion_person0.bvh", "motion_person1.bvh"]),
        ("trc", ["motion_person0.trc", "motion_person1.trc"]),
        ("amass", ["motion_amass_person0.npz", "motion_amass_person1.npz"]),
        ("ply", [f"ply/motion_person{p}_{f:06d}.ply" for p in (0, 1) for f in range(4)]),
    ],
)
def test_a_clip_is_written_beside_its_result(clip: Path, to: str, files: list[str]) -> None:
    assert run(clip, "--to", to, "--quiet") == 0
    assert new_files(clip) == [name for name in files if "person1_000001" not in name]


@pytest.mark.parametrize("to", ["glb", "bvh", "trc", "csv", "amass", "obj"])
def test_a_person_of_a_photo_is_one_file(photo: Path, to: str) -> None:
    suffix = "npz" if to == "amass" else to
    out = photo / "new" / f"one.{suffix}"
    assert run(photo / "fit.npz", "--to", to, "--person", 1, "-o", out, "--quiet") == 0
    assert new_files(photo) == [f"new/one.{suffix}"]
    assert run(photo, "--to", to, "--person", 0, "-o", photo / "folder", "--quiet") == 0
    name = "body_amass" if to == "amass" else "body"
    assert new_files(photo) == [f"folder/{name}.{suffix}", f"new/one.{suffix}"]


def test_gaps_are_told(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "--to", "bvh", "--person", 1) == 0
    assert "person 1: 1 of 4 frames bridged" in capsys.readouterr().out
    assert run(clip, "--to", "csv", "--person", 1) == 0
    assert "1 of 4 frames left out" in capsys.readouterr().out
    assert (clip / "motion.csv").read_text().splitlines()[1].startswith("1,0,0.000000,ok,")
    assert run(clip, "--to", "obj", "-o", clip / "meshes") == 0
    told = capsys.readouterr().out
    assert "person 1: 1 of 4 frames left out" in told
    assert "person 0" not in told
    assert "wrote 7 files" in told


def test_what_the_user_can_mend_is_one_line(
    clip: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bvh = ("--to", "bvh")
    assert "no result at" in fails(capsys, tmp_path / "none", *bvh)
    assert "no motion.npz or fit.npz in" in fails(capsys, tmp_path, *bvh)
    assert "has 3 people, counted from 0" in fails(capsys, clip, *bvh, "--person", 3)
    assert "nobody has a body" in fails(capsys, clip, *bvh, "--person", 2)
    assert "ending .bvh" in fails(capsys, clip, *bvh, "-o", tmp_path / "a.glb")
    assert "would replace what it is made from" in fails(
        capsys, clip, "--to", "amass", "--person", 0, "-o", clip / "motion.npz"
    )
    assert "cannot write to" in fails(capsys, photo, *bvh, "-o", photo / "fit.npz" / "a.bvh")
    assert "no SMPL file at" in fails(capsys, photo, *bvh, "--body", tmp_path / "x.npz")
    (photo / "fit.npz").write_bytes(b"PK broken")
    assert "fit.npz is not a readable .npz file" in fails(capsys, photo, *bvh)
    assert new_files(clip) == []
    assert new_files(photo) == []
    assert run(clip, "--to", "fbx") == 2


def test_a_body_that_moved_is_told_and_given(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = replace(made_motion(frames=2), body=str(tmp_path / "SMPL.npz"))
    write_motions([moved], clip / "motion.npz")
    assert "SMPL.npz: --body FILE tells where it is" in fails(capsys, clip, "--to", "csv")
    assert run(clip, "--to", "csv", "--body", "open", "--quiet") == 0
