"""The guard: which of a fit's iterates to keep, judged without ground truth.

EFT lowers the error of the keypoints that it fits, and now and then makes the 3D pose worse while
it does: most of all where keypoints are wrong. It leaves hips, pelvis and ankles out of its
objective; where they are known, they serve the guard as validation data. It believes little of a
keypoint that is far off, asks a price for unlikely poses, and stays with the regressor's answer
where a fit disagrees with several of its own keypoints and has not gained much.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.projections import Projection, weak_projection
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.geometry.rotations import rotmat_to_axis_angle
from exemplar.objectives import geman_mcclure
from exemplar.priors import PosePrior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25


@dataclass(frozen=True)
class GuardConfig:
    """How iterates are compared; pixels are those of a 224 crop. The defaults were chosen on
    validation people (`benchmarks.guard`)."""

    robust_px: float = 80.0
    """Distance from which a keypoint counts ever less."""
    held_out_weight: float = 1.0
    """Weight of a keypoint that the fit left out, against 1 for one that it used."""
    prior_weight: float = 0.06
    """Price of an unlikely pose, px for each nat of log density."""
    doubt_px: float = 30.0
    """Distance at which the last iterate leaves a fitted keypoint that it disagrees with."""
    doubt_share: float = 0.08
    """Share of such keypoints above which a fit is in doubt."""
    doubt_gain: float = 3.0
    """What a fit in doubt must gain on the regressor's answer to be kept, px."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf") or (name == "robust_px" and value == 0):
                least = "positive" if name == "robust_px" else "0 or more"
                raise ValueError(f"{name} must be {least}, got {value}")


def held_out(
    confidence: Float[Tensor, "b 49"],
    fitted: Float[Tensor, "b 49"],
    available: Float[Tensor, " 49"],
) -> Bool[Tensor, "b 49"]:
    """Which annotated keypoints are known but were not fitted.

    `available` tells which keypoints the body has. OpenPose's block is left out: what it shares
    with the annotated block is no independent evidence.
    """
    known = (confidence * available) > 0
    known[:, : len(OPENPOSE_25)] = False
    return known & (fitted <= 0)


@torch.no_grad()
def guard_scores(
    body: Body,
    iterates: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    fitted: Float[Tensor, "b 49"],
    config: GuardConfig,
    prior: PosePrior | None = None,
    projection: Projection = weak_projection,
) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """How bad each iterate is, px of a 224 crop (infinite where one is not finite), and the share
    of fitted keypoints that are farther off than `doubt_px`.

    The first is the root of the mean Geman-McClure error (Bogo et al., Eq. 2) of the 2D distances
    of fitted and held-out keypoints, plus the price of the pose under `prior` (none without it).
    `iterates` has axes (b, k, ...); `keypoints_2d` is x, y in crop units and confidence; `fitted`
    the weights of the fit's 2D term; `projection` the one that the fit used. Keypoints that are not
    finite are passed over, and all iterates of a person without any keypoint score 0.
    """
    people, steps = iterates.camera.shape[:2]
    rows = torch.arange(people, device=iterates.camera.device).repeat_interleave(steps)
    joints = body.keypoints(iterates.body_params(), "smpl49")
    projected = projection(joints.flatten(0, 1), iterates.camera.flatten(0, 1), rows)
    target = keypoints_2d[:, None, :, :2]
    offset = crop_units_to_pixels(EFT_CROP) * (projected.unflatten(0, (people, steps)) - target)
    finite = torch.isfinite(keypoints_2d).all(-1)
    used = (fitted > 0) & finite
    spare = held_out(keypoints_2d[..., 2], fitted, body.available("smpl49")) & finite
    weights = used.to(offset) + config.held_out_weight * spare
    distances = torch.where((weights > 0)[:, None], offset.norm(dim=-1), 0.0)
    total = weights.sum(-1, keepdim=True)
    errors = weights[:, None] * geman_mcclure(distances, config.robust_px)
    scores = (errors.sum(-1) / total.clamp_min(1e-6)).sqrt()
    if prior is not None and config.prior_weight > 0:
        pose = rotmat_to_axis_angle(iterates.body_pose)
        scores = scores - config.prior_weight * prior.log_prob(pose)
    scores = torch.where(total > 0, scores, 0.0)
    far = ((distances > config.doubt_px) & used[:, None]).sum(-1)
    sound = iterates.finite_rows() & torch.isfinite(scores)
    share = far / used.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(sound, scores, float("inf")), share


def choose(
    body: Body,
    iterates: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    fitted: Float[Tensor, "b 49"],
    config: GuardConfig | None = None,
    prior: PosePrior | None = None,
    projection: Projection = weak_projection,
) -> Int[Tensor, " b"]:
    """The iterate to keep of each person: the least `guard_scores`, the earliest among equals; the
    first of all if the last is in doubt and the least score is not `doubt_gain` below the first's.

    ValueError when all iterates of a person hold numbers that are not finite.
    """
    config = config or GuardConfig()
    scores, off = guard_scores(body, iterates, keypoints_2d, fitted, config, prior, projection)
    least = scores.min(-1)
    lost = torch.isinf(least.values)
    if bool(lost.any()):
        raise ValueError(f"expected a finite iterate for each person, {int(lost.sum())} have none")
    in_doubt = off[:, -1] > config.doubt_share
    small = scores[:, 0] - least.values < config.doubt_gain
    return torch.where(in_doubt & small, 0, least.indices)
