"""Crops."""

import math

import pytest
import torch

from exemplar.geometry.crops import Box, crop_to_image, image_to_crop, turn, upright_box

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


def test_a_box_keeps_its_image_s_camera() -> None:
    box = Box(torch.rand(3, 2), torch.rand(3), torch.zeros(3), torch.rand(3), torch.rand(3, 2))
    for index in (1, slice(1, 3), torch.tensor([2, 0])):
        some = box[index].to(torch.float64)
        for name, value in vars(box).items():
            assert torch.equal(vars(some)[name], value[index].double()), name
    bare = Box(box.centre, box.size, box.angle)[:2].to(torch.float64)
    assert bare.focal is None
    assert bare.principal_point is None
