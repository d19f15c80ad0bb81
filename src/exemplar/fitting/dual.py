"""Exemplar optimisation with dual networks, at test time: the second paper's section 3.5.

An auxiliary network's body stands in for the truth, so that the fit minimises the loss that the
main network was trained with.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar import objectives
from exemplar.bodies import Body
from exemplar.fitting.fits import PAPER_ACCEPTANCE, Acceptance, Fits, judged, too_few
from exemplar.fitting.inputs import checked
from exemplar.fitting.memory import minimise_in_memory
from exemplar.fitting.projections import Projection, projection_of
from exemplar.fitting.stages import Objective, Progress, Stage, Stop
from exemplar.fitting.trace import Evaluation
from exemplar.fitting.updates import Adam, Sgd
from exemplar.fitting.weights import (
    Adapt,
    Precision,
    RegressorWeights,
    moving_names,
    predict_in_blocks,
)
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import OPENPOSE_25


@dataclass(frozen=True)
class DualConfig:
    """Settings; the defaults are the paper's."""

    learning_rate: float = 1e-5
    """Step of gradient descent on the full loss (paper, section 3.6)."""
    iterations: int = 14
    """Most such steps (paper, section 3.5)."""
    adapt: Adapt = "all"
    """Which weights these steps move."""
    adam_rate: float = 1e-5
    """Step of Adam afterwards, on the 2D term alone."""
    adam_iterations: int = 0
    """Most steps of Adam, on all weights with batch norm's; not in the paper."""
    stop_change: float | None = 2e-5
    """Stop when the loss of the last stage changes by less between two iterates."""
    stop_after_update: bool = False
    """Whether the update of the iterate that stops is still made."""
    keypoints: Literal["annotated", "openpose"] = "annotated"
    """Which of the 49 keypoints are fitted: the 24 annotated ones, or OpenPose's 25."""
    keypoints_weight: float = 5.0
    """Weight of the 2D term (paper, section 3.6)."""
    joints_weight: float = 5.0
    """Weight of the 3D joint term."""
    vertices_weight: float = 0.5
    """Weight of the vertex term."""
    vertex_norm: Literal["l1", "l2"] = "l2"
    """Mean absolute or mean squared vertex distance."""
    pose_weight: float = 1.0
    """Weight of the rotation matrices' term."""
    shape_weight: float = 1e-3
    """Weight of the shape term."""
    camera_weight: float = 0.0
    """Weight of exp(-10 s)^2."""
    acceptance: Acceptance = PAPER_ACCEPTANCE
    """When a fit is believed."""

    def __post_init__(self) -> None:
        if min(self.iterations, self.adam_iterations) < 0:
            raise ValueError(
                f"iterations must be 0 or more, got {self.iterations} and {self.adam_iterations}"
            )
        if not min(self.learning_rate, self.adam_rate) > 0:
            raise ValueError(
                f"step sizes must be positive, got {self.learning_rate} and {self.adam_rate}"
            )

    @classmethod
    def paper(cls) -> "DualConfig":
        """As printed: up to 14 steps of Eq. 6."""
        return cls()

    @classmethod
    def released(cls) -> "DualConfig":
        """As the authors' program does it: one step of Eq. 6 on the head, then 14 of Adam."""
        return cls(
            iterations=1,
            adapt="head",
            adam_iterations=14,
            stop_after_update=True,
            vertex_norm="l1",
            camera_weight=1.0,
        )


@dataclass(frozen=True)
class DualTarget:
    """What the loss compares with, for the exemplars of a batch."""

    keypoints_2d: Float[Tensor, "b 49 2"]
    """Crop units."""
    weights: Float[Tensor, "b 49"]
    """Weights of the 2D term."""
    body: Prediction
    """The auxiliary network's answers."""
    joints: Float[Tensor, "b 24 3"]
    """Their annotated joints, metres."""
    vertices: Float[Tensor, "b v 3"]
    """Their vertices, metres."""


def fit_dual(
    regressor: nn.Module,
    auxiliary: nn.Module,
    body: Body,
    batch: Batch,
    config: DualConfig,
    *,
    history: bool = False,
    group_size: int = 1,
    chunk_size: int | None = None,
    workers: int | None = None,
    precision: Precision = "float32",
    progress: Progress = lambda rows, step, evaluation: None,
) -> Fits:
    """Fit people with their auxiliary bodies (dual networks, Eq. 6), each with its own weights.

    Neither network is changed. The other arguments, the statuses and the care for broken input are
    those of `fit_exemplars`.
    """
    batch, broken = checked(batch)
    weights = keypoint_weights(batch, body, config)
    pseudo = predict_in_blocks(auxiliary, batch.image, batch.box)
    stages = dual_stages(regressor, body, batch, weights, pseudo, config)
    moves = moving_names(regressor, config.adapt)
    if config.adam_iterations:
        moves = moves | moving_names(regressor, "all", norms=True)
    unknowns = RegressorWeights(regressor, batch.image, batch.box, moves, precision=precision)
    trace = minimise_in_memory(
        unknowns,
        stages,
        skip=broken | too_few(weights),
        group_size=group_size,
        chunk_size=chunk_size,
        workers=workers,
        history=history,
        progress=progress,
    )
    projection = projection_of(regressor, batch.box)
    return judged(trace, body, batch.keypoints_2d, weights, projection, broken, config.acceptance)


def keypoint_weights(batch: Batch, body: Body, config: DualConfig) -> Float[Tensor, "b 49"]:
    """Confidences of the block of keypoints that is fitted, 0 for the other."""
    split = len(OPENPOSE_25)
    weights = batch.keypoints_2d[..., 2] * body.available("smpl49")
    if config.keypoints == "annotated":
        weights[:, :split] = 0.0
    else:
        weights[:, split:] = 0.0
    return weights


def dual_stages(
    regressor: nn.Module,
    body: Body,
    batch: Batch,
    weights: Tensor,
    pseudo: Prediction,
    config: DualConfig,
) -> list[Stage]:
    """The stages of a fit to these auxiliary bodies (`pseudo`)."""
    with torch.no_grad():
        params = pseudo.body_params()
        joints = body.keypoints(params, "smpl49")[:, len(OPENPOSE_25) :]
        vertices = body(params).vertices
    target = DualTarget(batch.keypoints_2d[..., :2], weights, pseudo, joints, vertices)
    projection = projection_of(regressor, batch.box)
    aspect = getattr(regressor, "resolution", 1) / getattr(regressor, "width", 1)
    full = dual_objective(body, target, config, projection, aspect)
    flat = dual_objective(body, target, config, projection, aspect, only_2d=True)
    head = moving_names(regressor, config.adapt)
    ends = {"stop": _stop(config), "stop_after_update": config.stop_after_update}
    first = Stage(full, Sgd(config.learning_rate), config.iterations, lambda name: name in head)
    if not config.adam_iterations:
        return [replace(first, **ends)]
    return [first, Stage(flat, Adam(config.adam_rate), config.adam_iterations, **ends)]


def dual_objective(
    body: Body,
    target: DualTarget,
    config: DualConfig,
    projection: Projection,
    aspect: float,
    *,
    only_2d: bool = False,
) -> Objective:
    """L_expl (dual networks, Eq. 7-8, with the auxiliary body), or its 2D term alone.

    `aspect` is the crop's height over its width: the programs' 2D errors are in units of each.
    """

    def evaluate(prediction: Prediction, rows: Tensor) -> Evaluation:
        params = prediction.body_params()
        joints = body.keypoints(params, "smpl49")
        projected = projection(joints, prediction.camera, rows)
        points, weights = target.keypoints_2d[rows], target.weights[rows]
        unit = points.new_tensor([aspect, 1.0])
        flat = objectives.keypoints_2d(projected * unit, points * unit, weights)
        error = objectives.mean_error_px(projected, points, weights)
        if only_2d:
            return Evaluation(flat, error, {"keypoints_2d": flat})
        annotated = joints[:, len(OPENPOSE_25) :]
        known = body.available("smpl49")[len(OPENPOSE_25) :].expand(len(rows), -1)
        distance = objectives.vertices_l1 if config.vertex_norm == "l1" else objectives.vertices_l2
        rotmats, pseudo = (_rotmats(p) for p in (prediction, target.body))
        terms = {
            "vertices": config.vertices_weight
            * distance(body(params).vertices, target.vertices[rows]),
            "keypoints_2d": config.keypoints_weight * flat,
            "joints_3d": config.joints_weight
            * objectives.keypoints_3d_on_hips(annotated, target.joints[rows], known),
            "pose": config.pose_weight * objectives.rotations(rotmats, pseudo[rows]),
            "betas": config.shape_weight
            * objectives.betas(prediction.betas, target.body.betas[rows]),
            "camera": config.camera_weight * objectives.camera_scale_prior(prediction.camera),
        }
        return Evaluation(torch.stack(list(terms.values())).sum(0), error, terms)

    return evaluate


def _rotmats(prediction: Prediction) -> Float[Tensor, "b 24 3 3"]:
    return torch.cat((prediction.global_orient[:, None], prediction.body_pose), dim=1)


def _stop(config: DualConfig) -> Stop | None:
    change = config.stop_change
    if change is None:
        return None

    def stop(now: Evaluation, before: Evaluation | None) -> Tensor:
        if before is None:
            return torch.zeros_like(now.loss, dtype=torch.bool)
        return (now.loss - before.loss).abs() < change

    return stop
