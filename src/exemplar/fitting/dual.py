"""Exemplar optimisation with dual networks, at test time: the second paper's section 3.5.

An auxiliary network's body stands in for the truth, so that the fit minimises the loss that the
main network was trained with.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar import objectives
from exemplar.bodies import Body
from exemplar.fitting.body_loss import BodyLossConfig, BodyTarget, body_terms, pseudo_target
from exemplar.fitting.fits import PAPER_ACCEPTANCE, Acceptance, Fits, judged, too_few
from exemplar.fitting.inputs import checked
from exemplar.fitting.memory import minimise_in_memory
from exemplar.fitting.projections import Projection, aspect_of, projection_of
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
from exemplar.regressors.prediction import Prediction, network_for
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
    loss: BodyLossConfig = field(default_factory=BodyLossConfig)
    """Weights of the terms (paper, section 3.6)."""
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
    def trained(cls) -> "DualConfig":
        """14 steps on the head, of the kind that `exemplar train exemplar` trains networks for."""
        loss = replace(BodyLossConfig.ours(), scale=1.0)
        return cls(learning_rate=2e-4, adapt="head", stop_change=None, loss=loss)

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
            loss=BodyLossConfig(vertex_norm="l1", camera=1.0),
        )


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
    those of `fit_exemplars`. ValueError for networks that take crops of different sizes.
    """
    check_crops(regressor, auxiliary)
    batch, broken = checked(batch)
    regressor = network_for(regressor, batch.box)
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


def check_crops(regressor: nn.Module, auxiliary: nn.Module) -> None:
    """ValueError unless the auxiliary network takes crops of the main one's size."""
    sizes = []
    for network in (regressor, auxiliary):
        height = getattr(network, "resolution", None)
        sizes.append((getattr(network, "width", height), height))
    if sizes[0] != sizes[1] and None not in (*sizes[0], *sizes[1]):
        (width, height), (other, over) = sizes
        raise ValueError(
            f"the auxiliary network takes crops of {other}x{over} px, expected the main one's "
            f"{width}x{height}"
        )


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
    loss = config.loss
    with torch.no_grad():
        params = pseudo.body_params()
        target = pseudo_target(body, params, batch.keypoints_2d[..., :2], weights, loss)
    projection = projection_of(regressor, batch.box)
    aspect = aspect_of(regressor)
    full = dual_objective(body, target, loss, projection, aspect)
    flat = flat_objective(body, target, projection, aspect)
    head = moving_names(regressor, config.adapt)
    ends = {"stop": _stop(config), "stop_after_update": config.stop_after_update}
    first = Stage(full, Sgd(config.learning_rate), config.iterations, lambda name: name in head)
    if not config.adam_iterations:
        return [replace(first, **ends)]
    return [first, Stage(flat, Adam(config.adam_rate), config.adam_iterations, **ends)]


def dual_objective(
    body: Body,
    target: BodyTarget,
    config: BodyLossConfig,
    projection: Projection,
    aspect: float,
) -> Objective:
    """L_expl (dual networks, Eq. 7-8, with the auxiliary body)."""

    def evaluate(prediction: Prediction, rows: Tensor) -> Evaluation:
        wanted = target[rows]
        terms, projected = body_terms(
            body, prediction, wanted, config, projection, rows, aspect=aspect
        )
        error = objectives.mean_error_px(projected.detach(), wanted.keypoints_2d, wanted.weights)
        return Evaluation(torch.stack(list(terms.values())).sum(0), error, terms)

    return evaluate


def flat_objective(
    body: Body, target: BodyTarget, projection: Projection, aspect: float
) -> Objective:
    """The 2D term alone, unweighted: what the released program's Adam minimises."""
    config = BodyLossConfig(keypoints_2d=1.0).only_2d()
    return dual_objective(body, target, config, projection, aspect)


def _stop(config: DualConfig) -> Stop | None:
    change = config.stop_change
    if change is None:
        return None

    def stop(now: Evaluation, before: Evaluation | None) -> Tensor:
        if before is None:
            return torch.zeros_like(now.loss, dtype=torch.bool)
        return (now.loss - before.loss).abs() < change

    return stop
