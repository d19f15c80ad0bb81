"""Loss terms: pure functions, one value per exemplar.

A keypoint of weight 0 may hold anything, NaN included: it takes no part in a value or a gradient.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.skeletons import GT_24, SMPL_24, indices

Terms = Mapping[str, Tensor]
"""Named loss terms, each (batch,)."""

Norm = Literal["l1", "l2"]
"""Whether an error counts as its absolute value or its square."""

JointsAbout = Literal["nose", "mean"]
"""What 3D joints are compared about: the nose, as EFT's program does, or their weighted mean."""

GMOF_SIGMA = 100.0
"""Where SMPLify's robust error levels off, px of a 224 crop."""

_NOSE = indices(("nose",), GT_24)
_HIPS = indices(("left_hip", "right_hip"), GT_24)
_BENDING = (
    ("left_elbow", 1, 1.0),
    ("right_elbow", 1, -1.0),
    ("left_knee", 0, -1.0),
    ("right_knee", 0, -1.0),
)
"""(joint, axis, sign) of the angles that grow when a joint bends the wrong way."""


def keypoints_2d(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
    norm: Norm = "l2",
) -> Float[Tensor, " b"]:
    """Mean over all K x 2 entries of weight times squared error, crop units (EFT, Eq. 3's L2D).

    As released: the weight is linear and the mean counts missing joints too. The paper and the
    programs square (`norm` l2).
    """
    return _mean_error(_errors(projected, target, weights), weights, norm)


def bounded_keypoints_2d(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
    *,
    sigma_px: float,
) -> Float[Tensor, " b"]:
    """`keypoints_2d` with the Geman-McClure error of each joint's distance: no more than sigma^2.

    Inputs in crop units, the value in crop units squared, `sigma_px` in px of a 224 crop.
    """
    squared = _errors(projected, target, weights).square().sum(-1)
    bounded = _bounded(squared, sigma_px / crop_units_to_pixels(EFT_CROP))
    return (weights * bounded).mean(-1) / projected.shape[-1]


def trust(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
    *,
    sigma_px: float,
) -> Float[Tensor, "b k"]:
    """How much of a joint's pull the Geman-McClure error leaves: (sigma^2 / (sigma^2 + d^2))^2.

    1 for a joint that is met or missing, 1/4 at a distance of `sigma_px` (px of a 224 crop).
    Constant for gradients: nothing is gained by moving away from a joint.
    """
    squared = _errors(projected.detach(), target, weights).square().sum(-1)
    level = (sigma_px / crop_units_to_pixels(EFT_CROP)) ** 2
    return (level / (level + squared)).square()


def robust_keypoints_2d(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """SMPLify's data term: sum of weight^2 times the Geman-McClure error of each coordinate.

    Bogo et al. 2016, Eq. 2, as in SPIN and EFT: px of a 224 crop, sigma 100 px.
    Inputs in crop units; the value is in px^2.
    """
    errors = crop_units_to_pixels(EFT_CROP) * _errors(projected, target, weights)
    return (weights.square() * geman_mcclure(errors, GMOF_SIGMA).sum(-1)).sum(-1)


def squared_keypoints_2d(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """Sum of weight^2 times the squared distance, in the inputs' units squared.

    The data term of SMPLify's camera stage (Bogo et al. 2016, section 3.3).
    """
    return (weights[..., None] * _errors(projected, target, weights)).square().sum((-1, -2))


def geman_mcclure(errors: Float[Tensor, "*shape"], sigma: float) -> Float[Tensor, "*shape"]:
    """sigma^2 x^2 / (sigma^2 + x^2): x^2 for small errors, at most sigma^2 (Bogo et al., Eq. 2)."""
    return _bounded(errors.square(), sigma)


def keypoints_3d_on_nose(
    joints: Float[Tensor, "b 24 3"],
    target: Float[Tensor, "b 24 3"],
    confidence: Float[Tensor, "b 24"],
) -> Float[Tensor, " b"]:
    """Mean over 24 x 3 of confidence times squared error, both sides moved to their noses, m^2.

    `GT_24` joints. EFT's L3D (paper, Eq. 4) as released: hips count nothing, since data sets
    disagree about them, and the mean counts missing joints. The nose must be known.
    """
    counted = confidence.clone()
    counted[:, _HIPS] = 0.0
    return _centred_error(joints, target, counted, _NOSE)


def keypoints_3d_on_mean(
    joints: Float[Tensor, "b 24 3"],
    target: Float[Tensor, "b 24 3"],
    confidence: Float[Tensor, "b 24"],
) -> Float[Tensor, " b"]:
    """Mean over 24 x 3 of confidence times squared error, about the joints' weighted means, m^2.

    `GT_24` joints. L3D for joints of which none is exact: what is left once one side is moved to
    where it meets the other best. Hips count as their confidence says.
    """
    apart = _errors(joints, target, confidence)
    total = confidence.sum(-1).clamp_min(torch.finfo(confidence.dtype).tiny)
    middle = (confidence[..., None] * apart).sum(1) / total[:, None]
    return _mean_error(_where_counted(apart - middle[:, None], confidence), confidence, "l2")


def bounded_keypoints_3d(
    joints: Float[Tensor, "b 24 3"],
    target: Float[Tensor, "b 24 3"],
    confidence: Float[Tensor, "b 24"],
    *,
    sigma: float,
) -> Float[Tensor, " b"]:
    """Mean over 24 x 3 of confidence times the Geman-McClure error of each joint's distance, m^2:
    no more than `sigma`^2 (m^2). `GT_24` joints, where they are in the world."""
    squared = _errors(joints, target, confidence).square().sum(-1)
    return (confidence * _bounded(squared, sigma)).mean(-1) / joints.shape[-1]


def keypoints_3d_on_hips(
    joints: Float[Tensor, "b 24 3"],
    target: Float[Tensor, "b 24 3"],
    confidence: Float[Tensor, "b 24"],
    norm: Norm = "l2",
) -> Float[Tensor, " b"]:
    """Mean over 24 x 3 of confidence times squared error, about the middle of the hips, m^2.

    `GT_24` joints. The 3D term of SPIN, EFT's training and dual networks (paper, Eq. 7).
    Both hips must be known. The papers and programs square (`norm` l2); in l1 the unit is m.
    """
    return _centred_error(joints, target, confidence, _HIPS, norm)


def vertices(
    found: Float[Tensor, "b v 3"], target: Float[Tensor, "b v 3"], norm: Norm = "l2"
) -> Float[Tensor, " b"]:
    """Mean squared coordinate difference over V x 3, m^2 (dual networks, Eq. 7, as printed), or
    absolute, metres (as released)."""
    return _by_norm(found - target, norm).mean((-1, -2))


def rotations(
    rotmats: Float[Tensor, "b joints 3 3"], target: Float[Tensor, "b joints 3 3"]
) -> Float[Tensor, " b"]:
    """Mean squared difference of rotation matrices over joints x 9 (SPIN's pose term)."""
    return (rotmats - target).square().mean((-1, -2, -3))


def betas(values: Float[Tensor, "b n"], target: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Mean squared difference of shape coefficients (SPIN's shape term)."""
    return (values - target).square().mean(-1)


def lower_leg_orientation(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    confidence: Float[Tensor, "b k"],
    legs: tuple[tuple[int, int], ...],
) -> Float[Tensor, " b"]:
    """Sum over (knee, ankle) pairs of confidence times 1 - cos of the angle between 2D shins.

    EFT, appendix A. A target shin no longer than one px of a 224 crop says nothing and is skipped;
    a predicted shin of length 0 has no direction: its cosine counts as 0, with gradient 0.
    """
    knees, ankles = [knee for knee, _ in legs], [ankle for _, ankle in legs]
    both = confidence[:, ankles] * confidence[:, knees]
    wanted = _where_counted(target[:, ankles] - target[:, knees], both)
    length = wanted.norm(dim=-1)
    said = length > 1.0 / crop_units_to_pixels(EFT_CROP)
    direction = wanted / torch.where(said, length, 1.0)[..., None]
    shin = _where_counted(projected[:, ankles] - projected[:, knees], both)
    squared = shin.square().sum(-1)
    # a millionth of the crop: below it 1 / length^2 leaves float32's range
    there = squared > 1e-12
    inverse = torch.where(there, squared, 1.0).rsqrt()
    cosine = torch.where(there, (shin * direction).sum(-1) * inverse, 0.0)
    return (torch.where(said, both, 0.0) * (1 - cosine)).sum(-1)


def shape_prior(betas: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Mean squared beta (EFT, Eq. 3's |beta|^2 up to the factor 10)."""
    return betas.square().mean(-1)


def camera_scale_prior(camera: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """exp(-10 s)^2: keeps the weak camera's scale positive (in the released EFT program)."""
    return torch.exp(-10.0 * camera[:, 0]).square()


def bending_prior(body_pose_axis_angle: Float[Tensor, "b 23 3"]) -> Float[Tensor, " b"]:
    """Sum of exp(angle)^2 over knees and elbows, the angle growing as they bend the wrong way.

    Bogo et al. 2016, Eq. 4, in SMPLify's code squared. Radians.
    """
    pose = body_pose_axis_angle.flatten(1)
    return torch.exp(2.0 * pose @ _bending(pose.dtype, pose.device)).sum(-1)


def mean_error_px(
    projected: Float[Tensor, "b k 2"],
    target: Float[Tensor, "b k 2"],
    weights: Float[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """Mean 2D distance over keypoints of positive weight, px of a 224 crop; 0 if there is none."""
    used = (weights > 0).to(projected.dtype)
    distance = _errors(projected, target, weights).norm(dim=-1) * crop_units_to_pixels(EFT_CROP)
    return distance.sum(-1) / used.sum(-1).clamp_min(1.0)


@lru_cache(maxsize=16)
def _bending(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(69, 4): body pose to the signed angles of `_BENDING`."""
    out = torch.zeros(len(SMPL_24) - 1, 3, len(_BENDING), dtype=dtype, device=device)
    for column, (name, axis, sign) in enumerate(_BENDING):
        out[SMPL_24.index(name) - 1, axis, column] = sign
    return out.flatten(0, 1)


def _where_counted(values: Tensor, weights: Tensor) -> Tensor:
    return torch.where((weights > 0)[..., None], values, 0.0)


def _bounded(squared: Tensor, sigma: float) -> Tensor:
    """The Geman-McClure error of squared errors: smooth where a distance of 0 is not."""
    return sigma**2 * squared / (sigma**2 + squared)


def _errors(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Differences where the weight is positive, else 0."""
    return _where_counted(predicted - target, weights)


def _centred_error(
    joints: Tensor, target: Tensor, weights: Tensor, centre: Sequence[int], norm: Norm = "l2"
) -> Tensor:
    centre = list(centre)
    moved = joints - joints[:, centre].mean(1, keepdim=True)
    wanted = target - target[:, centre].mean(1, keepdim=True)
    return _mean_error(_errors(moved, wanted, weights), weights, norm)


def _mean_error(errors: Tensor, weights: Tensor, norm: Norm) -> Tensor:
    return (weights[..., None] * _by_norm(errors, norm)).mean((-1, -2))


def _by_norm(errors: Tensor, norm: Norm) -> Tensor:
    return errors.abs() if norm == "l1" else errors.square()
