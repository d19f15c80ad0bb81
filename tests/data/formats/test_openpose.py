"""OpenPose's folders of JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import openpose

COCO_18_IN_24 = [19, None, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 21, 20, 23, 22]
"""The 24 annotated joints' index of OpenPose-18's; its neck is not LSP's."""


def numbers(count: int, seen: set[int] | None = None) -> list[float]:
    """Joint k at (10 k + 1, 5 k + 2) with confidence 0.5, those not seen (0, 0, 0)."""
    rows = [[10.0 * k + 1, 5.0 * k + 2, 0.5] for k in range(count)]
    return [
        x for k, row in enumerate(rows) for x in (row if seen is None or k in seen else [0] * 3)
    ]


def file(folder: Path, name: str, people: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    return path


def test_body_25_and_coco_18_land_on_their_joints(tmp_path: Path) -> None:
    people = [{"pose_keypoints_2d": numbers(18)}, {"pose_keypoints_2d": numbers(25)}]
    coco, body = openpose.read(file(tmp_path, "im_1_keypoints.json", people))
    for k, row in enumerate(COCO_18_IN_24):
        joint = 1 if row is None else 25 + row
        assert coco.keypoints_2d[joint].tolist() == [10 * k + 1, 5 * k + 2, 0.5], k
    assert (coco.keypoints_2d[:, 2] > 0).sum() == 18
    # BODY_25: mid-hip and right hip are 8 and 9, the left heel is 21
    assert body.keypoints_2d[8, 0] == 81
    assert body.keypoints_2d[25 + 2, 0] == 91
    assert body.keypoints_2d[21, 0] == 211
    assert (body.image, body.annotation_id) == ("im_1.jpg", 1)
    assert coco.annotation_id == 0


def test_the_box_is_that_of_the_seen_keypoints(tmp_path: Path) -> None:
    seen = [{"pose_keypoints_2d": numbers(25, {2, 4})}]
    (sample,) = openpose.read(file(tmp_path, "a_keypoints.json", seen))
    # (21, 12) and (41, 22): 20 px wide, 10 high
    assert sample.box_centre.tolist() == [31, 17]
    assert sample.box_size == pytest.approx(24)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    person = {"pose_keypoints_2d": numbers(25), "person_id": [7]}
    file(tmp_path, "b/f2_keypoints.json", [person])
    file(tmp_path, "b/f10_keypoints.json", [person, {"pose_keypoints_2d": []}])
    file(tmp_path, "a_keypoints.json", [{"pose_keypoints_2d": [0] * 75}, person])
    (tmp_path / "notes.json").write_text("{}")
    samples = list(openpose.read(tmp_path, image_suffix=".png"))
    assert [s.image for s in samples] == ["a.png", "b/f10.png", "b/f2.png"]
    assert [s.annotation_id for s in samples] == [1, 0, 0]
    assert samples[0].subject == "7"


def test_images_that_are_there_tell_their_ending(tmp_path: Path) -> None:
    file(tmp_path / "json", "a_keypoints.json", [{"pose_keypoints_2d": numbers(25)}])
    file(tmp_path / "json", "b_keypoints.json", [{"pose_keypoints_2d": numbers(25)}])
    (tmp_path / "a.PNG").touch()
    samples = openpose.read(tmp_path / "json", images=tmp_path)
    assert [s.image for s in samples] == ["a.PNG", "b.jpg"]


def test_hands_and_face_go_under_spin_s_names(tmp_path: Path) -> None:
    person = {
        "pose_keypoints_2d": numbers(25),
        "hand_left_keypoints_2d": [0.0] * 63,
        "hand_right_keypoints_2d": numbers(21),
        "face_keypoints_2d": numbers(70),
    }
    (sample,) = openpose.read(file(tmp_path, "a_keypoints.json", [person]))
    assert {name: value.shape for name, value in sample.extra.items()} == {
        "kp_rightHand": (21, 3), "kp_face": (68, 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("person", "says"),
    [
        ({"pose_keypoints_2d": [9.0, 9.0, 1.0] * 19}, "--joints ochuman19 or panoptic19"),
        ({"pose_keypoints_2d": [1.0] * 74}, "74 numbers"),
        ({"pose_keypoints_2d": ["x"] * 75}, "expected a list of numbers"),
        ({"pose_keypoints_2d": numbers(25), "face_keypoints_2d": [1.0] * 6}, "expected 210"),
        ([], "expected a person"),
    ],
)
def test_a_broken_person_does_not_cost_the_rest(tmp_path: Path, person: object, says: str) -> None:
    good = {"pose_keypoints_2d": numbers(25)}
    first, second = openpose.read(file(tmp_path, "a_keypoints.json", [person, good]))
    assert says in first.problem
    assert not second.problem
    assert np.isfinite(second.keypoints_2d).all()


def test_a_broken_file_does_not_cost_the_others(tmp_path: Path) -> None:
    (tmp_path / "a_keypoints.json").write_text('{"people": [')
    file(tmp_path, "b_keypoints.json", [{"pose_keypoints_2d": numbers(25)}])
    first, second = openpose.read(tmp_path)
    assert "not JSON" in first.problem
    assert first.image == "a.jpg"
    assert second.image == "b.jpg"
    with pytest.raises(ValueError, match="not JSON"):
        openpose.read(tmp_path / "a_keypoints.json")


def test_other_files(tmp_path: Path) -> None:
    assert not openpose.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match="no files"):
        openpose.read(tmp_path)
    good = file(tmp_path, "a_keypoints.json", [])
    (tmp_path / "coco_keypoints.json").write_text('{"images": [], "annotations": []}')
    assert openpose.matches(Contents(good))
    assert openpose.matches(Contents(tmp_path))
    assert not openpose.matches(Contents(tmp_path / "coco_keypoints.json"))
    with pytest.raises(ValueError, match="no list of 'people'"):
        openpose.read(tmp_path / "coco_keypoints.json")
