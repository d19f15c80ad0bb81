"""Several cameras' views of one body as one exemplar: one copy of the weights, one body in a world.

Every view has its own crop, keypoints and camera. The network, with weights that the views share,
predicts a body from each crop; the camera's known rotation brings it to the world, where all are
averaged to one body (`one_body`). That body, put where the keypoints of all views ask for it, is
seen by each view's perspective camera. So the views must agree to be right: EFT's Eq. 3 with one
body in all views, and its Eq. 4 where triangulated joints are known.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar import objectives
from exemplar.bodies import Body, BodyParams
from exemplar.fitting.exemplar import LOWER_LEGS, EftConfig, fitted_weights
from exemplar.fitting.inputs import checked
from exemplar.fitting.memory import minimise_in_memory
from exemplar.fitting.stages import Objective, Stage
from exemplar.fitting.trace import Evaluation, Trace
from exemplar.fitting.updates import Adam
from exemplar.fitting.weights import RegressorWeights, moving_names
from exemplar.geometry.crops import crop_to_image, image_to_crop
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.checkpoints import RegressorInfo
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import OPENPOSE_25


@dataclass(frozen=True)
class Views:
    """People at moments, each seen by V cameras: rows are views, V successive ones of one body."""

    batch: Batch
    """Crops and keypoints, the lens' distortion taken out of the latter. `joints_3d`, in the
    world's frame and metres, are triangulated joints; the same for all views of a body."""
    count: int
    """V."""
    crop_to_world: Float[Tensor, "b 3 3"]
    """From the turned crop's frame to the world's axes."""
    rotation: Float[Tensor, "b 3 3"]
    """World to camera."""
    translation: Float[Tensor, "b 3"]
    """World to camera, metres."""
    intrinsics: Float[Tensor, "b 3 3"]
    """Px."""

    @property
    def bodies(self) -> int:
        """How many bodies there are."""
        return len(self.batch) // self.count


_OF_VIEWS = EftConfig(ignored=(), robust_px=30.0, stop_px=None, iterations=40)


@dataclass(frozen=True)
class ViewsConfig:
    """Settings of a fit of several views."""

    eft: EftConfig = _OF_VIEWS
    """The step, the terms that views have alone, and when to stop. Keypoints that the views
    contradict have weight 0 already; `robust_px` is for the rest."""
    joints_sigma: float = 0.15
    """Where the Geman-McClure error of a triangulated joint levels off, metres: two views that are
    wrong in the same way do not rule the fit."""
    agreement_weight: float = 1.0
    """Weight of the mean squared distance of each view's own joints from the one body's, m^2."""

    @classmethod
    def of(cls, info: RegressorInfo) -> "ViewsConfig":
        """The settings for a regressor: what it moves, and ten times its step, as keypoints that
        several views agree on can be believed more closely (`benchmarks.views`)."""
        adapt, step = info.shared()
        eft = replace(cls().eft, learning_rate=10 * step, adapt=adapt)
        return cls(eft=eft)


@dataclass(frozen=True)
class ViewsFit:
    """Bodies in the world's frame, G of them."""

    params: BodyParams
    """Metres; with translations."""
    error_px: Float[Tensor, "g v"]
    """Mean 2D error of the body in each view, px of a 224 crop."""
    updates: Int[Tensor, " g"]
    """Updates behind the bodies."""
    trace: Trace
    """Of the views."""


def fit_views(
    regressor: nn.Module,
    body: Body,
    views: Views,
    config: ViewsConfig,
    *,
    betas: Float[Tensor, "g shapes"] | None = None,
    workers: int | None = None,
    history: bool = False,
) -> ViewsFit:
    """Fit bodies to all their views, each with one copy of the weights (EFT with groups).

    With `betas` the bodies' shapes are given. The regressor is left as it was.
    """
    batch, broken = checked(views.batch)
    views = replace(views, batch=batch)
    eft = config.eft
    moving = moving_names(regressor, eft.adapt)
    unknowns = RegressorWeights(regressor, batch.image, batch.box, moving)
    objective = views_objective(body, views, config, betas)

    def stop(now: Evaluation, before: Evaluation | None) -> Tensor:
        return now.error_px < (0.0 if eft.stop_px is None else eft.stop_px)

    trace = minimise_in_memory(
        unknowns,
        [Stage(objective, Adam(eft.learning_rate), eft.iterations, stop=stop)],
        skip=broken,
        group_size=views.count,
        chunk_size=None if batch.image.device.type == "cuda" else views.count,
        workers=workers,
        history=history,
    )
    rows = torch.arange(len(batch), device=batch.image.device)
    with torch.no_grad():
        params = placed_body(body, trace.after.prediction, views, rows, betas)
    error_px = trace.after.evaluation.error_px.unflatten(0, (-1, views.count))
    return ViewsFit(params, error_px, trace.updates[:: views.count], trace)


def views_objective(
    body: Body, views: Views, config: ViewsConfig, betas: Float[Tensor, "g shapes"] | None = None
) -> Objective:
    """What each view says of the one body, and how far its own is from that."""
    eft, batch, count = config.eft, views.batch, views.count
    available = body.available("smpl49")
    weights = fitted_weights(batch.keypoints_2d[..., 2], available, eft)
    tail = available[len(OPENPOSE_25) :]

    def evaluate(prediction: Prediction, rows: Tensor) -> Evaluation:
        target, confidence = batch.keypoints_2d[rows, :, :2], batch.keypoints_2d[rows, :, 2]
        one = placed_body(body, prediction, views, rows, betas)
        joints = body.keypoints(one, "smpl49").repeat_interleave(count, 0)
        seen = projected(joints, views, rows)
        own = body.keypoints(_in_world(prediction, views, rows), "smpl49")
        terms = {
            "keypoints_2d": eft.keypoints_weight
            * objectives.bounded_keypoints_2d(
                seen, target, weights[rows], sigma_px=eft.robust_px or 1e3
            ),
            "shape": eft.shape_weight * objectives.shape_prior(prediction.betas),
            "lower_legs": eft.leg_weight
            * objectives.lower_leg_orientation(seen, target, confidence * available, LOWER_LEGS),
            "agreement": config.agreement_weight * _apart(own, joints, available),
        }
        if batch.joints_3d is not None:
            known = batch.joints_3d[rows]
            terms["joints_3d"] = eft.joints_weight * objectives.bounded_keypoints_3d(
                joints[:, len(OPENPOSE_25) :],
                known[..., :3],
                known[..., 3] * tail,
                sigma=config.joints_sigma,
            )
        terms = {name: eft.overall_weight * term for name, term in terms.items()}
        total = torch.stack(list(terms.values())).sum(0)
        return Evaluation(total, objectives.mean_error_px(seen, target, weights[rows]), terms)

    return evaluate


def placed_body(
    body: Body,
    prediction: Prediction,
    views: Views,
    rows: Int[Tensor, " b"],
    betas: Float[Tensor, "g shapes"] | None = None,
) -> BodyParams:
    """The one body of each group's views, where their keypoints ask for it."""
    one = one_body(_in_world(prediction, views, rows), views.count)
    if betas is not None:
        one = replace(one, betas=betas[rows[:: views.count] // views.count])
    joints = body.keypoints(one, "smpl49")
    return replace(one, transl=world_translation(joints, views, rows, body.available("smpl49")))


def one_body(each: BodyParams, count: int) -> BodyParams:
    """The mean of each `count` successive bodies: rotations by their mean 6D forms."""

    def mean_turn(rotmats: Tensor) -> Tensor:
        mean = rotmat_to_rot6d(rotmats).unflatten(0, (-1, count)).mean(1)
        return rot6d_to_rotmat(mean)

    return BodyParams(
        mean_turn(each.global_orient),
        mean_turn(each.body_pose),
        each.betas.unflatten(0, (-1, count)).mean(1),
    )


def projected(
    points: Float[Tensor, "b n 3"], views: Views, rows: Int[Tensor, " b"]
) -> Float[Tensor, "b n 2"]:
    """World points (metres) as each view's camera sees them, in units of its crop."""
    local = torch.einsum("bij,bnj->bni", views.rotation[rows], points)
    local = local + views.translation[rows][:, None]
    flat = torch.einsum("bij,bnj->bni", views.intrinsics[rows], local)
    # whoever is behind a camera is far off, but finite
    return image_to_crop(flat[..., :2] / flat[..., 2:].clamp_min(0.1), views.batch.box[rows])


def world_translation(
    joints: Float[Tensor, "g n 3"],
    views: Views,
    rows: Int[Tensor, " b"],
    available: Float[Tensor, " n"],
) -> Float[Tensor, "g 3"]:
    """Where bodies must be (metres) for joints about their origins to lie nearest to the rays.

    Least squares of the distances to the rays over the distances from the cameras, which a first
    solution tells.
    """
    count, box = views.count, views.batch.box[rows]
    turn, shift = views.rotation[rows], views.translation[rows]
    points = views.batch.keypoints_2d[rows]
    px = crop_to_image(points[..., :2], box)
    flat = torch.cat((px, torch.ones_like(px[..., :1])), dim=-1)
    rays = torch.einsum("bij,bnj->bni", torch.linalg.inv(views.intrinsics[rows]), flat)
    rays = torch.einsum("bji,bnj->bni", turn, nn.functional.normalize(rays, dim=-1))
    apart = torch.eye(3).to(rays) - rays[..., :, None] * rays[..., None, :]
    centres = -torch.einsum("bji,bj->bi", turn, shift)
    gaps = centres[:, None] - joints.repeat_interleave(count, 0)
    weights = points[..., 2] * available
    away = torch.ones_like(weights)
    found = torch.zeros_like(joints[:, 0])
    for _ in range(2):
        scaled = (weights / away.square())[..., None, None] * apart
        normal = scaled.sum(1).unflatten(0, (-1, count)).sum(1)
        moment = torch.einsum("bnij,bnj->bi", scaled, gaps).unflatten(0, (-1, count)).sum(1)
        ridge = 1e-6 * torch.eye(3).to(normal)
        found = torch.linalg.solve(normal + ridge, moment[..., None])[..., 0]
        away = (found.detach().repeat_interleave(count, 0)[:, None] - gaps.detach()).norm(dim=-1)
        away = away.clamp_min(0.1)
    return found


def _in_world(prediction: Prediction, views: Views, rows: Tensor) -> BodyParams:
    """Each view's own body, turned to the world's axes."""
    return BodyParams(
        views.crop_to_world[rows] @ prediction.global_orient,
        prediction.body_pose,
        prediction.betas,
    )


def _apart(own: Tensor, joints: Tensor, available: Tensor) -> Tensor:
    """Mean squared distance of two bodies' joints about their means, m^2."""
    share = (available / available.sum())[:, None]
    own, joints = (x - (share * x).sum(1, keepdim=True) for x in (own, joints))
    return (share * (own - joints).square()).sum((1, 2))
