"""Procrustes alignment of point sets."""

import torch
from jaxtyping import Float
from torch import Tensor


def similarity_align(
    points: Float[Tensor, "*batch n 3"], target: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch n 3"]:
    """`points` moved onto `target` by the best scale, rotation (no reflection) and translation.

    Umeyama 1991. All points in one place give points at the target's mean.
    """
    mean_points, mean_target = points.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    x, y = points - mean_points, target - mean_target
    u, singular, vt = torch.linalg.svd(x.mT @ y)
    sign = torch.ones_like(singular)
    sign[..., -1] = torch.det(u @ vt).sign()
    rotation = (u * sign[..., None, :]) @ vt
    scale = (singular * sign).sum(-1) / x.square().sum((-1, -2)).clamp_min(1e-12)
    return scale[..., None, None] * (x @ rotation) + mean_target
