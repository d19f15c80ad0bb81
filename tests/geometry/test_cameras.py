"""Cameras and alignment."""

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

from exemplar.geometry.align import similarity_align
from exemplar.geometry.cameras import (
    fit_weak_camera,
    project_full,
    project_weak,
    rotate_weak_camera,
    weak_to_full_translation,
)
from exemplar.geometry.crops import turn
from exemplar.geometry.rotations import axis_angle_to_rotmat


def test_a_long_lens_sees_what_the_weak_camera_sees() -> None:
    points = torch.randn(4, 20, 3, dtype=torch.float64) * 0.4
    weak = torch.tensor([[0.9, 0.1, -0.2]] * 4, dtype=torch.float64)
    centre = torch.tensor([[300.0, 200.0]] * 4, dtype=torch.float64)
    size = torch.full((4,), 250.0, dtype=torch.float64)
    focal = torch.full((4,), 1e7, dtype=torch.float64)
    middle = torch.tensor([[320.0, 240.0]] * 4, dtype=torch.float64)
    shift = weak_to_full_translation(weak, focal, middle, centre, size)
    full = project_full(points + shift[:, None], focal, middle)
    expected = centre[:, None] + project_weak(points, weak) * 125
    # perspective's own effect: depth range 1 m over a distance of 8e4 m
    assert torch.allclose(full, expected, atol=0.02)


def test_turning_the_camera_turns_the_projection() -> None:
    points, weak = torch.randn(1, 9, 3).double(), torch.tensor([[0.8, 0.3, -0.1]]).double()
    angle = torch.tensor([0.7]).double()
    turned_points = torch.cat((turn(points[..., :2], angle), points[..., 2:]), dim=-1)
    expected = turn(project_weak(points, weak), angle)
    found = project_weak(turned_points, rotate_weak_camera(weak, angle))
    assert torch.allclose(found, expected, atol=1e-12)


def test_the_least_squares_weak_camera_recovers_the_true_one() -> None:
    points, weak = torch.randn(5, 12, 3).double(), torch.rand(5, 3).double() + 0.2
    target = project_weak(points, weak)
    target[:, 0] = 1e3  # an outlier of no weight
    weights = torch.ones(5, 12).double()
    weights[:, 0] = 0
    assert torch.allclose(fit_weak_camera(points, target, weights), weak, atol=1e-10)


def test_alignment_undoes_a_similarity_and_matches_scipy() -> None:
    target = torch.randn(3, 14, 3, dtype=torch.float64)
    rotation = axis_angle_to_rotmat(torch.randn(3, 3).double())
    moved = 0.4 * target @ rotation.mT + torch.tensor([1.0, -2, 3])
    assert torch.allclose(similarity_align(moved, target), target, atol=1e-10)
    noisy = moved + 0.02 * torch.randn(3, 14, 3).double()
    error = (similarity_align(noisy, target) - target).square().sum((1, 2))
    for i in range(3):
        _, _, disparity = procrustes(target[i].numpy(), noisy[i].numpy())
        norm = ((target[i] - target[i].mean(0)) ** 2).sum()
        assert float(error[i] / norm) == pytest.approx(disparity, rel=1e-8)


def test_alignment_never_mirrors() -> None:
    target = torch.randn(14, 3, dtype=torch.float64)
    mirrored = target * torch.tensor([-1.0, 1, 1])
    assert (similarity_align(mirrored, target) - target).norm(dim=-1).mean() > 0.1


def test_alignment_of_one_point_is_finite() -> None:
    same = torch.zeros(14, 3)
    assert torch.isfinite(similarity_align(same, torch.randn(14, 3))).all()
    assert np.isfinite(similarity_align(torch.randn(14, 3), same).numpy()).all()
