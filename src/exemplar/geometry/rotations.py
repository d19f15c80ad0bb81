"""Rotation forms used by body regressors; conversions are roma's."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor


def rot6d_to_rotmat(rot6d: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Gram-Schmidt of the six numbers read as a row-major 3x2 matrix (HMR and SPIN's form).

    Zhou et al., "On the Continuity of Rotation Representations", Eq. 15.
    """
    columns = rot6d.unflatten(-1, (3, 2))
    first, second = columns[..., 0], columns[..., 1]
    b1 = torch.nn.functional.normalize(first, dim=-1, eps=1e-12)
    b2 = torch.nn.functional.normalize(
        second - (b1 * second).sum(-1, keepdim=True) * b1, dim=-1, eps=1e-12
    )
    b3 = torch.linalg.cross(b1, b2, dim=-1)
    return torch.stack((b1, b2, b3), dim=-1)


def rotmat_to_rot6d(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns, row by row: the inverse of `rot6d_to_rotmat`."""
    return rotmat[..., :2].flatten(-2)


def axis_angle_to_rotmat(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula; the axis-angle's length is the angle in radians."""
    return roma.rotvec_to_rotmat(axis_angle)


def rotmat_to_axis_angle(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The rotation vector with angle in [0, pi] radians."""
    return roma.rotmat_to_rotvec(rotmat)


def rotation_about_z(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by `angle` radians about z: from x towards y (clockwise on an image, y down)."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = (cos, -sin, zero, sin, cos, zero, zero, zero, one)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
