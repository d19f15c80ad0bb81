"""Crops."""

import math

import pytest
import torch

from exemplar.geometry.crops import (
    Box,
    box_about_hips,
    crop_to_image,
    image_to_crop,
    turn,
    upright_box,
)

TORSO_ROWS = (0, 1, 2, 3)


def standing(lean: float) -> torch.Tensor:
    """Shoulders, hips and feet of a person whose up direction leans by `lean` radians."""
    points = torch.tensor([[60.0, 40], [40, 40], [55, 100], [45, 100], [55, 180], [45, 180]])
    return torch.cat((turn(points, torch.tensor(lean)), torch.ones(6, 1)), dim=1)


def test_image_to_crop_and_back() -> None:
    box = Box(torch.tensor([[30.0, 50.0]]), torch.tensor([80.0]), torch.tensor([0.6]))
    points = torch.randn(1, 10, 2) * 50
    assert torch.allclose(crop_to_image(image_to_crop(points, box), box), points, atol=1e-4)


def test_crop_units_span_the_crop() -> None:
    box = Box(torch.tensor([[30.0, 50.0]]), torch.tensor([80.0]), torch.tensor([0.0]))
    corner = image_to_crop(torch.tensor([[[70.0, 10.0]]]), box)
    assert torch.allclose(corner, torch.tensor([[[1.0, -1.0]]]))


@pytest.mark.parametrize("lean", [0.0, 0.5, math.pi / 2, math.pi, -2.5])
def test_any_lean_gives_the_same_upright_crop(lean: float) -> None:
    person = standing(lean)
    box = upright_box(person, TORSO_ROWS)
    crop = image_to_crop(person[:, :2], box)
    reference = standing(0.0)
    expected = image_to_crop(reference[:, :2], upright_box(reference, TORSO_ROWS))
    assert torch.allclose(crop, expected, atol=1e-4)
    assert crop.abs().max() <= 1 / 1.35 + 1e-4


def test_missing_joints_do_not_shape_the_crop() -> None:
    person = standing(0.0)
    far = torch.cat((person, torch.tensor([[9e3, 9e3, 0.0]])))
    assert float(upright_box(far, TORSO_ROWS).size) == float(upright_box(person, TORSO_ROWS).size)


def test_without_a_torso_the_crop_is_not_turned() -> None:
    person = standing(1.0)
    person[:2, 2] = 0
    assert float(upright_box(person, TORSO_ROWS).angle) == 0
    assert float(upright_box(standing(1.0), None).angle) == 0


def test_too_few_or_coinciding_keypoints_are_refused() -> None:
    person = standing(0.0)
    person[1:, 2] = 0
    with pytest.raises(ValueError, match="at least 2"):
        upright_box(person, TORSO_ROWS)
    with pytest.raises(ValueError, match="span"):
        upright_box(torch.ones(6, 3), TORSO_ROWS)


LEANS = pytest.mark.parametrize("lean", [0.0, 0.5, math.pi / 2, -2.5])


@LEANS
def test_the_crop_about_the_hips_reaches_as_far_as_the_farthest_keypoint(lean: float) -> None:
    person = standing(0.0)
    person[4:, 1] = 220.0
    person[:, :2] = turn(person[:, :2], torch.tensor(lean))
    box = box_about_hips(person, TORSO_ROWS)
    assert box is not None
    middle = turn(torch.tensor([[50.0, 100.0]]), torch.tensor(lean))[0]
    assert torch.allclose(box.centre, middle, atol=1e-3)  # float32 of some hundred px
    # an ankle is 5 px beside and 120 px below the middle of the hips
    assert float(box.size) == pytest.approx(2 * 1.25 * math.hypot(5, 120), rel=1e-5)
    assert float(box.angle) == pytest.approx(lean, abs=1e-5)


@LEANS
def test_people_who_are_cut_off_are_shown_as_large_as_if_they_were_not(lean: float) -> None:
    person = standing(lean)
    whole = box_about_hips(person, TORSO_ROWS)
    person[4:, 2] = 0
    cut = box_about_hips(person, TORSO_ROWS)
    assert cut is not None
    # the torso is 60 px long, and feet are taken to be 1.6 times as far from the hips
    assert float(cut.size) == pytest.approx(2 * 1.25 * 1.6 * 60, rel=1e-5)
    assert float(cut.angle) == pytest.approx(lean, abs=1e-5)
    # these legs are shorter than that: 80 px
    assert whole is not None
    assert float(whole.size) == float(cut.size)


def test_margin_and_least_size_of_a_crop_about_the_hips_can_be_chosen() -> None:
    box = box_about_hips(standing(0.0), TORSO_ROWS, margin=2.0, least_torsos=0.5)
    assert box is not None
    assert float(box.size) == pytest.approx(2 * 2.0 * math.hypot(5, 80), rel=1e-5)


def test_one_hip_or_shoulder_stands_for_both() -> None:
    person = standing(0.0)
    person[[1, 3], 2] = 0  # right shoulder and right hip
    box = box_about_hips(person, TORSO_ROWS)
    assert box is not None
    assert box.centre.tolist() == [55.0, 100.0]
    # the left shoulder is 5 px to the right of the left hip and 60 px above it
    assert float(box.angle) == pytest.approx(math.atan2(5, 60), abs=1e-6)


@pytest.mark.parametrize("rows", [(0, 1), (2, 3)])
def test_there_is_no_crop_about_the_hips_without_hips_or_shoulders(rows: tuple[int, int]) -> None:
    person = standing(0.0)
    person[list(rows), 2] = 0
    assert box_about_hips(person, TORSO_ROWS) is None


def test_there_is_none_of_somebody_without_extent() -> None:
    assert box_about_hips(torch.ones(6, 3), TORSO_ROWS) is None


def test_a_box_keeps_its_image_s_camera_and_its_keypoints() -> None:
    camera, keypoints = (torch.rand(3), torch.rand(3, 2)), torch.rand(3, 49, 3)
    box = Box(torch.rand(3, 2), torch.rand(3), torch.zeros(3), *camera, keypoints)
    for index in (1, slice(1, 3), torch.tensor([2, 0])):
        some = box[index].to(torch.float64)
        for name, value in vars(box).items():
            assert torch.equal(vars(some)[name], value[index].double()), name
    bare = Box(box.centre, box.size, box.angle)[:2].to(torch.float64)
    assert bare.focal is None
    assert bare.principal_point is None
    assert bare.keypoints is None
