"""Other joints in COCO's style, by their names."""

import json
from pathlib import Path
from typing import Any

import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco_named, read, recognise
from exemplar.skeletons import SMPL_49

SIDES = ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
SETS: dict[str, tuple[list[str], dict[str, str]]] = {
    "H36M": (
        ["root (pelvis)", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee",
         "left_foot", "spine", "thorax", "neck_base", "head", "left_shoulder", "left_elbow",
         "left_wrist", "right_shoulder", "right_elbow", "right_wrist"],
        {"root (pelvis)": "pelvis", "right_foot": "right_ankle", "neck_base": "jaw",
         "thorax": "neck", "head": "head", "left_elbow": "left_elbow"},
    ),
    "AIC": (
        ["right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
         "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
         "left_ankle", "head_top", "neck"],
        {"right_knee": "right_knee", "head_top": "head_top", "neck": "neck"},
    ),
    "MHP": (
        ["Right-ankle", "Right-knee", "Right-hip", "Left-hip", "Left-knee", "Left-ankle", "Pelvis",
         "Thorax", "Upper-neck", "Head-top", "Right-wrist", "Right-elbow", "Right-shoulder",
         "Left-shoulder", "Left-elbow", "Left-wrist"],
        {"Upper-neck": "neck", "Thorax": "thorax", "Head-top": "head_top", "Pelvis": "pelvis"},
    ),
    "J-HMDB": (
        ["neck", "belly", "head", "right_shoulder", "left_shoulder", "right_hip", "left_hip",
         "right_elbow", "left_elbow", "right_knee", "left_knee", "right_wrist", "left_wrist",
         "right_ankle", "left_ankle"],
        {"neck": "neck", "head": "head_top", "left_ankle": "left_ankle"},
    ),
    "Human-Art": (
        ["nose", "left_eye", "right_eye", "left_ear", "right_ear",
         *(f"{side}_{part}" for part in SIDES for side in ("left", "right")),
         "left_finger", "right_finger", "left_toe", "right_toe"],
        {"left_toe": "op_left_big_toe", "nose": "nose", "right_wrist": "right_wrist"},
    ),
    "MPII-TRB": (
        [*(f"{side}_{part}" for part in SIDES for side in ("left", "right")), "head", "neck",
         "right_neck", "left_neck", "medial_right_hip", "lateral_right_hip"],
        {"head": "head_top", "neck": "neck", "right_hip": "right_hip"},
    ),
}  # fmt: skip


def file(folder: Path, names: list[str], keypoints: list[Any], **changed: Any) -> Path:
    record = {"id": 3, "image_id": "i1", "category_id": 1, "bbox": [10, 50, 40, 40]}
    content = {
        "images": [{"id": "i1", "file_name": "a.jpg"}],
        "annotations": [record | {"keypoints": keypoints} | changed, {"category_id": 9}],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def points(count: int) -> list[float]:
    return [value for i in range(count) for value in (10 + i, 50 + i, 2)]


@pytest.mark.parametrize("name", SETS)
def test_joints_go_by_their_names(name: str, tmp_path: Path) -> None:
    names, targets = SETS[name]
    path = file(tmp_path, names, points(len(names)))
    assert recognise(Contents(path)) == "coco_named"
    person = next(read(path))
    assert (person.image, person.annotation_id, person.problem) == ("a.jpg", 3, "")
    for theirs, ours in targets.items():
        i = names.index(theirs)
        assert person.keypoints_2d[SMPL_49.index(ours)].tolist() == [10 + i, 50 + i, 1], theirs


def test_joints_by_hand_count_more_than_names(tmp_path: Path) -> None:
    names = SETS["H36M"][0]
    swapped = [*names[:1], *names[4:7], *names[1:4], *names[7:]]
    (person, _) = read(file(tmp_path, swapped, points(17)), joints="h36m17")
    assert person.keypoints_2d[SMPL_49.index("right_hip"), 0] == 11


def test_halpe_s_136_joints_need_no_names(tmp_path: Path) -> None:
    person = next(read(file(tmp_path, [], points(136))))
    assert person.keypoints_2d[SMPL_49.index("op_right_heel"), 0] == 35
    assert person.keypoints_2d[SMPL_49.index("head_top"), 0] == 27


def test_without_a_box_it_is_about_the_joints(tmp_path: Path) -> None:
    path = file(tmp_path, SETS["AIC"][0], points(14))
    content = json.loads(path.read_text())
    del content["annotations"][0]["bbox"]
    path.write_text(json.dumps(content))
    person = next(coco_named.read(path))
    assert person.box_centre.tolist() == [16.5, 56.5]
    assert person.box_size == pytest.approx(1.2 * 13)


def test_numbers_that_fit_no_names_are_told(tmp_path: Path) -> None:
    person = next(read(file(tmp_path, SETS["AIC"][0], points(19))))
    assert "--joints ochuman19 or panoptic19" in person.problem
