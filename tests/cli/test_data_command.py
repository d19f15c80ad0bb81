"""`exemplar data inspect` and `convert`: what they print and write, one line for bad input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.cli import main
from exemplar.data.formats import eft_json, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.store import Ledger, Selection
from exemplar.samples import BodyTruth, Sample
from tests.golden import eft

EXAMPLE = eft.FOLDER / "eft_reference_example.json"


def run(*arguments: object) -> int:
    """Exit status of a command below `exemplar data`."""
    try:
        main(["data", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command prints."""
    assert run(*arguments) == 1
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def coco(folder: Path, count: int = 3) -> Path:
    """People of one picture, the last without a box; every joint at (100 + k, 200 + k)."""
    keypoints = [number for k in range(17) for number in (100 + k, 200 + k, 2)]
    people = [
        {"id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
         "bbox": [90, 190, 40, 50], "keypoints": keypoints}
        for i in range(1, count + 1)
    ]  # fmt: skip
    people[-1]["bbox"] = None
    names = [
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 300, "height": 300}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_inspect_counts_one_person_and_writes_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(coco(tmp_path, 2).read_text())
    content["annotations"].pop()
    (tmp_path / "one.json").write_text(json.dumps(content))
    (tmp_path / "sheets").mkdir()
    assert run("inspect", tmp_path / "one.json", "-o", tmp_path / "sheets") == 0
    assert "1 person in 1 image\n" in capsys.readouterr().out
    assert (tmp_path / "sheets" / "contact_sheet.png").is_file()


def test_inspect_says_what_a_file_is_and_draws_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (300, 300), (255, 0, 0)).save(tmp_path / "a.jpg")
    sheet = tmp_path / "made" / "sheet.png"
    assert run("inspect", coco(tmp_path), "--images", tmp_path, "-o", sheet) == 0
    shown = capsys.readouterr().out
    assert "coco, COCO person keypoints" in shown
    assert "3 people in 1 image\n" in shown
    assert "1 broken:" in shown
    assert "left_knee 100%" in shown
    assert "--option subset=...  (part|all, all unless given)" in shown
    assert f"wrote {sheet}" in shown
    page = np.asarray(Image.open(sheet))
    assert (np.abs(page.astype(int) - (254, 0, 0)).max(-1) < 4).mean() > 0.1  # the red photo


def test_inspect_draws_bodies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", EXAMPLE, "-o", tmp_path / "a.png") == 0
    shown = capsys.readouterr().out
    assert "4 with a body" in shown
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_inspect_names_what_is_doubtful(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = np.eye(24, 4) * 900 + [0, 0, 0, 1]
    odd = Sample("gone.jpg", np.ones(2), 0.0, np.ones((49, 3)), joints_3d=joints)
    spin_npz.write([odd], tmp_path / "odd.npz")
    assert run("inspect", tmp_path / "odd.npz", "--images", tmp_path, "--no-sheet") == 0
    shown = capsys.readouterr().out
    assert "doubtful, 1 person: box without extent" in shown
    assert "doubtful, 1 person: 3D joints over 4 m apart" in shown
    assert ": 1 of 1 image, such as " in shown
    assert not list(tmp_path.glob("*.png"))


def test_options_reach_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco(tmp_path)
    assert run("inspect", path, "--no-sheet", "--option", "min-keypoints=12") == 0
    target = tmp_path / "out.npz"
    assert run("convert", path, target, "--option", "image_folder=train2014") == 0
    assert [s.image for s in spin_npz.read(target)] == ["train2014/a.jpg"] * 2
    shown = capsys.readouterr().out
    assert "(coco) to" in shown
    assert "(spin_npz): 2 people" in shown
    assert "left out 1: broken annotation" in shown


def test_convert_there_and_back(tmp_path: Path) -> None:
    assert run("convert", EXAMPLE, tmp_path / "t.parquet") == 0
    assert len(list(table.read(tmp_path / "t.parquet"))) == 4
    assert run("convert", tmp_path / "t.parquet", tmp_path / "back.json") == 0
    back = json.loads((tmp_path / "back.json").read_text())
    assert back["data"] == json.loads(EXAMPLE.read_text())["data"]
    assert run("convert", EXAMPLE, tmp_path / "coco.json", "--to", "coco") == 0
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 4


def test_convert_exports_what_a_lifting_job_has_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.zeros(10), np.array([0.9, 0.0, 0.0]))
    people = [Sample(f"{i}.jpg", np.ones(2), 1.0, np.ones((49, 3))) for i in range(4)]
    with Ledger(tmp_path / "job", create=True) as ledger:
        ledger.fill(people, {"images": str(tmp_path)})
        ledger.join()
        claimed = ledger.claim(3, Selection())
        statuses = ("ok", "rejected", "ok")
        ledger.finish(
            [
                (number, PseudoTruth(replace(sample, body=body), status))
                for (number, sample), status in zip(claimed, statuses, strict=True)
            ]
        )
    for name, count in (("o.json", 2), ("o.npz", 2), ("o.parquet", 3)):
        assert run("convert", tmp_path / "job", tmp_path / name) == 0
        assert f": {count} people" in capsys.readouterr().out
    assert [s.image for s in eft_json.read(tmp_path / "o.json")] == ["0.jpg", "2.jpg"]
    out = tmp_path / "o.npz"
    assert "is a lifting job" in fails(capsys, "convert", tmp_path / "job", out, "--format", "coco")


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = coco(tmp_path), tmp_path / "o.npz"
    (tmp_path / "text.json").write_text("text")
    assert "no annotation file at" in fails(capsys, "inspect", tmp_path / "none.json")
    assert "text.json: not JSON" in fails(capsys, "inspect", tmp_path / "text.json")
    assert "no folder of images" in fails(capsys, "inspect", path, "--images", tmp_path / "no")
    broken = [{"image_id": "a.jpg", "keypoints": [9.0, 9.0, 1.0] * 19}] * 2
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    line = fails(capsys, "inspect", tmp_path / "broken.json")
    assert "all broken (2 people)" in line
    assert "--joints ochuman19 or panoptic19" in line
    given = ("inspect", tmp_path / "broken.json", "--no-sheet", "--joints", "panoptic19")
    assert run(*given) == 0
    assert "cannot tell a format" in fails(capsys, "convert", path, tmp_path / "o.txt")
    assert "unknown format 'x'" in fails(capsys, "convert", path, out, "--format", "x")
    assert "has no option 'a'" in fails(capsys, "convert", path, out, "--option", "a=1")
    assert "expected part|all" in fails(capsys, "inspect", path, "--option", "subset=x")
    assert "nobody can be written as eft_json: 2 without a body" in fails(
        capsys, "convert", path, tmp_path / "o.json"
    )
    (tmp_path / "file").touch()
    assert "cannot write to" in fails(capsys, "convert", path, tmp_path / "file" / "o.npz")
    assert not out.exists()


def test_wrong_usage_is_not_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect") == 2
    assert run("look") == 2
    assert run() == 2


def test_bodies_of_other_shapes_are_left_undrawn(tmp_path: Path) -> None:
    """Sixteen betas are of no body that draws ten."""
    body = BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.zeros(16), np.array([0.9, 0.0, 0.0]))
    sample = Sample("a.jpg", np.ones(2), 1.0, np.ones((49, 3)), body=body)
    table.write([PseudoTruth(sample)], tmp_path / "t.parquet")
    assert run("inspect", tmp_path / "t.parquet", "-o", tmp_path / "a.png") == 0
