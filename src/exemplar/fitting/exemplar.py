"""Exemplar Fine-Tuning (EFT): fit people by fine-tuning a regressor's weights on each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from exemplar import objectives
from exemplar.bodies import Body
from exemplar.fitting.fits import PAPER_ACCEPTANCE, Acceptance, Fits, judged, too_few
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.fitting.inputs import checked
from exemplar.fitting.memory import minimise_in_memory
from exemplar.fitting.projections import Projection, projection_of, weak_projection
from exemplar.fitting.stages import Objective, Progress, Stage, Stop, unheard
from exemplar.fitting.trace import Evaluation, Trace, ended_at, ends
from exemplar.fitting.updates import Adam
from exemplar.fitting.weights import (
    Adapt,
    Convolutions,
    Inputs,
    Precision,
    RegressorWeights,
    moving_names,
)
from exemplar.objectives import JointsAbout
from exemplar.priors import load_pose_prior
from exemplar.regressors.prediction import Prediction, network_for
from exemplar.regressors.shaped import as_they_are, standardised_by
from exemplar.samples import Batch
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49

LOWER_LEGS = tuple(
    (SMPL_49.index(f"{side}_knee"), SMPL_49.index(f"{side}_ankle")) for side in ("left", "right")
)
"""(knee, ankle) rows of the 49 joints."""

_JOINT_TERMS: Mapping[JointsAbout, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "nose": objectives.keypoints_3d_on_nose,
    "mean": objectives.keypoints_3d_on_mean,
}
"""L3D by what the joints are compared about."""


@dataclass(frozen=True)
class EftConfig:
    """EFT's settings; the defaults are `paper()` with the released program's camera term."""

    learning_rate: float = 1e-6
    """Adam's step size (paper, section 4)."""
    adapt: Adapt = "all"
    """Which weights move: all (the paper), or see `weights.Adapt`."""
    iterations: int = 20
    """Most weight updates (paper, appendix A)."""
    stop_px: float | None = 2.0
    """Stop when the mean 2D error falls below this, px of a 224 crop (paper, section 4)."""
    stop_loss: float | None = None
    """Stop when the unweighted 2D term falls below this (the released program's test)."""
    keypoints_weight: float = 5.0
    """Weight of the 2D keypoint term."""
    joints_weight: float = 5.0
    """Weight of the 3D term (Eq. 4), for batches with 3D joints."""
    joints_about: JointsAbout = "nose"
    """What its joints are compared about: the nose, which must be known (the papers), or the mean
    of all, weighted by confidence: for a teacher's, whose nose errs as all the others."""
    shape_weight: float = 1e-3
    """Weight of the mean squared beta."""
    camera_weight: float = 1.0
    """Weight of exp(-10 s)^2, which keeps the camera's scale positive."""
    leg_weight: float = 5e-3
    """Weight of the lower-leg orientation term."""
    overall_weight: float = 60.0
    """Factor on the whole objective; Adam feels it only through its eps."""
    ignored: tuple[str, ...] = ("left_hip", "right_hip", "pelvis", "left_ankle", "right_ankle")
    """Joints left out of the 2D term: noisy in annotations (paper, section 4 and appendix A)."""
    robust_px: float | None = None
    """Outliers do not rule the fit: where the Geman-McClure error of a keypoint levels off, px of
    a 224 crop. None is the papers' mean squared error. A trade: on 15 validation people
    (`benchmarks/results/robustness_validation.json`) 80 px changes PA-MPJPE by -8.7 mm with a fifth
    of the keypoints thrown anywhere and by +2.0 with exact ones, 30 px by -12.1 and +6.5.
    Acceptance and the guard look at the plain 2D error all the same."""
    acceptance: Acceptance = PAPER_ACCEPTANCE
    """When a fit is believed."""

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"iterations must be 0 or more, got {self.iterations}")
        if not self.learning_rate > 0:
            raise ValueError(f"the learning rate must be positive, got {self.learning_rate}")
        if not 0 <= self.joints_weight < float("inf"):
            raise ValueError(f"joints_weight must be 0 or more, got {self.joints_weight}")
        if self.stop_px is not None and not 0 <= self.stop_px < float("inf"):
            raise ValueError(f"stop_px must be 0 or more, got {self.stop_px}")
        if self.robust_px is not None and not 0 < self.robust_px < float("inf"):
            raise ValueError(f"robust_px must be positive, got {self.robust_px}")

    @classmethod
    def paper(cls) -> "EftConfig":
        """As printed in the paper; what it leaves open is the released program's."""
        return cls(camera_weight=0.0)

    @classmethod
    def released(cls) -> "EftConfig":
        """As the authors' program does it: its last update is never seen, so 19 count."""
        return cls(
            learning_rate=5e-6,
            iterations=19,
            stop_px=None,
            stop_loss=1e-4,
            acceptance=Acceptance.released(),
        )


def fitted_weights(
    confidence: Float[Tensor, "b 49"], available: Float[Tensor, " 49"], config: EftConfig
) -> Float[Tensor, "b 49"]:
    """Weights of the 2D term: confidences of the 24 annotated joints but the ignored ones.

    OpenPose's block has weight 0, as in EFT's program.
    """
    mask = available.clone()
    mask[: len(OPENPOSE_25)] = 0.0
    for name in config.ignored:
        mask[len(OPENPOSE_25) + GT_24.index(name)] = 0.0
    return confidence * mask


def eft_objective(
    body: Body,
    batch: Batch,
    config: EftConfig,
    projection: Projection = weak_projection,
    standardised: Callable[[Tensor], Tensor] = as_they_are,
) -> Objective:
    """EFT's objective (Eq. 3 with appendix A's lower-leg term; Eq. 4 if there are 3D joints).

    The shape prior is on `standardised` betas.
    """
    available = body.available("smpl49")
    weights = fitted_weights(batch.keypoints_2d[..., 2], available, config)
    in_3d = _JOINT_TERMS[config.joints_about]

    def evaluate(prediction: Prediction, rows: Tensor) -> Evaluation:
        target, confidence = batch.keypoints_2d[rows, :, :2], batch.keypoints_2d[rows, :, 2]
        joints = body.keypoints(prediction.body_params(), "smpl49")
        projected = projection(joints, prediction.camera, rows)
        shins = confidence * available
        if config.robust_px is not None:
            shins = shins * objectives.trust(projected, target, shins, sigma_px=config.robust_px)
        terms = {
            "keypoints_2d": config.keypoints_weight
            * _keypoint_term(projected, target, weights[rows], config.robust_px),
            "shape": config.shape_weight * objectives.shape_prior(standardised(prediction.betas)),
            "camera": config.camera_weight * objectives.camera_scale_prior(prediction.camera),
            "lower_legs": config.leg_weight
            * objectives.lower_leg_orientation(projected, target, shins, LOWER_LEGS),
        }
        if batch.joints_3d is not None:
            truth = batch.joints_3d[rows]
            terms["joints_3d"] = config.joints_weight * in_3d(
                joints[:, len(OPENPOSE_25) :],
                truth[..., :3],
                truth[..., -1] * available[len(OPENPOSE_25) :],
            )
        terms = {name: config.overall_weight * term for name, term in terms.items()}
        total = torch.stack(list(terms.values())).sum(0)
        return Evaluation(total, objectives.mean_error_px(projected, target, weights[rows]), terms)

    return evaluate


def _keypoint_term(
    projected: Tensor, target: Tensor, weights: Tensor, robust_px: float | None
) -> Tensor:
    if robust_px is None:
        return objectives.keypoints_2d(projected, target, weights)
    return objectives.bounded_keypoints_2d(projected, target, weights, sigma_px=robust_px)


def fit_exemplars(
    regressor: nn.Module,
    body: Body,
    batch: Batch,
    config: EftConfig,
    *,
    guard: bool | GuardConfig = False,
    history: bool = False,
    group_size: int = 1,
    chunk_size: int | None = None,
    workers: int | None = None,
    precision: Precision = "float32",
    convolutions: Convolutions = "grouped",
    frozen: Inputs | None = None,
    progress: Progress = unheard,
) -> Fits:
    """Fit a batch of people, each with its own copy of the weights (EFT, Eq. 3).

    The regressor is left as it was. With a `guard` the result is the iterate that it judges best,
    instead of the last. `history`, `group_size`, `chunk_size` and `workers` are
    `minimise`'s; by default a CPU takes one exemplar a thread, and a GPU as many at once as its
    free memory holds, up to `MOST_ON_GPU`. `precision` and `convolutions` are those of
    `RegressorWeights`; `frozen` is what `weights.frozen_outputs` made of the crops, if it is known.
    People with broken input or without keypoints get a status and the regressor's answer; they do
    not disturb the others.
    """
    job = _job(regressor, body, batch, config, guard, history, precision, convolutions, frozen)
    trace = minimise_in_memory(
        job.unknowns,
        [job.stage],
        skip=job.skip,
        group_size=group_size,
        chunk_size=chunk_size,
        workers=workers,
        history=history or guard is not False,
        progress=progress,
    )
    return job.fits(torch.arange(len(batch), device=batch.image.device), trace)


FitsFinished = Callable[[Int[Tensor, " b"], Fits], None]
"""Called with exemplars (rows of the batch) and their fits."""


def stream_exemplars(
    regressor: nn.Module,
    body: Body,
    batch: Batch,
    config: EftConfig,
    finished: FitsFinished,
    *,
    guard: bool | GuardConfig = False,
    chunk_size: int | None = None,
    workers: int | None = None,
    precision: Precision = "float32",
    convolutions: Convolutions = "grouped",
    frozen: Inputs | None = None,
) -> None:
    """`fit_exemplars` for long jobs: each fit is handed to `finished` as soon as it is done.

    In chunks of several exemplars the place of one that stops early is taken by the next. Calls of
    `finished` come in any order and, from several `workers`, from their threads.
    """
    job = _job(regressor, body, batch, config, guard, False, precision, convolutions, frozen)
    minimise_in_memory(
        job.unknowns,
        [job.stage],
        skip=job.skip,
        group_size=1,
        chunk_size=chunk_size,
        workers=workers,
        history=guard is not False,
        refill=batch.image.device.type == "cuda" or (chunk_size or 1) > 1,
        finished=lambda rows, trace: finished(rows, job.fits(rows, trace)),
    )


@dataclass(frozen=True)
class _Job:
    """A batch made ready for the loop."""

    unknowns: RegressorWeights
    stage: Stage
    skip: Bool[Tensor, " b"]
    fits: Callable[[Int[Tensor, " b"], Trace], Fits]
    """What became of some exemplars."""


def _job(
    regressor: nn.Module,
    body: Body,
    batch: Batch,
    config: EftConfig,
    guard: bool | GuardConfig,
    history: bool,
    precision: Precision,
    convolutions: Convolutions,
    frozen: Inputs | None = None,
) -> _Job:
    batch, broken = checked(batch)
    regressor = network_for(regressor, batch.box)
    points = batch.keypoints_2d
    weights = fitted_weights(points[..., 2], body.available("smpl49"), config)
    moving = moving_names(regressor, config.adapt)
    unknowns = RegressorWeights(
        regressor,
        batch.image if frozen is None else frozen,
        batch.box,
        moving,
        precision=precision,
        convolutions=convolutions,
        prepared=frozen is not None,
    )
    standardised = standardised_by(regressor)
    projection = projection_of(regressor, batch.box)
    objective = eft_objective(body, batch, config, projection, standardised)
    stage = Stage(objective, Adam(config.learning_rate), config.iterations, stop=eft_stop(config))
    prior = None if guard is False else load_pose_prior()
    settings = GuardConfig() if isinstance(guard, bool) else guard

    def fits(rows: Tensor, trace: Trace) -> Fits:
        projection = projection_of(regressor, batch.box[rows])
        made = trace.updates
        if guard is not False:
            found = trace.iterates.prediction
            best = choose(body, found, points[rows], weights[rows], settings, prior, projection)
            trace = ended_at(trace, best)
            trace = trace if history else ends(trace)
        return judged(
            trace,
            body,
            points[rows],
            weights[rows],
            projection,
            broken[rows],
            config.acceptance,
            made,
            standardised,
        )

    return _Job(unknowns, stage, broken | too_few(weights), fits)


def eft_stop(config: EftConfig) -> Stop | None:
    """When a fit with these settings stops early, if it does."""
    if config.stop_px is None and config.stop_loss is None:
        return None
    scale = config.overall_weight * config.keypoints_weight

    def stop(now: Evaluation, before: Evaluation | None) -> Tensor:
        done = torch.zeros_like(now.loss, dtype=torch.bool)
        if config.stop_px is not None:
            done = done | (now.error_px < config.stop_px)
        if config.stop_loss is not None:
            done = done | (now.terms["keypoints_2d"] < config.stop_loss * scale)
        return done

    return stop
