"""Which crop a regressor is shown of somebody."""

import pytest
import torch
from torch import nn

from exemplar.data.crops import framing_of, person_box
from exemplar.geometry.crops import Box, box_about_hips, upright_box
from exemplar.skeletons import OPENPOSE_25, SMPL_49, TORSO

ROWS = [SMPL_49.index(name, len(OPENPOSE_25)) for name in TORSO]
TORSO_ROWS = (ROWS[0], ROWS[1], ROWS[2], ROWS[3])


def person(*, without: tuple[str, ...] = ()) -> torch.Tensor:
    """Somebody who leans to the right, 49 joints in image px of which a few are known."""
    places = {
        "left_shoulder": (130.0, 50.0), "right_shoulder": (100.0, 40.0),
        "left_hip": (105.0, 120.0), "right_hip": (85.0, 115.0),
        "left_ankle": (100.0, 220.0), "right_ankle": (60.0, 215.0),
    }  # fmt: skip
    joints = torch.zeros(len(SMPL_49), 3)
    for name, place in places.items():
        if name not in without:
            joints[SMPL_49.index(name, len(OPENPOSE_25))] = torch.tensor([*place, 1.0])
    return joints


def same(first: Box, second: Box) -> bool:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


def test_each_framing_is_a_crop_of_its_own() -> None:
    joints = person()
    about = box_about_hips(joints, TORSO_ROWS)
    assert about is not None
    assert same(person_box(joints, "hips"), about)
    assert same(person_box(joints, "upright"), upright_box(joints, TORSO_ROWS))
    assert same(person_box(joints, "level"), upright_box(joints, None))
    assert float(about.angle) == float(person_box(joints, "upright").angle) != 0
    assert about.centre.tolist() == [95.0, 117.5]


@pytest.mark.parametrize(
    "without", [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")]
)
def test_without_hips_or_shoulders_the_crop_is_that_about_the_keypoints(
    without: tuple[str, ...],
) -> None:
    joints = person(without=without)
    assert box_about_hips(joints, TORSO_ROWS) is None
    assert same(person_box(joints, "hips"), person_box(joints, "upright"))


@pytest.mark.parametrize("without", ["left_hip", "right_hip", "left_shoulder"])
def test_one_hip_and_one_shoulder_are_enough(without: str) -> None:
    joints = person(without=(without,))
    about = box_about_hips(joints, TORSO_ROWS)
    assert about is not None
    assert same(person_box(joints, "hips"), about)


def test_who_has_one_keypoint_has_no_crop() -> None:
    joints = torch.zeros(len(SMPL_49), 3)
    joints[TORSO_ROWS[0]] = 1.0
    for framing in ("level", "upright", "hips"):
        with pytest.raises(ValueError, match="at least 2 visible keypoints, got 1"):
            person_box(joints, framing)


def test_networks_that_do_not_say_are_shown_ordinary_crops() -> None:
    assert framing_of(nn.Identity()) == "level"
