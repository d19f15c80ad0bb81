"""Several views of one body: one copy of the weights, one body in a world."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from exemplar.bodies import Body, BodyParams, load_body
from exemplar.fitting.views import (
    Views,
    ViewsConfig,
    fit_views,
    one_body,
    placed_body,
    projected,
    views_objective,
    world_translation,
)
from exemplar.geometry.crops import Box, image_to_crop
from exemplar.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.prediction import Prediction
from exemplar.scene.association import person_of
from exemplar.scene.view_crops import joined, views_of
from exemplar.skeletons import LIMBS_12, OPENPOSE_25, SMPL_49
from tests.fitting.toy import ToyRegressor
from tests.fixtures.made_rig import SIZE, joints_of, made_body, made_rig, seen_by


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def views_of_body(body: Body, params: BodyParams, count: int = 3, seed: int = 0) -> Views:
    """What a fit takes of a body that is seen without errors, in pictures of noise."""
    cameras = made_rig(count)
    person = person_of(seen_by(cameras, joints_of(body, params)), cameras)
    rng = np.random.default_rng(seed)
    # of different colours, so that a network can tell views apart
    colours = rng.integers(0, 255, (count, 1, 1, 3), dtype=np.uint8)
    pictures = [np.broadcast_to(colour, (SIZE[1], SIZE[0], 3)) for colour in colours]
    regressor = ToyRegressor().eval()
    return views_of(person, [np.ascontiguousarray(p) for p in pictures], cameras, regressor)


def as_seen(params: BodyParams, views: Views) -> Prediction:
    """What a perfect network says of each view."""
    count = views.count
    return Prediction(
        views.crop_to_world.mT @ params.global_orient.expand(count, 3, 3),
        params.body_pose.expand(count, -1, 3, 3),
        params.betas.expand(count, -1),
        torch.ones(count, 3),
    )


def test_crops_of_all_views_turn_to_one_world(body: Body) -> None:
    truth = made_body(body)
    views = views_of_body(body, truth)
    rows = torch.arange(views.count)
    found = placed_body(body, as_seen(truth, views), views, rows)
    gap = (body.keypoints(found) - body.keypoints(truth)).norm(dim=-1)
    # keypoints are float32, of crops of some hundred px, through a lens
    assert float(gap.max()) < 1e-3


def test_the_body_is_seen_where_its_keypoints_are(body: Body) -> None:
    truth = made_body(body, seed=1)
    views = views_of_body(body, truth)
    rows = torch.arange(views.count)
    seen = projected(body.keypoints(truth).expand(views.count, -1, 3), views, rows)
    gap = (seen - views.batch.keypoints_2d[..., :2]).norm(dim=-1)
    assert float(gap[views.batch.keypoints_2d[..., 2] > 0].max()) < 1e-3


def test_a_weak_crop_faces_the_ray_through_its_middle(body: Body) -> None:
    views = views_of_body(body, made_body(body, place=(1.2, 0.9, 0.4)))
    cameras = made_rig(3)
    for row, camera in enumerate(cameras):
        middle = views.batch.box.centre[row].double().numpy()
        forward = views.crop_to_world[row, :, 2].double().numpy()
        assert forward == pytest.approx(camera.directions(middle), abs=1e-5)


class Mistaken(nn.Module):
    """A network whose weights are its answers, a row a view: each errs in its own way."""

    resolution = 8
    framing = "upright"

    def __init__(self, truth: Prediction) -> None:
        super().__init__()
        count = len(truth.betas)
        generator = torch.Generator().manual_seed(1)

        def moved(rotmats: torch.Tensor) -> nn.Parameter:
            turns = 0.2 * torch.randn(*rotmats.shape[:-2], 3, generator=generator)
            return nn.Parameter(rotmat_to_rot6d(axis_angle_to_rotmat(turns) @ rotmats))

        self.orient, self.pose = moved(truth.global_orient), moved(truth.body_pose)
        self.betas = nn.Parameter(torch.zeros_like(truth.betas))
        self.camera = nn.Parameter(torch.ones(count, 3))

    def forward(self, image: torch.Tensor, box: Box) -> Prediction:
        """Its answers, whatever the crops."""
        turns = rot6d_to_rotmat(self.orient), rot6d_to_rotmat(self.pose)
        return Prediction(*turns, self.betas, self.camera)


def test_a_network_that_errs_in_every_view_recovers_the_body_to_millimetres(body: Body) -> None:
    truth = made_body(body)
    views = views_of_body(body, truth)
    network = Mistaken(as_seen(truth, views)).eval()
    config = ViewsConfig()
    eft = replace(config.eft, learning_rate=5e-3, shape_weight=0.0)
    limbs = [SMPL_49.index(name, len(OPENPOSE_25)) for name in LIMBS_12]

    def error(iterations: int) -> float:
        settings = replace(config, eft=replace(eft, iterations=iterations))
        fit = fit_views(network, body, views, settings, workers=1)
        gap = (body.keypoints(fit.params) - body.keypoints(truth)).norm(dim=-1)
        return float(gap[0, limbs].mean())

    assert error(0) > 0.04
    assert error(400) < 0.005


def test_the_regressor_and_other_bodies_are_left_alone(body: Body) -> None:
    """Two bodies side by side end as each does alone."""
    each = [views_of_body(body, made_body(body, seed=seed), seed=seed) for seed in range(2)]
    regressor = ToyRegressor().eval()
    before = {name: p.clone() for name, p in regressor.state_dict().items()}
    config = ViewsConfig()
    config = replace(config, eft=replace(config.eft, learning_rate=1e-3, iterations=5))
    both = fit_views(regressor, body, joined(each), config, workers=1)
    alone = [fit_views(regressor, body, views, config, workers=1) for views in each]
    for number, fit in enumerate(alone):
        assert torch.allclose(both.params.body_pose[number], fit.params.body_pose[0], atol=1e-5)
        assert both.params.transl is not None
        assert fit.params.transl is not None
        assert torch.allclose(both.params.transl[number], fit.params.transl[0], atol=1e-4)
    assert all(torch.equal(p, before[name]) for name, p in regressor.state_dict().items())


def test_a_given_shape_stays(body: Body) -> None:
    views = views_of_body(body, made_body(body))
    betas = torch.full((1, body.num_betas), 0.3)
    config = replace(ViewsConfig(), eft=replace(ViewsConfig().eft, iterations=2))
    fit = fit_views(ToyRegressor().eval(), body, views, config, betas=betas, workers=1)
    assert torch.equal(fit.params.betas, betas)


def test_views_that_say_different_things_are_told_so(body: Body) -> None:
    truth = made_body(body)
    views = views_of_body(body, truth)
    rows = torch.arange(views.count)
    judge = views_objective(body, views, ViewsConfig())
    alike = as_seen(truth, views)
    bent = alike.body_pose.clone()
    bent[0] = axis_angle_to_rotmat(torch.full((23, 3), 0.3)) @ bent[0]
    apart = judge(replace(alike, body_pose=bent), rows).terms["agreement"]
    assert float(judge(alike, rows).terms["agreement"].max()) < 1e-6
    assert float(apart[0]) > float(apart[1]) > 1e-4


def test_the_mean_of_two_turns_is_half_way() -> None:
    def turned(angle: float) -> torch.Tensor:
        return axis_angle_to_rotmat(torch.tensor([[0.0, angle, 0.0]]))

    both = torch.cat((turned(0.2), turned(0.6)))
    pose = both[:, None].expand(2, 23, 3, 3)
    mean = one_body(BodyParams(both, pose, torch.tensor([[1.0], [3.0]])), 2)
    assert torch.allclose(mean.global_orient, turned(0.4), atol=1e-6)
    assert torch.allclose(mean.body_pose, turned(0.4).expand(1, 23, 3, 3), atol=1e-6)
    assert mean.betas.tolist() == [[2.0]]


def test_a_place_that_nothing_tells_is_finite(body: Body) -> None:
    views = views_of_body(body, made_body(body))
    unseen = replace(views, batch=replace(views.batch, keypoints_2d=torch.zeros(3, 49, 3)))
    joints = body.keypoints(made_body(body))
    place = world_translation(joints, unseen, torch.arange(3), body.available("smpl49"))
    assert bool(torch.isfinite(place).all())


def test_gradients_reach_every_view(body: Body) -> None:
    views = views_of_body(body, made_body(body))
    regressor = ToyRegressor().eval()
    found = regressor(views.batch.image, views.batch.box)
    found.body_pose.retain_grad()
    loss = views_objective(body, views, ViewsConfig())(found, torch.arange(3)).loss.sum()
    loss.backward()
    assert found.body_pose.grad is not None
    assert bool((found.body_pose.grad.flatten(1).norm(dim=1) > 0).all())
    points = image_to_crop(views.batch.box.centre[:, None], views.batch.box)
    assert float(points.abs().max()) < 1e-5
