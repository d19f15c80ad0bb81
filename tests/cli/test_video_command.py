"""`exemplar video`: files written and read back, and one clear line for bad input."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from exemplar.cli import main
from exemplar.motion_files import read_motions
from tests.fixtures.made_clips import make_photo_clip

pytest.importorskip("scipy")
read_info = pytest.importorskip("exemplar.files.video_files").read_info
pytest.importorskip("av")


def run(*arguments: object) -> int:
    """Exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_clip_of_one_frame_gives_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = make_photo_clip(tmp_path / "clip.mp4", 1), tmp_path / "out"
    assert run("video", clip, "-o", out, "--regressor", "mobile", "--person", "0") == 0
    told = capsys.readouterr().out
    assert "1 frame at " in told
    assert "above the ground" in told
    names = {path.name for path in out.iterdir()}
    assert names == {
        "motion.npz", "motion.glb", "motion.csv", "motion.bvh", "motion.trc", "motion_amass.npz",
        "cameras.toml", "overlay.mp4", "summary.json", "work",
    }  # fmt: skip
    (motion,) = read_motions(out)
    assert motion.frame == "world"
    assert motion.seen.all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 1
    assert summary["people"][0]["ok"] == 1
    assert np.isfinite(summary["people"][0]["camera_misfit_px"]["worst"])
    picture = read_info(out / "overlay.mp4")
    assert picture.width > picture.height / 2
    assert run("export", out, "--to", "ply", "-o", tmp_path / "body.ply") == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"no video at all" * 50, "is not a video"), (None, "no video at")],
)
def test_bad_clips_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    message: str,
) -> None:
    clip = tmp_path / "clip.mp4"
    if content is not None:
        clip.write_bytes(content)
    assert run("video", clip, "-o", tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    (line,) = shown.err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [("--every", "0"), ("--start", "3", "--end", "1"), ("--focal", "-1"), ("--fps", "0")]
)
def test_impossible_settings_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run("video", tmp_path / "clip.mp4", "-o", tmp_path / "out", *words) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("module", ["av", "scipy.optimize"])
def test_without_the_extra_one_line_says_what_to_install(
    module: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run("video", tmp_path / "clip.mp4", "-o", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "exemplar-hmr[video]" in line
