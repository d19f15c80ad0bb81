"""Errors of poses: arrays in; millimetres, or shares in 0..1, out.

Wherever a `valid` mask is taken, only the joints it marks count, and who has none gets NaN. So does
who has a number among them that is not finite; the others of the batch are not touched by it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.geometry.align import similarity_align

MILLIMETRES = 1000.0

PCK_MM = 150.0
"""MPI-INF-3DHP's threshold of a joint that is right, mm: about half a head."""

AUC_MM = tuple(5.0 * step for step in range(31))
"""MPI-INF-3DHP's thresholds, over which its area under the curve is the mean: 0, 5, ..., 150 mm."""


def mpjpe(
    joints: Float[Tensor, "*batch n 3"],
    truth: Float[Tensor, "*batch n 3"],
    valid: Bool[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean per-joint position error, mm; both in metres and already centred alike."""
    return _mean(_distances(joints, truth), valid)


def pa_mpjpe(
    joints: Float[Tensor, "*batch n 3"],
    truth: Float[Tensor, "*batch n 3"],
    valid: Bool[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """MPJPE after the best similarity transform of `joints` onto `truth`, mm.

    The transform has a scale, a rotation (no reflection) and a translation, and is found from the
    valid joints alone.
    """
    x, y = _centred(joints, valid), _centred(truth, valid)
    # Entries of the covariance are bounded by these sums, so that its SVD exists where they do.
    sizes = x.square().sum((-1, -2)) + y.square().sum((-1, -2))
    finite = sizes.isfinite()
    x, y = (torch.where(finite[..., None, None], points, 0.0) for points in (x, y))
    return torch.where(finite, mpjpe(similarity_align(x, y), y, valid), torch.nan)


def pve(
    vertices: Float[Tensor, "*batch v 3"], truth: Float[Tensor, "*batch v 3"]
) -> Float[Tensor, "*batch"]:
    """Mean per-vertex error, mm; both in metres, centred alike, and of the same mesh."""
    return mpjpe(vertices, truth)


def pck_3d(
    joints: Float[Tensor, "*batch n 3"],
    truth: Float[Tensor, "*batch n 3"],
    threshold_mm: float = PCK_MM,
    valid: Bool[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Share of joints less than `threshold_mm` from their place; centred alike, metres."""
    distances = _distances(joints, truth)
    return _mean(_within(distances, distances < threshold_mm), valid)


def auc_3d(
    joints: Float[Tensor, "*batch n 3"],
    truth: Float[Tensor, "*batch n 3"],
    valid: Bool[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean of `pck_3d` over the thresholds `AUC_MM` (Mehta et al. 2017, as MPI-INF-3DHP's own
    program has it: 0 mm, which no joint is below, is among them, so that 30/31 is the best)."""
    distances = _distances(joints, truth)
    below = distances[..., None] < distances.new_tensor(AUC_MM)
    return _mean(_within(distances, below.to(distances.dtype).mean(-1)), valid)


def pck_2d(
    distances: Float[Tensor, "*batch n"],
    sizes: Float[Tensor, "*batch"],
    threshold: float = 0.1,
    valid: Bool[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Share of keypoints whose distance from their place is at most `threshold` of a person's size
    (a box's side, a head's length), both in the same unit."""
    return _mean(_within(distances, distances <= threshold * sizes[..., None]), valid)


def _distances(joints: Tensor, truth: Tensor) -> Tensor:
    """Of each joint from its place, mm."""
    return MILLIMETRES * (joints - truth).norm(dim=-1)


def _within(distances: Tensor, right: Tensor) -> Tensor:
    """1 for joints that are right; NaN stays NaN, as every comparison with it is false."""
    return torch.where(distances.isfinite(), right.to(distances.dtype), torch.nan)


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of (..., n) over the valid ones, NaN if there are none or one is not finite."""
    if valid is None:
        mean = values.mean(-1)
    else:
        mean = torch.where(valid, values, 0.0).sum(-1) / valid.sum(-1)
    return torch.where(mean.isfinite(), mean, torch.nan)


def _centred(points: Tensor, valid: Tensor | None) -> Tensor:
    """Points less their mean. Those that are not valid are put on it, where they have no part in a
    similarity transform."""
    if valid is None:
        return points - points.mean(-2, keepdim=True)
    known = valid[..., None]
    count = known.sum(-2, keepdim=True).clamp_min(1)
    mean = torch.where(known, points, 0.0).sum(-2, keepdim=True) / count
    return torch.where(known, points - mean, 0.0)
