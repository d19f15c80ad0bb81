"""Weak cameras' bodies in their images' cameras: of people whose pictures have perspective."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.perspective import CONFIG
from exemplar.fitting.projections import placed
from exemplar.fitting.small_turns import POINTS, PX, Seen, SmallTurns
from exemplar.geometry.cameras import fit_weak_camera, project_full, project_near, project_weak
from exemplar.geometry.crops import Box, crop_to_image, image_to_crop
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotation_from_z, rotmat_to_axis_angle
from exemplar.metrics import pa_mpjpe
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import SMPL_49

PEOPLE = 6
FOCAL = 1000.0
MIDDLE = torch.tensor([500.0, 500.0])


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def people(seed: int = 0) -> tuple[Prediction, Tensor]:
    """People who stand about in all postures, two to four metres away and partly far aside."""
    draw = torch.Generator().manual_seed(seed)
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turned = axis_angle_to_rotmat(0.4 * torch.randn(PEOPLE, 3, generator=draw)) @ facing
    pose = axis_angle_to_rotmat(0.3 * torch.randn(PEOPLE, 23, 3, generator=draw))
    depth = 2.0 + 2.0 * torch.rand(PEOPLE, generator=draw)
    aside = depth[:, None] * torch.empty(PEOPLE, 2).uniform_(-0.4, 0.4, generator=draw)
    truth = Prediction(turned, pose, torch.zeros(PEOPLE, 10), torch.ones(PEOPLE, 3))
    return truth, torch.cat((aside, depth[:, None]), 1)


def joints_of(body: Body, found: Prediction) -> Tensor:
    return body.keypoints(found.body_params(), "smpl49")


def pinhole(points: Tensor) -> Tensor:
    return project_full(points, torch.full((PEOPLE,), FOCAL), MIDDLE.expand(PEOPLE, 2))


def seen_of(body: Body, found: Prediction, away: Tensor) -> Tensor:
    return pinhole(joints_of(body, found) + away[:, None])


def boxes(points: Tensor) -> Box:
    """Crops of people who are seen at these px."""
    low, high = points.amin(1), points.amax(1)
    size = 1.3 * (high - low).amax(1)
    focal, middle = torch.full((PEOPLE,), FOCAL), MIDDLE.expand(PEOPLE, 2)
    angle = torch.linspace(-0.5, 0.5, PEOPLE)
    return Box((low + high) / 2, size, angle, focal, middle)


def weak_of(body: Body, truth: Prediction, box: Box, points: Tensor) -> Prediction:
    """The true body along the crop's ray, with the weak camera that shows it best there."""
    ray = torch.cat(((box.centre - MIDDLE) / FOCAL, torch.ones(PEOPLE, 1)), 1)
    turned = rotation_from_z(ray).mT @ truth.global_orient
    around = axis_angle_to_rotmat(torch.tensor([0.0, 0.0, -1.0]) * box.angle[:, None])
    found = replace(truth, global_orient=around @ turned)
    weights = body.available("smpl49").expand(PEOPLE, -1)
    camera = fit_weak_camera(joints_of(body, found), image_to_crop(points, box), weights)
    return replace(found, camera=camera)


def test_a_near_camera_is_weak_far_away_and_a_pinhole_close_by() -> None:
    points, camera = torch.randn(2, 5, 3), torch.tensor([[0.9, 0.1, -0.2], [1.1, 0.0, 0.3]])
    weak = project_weak(points, camera)
    assert torch.equal(project_near(points, camera, torch.zeros(2)), weak)
    length = torch.tensor([4.0, 9.0])
    away = torch.cat((camera[:, 1:], length[:, None]), 1) / camera[:, :1]
    expected = project_full(points + away[:, None], length, torch.zeros(2, 2))
    torch.testing.assert_close(project_near(points, camera, 1.0 / length), expected)


def test_the_smallest_rotation_takes_the_axis_to_a_direction() -> None:
    direction = torch.tensor([[0.3, -0.2, 1.0], [0.0, 0.0, 2.0]])
    found = rotation_from_z(direction)
    expected = direction / direction.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found[..., 2], expected)
    angles = rotmat_to_axis_angle(found).norm(dim=-1)
    assert float(angles[0]) == pytest.approx(math.atan(math.hypot(0.3, 0.2)), abs=1e-5)
    assert float(angles[1]) < 1e-3


def test_the_image_s_camera_sees_a_body_where_the_crop_s_did(body: Body) -> None:
    truth, away = people()
    seen = seen_of(body, truth, away)
    box = boxes(seen)
    weak = weak_of(body, truth, box, seen)
    gaps = {}
    for perspective in (False, True):
        found = placed(body, weak, box, "weak", 224, perspective=0.0 if perspective else None)
        there = found.joints + found.translation[:, None]
        again = pinhole(there)
        gaps[perspective] = (again - found.joints_2d).norm(dim=-1).mean(1) / box.size * 224
        expected = crop_to_image(project_weak(joints_of(body, weak), weak.camera), box)
        torch.testing.assert_close(found.joints_2d, expected)
        turned = joints_of(body, found.prediction)
        torch.testing.assert_close(turned, found.joints, atol=1e-5, rtol=0)
    assert (gaps[True] < 0.6 * gaps[False]).all(), gaps


def test_a_body_that_was_fitted_without_perspective_comes_nearer_to_the_truth(body: Body) -> None:
    """What EFT makes of a picture with perspective: joints turned until a weak camera shows them
    in the right places."""

    truth, away = people(1)
    seen = seen_of(body, truth, away)
    box = boxes(seen)
    weak = weak_of(body, truth, box, seen)
    places = torch.nn.functional.pad(image_to_crop(seen, box), (0, 0, 0, POINTS - len(SMPL_49)))
    precision = torch.zeros(PEOPLE, POINTS)
    precision[:, : len(SMPL_49)] = PX**2
    fitted = SmallTurns(body, weak, Seen(places, precision), CONFIG).solved()[1].prediction
    errors = [
        pa_mpjpe(
            placed(body, fitted, box, "weak", 224, perspective=0.0 if perspective else None).joints,
            joints_of(body, truth),
        ).mean()
        for perspective in (False, True)
    ]
    assert errors[1] < 0.5 * errors[0], errors


def test_who_is_too_near_for_perspective_stays(body: Body) -> None:
    """A face that fills the picture: the feet would be behind the camera."""
    truth, _ = people(2)
    camera = torch.tensor([6.0, 0.0, 3.0]).expand(PEOPLE, 3)
    size = torch.full((PEOPLE,), 1000.0)
    focal = torch.full((PEOPLE,), 300.0)
    box = Box(MIDDLE.expand(PEOPLE, 2), size, 0 * size, focal, MIDDLE.expand(PEOPLE, 2))
    found = placed(body, replace(truth, camera=camera), box, "weak", 224, perspective=0.0)
    assert torch.isfinite(found.joints).all()
    assert torch.isfinite(found.translation).all()
    assert ((found.joints + found.translation[:, None])[..., 2] > 0).all()
