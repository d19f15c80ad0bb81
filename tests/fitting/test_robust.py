"""The 2D term that outliers do not rule: its values by hand, its slopes, and fits with it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exemplar import objectives
from exemplar.bodies import Body, load_open_body
from exemplar.fitting.exemplar import EftConfig, eft_objective, fit_exemplars
from exemplar.fitting.fits import Acceptance
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import OPENPOSE_25, SMPL_49
from tests.fitting.toy import UPRIGHT, ToyRegressor, exemplar_of

PIXEL = 1 / 112
"""A px of a 224 crop, crop units."""

CONFIG = EftConfig(
    learning_rate=4e-3, iterations=25, stop_px=None, acceptance=Acceptance(largest_loss=1.0)
)
"""A one-layer network needs larger and more steps than a deep one; outliers must not reject."""

THROWN = SMPL_49.index("left_wrist", len(OPENPOSE_25))


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def people(body: Body) -> Batch:
    """Two people of known bodies."""
    generator = torch.Generator().manual_seed(0)
    pose = axis_angle_to_rotmat(0.25 * torch.randn(2, 23, 3, generator=generator))
    camera = torch.tensor([[0.9, 0.05, -0.1]]).expand(2, 3)
    truth = Prediction(UPRIGHT.expand(2, 3, 3), pose, torch.zeros(2, 10), camera)
    return exemplar_of(body, truth)


def one_of(batch: Batch) -> Batch:
    """The first person."""
    return Batch(batch.image[:1], batch.box[:1], batch.keypoints_2d[:1])


def with_outlier(batch: Batch) -> Batch:
    """A wrist 90 px off."""
    points = batch.keypoints_2d.clone()
    points[:, THROWN, 1] += 90 * PIXEL
    return replace(batch, keypoints_2d=points)


def one_joint(distance_px: float, sigma_px: float) -> float:
    """The term, times all it is a mean over, for one joint of weight 0.5 at a distance; px^2."""
    projected = torch.zeros(1, 49, 2, dtype=torch.float64)
    projected[0, 3] = torch.tensor([0.6, -0.8], dtype=torch.float64) * distance_px * PIXEL
    weights = torch.zeros(1, 49, dtype=torch.float64)
    weights[0, 3] = 0.5
    value = objectives.bounded_keypoints_2d(
        projected, torch.zeros_like(projected), weights, sigma_px=sigma_px
    )
    return float(value) * 98 / PIXEL**2


def test_values_are_those_worked_out_by_hand() -> None:
    # half of 40^2 30^2 / (40^2 + 30^2), and at most half of 40^2
    assert one_joint(30, 40.0) == pytest.approx(288)
    assert one_joint(1e6, 40.0) == pytest.approx(800, rel=1e-6)


def test_small_errors_count_as_in_the_papers_term() -> None:
    projected, target, weights = normal(3, 49, 2), normal(3, 49, 2, seed=1), normal(3, 49).abs()
    found = objectives.bounded_keypoints_2d(projected, target, weights, sigma_px=1e6)
    # the largest error is 5 crop units: (5 * 112 / 1e6)^2 is 3e-7
    assert torch.allclose(found, objectives.keypoints_2d(projected, target, weights), rtol=1e-6)


def test_both_derivatives_are_right_and_stay_with_their_exemplar() -> None:
    target, weights = normal(2, 8, 2, seed=1), normal(2, 8).abs()
    offset = torch.nn.functional.normalize(normal(2, 8, 2, seed=2), dim=-1)
    length = torch.linspace(1, 100, 8, dtype=torch.float64)
    at = (target + offset * length[:, None] * PIXEL).requires_grad_()

    def term(x: Tensor) -> Tensor:
        return objectives.bounded_keypoints_2d(x, target, weights, sigma_px=40.0)

    assert torch.autograd.gradcheck(term, (at,))
    assert torch.autograd.gradgradcheck(term, (at,))
    (slope,) = torch.autograd.grad(term(at)[0], at)
    assert bool((slope[0] != 0).all())
    assert not bool(slope[1].any())


def test_a_perfect_or_missing_joint_pulls_nowhere() -> None:
    target = normal(1, 49, 2)
    at = target.clone().requires_grad_()
    weights = torch.ones(1, 49, dtype=torch.float64)
    weights[0, 3] = 0
    target[0, 3] = float("nan")
    value = objectives.bounded_keypoints_2d(at, target, weights, sigma_px=40.0)
    (slope,) = torch.autograd.grad(value.sum(), at)
    assert float(value.detach()) == 0
    assert not bool(slope.any())


def test_trust_is_the_slope_that_is_left() -> None:
    target, weights = torch.zeros(1, 5, 2, dtype=torch.float64), torch.ones(1, 5).double()
    at = torch.tensor([[0.0, 1.0], [-12.0, 5.0], [40.0, 0.0], [60.0, 80.0], [3.0, 4.0]])
    at = (at.double() * PIXEL)[None].requires_grad_()
    (bounded,) = torch.autograd.grad(
        objectives.bounded_keypoints_2d(at, target, weights, sigma_px=40.0).sum(), at
    )
    (plain,) = torch.autograd.grad(objectives.keypoints_2d(at, target, weights).sum(), at)
    found = objectives.trust(at, target, weights, sigma_px=40.0)
    assert not found.requires_grad
    assert float(found[0, 2]) == pytest.approx(0.25)
    assert torch.allclose(plain * found[..., None], bounded, rtol=1e-12)


def others_off(body: Body, batch: Batch, exact: Batch, config: EftConfig) -> float:
    """Mean 2D error after a fit, over the fitted joints but the one that was thrown, px."""
    fits = fit_exemplars(ToyRegressor().eval(), body, batch, config)
    found = fits.after.prediction
    projected = project_weak(body.keypoints(found.body_params()), found.camera)
    weights = fits.fitted.clone()
    weights[:, THROWN] = 0
    errors = objectives.mean_error_px(projected, exact.keypoints_2d[..., :2], weights)
    return float(errors.mean())


def test_an_outlier_pulls_the_other_joints_less(body: Body) -> None:
    exact = one_of(people(body))
    plain = others_off(body, with_outlier(exact), exact, CONFIG)
    robust = others_off(body, with_outlier(exact), exact, replace(CONFIG, robust_px=30.0))
    assert robust < 0.8 * plain


def test_fits_in_a_chunk_are_those_of_people_alone(body: Body) -> None:
    batch = with_outlier(people(body))
    config = replace(CONFIG, iterations=5, robust_px=40.0)
    regressor = ToyRegressor().eval()
    alone, together = (
        fit_exemplars(regressor, body, batch, config, chunk_size=size, workers=1) for size in (1, 2)
    )
    # five steps in float32, whose sums have another order in a chunk
    assert torch.allclose(alone.after.prediction.betas, together.after.prediction.betas, atol=1e-5)


def test_a_distrusted_ankle_does_not_turn_its_shin(body: Body) -> None:
    batch = one_of(people(body))
    points = batch.keypoints_2d.clone()
    points[:, SMPL_49.index("left_ankle", len(OPENPOSE_25)), :2] += 300 * PIXEL
    batch, guess = replace(batch, keypoints_2d=points), people(body)
    prediction = ToyRegressor().eval()(guess.image[:1], guess.box[:1])

    def legs(config: EftConfig) -> float:
        terms = eft_objective(body, batch, config)(prediction, torch.arange(1)).terms
        return float(terms["lower_legs"].detach())

    assert legs(replace(CONFIG, robust_px=30.0)) < 0.2 * legs(CONFIG)


@pytest.mark.parametrize("sigma_px", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_settings_are_refused(sigma_px: float) -> None:
    with pytest.raises(ValueError, match="robust_px must be positive"):
        EftConfig(robust_px=sigma_px)


def test_the_papers_term_is_the_default() -> None:
    assert EftConfig().robust_px is None
    assert EftConfig.paper().robust_px is None
    assert EftConfig.released().robust_px is None
