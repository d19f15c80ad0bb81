"""Cameras and alignment."""

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

from exemplar.geometry.align import similarity_align
from exemplar.geometry.cameras import (
    NEAREST,
    CameraModel,
    crop_perspective_translation,
    crop_to_full_translation,
    fit_translation,
    fit_weak_camera,
    full_translation,
    image_camera,
    move_weak_camera,
    project,
    project_crop_perspective,
    project_full,
    project_weak,
    rotate_weak_camera,
    weak_equivalent,
    weak_to_full_translation,
)
from exemplar.geometry.crops import Box, crop_to_image, image_to_crop, turn
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import OPENPOSE_25
from tests.golden import dual, eft


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


def test_the_crop_cameras_are_eft_s() -> None:
    """Float64 arrays to rounding; the perspective one was recorded in float32 (3e-7 of its 3)."""
    recorded = eft.reference()
    points, camera = recorded["smpl_joints49_rot_f64"], recorded["proj_cam"]
    assert torch.allclose(project_weak(points, camera), recorded["proj_weak"], rtol=0, atol=1e-14)
    found = crop_perspective_translation(camera, 224)
    assert torch.allclose(found, recorded["proj_cam_t"], rtol=1e-14, atol=0)
    found = project_crop_perspective(points, camera).float()
    assert torch.allclose(found, recorded["proj_persp_f32"], rtol=0, atol=1e-6)


def test_the_least_squares_translation_is_spin_s() -> None:
    """Recorded in float32: 1e-6 relative."""
    recorded = eft.reference()
    gt = slice(len(OPENPOSE_25), None)
    points, keypoints = recorded["smpl_joints49_rot_f64"][:, gt], recorded["esttrans_kp"][:, gt]
    middle = torch.full((3, 2), 112.0).double()
    found = fit_translation(points, keypoints[..., :2], keypoints[..., 2], 5000.0, middle)
    assert torch.allclose(found.float(), recorded["esttrans_out"], rtol=1e-6, atol=1e-6)
    exact = project_full(points + found[:, None], torch.full((3,), 5000.0).double(), middle)
    again = fit_translation(points, exact, torch.rand(3, 24).double(), 5000.0, middle)
    assert torch.allclose(again, found, rtol=1e-9)  # float64's rounding times the condition
    none = fit_translation(points, exact, torch.zeros(3, 24).double(), 5000.0, middle)
    assert torch.equal(none, torch.zeros(3, 3).double())


def test_the_full_frame_camera_is_cliff_s() -> None:
    """Both in float32: 1e-6 of metres, and 1e-6 of up to 650 px."""
    recorded, box = dual.reference(), dual.box()
    camera, points = recorded["geometry/cam_crop"], recorded["smpl/joints49"]
    found = crop_to_full_translation(camera, box)
    assert torch.allclose(found, recorded["geometry/cam_full"], rtol=1e-6, atol=1e-6)
    expected = image_to_crop(recorded["geometry/projected"], box)
    found = project(points, camera, box, "full_perspective", 256)
    assert torch.allclose(found, expected, rtol=0, atol=6.5e-4 * 2 / float(box.size.min()))


@pytest.mark.parametrize("model", ["crop_perspective", "full_perspective"])
def test_far_away_every_camera_is_weak(model: CameraModel) -> None:
    """SPIN's and CLIFF's cameras tend to the weak equivalent as depth over body size grows."""
    box = Box(
        torch.tensor([[420.0, 200.0]]).double(),
        torch.tensor([256.0]).double(),
        torch.zeros(1).double(),
        torch.tensor([1e9]).double(),
        torch.tensor([[320.0, 240.0]]).double(),
    )
    camera = torch.tensor([[0.8, 0.2, -0.1]]).double()
    # The crop camera's focal length is fixed: a small body is as far away as a large one is deep.
    small = 1e-4 if model == "crop_perspective" else 1.0
    points = small * torch.randn(1, 9, 3).double()
    found = project(points, camera, box, model, 256)
    expected = project(points, weak_equivalent(camera, model), box, "weak", 256)
    # four deviations of depth over 49 m and 1e7 m, times a coordinate below 0.3 and 3
    assert torch.allclose(found, expected, rtol=0, atol=3e-6)
    assert (weak_equivalent(camera, "weak") == camera).all()


def test_a_full_camera_without_an_image_is_refused() -> None:
    box = Box(torch.zeros(1, 2), torch.ones(1), torch.zeros(1), focal=torch.ones(1))
    with pytest.raises(ValueError, match="expected a Box with focal and principal_point"):
        image_camera(box)


def test_a_weak_camera_in_another_box_shows_the_same_pixels() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(4, 9, 3, generator=generator, dtype=torch.float64)
    camera = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    centres = 300 * torch.rand(2, 4, 2, generator=generator, dtype=torch.float64)
    sizes = 50 + 200 * torch.rand(2, 4, generator=generator, dtype=torch.float64)
    angle = torch.zeros(4, dtype=torch.float64)
    moved = move_weak_camera(camera, centres[0], sizes[0], centres[1], sizes[1])
    first = crop_to_image(project_weak(points, camera), Box(centres[0], sizes[0], angle))
    second = crop_to_image(project_weak(points, moved), Box(centres[1], sizes[1], angle))
    # float64 pixels
    assert torch.allclose(first, second, rtol=0, atol=1e-9)


@pytest.mark.parametrize("focal", [300.0, 1500.0, 20_000.0])
def test_a_full_camera_s_translation_is_found_from_a_rough_one(focal: float) -> None:
    points = torch.randn(4, 20, 3).double() * 0.4
    truth = torch.tensor([[0.3, -0.2, 3.0], [1.5, 0.0, 4.0], [-0.5, 0.4, 9.0], [0.0, 0.0, 2.5]])
    truth = truth.double()
    focals, middle = torch.full((4,), focal).double(), torch.tensor([320.0, 240.0]).double()
    middle = middle.expand(4, 2)
    targets = project_full(points + truth[:, None], focals, middle)
    rough = truth * 1.2 + 0.1
    weights = torch.ones(4, 20).double()
    weights[:, 0] = 0.0
    targets[:, 0] += 1000.0
    found = full_translation(points, targets, weights, focals, middle, rough)
    assert torch.allclose(found, truth, atol=1e-6)


def test_no_point_comes_behind_a_full_camera() -> None:
    """A focal length that would put the camera into the body."""
    points, middle = torch.randn(1, 20, 3), torch.tensor([[320.0, 240.0]])
    targets = middle[:, None] + 300 * points[..., :2]
    ones, rough = torch.ones(1, 20), torch.tensor([[0.0, 0.0, 0.03]])
    found = full_translation(points, targets, ones, torch.tensor([10.0]), middle, rough)
    assert found.isfinite().all()
    assert (points[..., 2] + found[..., 2]).min() >= NEAREST - 1e-6
    none = full_translation(points, targets, 0 * ones, torch.tensor([10.0]), middle, rough + 9)
    assert torch.allclose(none, rough + 9)
