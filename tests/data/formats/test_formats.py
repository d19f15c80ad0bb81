"""Which format a file is of, and reading any of them by one call."""

import json
from pathlib import Path

import numpy as np
import pytest

from exemplar.data import formats
from exemplar.data.contents import Contents
from exemplar.data.formats import FORMATS, eft_json, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.store import Ledger
from exemplar.samples import BodyTruth, Sample
from tests.golden import eft

PHOTOS = Path(__file__).parents[4] / "shared" / "photos" / "annotations"
REAL = {
    "coco_val2017_sample.json": "coco",
    "coco_wholebody_sample.json": "coco_wholebody",
    "crowdpose_sample.json": "crowdpose",
    "mpii_sample.json": "mpii",
    "ochuman_sample.json": "ochuman",
    "posetrack18_sample.json": "posetrack",
}


def person(image: str = "a.jpg") -> Sample:
    body = BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.zeros(10), np.array([0.9, 0.0, 0.0]))
    return Sample(image, np.ones(2), 1.0, np.ones((49, 3)), body=body)


def test_the_public_names_are_these() -> None:
    assert set(formats.__all__) == {
        "FORMATS", "Format", "format_named", "read", "read_truths", "reader_options", "recognise",
    }  # fmt: skip


def test_every_format_says_what_it_is() -> None:
    folder = Path(formats.__file__).parent
    shared = {"__init__", "coco_style"}
    assert set(FORMATS) == {path.stem for path in folder.glob("*.py")} - shared
    for name, reader in FORMATS.items():
        assert reader.TITLE, name
        assert len(set(reader.JOINTS)) == len(reader.JOINTS) > 10, name
    assert len({reader.TITLE for reader in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("file", REAL)
def test_real_files_are_recognised_and_by_one_format_only(file: str) -> None:
    if not (PHOTOS / file).exists():
        pytest.skip("no shared/photos/annotations beside the repository")
    contents = Contents(PHOTOS / file)
    assert formats.recognise(contents) == REAL[file]
    assert [name for name, one in FORMATS.items() if one.matches(contents)] == [REAL[file]]
    assert next(formats.read(contents)).keypoints_2d.shape == (49, 3)


def test_files_that_we_write_are_recognised(tmp_path: Path) -> None:
    eft_json.write([person()], tmp_path / "eft.json")
    spin_npz.write([person()], tmp_path / "spin.npz")
    table.write([PseudoTruth(person(), status="ok")], tmp_path / "t.parquet")
    for file, name in [("eft.json", "eft_json"), ("spin.npz", "spin_npz"), ("t.parquet", "table")]:
        contents = Contents(tmp_path / file)
        assert formats.recognise(contents) == name
        assert [other for other, one in FORMATS.items() if one.matches(contents)] == [name]
        assert next(formats.read(tmp_path / file)).image == "a.jpg"


def test_what_a_table_knows_of_a_fit_is_kept(tmp_path: Path) -> None:
    table.write([PseudoTruth(person(), status="rejected")], tmp_path / "t.parquet")
    eft_json.write([person()], tmp_path / "eft.json")
    assert next(formats.read_truths(tmp_path / "t.parquet")).status == "rejected"
    assert next(formats.read_truths(tmp_path / "eft.json")).status == "imported"


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.npz", "a.mat", "a.pkl", "a.h5", "folder"])
@pytest.mark.parametrize("content", [b"", b"text", b"[1, 2]", b'{"a": 1}', b"\x80\x04N."])
def test_unknown_files_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        (path / "file.json").write_bytes(content)
    else:
        path.write_bytes(content)
    is_json = name != "a.json" or content[:1] in (b"[", b"{")
    says = "none of the known formats .*coco_wholebody" if is_json else "a.json: not JSON"
    with pytest.raises(ValueError, match=says) as caught:
        formats.read(path)
    assert "\n" not in str(caught.value)


def test_a_folder_with_nothing_in_it_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is nothing in this folder"):
        formats.recognise(Contents(tmp_path))


def test_a_file_that_several_fit_asks_for_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text("{}")
    for name in ("coco", "mpii"):
        monkeypatch.setattr(FORMATS[name], "matches", lambda contents: True)
    with pytest.raises(ValueError, match="may be coco or mpii: name its format"):
        formats.recognise(Contents(tmp_path / "a.json"))


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no annotation file at"):
        formats.read(tmp_path / "none.json")
    path = eft.FOLDER / "eft_reference_example.json"
    with pytest.raises(ValueError, match="unknown format 'cocoa', expected one of coco"):
        formats.read(path, "cocoa")
    with pytest.raises(ValueError, match="format eft_json has no option 'a'"):
        formats.read(path, a=1)
    (tmp_path / "c.json").write_text(json.dumps({"images": [], "annotations": []}))
    says = r"format coco has no option 'subst' \(did you mean subset\?\), its options: subset, "
    with pytest.raises(ValueError, match=says):
        formats.read(tmp_path / "c.json", "coco", subst="all")


def test_half_a_character_costs_its_own_person_alone(tmp_path: Path) -> None:
    """JSON can hold it, and a ledger cannot."""
    records = [
        {"image_id": name, "keypoints": [5, 6, 1] * 17, "score": 1.0} for name in ("\ud800", "b")
    ]
    (tmp_path / "results.json").write_text(json.dumps(records))
    broken, good = formats.read(tmp_path / "results.json")
    assert (broken.image, good.image) == ("?.jpg", "b.jpg")
    assert "half a character" in broken.problem
    assert not broken.keypoints_2d.any()
    assert not good.problem
    with Ledger(tmp_path / "job", create=True) as ledger:
        ledger.fill(formats.read(tmp_path / "results.json"), {"images": "."})
        assert ledger.filled()
