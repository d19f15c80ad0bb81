"""Weak-perspective and full cameras. Camera frame: x right, y down, z forward."""

import torch
from jaxtyping import Float
from torch import Tensor


def project_weak(
    points: Float[Tensor, "*batch n 3"], weak_camera: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch n 2"]:
    """(u, v) = s (X, Y) + (tx, ty): crop units, in which the square crop spans [-1, 1].

    Kanazawa et al. 2018, section 3; EFT's projection (paper, Eq. 1).
    """
    return weak_camera[..., None, :1] * points[..., :2] + weak_camera[..., None, 1:]


def project_full(
    points: Float[Tensor, "*batch n 3"],
    focal: Float[Tensor, "*batch"],
    principal_point: Float[Tensor, "*batch 2"],
) -> Float[Tensor, "*batch n 2"]:
    """Pinhole projection of camera-frame points (metres) to pixels; depth must be positive."""
    ratio = points[..., :2] / points[..., 2:]
    return focal[..., None, None] * ratio + principal_point[..., None, :]


def weak_to_full_translation(
    weak_camera: Float[Tensor, "*batch 3"],
    focal: Float[Tensor, "*batch"],
    principal_point: Float[Tensor, "*batch 2"],
    centre: Float[Tensor, "*batch 2"],
    size: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch 3"]:
    """Translation (metres) that puts the body where the weak camera of a crop shows it.

    The weak camera belongs to an unrotated square crop of side `size` px about `centre`; `focal`
    and `principal_point` are the image's, in px. The scale gives the depth
    z = 2 f / (size s); the pixel under the body's origin gives x and y.
    """
    scale, shift = weak_camera[..., 0], weak_camera[..., 1:]
    depth = 2.0 * focal / (size * scale)
    origin = centre + shift * size[..., None] / 2.0
    lateral = (origin - principal_point) * (depth / focal)[..., None]
    return torch.cat((lateral, depth[..., None]), dim=-1)


def rotate_weak_camera(
    weak_camera: Float[Tensor, "*batch 3"], angle: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3"]:
    """The weak camera after turning the crop's content by `angle` radians (x towards y)."""
    scale, x, y = weak_camera.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((scale, cos * x - sin * y, sin * x + cos * y), dim=-1)


def fit_weak_camera(
    points: Float[Tensor, "*batch n 3"],
    targets: Float[Tensor, "*batch n 2"],
    weights: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch 3"]:
    """Least-squares (s, tx, ty) for s (X, Y) + t = target with the given point weights."""
    total = weights.sum(-1, keepdim=True).clamp_min(1e-8)
    share = (weights / total)[..., None]
    mean_points = (share * points[..., :2]).sum(-2, keepdim=True)
    mean_targets = (share * targets).sum(-2, keepdim=True)
    centred = points[..., :2] - mean_points
    covariance = (share * centred * (targets - mean_targets)).sum((-1, -2))
    scale = covariance / (share * centred.square()).sum((-1, -2)).clamp_min(1e-8)
    shift = mean_targets[..., 0, :] - scale[..., None] * mean_points[..., 0, :]
    return torch.cat((scale[..., None], shift), dim=-1)
