"""SMPLify: number by number against the released programs, then what should hold of any fit."""

from dataclasses import replace
from functools import cache
from typing import Literal

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.smplify import (
    BodyUnknowns,
    SmplifyConfig,
    fit_smplify,
    fitted_weights,
    rodrigues,
    torso_weights,
)
from exemplar.fitting.trace import Trace
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.priors import SmplifyPrior, load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25, SMPL_24, SMPL_49, TORSO, indices
from tests.golden import eft

PARITY = 1e-9
"""Float64 on the same formulas: 3e-15 was measured after 200 steps; another BLAS may differ in the
last bits, and Adam multiplies those of near-zero gradients."""
JOINTS = len(SMPL_24)


def golden_prior() -> SmplifyPrior:
    mixture = eft.fixture.gmm_prior()
    means, covariances, weights = (
        torch.from_numpy(mixture[key]) for key in ("means", "covars", "weights")
    )
    return SmplifyPrior.from_mixture(means, covariances, weights)


def recorded(name: str, exemplars: int) -> Tensor:
    return torch.cat([eft.reference()[f"{name}_s{i}"] for i in range(exemplars)])


def golden_start(exemplars: int) -> Prediction:
    return prediction_of(
        *(recorded(f"smplify_init_{x}", exemplars) for x in ("pose", "betas", "cam"))
    )


def prediction_of(pose: Tensor, betas: Tensor, camera: Tensor) -> Prediction:
    rotmats = axis_angle_to_rotmat(pose.unflatten(1, (JOINTS, 3)))
    return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, camera)


def golden_keypoints(exemplars: int) -> Tensor:
    return eft.batch(torch.float64).keypoints_2d[:exemplars]


@cache
def released_fit() -> Trace:
    return fit_smplify(
        golden_start(6),
        golden_keypoints(6),
        eft.body(torch.float64),
        SmplifyConfig.released(),
        prior=golden_prior(),
        history=True,
    ).trace


def released_rotmats(pose: Tensor) -> Tensor:
    return rodrigues(pose.unflatten(1, (JOINTS, 3)), released=True)


def rotmats(prediction: Prediction) -> Tensor:
    return torch.cat((prediction.global_orient[:, None], prediction.body_pose), dim=1)


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=PARITY, atol=PARITY)


def test_200_steps_end_where_efts_program_ends() -> None:
    end = released_fit().after.prediction
    assert close(rotmats(end), released_rotmats(recorded("smplify_pose", 6)))
    assert close(end.betas, recorded("smplify_betas", 6))
    assert close(end.camera, recorded("smplify_cam", 6))
    assert released_fit().updates.tolist() == [200] * 6


def test_every_loss_on_the_way_is_that_of_efts_program() -> None:
    of_camera = torch.stack([eft.reference()[f"smplify_trace_cam_s{i}"][:, 0] for i in range(6)])
    of_body = torch.stack([eft.reference()[f"smplify_trace_body_s{i}"] for i in range(6)])
    found = released_fit().iterates.evaluation
    assert close(found.loss[:, :100], of_camera)
    assert close(found.loss[:, 100:200], of_body[..., 0])
    assert close(found.terms["keypoints_2d"][:, 100:200] / len(SMPL_49), of_body[..., 1])


def test_an_easy_case_stops_as_early_as_in_efts_program() -> None:
    golden = eft.reference()
    start = prediction_of(*(golden[f"smplifyES_init_{x}"] for x in ("pose", "betas", "cam")))
    fit = fit_smplify(
        start,
        golden["smplifyES_kp"],
        eft.body(torch.float64),
        SmplifyConfig.released(),
        prior=golden_prior(),
        history=True,
    ).trace
    trace = golden["smplifyES_trace_body"]
    assert fit.updates.tolist() == [100 + len(trace) - 1]
    assert close(fit.iterates.evaluation.loss[0, 100 : 100 + len(trace)], trace[:, 0])
    assert close(rotmats(fit.after.prediction), released_rotmats(golden["smplifyES_pose"]))
    assert close(fit.after.prediction.betas, golden["smplifyES_betas"])
    assert close(fit.after.prediction.camera, golden["smplifyES_cam"])


def test_spins_perspective_version_ends_where_its_program_ends() -> None:
    fit = fit_smplify(
        golden_start(2),
        golden_keypoints(2),
        eft.body(torch.float64),
        SmplifyConfig.spin(),
        prior=golden_prior(),
        history=True,
    ).trace
    end = fit.after.prediction
    scale, x, y = end.camera.unbind(1)
    translation = torch.stack((x, y, 2 * 5000 / (224 * scale + 1e-9)), dim=1)
    assert close(rotmats(end), released_rotmats(recorded("smplifyP_pose", 2)))
    assert close(end.betas, recorded("smplifyP_betas", 2))
    assert close(translation, recorded("smplifyP_cam", 2))
    losses = [
        torch.cat(
            [eft.reference()[f"smplifyP_trace_{part}_s{i}"][:, 0] for part in ("cam", "body")]
        )
        for i in range(2)
    ]
    assert close(fit.iterates.evaluation.loss[:, :200], torch.stack(losses))


# ------------------------------------------------------------------------- any fit


@cache
def open_body() -> Body:
    return load_open_body().double()


@cache
def open_prior() -> SmplifyPrior:
    return SmplifyPrior.from_pose_prior(load_pose_prior())


def people(count: int) -> tuple[Prediction, Prediction, Tensor]:
    """Poses of the prior, starts some way off, and their exact keypoints; float64."""
    generator = torch.Generator().manual_seed(0)

    def noise(size: float, *shape: int) -> Tensor:
        return size * torch.randn(count, *shape, generator=generator, dtype=torch.float64)

    pose = load_pose_prior().sample(count, generator).double().flatten(1)
    root = torch.tensor([3.0, 0.1, 0.0], dtype=torch.float64) + noise(0.1, 3)
    camera = torch.tensor([0.85, 0.05, 0.1], dtype=torch.float64).repeat(count, 1)
    truth = prediction_of(torch.cat((root, pose), 1), noise(0.7, 10), camera)
    start = prediction_of(
        torch.cat((root + noise(0.15, 3), pose + noise(0.2, 69)), 1),
        torch.zeros(count, 10, dtype=torch.float64),
        camera + noise(0.03, 3),
    )
    points = project_weak(open_body().keypoints(truth.body_params()), truth.camera)
    return truth, start, torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)


SHORT = SmplifyConfig(camera_steps=20, body_steps=20)


def fit(start: Prediction, keypoints: Tensor, config: SmplifyConfig, **options: int) -> Trace:
    return fit_smplify(start, keypoints, open_body(), config, prior=open_prior(), **options).trace


def rows(prediction: Prediction, keep: slice) -> Prediction:
    return Prediction(
        prediction.global_orient[keep],
        prediction.body_pose[keep],
        prediction.betas[keep],
        prediction.camera[keep],
    )


@pytest.mark.parametrize("config", [SmplifyConfig(), SmplifyConfig.paper()])
def test_a_fit_brings_keypoints_near_and_3d_errors_down(config: SmplifyConfig) -> None:
    truth, start, keypoints = people(8)
    result = fit(start, keypoints, config)
    before, after = result.before.evaluation.error_px, result.after.evaluation.error_px
    assert bool((after < 0.5 * before).all())
    assert float(after.mean()) < 3.0  # the priors keep it from 0
    assert not bool(result.diverged.any())

    def error(prediction: Prediction) -> float:
        joints = [open_body().keypoints(p.body_params(), "h36m17") for p in (prediction, truth)]
        centred = [j - j[:, :1] for j in joints]
        return float((centred[0] - centred[1]).norm(dim=-1).mean())

    assert error(result.after.prediction) < error(start)


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_exemplars_do_not_feel_their_batch(chunk_size: int) -> None:
    """Float64: sums in another order, 40 steps of Adam on; 1e-10 as for the loop."""
    _, start, keypoints = people(3)
    config = replace(SHORT, stop_px2=30.0)  # so that they stop at different steps
    together = fit(start, keypoints, config)
    apart = fit(start, keypoints, config, chunk_size=chunk_size)
    assert len(set(together.updates.tolist())) > 1
    assert together.updates.tolist() == apart.updates.tolist()
    for name in ("global_orient", "body_pose", "betas", "camera"):
        one = getattr(together.after.prediction, name)
        assert torch.allclose(one, getattr(apart.after.prediction, name), rtol=0, atol=1e-10), name


def test_the_stages_move_what_they_should() -> None:
    _, start, keypoints = people(2)
    config = replace(SmplifyConfig.paper(), camera_steps=3, body_steps=3)
    steps = fit(start, keypoints, config, history=True).iterates.prediction
    assert torch.equal(steps.body_pose[:, 0], steps.body_pose[:, 3])
    assert torch.equal(steps.betas[:, 0], steps.betas[:, 3])
    assert not torch.equal(steps.camera[:, 0], steps.camera[:, 3])
    assert torch.equal(steps.camera[:, 3], steps.camera[:, 6])
    assert not torch.equal(steps.betas[:, 3], steps.betas[:, 6])
    assert not torch.equal(steps.global_orient[:, 3], steps.global_orient[:, 6])
    default = replace(SmplifyConfig(), camera_steps=3, body_steps=3)
    steps = fit(start, keypoints, default, history=True).iterates.prediction
    assert not torch.equal(steps.camera[:, 3], steps.camera[:, 6])


@pytest.mark.parametrize("camera", ["weak", "perspective"])
def test_an_anchor_holds_the_distance_and_nothing_else(
    camera: Literal["weak", "perspective"],
) -> None:
    _, start, keypoints = people(2)
    config = replace(SmplifyConfig.paper(), camera=camera, camera_steps=60, body_steps=0)
    free = fit(start, keypoints, config).after.prediction.camera - start.camera
    heavy = replace(config, anchor_weight=1e4)
    held = fit(start, keypoints, heavy).after.prediction.camera - start.camera
    # Adam's first step is 0.01 whatever the slope, and what is left of it after 60 is a trace
    assert bool((held[:, 0].abs() < 0.1 * free[:, 0].abs()).all())
    assert bool((held[:, 1:].abs() > 0.01).any())


@pytest.mark.parametrize("config", [SmplifyConfig.paper(), SmplifyConfig.spin()])
def test_missing_joints_may_hold_anything(config: SmplifyConfig) -> None:
    """Hips and shoulders out of sight; released programs would fit their coordinates."""
    _, start, keypoints = people(2)
    short = replace(config, camera_steps=5, body_steps=5, torso="visible")
    results = []
    for filling in (0.0, 7.0, float("nan")):
        hidden = keypoints.clone()
        torso = indices([*TORSO, *(f"op_{name}" for name in TORSO)], SMPL_49)
        hidden[:, torso] = torch.tensor([filling, filling, 0.0], dtype=torch.float64)
        results.append(fit(start, hidden, short).after.prediction)
    assert torch.equal(results[0].body_pose, results[1].body_pose)
    assert torch.equal(results[0].camera, results[2].camera)
    assert not torch.equal(results[0].camera, start.camera)


def test_the_camera_stage_takes_all_joints_when_the_torso_is_out_of_sight() -> None:
    confidence = torch.ones(3, len(SMPL_49), dtype=torch.float64)
    torso = indices(TORSO, SMPL_49)
    confidence[1, torso[:2]] = 0
    confidence[2, torso[:3]] = 0
    config = SmplifyConfig.paper()
    weights = torso_weights(confidence, open_body(), config)
    assert weights[0].nonzero()[:, 0].tolist() == sorted(torso)
    assert weights[1].nonzero()[:, 0].tolist() == sorted(torso[2:])
    assert torch.equal(weights[2], fitted_weights(confidence, open_body(), config)[2])
    assert not bool(weights[2, : len(OPENPOSE_25)].any())


def test_nothing_seen_leaves_the_camera_and_a_likely_pose() -> None:
    _, start, keypoints = people(2)
    keypoints[..., 2] = 0
    result = fit(start, keypoints, SHORT)
    assert torch.equal(result.after.prediction.camera, result.before.prediction.camera)
    assert bool((result.after.evaluation.loss < float("inf")).all())
    assert not bool(result.diverged.any())


def test_a_start_that_is_not_finite_is_taken_as_a_body_at_rest() -> None:
    _, start, keypoints = people(2)
    start.body_pose[0, 3] = float("nan")
    result = fit(start, keypoints, SHORT)
    assert not bool(result.diverged.any())
    first = BodyUnknowns(start, SHORT).start(torch.arange(2), 2)
    assert not bool(first["body_pose"][0, 3].any())


def test_a_body_at_rest_can_move_and_the_slope_of_rodrigues_is_right_there() -> None:
    still = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rodrigues, (still,))
    vectors = torch.tensor([[1e-9, 0, 0], [0.3, -2, 1], [0, 0, 5.0]], dtype=torch.float64)
    assert torch.allclose(rodrigues(vectors), axis_angle_to_rotmat(vectors), rtol=0, atol=1e-12)
    single = torch.zeros(1, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(rodrigues(single)[0, 2, 1], single)
    assert slope.tolist() == [[1.0, 0.0, 0.0]]


def test_released_rotations_are_the_recorded_ones() -> None:
    golden = eft.reference()
    found = rodrigues(golden["rodrigues_in"], released=True)
    # 1e-12: at zero the program's axis is 0 / 1.7e-8, ours too
    assert torch.allclose(found, golden["rodrigues_lbs_out"], rtol=0, atol=1e-12)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="steps must be 0 or more, got -1"):
        SmplifyConfig(camera_steps=-1)
    with pytest.raises(ValueError, match="learning rate must be positive, got 0"):
        SmplifyConfig(learning_rate=0.0)
    with pytest.raises(ValueError, match="nose_tip"):
        SmplifyConfig(ignored=("nose_tip",))
    _, start, keypoints = people(2)
    with pytest.raises(ValueError, match="expected 2 starting bodies, got 1"):
        fit(rows(start, slice(1)), keypoints, SHORT)
