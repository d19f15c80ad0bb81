"""Loss terms: pure functions, one value per exemplar."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels

Terms = Mapping[str, Tensor]
"""Named loss terms, each (batch,)."""


def keypoints_2d(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """Mean over all K x 2 entries of weight times squared error, crop units (EFT, Eq. 3's L2D).

    As released: the weight is linear and the mean counts missing joints too.
    """
    return (weights[..., None] * (projected - target).square()).mean((-1, -2))


def lower_leg_orientation(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    confidence: Float[Tensor, "b k"],
    legs: tuple[tuple[int, int], ...],
) -> Float[Tensor, " b"]:
    """Sum over (knee, ankle) pairs of confidence times 1 - cos of the angle between 2D shins.

    EFT, appendix A. A target shin shorter than one px of a 224 crop says nothing and is skipped.
    """
    shortest = 1.0 / crop_units_to_pixels(EFT_CROP)
    total = projected.new_zeros(len(projected))
    for knee, ankle in legs:
        wanted = target[:, ankle] - target[:, knee]
        length = wanted.norm(dim=-1)
        shin = projected[:, ankle] - projected[:, knee]
        cosine = torch.nn.functional.cosine_similarity(shin, wanted, dim=-1, eps=1e-6)
        both = confidence[:, ankle] * confidence[:, knee]
        total = total + torch.where(length > shortest, both * (1 - cosine), 0.0)
    return total


def shape_prior(betas: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Mean squared beta (EFT, Eq. 3's |beta|^2 up to the factor 10)."""
    return betas.square().mean(-1)


def camera_scale_prior(camera: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """exp(-10 s)^2: keeps the weak camera's scale positive (in the released EFT program)."""
    return torch.exp(-10.0 * camera[:, 0]).square()


def mean_error_px(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """Mean 2D distance over keypoints of positive weight, px of a 224 crop; 0 if there is none."""
    used = (weights > 0).to(projected.dtype)
    distance = (projected - target).norm(dim=-1) * crop_units_to_pixels(EFT_CROP)
    return (distance * used).sum(-1) / used.sum(-1).clamp_min(1.0)
