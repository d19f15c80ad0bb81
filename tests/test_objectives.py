"""Loss terms: against two programs' numbers, by gradcheck, and on degenerate input."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from exemplar import objectives
from exemplar.bodies import BodyParams
from exemplar.geometry.cameras import project_weak
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49
from tests.golden import dual, eft

ROUNDING = 1e-12
"""Relative, for float64 sums in another order; a hundred times what was measured."""
SINGLE = 2e-6
"""Relative, for losses of a float32 program: 5e-7 among its own runs with other threads."""
LEGS = tuple((SMPL_49.index(f"{s}_knee"), SMPL_49.index(f"{s}_ankle")) for s in ("left", "right"))
ANNOTATED = len(OPENPOSE_25)


def eft_first_iterate() -> tuple[Tensor, Tensor, Tensor]:
    """Joints (6, 49, 3), betas and cameras that EFT's network gives its exemplars."""
    recorded = eft.reference()
    rotmat, betas = recorded["hmr_rotmat_f64"], recorded["hmr_betas_f64"]
    joints = eft.body(torch.float64).keypoints(BodyParams(rotmat[:, 0], rotmat[:, 1:], betas))
    return joints, betas, recorded["hmr_cam_f64"]


def eft_weights(confidence: Tensor) -> Tensor:
    left_out = ("left_hip", "right_hip", "pelvis", "left_ankle", "right_ankle")
    weights = confidence.clone()
    weights[:, :ANNOTATED] = 0
    weights[:, [SMPL_49.index(name) for name in left_out]] = 0
    return weights


def recorded_losses(variant: str, exemplars: range | list[int]) -> Tensor:
    """(total, 2D, 3D, mean squared beta) before the first update, one row an exemplar."""
    return torch.stack([eft.reference()[f"{variant}_s{i}_loss"][0] for i in exemplars])


def test_the_terms_of_eft_are_its_programs() -> None:
    joints, betas, camera = eft_first_iterate()
    keypoints = eft.batch(torch.float64).keypoints_2d
    target, confidence = keypoints[..., :2], keypoints[..., 2]
    projected = project_weak(joints, camera)
    in_2d = objectives.keypoints_2d(projected, target, eft_weights(confidence))
    shape = objectives.shape_prior(betas)
    scale = objectives.camera_scale_prior(camera)
    legs = objectives.lower_leg_orientation(projected, target, confidence, LEGS)
    total = 60 * (5 * in_2d + 0.001 * shape + scale + 0.005 * legs)
    recorded = recorded_losses("f64", range(6))
    assert torch.allclose(in_2d, recorded[:, 1], rtol=ROUNDING)
    assert torch.allclose(shape, recorded[:, 3], rtol=ROUNDING)
    assert torch.allclose(total, recorded[:, 0], rtol=ROUNDING)
    assert int((legs > 0).sum()) == 5  # all but "upper", which shows no leg


def test_the_leg_term_is_what_eft_without_it_lacks() -> None:
    joints, _, camera = eft_first_iterate()
    keypoints = eft.batch(torch.float64).keypoints_2d
    legs = objectives.lower_leg_orientation(
        project_weak(joints, camera), keypoints[..., :2], keypoints[..., 2], LEGS
    )
    done = [i for i in range(6) if f"noleg_s{i}_loss" in eft.reference().names]
    lacking = recorded_losses("f64", done)[:, 0] - recorded_losses("noleg", done)[:, 0]
    assert done
    # a difference of totals near 1: their rounding, not the term's
    assert torch.allclose(60 * 0.005 * legs[done], lacking, rtol=0, atol=1e-13)


def test_the_3d_term_about_the_nose_is_efts() -> None:
    joints, _, _ = eft_first_iterate()
    target = eft.pose_3d()
    values = objectives.keypoints_3d_on_nose(joints[:, ANNOTATED:], target[..., :3], target[..., 3])
    done = [i for i in range(6) if f"with3d_s{i}_loss" in eft.reference().names]
    assert done
    assert torch.allclose(values[done], recorded_losses("with3d", done)[:, 2], rtol=ROUNDING)


def test_the_robust_error_is_smplifys() -> None:
    recorded = eft.reference()
    found = objectives.geman_mcclure(recorded["gmof_in"], objectives.GMOF_SIGMA)
    assert torch.allclose(found, recorded["gmof_out_sigma100"], rtol=ROUNDING)


def test_the_bending_penalty_is_smplifys() -> None:
    recorded = eft.reference()
    found = objectives.bending_prior(recorded["prior_in_bodypose"].unflatten(1, (23, 3)))
    assert torch.allclose(found, recorded["prior_angle"].sum(1), rtol=ROUNDING)


DUAL_RUN = "train_allflags/hmr/bneval/first"


def dual_bodies(part: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rotations, betas, camera, joints and vertices that a network of a training step gave."""
    recorded = dual.reference()
    rotmat, betas, camera = (recorded[f"{DUAL_RUN}/{part}_{x}"] for x in ("rotmat", "betas", "cam"))
    params = BodyParams(rotmat[:, 0], rotmat[:, 1:], betas)
    body = eft.body()
    return rotmat, betas, camera, body.keypoints(params), body(params).vertices


def test_the_terms_of_dual_networks_are_their_programs() -> None:
    """All rows count under these flags, so the batch's loss is the mean over exemplars."""
    rotmat, betas, camera, joints, vertices = dual_bodies("main_before")
    aux_rotmat, aux_betas, _, aux_joints, aux_vertices = dual_bodies("aux")
    known = torch.ones(len(joints), len(GT_24))
    found = {
        "vertices": objectives.vertices(vertices, aux_vertices, "l1"),
        "2d": dual_2d(joints, camera),
        "3d": objectives.keypoints_3d_on_hips(
            joints[:, ANNOTATED:], aux_joints[:, ANNOTATED:], known
        ),
        "pose": objectives.rotations(rotmat, aux_rotmat),
        "betas": objectives.betas(betas, aux_betas),
        "camera": objectives.camera_scale_prior(camera),
    }
    recorded = dual.reference()[f"{DUAL_RUN}/inner_terms"].tolist()
    means = {name: float(value.mean()) for name, value in found.items()}
    assert means == pytest.approx(dict(zip(found, recorded, strict=True)), rel=SINGLE)


def dual_2d(joints: Tensor, camera: Tensor) -> Tensor:
    """That program's crops are 192 x 256 px, each axis to [-1, 1], focal length 5000 px."""
    keypoints = dual.batch()["keypoints"].float()
    size = torch.tensor([192.0, 256.0])
    scale, x, y = camera.unbind(1)
    moved = joints + torch.stack((x, y, 2 * 5000 / (256 * scale + 1e-9)), 1)[:, None]
    projected = 5000 * moved[..., :2] / moved[..., 2:] / (size / 2)
    weights = keypoints[..., 2].clone()
    weights[:, :ANNOTATED] = 0
    return objectives.keypoints_2d(projected, keypoints[..., :2] * 2 / size - 1, weights)


def test_the_3d_term_about_the_hips_is_the_outer_one_of_dual_networks() -> None:
    """Against annotated joints, some of them missing."""
    _, _, _, joints, _ = dual_bodies("main_after")
    truth = dual.batch()["pose_3d"].float()
    found = objectives.keypoints_3d_on_hips(joints[:, ANNOTATED:], truth[..., :3], truth[..., 3])
    recorded = float(dual.reference()[f"{DUAL_RUN}/outer_terms"][2])
    assert float(found.mean()) == pytest.approx(recorded, rel=SINGLE)


def test_joints_may_be_compared_by_absolute_errors() -> None:
    target, weights = torch.zeros(1, 49, 2), torch.zeros(1, 49)
    weights[0, ANNOTATED] = 0.5
    moved = target.clone()
    moved[0, ANNOTATED] = torch.tensor([3.0, -4.0])
    for norm, expected in (("l1", 0.5 * 7 / 98), ("l2", 0.5 * 25 / 98)):
        assert float(objectives.keypoints_2d(moved, target, weights, norm)) == pytest.approx(
            expected
        )
    hips = torch.zeros(1, 24, 3)
    bent = hips.clone()
    bent[0, GT_24.index("left_knee")] = torch.tensor([0.1, 0.2, -0.3])
    ones = torch.ones(1, 24)
    for norm, expected in (("l1", 0.6 / 72), ("l2", 0.14 / 72)):
        found = objectives.keypoints_3d_on_hips(bent, hips, ones, norm)
        assert float(found) == pytest.approx(expected)


def test_about_their_mean_joints_may_lie_anywhere() -> None:
    """By hand: of two joints of weights 1 and 3, 4 cm apart in error, the mean is 1 cm from one."""
    target, found = random(1, 24, 3), random(1, 24, 3)
    weights = torch.zeros(1, 24, dtype=torch.float64)
    ankle, ear = GT_24.index("left_ankle"), GT_24.index("right_ear")
    weights[0, [ankle, ear]] = torch.tensor([1.0, 3.0], dtype=torch.float64)
    found[0, ankle] = target[0, ankle] + 5.0
    found[0, ear] = target[0, ear] + 5.0
    found[0, ear, 2] += 0.04
    value = objectives.keypoints_3d_on_mean(found, target, weights)
    assert float(value) == pytest.approx((1 * 0.03**2 + 3 * 0.01**2) / 72)
    assert torch.allclose(objectives.keypoints_3d_on_mean(found - 7, target, weights), value)


def test_without_3d_joints_nothing_pulls_about_their_mean() -> None:
    at = random(1, 24, 3).requires_grad_()
    value = objectives.keypoints_3d_on_mean(at, random(1, 24, 3), 0 * random(1, 24))
    (slope,) = torch.autograd.grad(value.sum(), at)
    assert float(value.detach()) == 0
    assert not bool(slope.any())


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


WEIGHTS_49, WEIGHTS_24 = random(2, 49).abs(), random(2, 24).abs()

TERMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "keypoints_2d": (lambda x: objectives.keypoints_2d(x, TARGET_2D, WEIGHTS_49), random(2, 49, 2)),
    "l1_keypoints_2d": (
        lambda x: objectives.keypoints_2d(x, TARGET_2D, WEIGHTS_49, "l1"),
        random(2, 49, 2),
    ),
    "robust_keypoints_2d": (
        lambda x: objectives.robust_keypoints_2d(x, TARGET_2D, WEIGHTS_49),
        random(2, 49, 2),
    ),
    "squared_keypoints_2d": (
        lambda x: objectives.squared_keypoints_2d(x, TARGET_2D, WEIGHTS_49),
        random(2, 49, 2),
    ),
    "lower_leg_orientation": (
        lambda x: objectives.lower_leg_orientation(x, TARGET_2D, WEIGHTS_49, LEGS),
        random(2, 49, 2),
    ),
    "keypoints_3d_on_nose": (
        lambda x: objectives.keypoints_3d_on_nose(x, TARGET_3D, WEIGHTS_24),
        random(2, 24, 3),
    ),
    "keypoints_3d_on_mean": (
        lambda x: objectives.keypoints_3d_on_mean(x, TARGET_3D, WEIGHTS_24),
        random(2, 24, 3),
    ),
    "keypoints_3d_on_hips": (
        lambda x: objectives.keypoints_3d_on_hips(x, TARGET_3D, WEIGHTS_24),
        random(2, 24, 3),
    ),
    "l1_keypoints_3d_on_hips": (
        lambda x: objectives.keypoints_3d_on_hips(x, TARGET_3D, WEIGHTS_24, "l1"),
        2 * random(2, 24, 3),
    ),
    "vertices_l1": (lambda x: objectives.vertices(x, TARGET_3D, "l1"), random(2, 24, 3)),
    "vertices_l2": (lambda x: objectives.vertices(x, TARGET_3D), random(2, 24, 3)),
    "rotations": (lambda x: objectives.rotations(x, random(2, 3, 3, 3)), random(2, 3, 3, 3) + 1),
    "betas": (lambda x: objectives.betas(x, random(2, 10) + 1), random(2, 10)),
    "shape_prior": (objectives.shape_prior, random(2, 10)),
    "camera_scale_prior": (objectives.camera_scale_prior, 0.1 * random(2, 3)),
    "bending_prior": (objectives.bending_prior, random(2, 23, 3)),
}
TARGET_2D, TARGET_3D = random(2, 49, 2) + 0.5, random(2, 24, 3) + 0.5


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_right_and_stay_with_their_exemplar(name: str) -> None:
    term, at = TERMS[name]
    assert torch.autograd.gradcheck(term, (at.clone().requires_grad_(),))
    free = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(term(free)[0], free)
    assert bool((slope[0] != 0).any())
    assert not bool(slope[1].any())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", [name for name in TERMS if name.startswith(("key", "lower"))])
def test_a_missing_joint_may_hold_anything(name: str, bad: float) -> None:
    """The same value and gradient as with zeros in its place."""
    flat = name.startswith("lower") or name.endswith("2d")
    count, size = (49, 2) if flat else (24, 3)
    weights = torch.ones(1, count, dtype=torch.float64)
    names = SMPL_49 if flat else GT_24
    missing = [names.index("left_ankle"), names.index("head")]
    weights[:, missing] = 0
    found = []
    for filling in (0.0, bad):
        target = random(1, count, size)
        target[:, missing] = filling
        at = random(1, count, size).mul(0.5).requires_grad_()
        function = getattr(objectives, name)
        value = function(at, target, weights, *([LEGS] if name.startswith("lower") else []))
        (slope,) = torch.autograd.grad(value.sum(), at)
        found.append((value.detach(), slope))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert bool(torch.isfinite(found[0][1]).all())


@pytest.mark.parametrize("of", ["prediction", "target"])
def test_a_shin_of_no_length_leaves_a_finite_gradient(of: str) -> None:
    keypoints = {"prediction": random(1, 49, 2).float(), "target": random(1, 49, 2).float() + 1}
    for knee, ankle in LEGS:
        keypoints[of][:, ankle] = keypoints[of][:, knee]
    predicted = keypoints["prediction"].requires_grad_()
    value = objectives.lower_leg_orientation(
        predicted, keypoints["target"], torch.ones(1, 49), LEGS
    )
    (slope,) = torch.autograd.grad(value.sum(), predicted)
    # without a direction the cosine counts as 0 for each leg; without a wish there is no term
    assert float(value.detach()) == {"prediction": 2.0, "target": 0.0}[of]
    assert not bool(slope.any())


def test_perfect_keypoints_cost_nothing_and_pull_nowhere() -> None:
    at = random(1, 49, 2).requires_grad_()
    target, ones = at.detach().clone(), torch.ones(1, 49, dtype=torch.float64)
    for name in ("keypoints_2d", "robust_keypoints_2d", "squared_keypoints_2d", "mean_error_px"):
        value = getattr(objectives, name)(at, target, ones)
        (slope,) = torch.autograd.grad(value.sum(), at)
        assert float(value.detach()) == 0
        assert not bool(slope.any()), name


def test_the_mean_error_is_over_the_joints_that_count() -> None:
    target = torch.zeros(1, 49, 2)
    predicted = torch.zeros(1, 49, 2)
    predicted[0, :2] = torch.tensor([[3.0, 4.0], [6.0, 8.0]]) / 112
    weights = torch.zeros(1, 49)
    weights[0, :2] = torch.tensor([0.2, 1.0])
    target[0, 2] = float("nan")
    assert float(objectives.mean_error_px(predicted, target, weights)) == pytest.approx(7.5)
    assert float(objectives.mean_error_px(predicted, target, 0 * weights)) == 0


def test_a_joint_that_is_far_off_costs_no_more_than_sigma_squared() -> None:
    joints, target = torch.zeros(1, 24, 3), torch.zeros(1, 24, 3)
    confidence = torch.zeros(1, 24)
    confidence[0, :2] = 1.0
    target[0, 0, 0], target[0, 1, 0], target[0, 2, 0] = 0.1, 1000.0, float("nan")
    value = objectives.bounded_keypoints_3d(joints, target, confidence, sigma=0.2)
    # 0.04 * 0.01 / 0.05 for the near one, 0.04 for the far one
    assert value.tolist() == pytest.approx([(0.008 + 0.04) / 72], rel=1e-4)
