"""COCO-WholeBody: feet in the OpenPose block, hands and face beside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, coco_wholebody
from exemplar.skeletons import COCO_17

REAL = (
    Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "coco_wholebody_sample.json"
)
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")


def triples(count: int, start: int, visibility: float = 1) -> list[float]:
    """Joint i at (start + i, start + 2 i)."""
    return [value for i in range(count) for value in (start + i, start + 2 * i, visibility)]


def person_file(folder: Path, **changed: Any) -> Path:
    record = {
        "id": 3,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 10, 20],
        "keypoints": triples(17, 10),
        "foot_kpts": triples(6, 100, 2.0),
        "lefthand_kpts": triples(21, 200, 0.4),
        "righthand_kpts": [0] * 63,
        "face_kpts": triples(68, 400),
        "foot_valid": True,
        "lefthand_valid": True,
        "righthand_valid": False,
        "face_valid": True,
    }
    content = {
        "images": [{"id": 1, "file_name": "000000000001.jpg"}],
        "annotations": [record | changed],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17)}],
    }
    path = folder / "wholebody.json"
    path.write_text(json.dumps(content))
    return path


def test_feet_hands_and_face_have_their_places(tmp_path: Path) -> None:
    path = person_file(tmp_path)
    (person,) = coco_wholebody.read(path)
    # OpenPose's 19 to 24: left big toe, left small toe, left heel, and the right ones
    assert person.keypoints_2d[19:25, 0].tolist() == [100, 101, 102, 103, 104, 105]
    assert person.keypoints_2d[19:25, 2].tolist() == [1] * 6
    assert (person.keypoints_2d[:19] == 0).all()
    assert person.keypoints_2d[25 + 5].tolist() == [25, 40, 1]  # the left ankle is the 16th
    assert {name: array.shape for name, array in person.extra.items()} == {
        "kp_leftHand": (21, 3),
        "kp_face": (68, 3),
    }
    assert person.extra["kp_leftHand"][20].tolist() == [220, 240, 1]
    assert person.extra["kp_face"][67].tolist() == [467, 534, 1]
    assert coco_wholebody.matches(Contents(path))
    assert not coco.matches(Contents(path))


def test_what_is_not_valid_is_not_read(tmp_path: Path) -> None:
    (person,) = coco_wholebody.read(person_file(tmp_path, foot_valid=False, face_valid=False))
    assert (person.keypoints_2d[:25] == 0).all()
    assert set(person.extra) == {"kp_leftHand"}


def test_feet_do_not_count_as_limbs(tmp_path: Path) -> None:
    five_limbs = triples(10, 10) + [0] * 21
    path = person_file(tmp_path, keypoints=five_limbs)
    assert list(coco_wholebody.read(path)) == []
    assert len(list(coco_wholebody.read(path, min_keypoints=5))) == 1


@pytest.mark.parametrize(
    "changed",
    [{"foot_kpts": [1] * 17}, {"face_kpts": None}, {"lefthand_kpts": ["a"] * 63}],
)
def test_a_broken_part_is_told(changed: dict[str, Any], tmp_path: Path) -> None:
    (person,) = coco_wholebody.read(person_file(tmp_path, **changed))
    (name,) = changed
    assert name in person.problem
    assert person.annotation_id == 3


def test_plain_coco_is_broken_wholebody(tmp_path: Path) -> None:
    path = person_file(tmp_path)
    content = json.loads(path.read_text())
    content["annotations"] = [
        {k: v for k, v in each.items() if "kpts" not in k and "valid" not in k}
        for each in content["annotations"]
    ]
    path.write_text(json.dumps(content))
    assert not coco_wholebody.matches(Contents(path))
    assert "foot_kpts" in next(coco_wholebody.read(path)).problem


@needs_real
def test_a_real_skier_has_feet_one_hand_and_a_face() -> None:
    person = next(coco_wholebody.read(REAL))
    assert person.annotation_id == 442619
    feet = [[439, 378], [446, 380], [479, 370], [377, 359], [376, 358], [413, 353]]
    assert person.keypoints_2d[19:25, :2].tolist() == feet
    assert set(person.extra) == {"kp_rightHand", "kp_face"}
    # the hand of the right wrist, not of the left one at (449, 165)
    right_wrist = person.keypoints_2d[25 + 6, :2]
    assert right_wrist.tolist() == [309, 178]
    hand = person.extra["kp_rightHand"]
    assert np.linalg.norm(hand[hand[:, 2] > 0, :2].mean(0) - right_wrist) < 30  # its size, px


@needs_real
def test_bodies_are_cocos() -> None:
    for whole, body in zip(coco_wholebody.read(REAL), coco.read(REAL), strict=True):
        assert whole.annotation_id == body.annotation_id
        assert (whole.keypoints_2d[25:] == body.keypoints_2d[25:]).all()
        assert whole.box_scale == body.box_scale
