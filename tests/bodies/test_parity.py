"""The body layer against EFT's program (smplx) on the invented body, in float64.

Both sum the same products in another order: 1e-12 m is a hundred times what was measured, and room
for another BLAS.
"""

import pytest
import torch
from torch import Tensor

from exemplar.bodies import BodyParams
from exemplar.fitting.smplify import rodrigues
from exemplar.geometry.rotations import axis_angle_to_rotmat
from tests.golden import eft

ROUNDING = 1e-12


def params(rotmats: Tensor, betas: Tensor) -> BodyParams:
    return BodyParams(rotmats[:, 0], rotmats[:, 1:], betas)


def matrices() -> BodyParams:
    return params(eft.reference()["smpl_pose_rot"], eft.reference()["smpl_betas"])


def from_axis_angle(*, released: bool) -> BodyParams:
    pose = eft.reference()["smpl_pose_aa"].unflatten(1, (24, 3))
    rotmats = rodrigues(pose, released=True) if released else axis_angle_to_rotmat(pose)
    return params(rotmats, eft.reference()["smpl_betas"])


def test_vertices_from_rotation_matrices() -> None:
    recorded = eft.reference()["smpl_vertices_rot_f64"]
    vertices = eft.body(torch.float64)(matrices()).vertices[: len(recorded)]
    assert torch.allclose(vertices, recorded, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("name", "array"), [("smpl49", "joints49"), ("h36m17", "h36m17")])
def test_keypoints_from_rotation_matrices(name: str, array: str) -> None:
    keypoints = eft.body(torch.float64).keypoints(matrices(), name)
    recorded = eft.reference()[f"smpl_{array}_rot_f64"]
    assert torch.allclose(keypoints, recorded, rtol=0, atol=ROUNDING)


def test_keypoints_and_vertices_from_axis_angle_as_released() -> None:
    body, posed, recorded = eft.body(torch.float64), from_axis_angle(released=True), eft.reference()
    joints = body.keypoints(posed)
    assert torch.allclose(joints, recorded["smpl_joints49_aa_f64"], rtol=0, atol=ROUNDING)
    vertices = body(posed).vertices[:1, ::10]
    assert torch.allclose(vertices, recorded["smpl_vertices_aa_f64"], rtol=0, atol=ROUNDING)


def test_exact_rotations_differ_from_the_released_ones_by_tens_of_nanometres() -> None:
    """The released angle is |v + 1e-8|, so matrices are off by up to sqrt(3) 1e-8 a joint, and
    positions by some 1e-8 m; more would be another difference, less no difference at all."""
    exact = eft.body(torch.float64).keypoints(from_axis_angle(released=False))
    apart = (exact - eft.reference()["smpl_joints49_aa_f64"]).abs().max()
    assert 1e-9 < float(apart) < 1e-7


@pytest.mark.parametrize("gender", ["male", "female"])
def test_the_other_bodies(gender: str) -> None:
    keypoints = eft.body(torch.float64, gender).keypoints(from_axis_angle(released=True))
    recorded = eft.reference()[f"smpl_joints49_aa_{gender}_f64"]
    assert torch.allclose(keypoints, recorded, rtol=0, atol=ROUNDING)


def test_single_precision_is_as_close_as_the_released_program_in_single_precision() -> None:
    """2e-7 m there; 1e-6 leaves room for the order of float32 sums."""
    exact = matrices()
    single = BodyParams(exact.global_orient.float(), exact.body_pose.float(), exact.betas.float())
    keypoints = eft.body().keypoints(single).double()
    recorded = eft.reference()["smpl_joints49_rot_f64"]
    assert torch.allclose(keypoints, recorded, rtol=0, atol=1e-6)
