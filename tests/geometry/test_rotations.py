"""Rotation forms."""

import roma
import torch

from exemplar.geometry.rotations import (
    axis_angle_to_rotmat,
    rot6d_to_rotmat,
    rotation_about_z,
    rotmat_to_axis_angle,
    rotmat_to_euler_zxy,
    rotmat_to_rot6d,
    rotmat_to_unitquat,
)
from tests.golden import dual, eft


def random_rotations(count: int) -> torch.Tensor:
    return axis_angle_to_rotmat(torch.randn(count, 3, dtype=torch.float64))


def test_any_six_numbers_make_a_proper_rotation() -> None:
    rotmat = rot6d_to_rotmat(torch.randn(100, 6, dtype=torch.float64))
    assert torch.allclose(rotmat @ rotmat.mT, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(torch.linalg.det(rotmat), torch.ones(100, dtype=torch.float64))


def test_six_numbers_and_back() -> None:
    rotmat = random_rotations(50)
    assert torch.allclose(rot6d_to_rotmat(rotmat_to_rot6d(rotmat)), rotmat, atol=1e-12)


def test_six_numbers_are_read_row_by_row() -> None:
    upright = torch.tensor([1.0, 0, 0, -1, 0, 0])  # the published mean root: pi about x
    assert torch.allclose(rot6d_to_rotmat(upright), torch.diag(torch.tensor([1.0, -1, -1])))


def test_axis_angle_and_back_including_none_and_half_a_turn() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [1e-9, 0, 0], [0, 3.14159, 0], [0.3, -2, 0.5]]).double()
    assert torch.allclose(rotmat_to_axis_angle(axis_angle_to_rotmat(vectors)), vectors, atol=1e-6)


def test_conversions_are_romas() -> None:
    vectors = torch.randn(200, 3, dtype=torch.float64) * 2
    vectors[:3] = torch.tensor([[0.0, 0, 0], [torch.pi, 0, 0], [1e-7, 0, 0]])
    rotmats = roma.rotvec_to_rotmat(vectors)
    assert torch.allclose(axis_angle_to_rotmat(vectors), rotmats, rtol=0, atol=1e-12)
    assert torch.allclose(rotmat_to_axis_angle(rotmats), roma.rotmat_to_rotvec(rotmats), atol=1e-8)
    signs = (rotmat_to_unitquat(rotmats) * roma.rotmat_to_unitquat(rotmats)).sum(-1).abs()
    assert torch.allclose(signs, torch.ones(200, dtype=torch.float64), rtol=0, atol=1e-12)
    gaps = rotmat_to_euler_zxy(rotmats) - roma.rotmat_to_euler("ZXY", rotmats)
    assert float(gaps.sin().abs().max()) < 1e-9  # 180 and -180 degrees are one
    assert float(gaps.cos().min()) > 0


def test_angles_at_a_quarter_turn_about_x_make_the_rotation() -> None:
    for quarter in (torch.pi / 2, -torch.pi / 2):
        rotmat = roma.euler_to_rotmat("ZXY", torch.tensor([0.4, quarter, 0.3]).double())
        angles = rotmat_to_euler_zxy(rotmat)
        assert float(angles[2]) == 0.0
        assert torch.allclose(roma.euler_to_rotmat("ZXY", angles), rotmat, rtol=0, atol=1e-7)


def test_slopes_of_axis_angles_are_right_also_at_rest() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [0.3, -2, 0.5]]).double().requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_rotmat, vectors)


def test_six_number_gradient_is_right() -> None:
    numbers = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rot6d_to_rotmat, numbers)


def test_turning_about_z_takes_x_towards_y() -> None:
    quarter = rotation_about_z(torch.tensor(torch.pi / 2))
    assert torch.allclose(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)


def test_six_numbers_are_read_as_the_published_programs_do() -> None:
    """Float64 to rounding, float32 to a few of its last bits."""
    recorded = eft.reference()
    found = rot6d_to_rotmat(recorded["rot6d_in"])
    assert torch.allclose(found, recorded["rot6d_out"], rtol=0, atol=1e-14)
    recorded = dual.reference()
    found = rot6d_to_rotmat(recorded["geometry/x6"])
    assert torch.allclose(found, recorded["geometry/x6_rotmat"], rtol=0, atol=5e-7)


def test_axis_angles_are_the_published_programs_but_for_their_guard_against_zero() -> None:
    """They add 1e-8 to the vector or inside its norm, which turns matrices by as much."""
    recorded = eft.reference()
    found = axis_angle_to_rotmat(recorded["rodrigues_in"])
    for name in ("rodrigues_quat_out", "rodrigues_lbs_out"):
        assert torch.allclose(found, recorded[name], rtol=0, atol=5e-8), name
    recorded = dual.reference()
    found = axis_angle_to_rotmat(recorded["geometry/aa"])
    # and float32's rounding
    assert torch.allclose(found, recorded["geometry/aa_rotmat"], rtol=0, atol=1e-6)
