"""The guard: which of a fit's iterates to keep, judged without ground truth.

EFT lowers the error of the keypoints that it fits, and now and then makes the 3D pose worse while
it does. It leaves hips, pelvis and ankles out of its objective; where they are known, they serve
the guard as validation data, together with how likely the pose is. Measured (`benchmarks.guard`):
with exact keypoints it changes the mean error by nothing that can be told from chance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.projections import Projection, weak_projection
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.geometry.rotations import rotmat_to_axis_angle
from exemplar.priors import PosePrior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25


@dataclass(frozen=True)
class GuardConfig:
    """How iterates are compared; the defaults were chosen by `benchmarks.guard`."""

    held_out_weight: float = 1.0
    """Weight of a keypoint that the fit left out, against 1 for one that it used."""
    prior_weight: float = 0.03
    """Price of an unlikely pose, px of a 224 crop for each nat of log density."""

    def __post_init__(self) -> None:
        for name in ("held_out_weight", "prior_weight"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {value}")


def held_out(
    confidence: Float[Tensor, "b 49"],
    fitted: Float[Tensor, "b 49"],
    available: Float[Tensor, " 49"],
) -> Float[Tensor, "b 49"]:
    """1 for the annotated keypoints that are known but were not fitted, 0 for the others.

    `available` tells which keypoints the body has. OpenPose's block is left out: what it shares
    with the annotated block is no independent evidence.
    """
    known = confidence * available
    known[:, : len(OPENPOSE_25)] = 0.0
    return ((known > 0) & (fitted <= 0)).to(confidence.dtype)


@torch.no_grad()
def guard_scores(
    body: Body,
    iterates: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    fitted: Float[Tensor, "b 49"],
    config: GuardConfig,
    prior: PosePrior | None = None,
    projection: Projection = weak_projection,
) -> Float[Tensor, "b k"]:
    """How bad each iterate is, px of a 224 crop; infinite where one is not finite.

    The root mean squared 2D distance of fitted and held-out keypoints plus the price of the pose
    under `prior` (none without it). `iterates` has axes (b, k, ...); `keypoints_2d` is x, y in crop
    units and confidence; `fitted` the weights of the fit's 2D term; `projection` the one that the
    fit used. Keypoints that are not finite are passed over, and all iterates of a person without
    any keypoint score 0.
    """
    people, steps = iterates.camera.shape[:2]
    rows = torch.arange(people, device=iterates.camera.device).repeat_interleave(steps)
    joints = body.keypoints(iterates.body_params(), "smpl49")
    projected = projection(joints.flatten(0, 1), iterates.camera.flatten(0, 1), rows)
    target = keypoints_2d[:, None, :, :2]
    offset = crop_units_to_pixels(EFT_CROP) * (projected.unflatten(0, (people, steps)) - target)
    squared = offset.square().sum(-1)
    spare = held_out(keypoints_2d[..., 2], fitted, body.available("smpl49"))
    weights = (fitted > 0).to(squared) + config.held_out_weight * spare
    weights = weights * torch.isfinite(keypoints_2d).all(-1)
    total = weights.sum(-1, keepdim=True)
    used = weights[:, None] > 0
    summed = torch.where(used, squared * weights[:, None], 0.0).sum(-1)
    scores = (summed / total.clamp_min(1e-6)).sqrt()
    if prior is not None and config.prior_weight > 0:
        pose = rotmat_to_axis_angle(iterates.body_pose)
        scores = scores - config.prior_weight * prior.log_prob(pose)
    scores = torch.where(total > 0, scores, 0.0)
    return torch.where(iterates.finite_rows() & torch.isfinite(scores), scores, float("inf"))


def choose(
    body: Body,
    iterates: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    fitted: Float[Tensor, "b 49"],
    config: GuardConfig | None = None,
    prior: PosePrior | None = None,
    projection: Projection = weak_projection,
) -> Int[Tensor, " b"]:
    """The iterate to keep of each person: the least `guard_scores`, the earliest among equals.

    ValueError when all iterates of a person hold numbers that are not finite.
    """
    config = config or GuardConfig()
    scores = guard_scores(body, iterates, keypoints_2d, fitted, config, prior, projection)
    lost = torch.isinf(scores).all(-1)
    if bool(lost.any()):
        raise ValueError(f"expected a finite iterate for each person, {int(lost.sum())} have none")
    return scores.argmin(-1)
