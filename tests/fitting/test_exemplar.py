"""EFT on a toy regressor and the open body."""

from dataclasses import replace

import pytest
import torch

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.exemplar import EftConfig, eft_objective, fit_exemplars, fitted_weights
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49
from tests.fitting.toy import UPRIGHT, ToyRegressor, exemplar_of

CONFIG = EftConfig(learning_rate=2e-3, iterations=200, stop_px=1.0)
"""A one-layer network needs larger and more steps than a deep one."""
SHORT = replace(CONFIG, iterations=10)
"""Where bits are compared, which later steps take over."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def truth(seed: int = 0, spread: float = 0.25) -> Prediction:
    generator = torch.Generator().manual_seed(seed)
    pose = axis_angle_to_rotmat(spread * torch.randn(1, 23, 3, generator=generator))
    betas = 0.5 * torch.randn(1, 10, generator=generator)
    return Prediction(UPRIGHT[None], pose, betas, torch.tensor([[0.9, 0.05, -0.1]]))


def test_eft_brings_a_known_body_within_a_pixel(body: Body) -> None:
    fit = fit_exemplars(ToyRegressor().eval(), body, exemplar_of(body, truth()), CONFIG)
    assert float(fit.before.evaluation.error_px) > 8
    assert float(fit.after.evaluation.error_px) < 1.0
    assert fit.status == ("ok",)


def test_the_regressor_is_left_as_it_was(body: Body) -> None:
    regressor = ToyRegressor().eval()
    before = {name: value.clone() for name, value in regressor.state_dict().items()}
    fit_exemplars(regressor, body, exemplar_of(body, truth()), SHORT)
    assert all(torch.equal(value, before[name]) for name, value in regressor.state_dict().items())


def test_a_fit_is_repeatable_to_the_bit(body: Body) -> None:
    regressor, batch = ToyRegressor().eval(), exemplar_of(body, truth())
    first, second = (fit_exemplars(regressor, body, batch, SHORT) for _ in range(2))
    assert torch.equal(first.after.prediction.body_pose, second.after.prediction.body_pose)


def test_iterations_count_weight_updates(body: Body) -> None:
    config = replace(CONFIG, iterations=3, stop_px=0.0)
    fit = fit_exemplars(ToyRegressor().eval(), body, exemplar_of(body, truth()), config)
    assert fit.trace.updates.tolist() == [3]
    none = fit_exemplars(
        ToyRegressor().eval(), body, exemplar_of(body, truth()), replace(config, iterations=0)
    )
    assert none.trace.updates.tolist() == [0]
    assert torch.equal(none.before.prediction.betas, none.after.prediction.betas)


def test_the_fit_stops_below_the_threshold(body: Body) -> None:
    config = replace(CONFIG, stop_px=4.0)
    fit = fit_exemplars(
        ToyRegressor().eval(), body, exemplar_of(body, truth()), config, history=True
    )
    errors = fit.trace.iterates.evaluation.error_px[0, : 1 + int(fit.trace.updates)].tolist()
    assert errors[-1] < 4.0
    assert min(errors[:-1]) >= 4.0


def test_hips_ankles_and_openpose_joints_are_left_out(body: Body) -> None:
    weights = fitted_weights(torch.ones(1, 49), body.available(), CONFIG)[0]
    used = {name for name, weight in zip(SMPL_49, weights.tolist(), strict=True) if weight}
    left_out = {"left_hip", "right_hip", "pelvis", "left_ankle", "right_ankle"}
    assert used == set(GT_24) - left_out


def test_a_missing_joint_has_no_say(body: Body) -> None:
    batch = exemplar_of(body, truth())
    keypoints = batch.keypoints_2d.clone()
    elbow = SMPL_49.index("left_elbow")
    keypoints[:, elbow] = 0
    moved = keypoints.clone()
    moved[:, elbow, :2] = 5.0
    regressor = ToyRegressor().eval()
    first, second = (
        fit_exemplars(regressor, body, Batch(batch.image, batch.box, k), SHORT)
        for k in (keypoints, moved)
    )
    assert torch.equal(first.after.prediction.body_pose, second.after.prediction.body_pose)


def test_objective_terms_are_the_published_ones(body: Body) -> None:
    """The formulas of the facts, written out for one prediction."""
    batch, guess = exemplar_of(body, truth()), truth(seed=1)
    found = eft_objective(body, batch, CONFIG)(guess, torch.arange(1))
    points = body.keypoints(guess.body_params())[0]
    projected = guess.camera[0, 0] * points[:, :2] + guess.camera[0, 1:]
    target = batch.keypoints_2d[0, :, :2]
    weights = fitted_weights(torch.ones(1, 49), body.available(), CONFIG)[0]
    data = float((weights[:, None] * (projected - target) ** 2).sum() / 98)
    legs = 0.0
    for side in ("left", "right"):
        knee, ankle = SMPL_49.index(f"{side}_knee"), SMPL_49.index(f"{side}_ankle")
        a, b = projected[ankle] - projected[knee], target[ankle] - target[knee]
        legs += float(1 - (a @ b) / (a.norm() * b.norm()))
    expected = {
        "keypoints_2d": 60 * 5 * data,
        "shape": 60 * 0.001 * float((guess.betas**2).mean()),
        "camera": 60 * float(torch.exp(-10 * guess.camera[0, 0]) ** 2),
        "lower_legs": 60 * 0.005 * legs,
    }
    assert {k: float(v) for k, v in found.terms.items()} == pytest.approx(expected, rel=1e-4)
    assert float(found.loss) == pytest.approx(sum(expected.values()), rel=1e-4)


def test_3d_joints_about_their_mean_need_no_nose(body: Body) -> None:
    """Eq. 4 with a teacher's joints: a known depth is met better than without."""
    batch, known = exemplar_of(body, truth()), truth()
    joints = body.keypoints(known.body_params())[:, len(OPENPOSE_25) :]
    confidence = torch.ones(1, len(GT_24), 1)
    confidence[:, GT_24.index("nose")] = 0.0
    told = replace(batch, joints_3d=torch.cat((joints + 3.0, confidence), dim=-1))
    config = replace(CONFIG, joints_about="mean", joints_weight=50.0, stop_px=0.0, iterations=60)
    assert (
        float(eft_objective(body, told, config)(known, torch.arange(1)).terms["joints_3d"]) < 1e-9
    )
    errors = []
    for given in (batch, told):
        found = fit_exemplars(ToyRegressor().eval(), body, given, config).after.prediction
        apart = body.keypoints(found.body_params())[:, len(OPENPOSE_25) :] - joints
        errors.append(float((apart - apart.mean(1, keepdim=True)).norm(dim=-1).mean()))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_ends_the_fit_with_the_last_finite_iterate(
    body: Body, bad: float
) -> None:
    batch = exemplar_of(body, truth())
    keypoints = batch.keypoints_2d.clone()
    keypoints[0, SMPL_49.index("left_knee"), 0] = bad
    broken = fit_exemplars(
        ToyRegressor().eval(), body, Batch(batch.image, batch.box, keypoints), CONFIG
    )
    assert broken.status == ("bad_input",)
    assert broken.after.prediction.is_finite()
    wild = replace(CONFIG, learning_rate=1e30, stop_px=0.0)
    fit = fit_exemplars(ToyRegressor().eval(), body, batch, wild)
    assert fit.status == ("diverged",)
    assert fit.after.prediction.is_finite()


def test_without_confidence_there_is_nothing_to_fit(body: Body) -> None:
    batch = exemplar_of(body, truth())
    keypoints = batch.keypoints_2d.clone()
    keypoints[..., 2] = 0
    fit = fit_exemplars(
        ToyRegressor().eval(), body, Batch(batch.image, batch.box, keypoints), CONFIG
    )
    assert fit.status == ("nothing_to_fit",)
    assert fit.trace.updates.tolist() == [0]
    assert fit.after.prediction.is_finite()


@pytest.mark.parametrize(
    "change", [{"iterations": -1}, {"learning_rate": 0.0}, {"joints_weight": -1.0}]
)
def test_nonsense_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(CONFIG, **change)


def test_the_guard_ends_the_fit_where_it_judges_best(body: Body) -> None:
    """Wrists that are fitted to wrong places pull hips and ankles along: the guard sees that."""
    batch = exemplar_of(body, truth())
    keypoints = batch.keypoints_2d.clone()
    wrong = [len(OPENPOSE_25) + GT_24.index(name) for name in ("left_wrist", "right_wrist")]
    keypoints[:, wrong, 0] += 0.8
    batch = Batch(batch.image, batch.box, keypoints)
    config = replace(CONFIG, iterations=60, stop_px=None)
    regressor = ToyRegressor().eval()
    whole = fit_exemplars(regressor, body, batch, config, history=True)
    guarded, ends = (
        fit_exemplars(regressor, body, batch, config, guard=True, history=history)
        for history in (True, False)
    )
    step = int(guarded.trace.updates)
    assert 0 < step < 60
    assert torch.equal(
        guarded.after.prediction.body_pose, whole.trace.iterates.prediction.body_pose[:, step]
    )
    assert torch.equal(guarded.after.prediction.body_pose, ends.after.prediction.body_pose)
    assert ends.trace.iterates.prediction.camera.shape[1] == 2
