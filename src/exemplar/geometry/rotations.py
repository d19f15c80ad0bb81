"""Rotation forms used by body regressors and by files."""

import math

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
    angle = axis_angle.norm(dim=-1, keepdim=True)
    sine, chord = torch.sinc(angle / math.pi), torch.sinc(angle / (2 * math.pi))
    x, y, z = (sine * axis_angle).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    along = torch.diag_embed(angle.cos().expand_as(axis_angle))
    return along + skew + (chord.square() / 2)[..., None] * outer


def rotmat_to_unitquat(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions (x, y, z, w), of either sign.

    The four columns of 4 q q^T are linear in the matrix; the longest one is the safest (Markley,
    "Unit Quaternion from Rotation Matrix", 2008).
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotmat.unbind(-2))
    products = (
        *(1 + a - e - i, b + d, c + g, h - f),
        *(b + d, 1 - a + e - i, f + h, c - g),
        *(c + g, f + h, 1 - a - e + i, d - b),
        *(h - f, c - g, d - b, 1 + a + e + i),
    )
    columns = torch.stack(products, dim=-1).unflatten(-1, (4, 4))
    longest = columns.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    picked = columns.gather(-2, longest.expand(*longest.shape[:-1], 4)).squeeze(-2)
    return torch.nn.functional.normalize(picked, dim=-1)


def rotmat_to_axis_angle(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The rotation vector with angle in [0, pi] radians."""
    quaternion = rotmat_to_unitquat(rotmat)
    quaternion = torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
    axis, cosine = quaternion[..., :3], quaternion[..., 3:]
    half = torch.atan2(axis.norm(dim=-1, keepdim=True), cosine)
    return axis * 2 / torch.sinc(half / math.pi)


def rotmat_to_euler_zxy(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Angles about z, x and y, radians, with rotmat = Rz Rx Ry; x within a quarter turn.

    Where x is a quarter turn, only the sum or the difference of the others counts: y is then 0.
    """
    about_x = torch.asin(rotmat[..., 2, 1].clamp(-1, 1))
    locked = torch.hypot(rotmat[..., 0, 1], rotmat[..., 1, 1]) < 1e-7
    about_z = torch.where(
        locked,
        torch.atan2(rotmat[..., 1, 0], rotmat[..., 0, 0]),
        torch.atan2(-rotmat[..., 0, 1], rotmat[..., 1, 1]),
    )
    about_y = torch.atan2(-rotmat[..., 2, 0], rotmat[..., 2, 2]).masked_fill(locked, 0.0)
    return torch.stack((about_z, about_x, about_y), dim=-1)


def rotation_about_z(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by `angle` radians about z: from x towards y (clockwise on an image, y down)."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = (cos, -sin, zero, sin, cos, zero, zero, zero, one)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def rotation_from_z(direction: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotation that takes the z axis to a direction (of any length)."""
    forward = torch.tensor([0.0, 0.0, 1.0]).to(direction).expand_as(direction)
    axis = torch.linalg.cross(forward, direction)
    sine = axis.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return axis_angle_to_rotmat(axis / sine * torch.atan2(sine, direction[..., 2:]))
