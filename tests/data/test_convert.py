"""From any format to those that can be written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.data import convert as module
from exemplar.data import formats
from exemplar.data.convert import convert, full_translation, weak_camera
from exemplar.data.formats import cliff_npz, eft_json, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.samples import BodyTruth, Sample
from tests.golden import eft

EXAMPLE = eft.FOLDER / "eft_reference_example.json"
IDENTITY = np.tile(np.eye(3), (24, 1, 1))


def person(image: str = "a.jpg", **changes: object) -> Sample:
    values = {
        "image": image,
        "box_centre": np.array([300.0, 200.0]),
        "box_scale": 1.0,
        "keypoints_2d": np.tile([310.0, 190.0, 1.0], (49, 1)),
        "body": BodyTruth(IDENTITY, np.arange(10.0), np.array([0.8, 0.1, -0.2])),
    }
    return Sample(**(values | changes))  # pyright: ignore


def same_people(a: list[Sample], b: list[Sample]) -> None:
    for one, other in zip(a, b, strict=True):
        assert (one.image, one.box_scale, one.annotation_id) == (
            other.image, other.box_scale, other.annotation_id
        )  # fmt: skip
        np.testing.assert_array_equal(one.keypoints_2d, other.keypoints_2d)
        assert one.body is not None
        assert other.body is not None
        # matrices that EFT's program rounded to float32 are made rotations on their way: 1e-7
        np.testing.assert_allclose(one.body.pose, other.body.pose, atol=5e-7)
        np.testing.assert_array_equal(one.body.betas, other.body.betas)
        np.testing.assert_array_equal(one.body.weak_camera, other.body.weak_camera)


@pytest.mark.parametrize("way", [("t.parquet",), ("s.npz",), ("t.parquet", "s.npz", "u.parquet")])
def test_eft_s_example_survives_other_formats(tmp_path: Path, way: tuple[str, ...]) -> None:
    source = EXAMPLE
    for name in way:
        done = convert(source, tmp_path / name)
        assert (done.written, done.left_out) == (4, {})
        source = tmp_path / name
    convert(source, tmp_path / "back.json")
    same_people(list(eft_json.read(EXAMPLE)), list(eft_json.read(tmp_path / "back.json")))
    if way == ("t.parquet",):  # nothing is rounded there
        original, back = (json.loads(p.read_text()) for p in (EXAMPLE, tmp_path / "back.json"))
        assert back["data"] == original["data"]


def test_eft_to_eft_keeps_its_header(tmp_path: Path) -> None:
    done = convert(EXAMPLE, tmp_path / "out.json")
    assert (done.source, done.target) == ("eft_json", "eft_json")
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(EXAMPLE.read_text())


def lifted() -> list[PseudoTruth]:
    broken = person("e.jpg", body=None, problem="broken annotation: x")
    return [
        PseudoTruth(person("a.jpg"), status="ok"),
        PseudoTruth(person("b.jpg"), status="rejected"),
        PseudoTruth(person("c.jpg"), status="rejected", decision="accepted"),
        PseudoTruth(person("d.jpg"), status="ok", decision="rejected"),
        PseudoTruth(broken, status="bad_input"),
        PseudoTruth(person("f.jpg", body=None), status="nothing_to_fit"),
    ]


@pytest.mark.parametrize("name", ["out.json", "out.npz"])
def test_only_usable_rows_of_a_table_are_exported(tmp_path: Path, name: str) -> None:
    table.write(lifted(), tmp_path / "t.parquet")
    done = convert(tmp_path / "t.parquet", tmp_path / name)
    assert [s.image for s in formats.read(tmp_path / name)] == ["a.jpg", "c.jpg"]
    assert done.written == 2
    assert done.left_out == {
        "rejected": 1, "rejected by hand": 1, "broken annotation": 1, "without a body": 1,
    }  # fmt: skip
    convert(tmp_path / "t.parquet", tmp_path / "all.parquet")
    assert len(list(table.read(tmp_path / "all.parquet"))) == 6


def test_people_without_bodies_go_into_an_npz_but_not_into_eft_s(tmp_path: Path) -> None:
    spin_npz.write([person("a.jpg", body=None), person("b.jpg")], tmp_path / "in.npz")
    done = convert(tmp_path / "in.npz", tmp_path / "out.npz")
    assert done.written == 2
    done = convert(tmp_path / "in.npz", tmp_path / "out.json")
    assert (done.written, done.left_out) == (1, {"without a body": 1})
    spin_npz.write([person("a.jpg", body=None)], tmp_path / "in.npz")
    before = (tmp_path / "out.json").read_bytes()
    with pytest.raises(ValueError, match="nobody can be written as eft_json: 1 without a body"):
        convert(tmp_path / "in.npz", tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == before


def test_broken_annotations_are_rows_with_a_status(tmp_path: Path) -> None:
    content = json.loads(EXAMPLE.read_text())
    content["data"][2]["bbox_scale"] = None
    (tmp_path / "in.json").write_text(json.dumps(content))
    convert(tmp_path / "in.json", tmp_path / "t.parquet")
    rows = list(table.read(tmp_path / "t.parquet"))
    assert [row.status for row in rows] == ["imported", "imported", "bad_input", "imported"]
    assert rows[2].message.startswith("broken annotation: ")
    assert convert(tmp_path / "in.json", tmp_path / "o.npz").left_out == {"broken annotation": 1}


def test_keypoints_go_into_coco(tmp_path: Path) -> None:
    convert(EXAMPLE, tmp_path / "coco.json", to="coco")
    back = list(formats.read(tmp_path / "coco.json", min_keypoints=0))
    assert [s.image for s in back] == ["img_00.png", "img_01.png", "img_04.png", "img_05.png"]
    before = next(eft_json.read(EXAMPLE)).keypoints_2d
    np.testing.assert_array_equal(back[0].keypoints_2d, before)  # it has COCO's 17 only


CAMERA = np.array([[1000.0, 0, 320], [0, 1000.0, 240], [0, 0, 1]])


def test_the_weak_camera_follows_from_the_full_one() -> None:
    """By hand: at 10 m, 100 px are a metre; the box has 200 px, so a half of it is a metre."""
    body = BodyTruth(IDENTITY, np.zeros(10), translation=np.array([0.5, -1.0, 10.0]))
    sample = person(intrinsics=CAMERA, body=body)
    # the origin is seen at (320 + 50, 240 - 100): 70 px right of the centre, 60 above
    assert weak_camera(sample, body) == pytest.approx([1.0, 0.7, -0.6])
    weak = replace(body, weak_camera=weak_camera(sample, body), translation=None)
    assert full_translation(sample, weak) == pytest.approx([0.5, -1.0, 10.0])
    behind = replace(body, translation=np.array([0.0, 0.0, -1.0]))
    assert weak_camera(sample, behind) is None
    assert weak_camera(replace(sample, box_scale=0.0), body) is None


def test_bodies_move_between_eft_s_camera_and_cliff_s(tmp_path: Path) -> None:
    Image.new("RGB", (600, 800)).save(tmp_path / "a.png")
    spin_npz.write([person("a.png"), person("gone.png")], tmp_path / "in.npz")
    done = convert(tmp_path / "in.npz", tmp_path / "c.npz", to="cliff_npz", images=tmp_path)
    assert (done.written, done.left_out) == (1, {"without a focal length (images tell it)": 1})
    (moved,) = cliff_npz.read(tmp_path / "c.npz")
    assert moved.intrinsics is not None
    assert moved.intrinsics.tolist() == [[1000, 0, 300], [0, 1000, 400], [0, 0, 1]]
    assert moved.body is not None
    # 2 * 1000 px / (200 px * .8) = 12.5 m; the origin is seen at (310, 180)
    assert moved.body.translation == pytest.approx([10 / 80, -220 / 80, 12.5])
    without_weak = replace(moved, body=replace(moved.body, weak_camera=None))
    cliff_npz.write([without_weak], tmp_path / "c.npz")
    convert(tmp_path / "c.npz", tmp_path / "back.json")
    (back,) = eft_json.read(tmp_path / "back.json")
    assert back.body is not None
    assert back.body.weak_camera == pytest.approx([0.8, 0.1, -0.2])


@pytest.mark.parametrize(
    ("name", "to", "says"),
    [
        ("out.txt", None, "cannot tell a format from 'out.txt', expected one of .npz, .json"),
        ("out.npz", "eft_json", "'out.npz' is to be eft_json: expected the suffix .json"),
        ("out.json", "mpii", "format 'mpii' cannot be written, expected one of spin_npz"),
        ("out.json", "smpl", "format 'smpl' is unknown"),
    ],
)
def test_targets_that_make_no_sense(tmp_path: Path, name: str, to: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.")):
        convert(EXAMPLE, tmp_path / name, to=to)


def test_a_file_does_not_replace_itself(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(EXAMPLE.read_bytes())
    with pytest.raises(ValueError, match="would replace what it is made from"):
        convert(tmp_path / "a.json", tmp_path / "a.json")
    assert set(module.TARGETS) <= set(formats.FORMATS)
