"""Exemplar Fine-Tuning (EFT): fit one person by fine-tuning the regressor's weights on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar import objectives
from exemplar.bodies import Body
from exemplar.fitting.optimiser import Evaluation, Iterate, Trace, minimise
from exemplar.fitting.updates import Adam
from exemplar.geometry.cameras import project_weak
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49

LOWER_LEGS = tuple(
    (SMPL_49.index(f"{side}_knee"), SMPL_49.index(f"{side}_ankle")) for side in ("left", "right")
)
"""(knee, ankle) rows of the 49 joints."""


@dataclass(frozen=True)
class EftConfig:
    """EFT's settings; the defaults are the released program's but for the step and the stop."""

    learning_rate: float = 5e-6
    """Adam's step size. The paper says 1e-6, its program 5e-6; ours is stored with the weights."""
    adapt: Literal["all", "later"] = "all"
    """Which weights move: all (the paper), or those after the regressor's early stages, which then
    run once instead of in every iteration."""
    iterations: int = 20
    """Most weight updates (paper, section 4)."""
    stop_px: float = 2.0
    """Stop when the mean 2D error falls below this, px of a 224 crop (paper, section 4)."""
    keypoints_weight: float = 5.0
    """Weight of the 2D keypoint term."""
    shape_weight: float = 1e-3
    """Weight of the mean squared beta."""
    camera_weight: float = 1.0
    """Weight of exp(-10 s)^2."""
    leg_weight: float = 5e-3
    """Weight of the lower-leg orientation term."""
    overall_weight: float = 60.0
    """Factor on the whole objective; Adam feels it only through its eps."""
    ignored: tuple[str, ...] = ("left_hip", "right_hip", "pelvis", "left_ankle", "right_ankle")
    """Joints left out of the 2D term: noisy in annotations (paper, section 4 and appendix A)."""

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"iterations must be 0 or more, got {self.iterations}")
        if not self.learning_rate > 0:
            raise ValueError(f"the learning rate must be positive, got {self.learning_rate}")


@dataclass(frozen=True)
class ExemplarFit:
    """A fitted person, in the frame of its turned crop."""

    trace: Trace
    """All iterates, the regressor's own answer first."""
    fitted: Float[Tensor, " 49"]
    """Weight of each of the 49 joints in the 2D term; 0 for those not fitted."""

    @property
    def before(self) -> Iterate:
        """The regressor's own answer."""
        return self.trace.iterates[0]

    @property
    def after(self) -> Iterate:
        """The fit."""
        return self.trace.iterates[-1]


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
    body: Body, batch: Batch, config: EftConfig
) -> Callable[[Prediction], Evaluation]:
    """EFT's objective (Eq. 3 with appendix A's lower-leg term) for these exemplars."""
    target, confidence = batch.keypoints_2d[..., :2], batch.keypoints_2d[..., 2]
    weights = fitted_weights(confidence, body.available("smpl49"), config)

    def evaluate(prediction: Prediction) -> Evaluation:
        joints = body.keypoints(prediction.body_params(), "smpl49")
        projected = project_weak(joints, prediction.camera)
        terms = {
            "keypoints_2d": config.keypoints_weight
            * objectives.keypoints_2d(projected, target, weights),
            "shape": config.shape_weight * objectives.shape_prior(prediction.betas),
            "camera": config.camera_weight * objectives.camera_scale_prior(prediction.camera),
            "lower_legs": config.leg_weight
            * objectives.lower_leg_orientation(projected, target, confidence, LOWER_LEGS),
        }
        terms = {name: config.overall_weight * term for name, term in terms.items()}
        total = torch.stack(list(terms.values())).sum(0)
        return Evaluation(total, objectives.mean_error_px(projected, target, weights), terms)

    return evaluate


def fit_exemplar(
    regressor: nn.Module,
    body: Body,
    batch: Batch,
    config: EftConfig,
    *,
    progress: Callable[[int, Evaluation], None] = lambda step, evaluation: None,
) -> ExemplarFit:
    """Fit one person: `batch` holds a single exemplar. The regressor is left as it was.

    Raises ValueError when the batch is not one exemplar, when its regressor's own answer is not
    finite, and when the later weights are asked for of a regressor that cannot be split.
    """
    if len(batch) != 1:
        raise ValueError(f"expected a batch of one exemplar, got {len(batch)}")
    module, inputs = regressor, batch.image
    if config.adapt == "later":
        module, inputs = later_part(regressor, batch.image)
    trace = minimise(
        module,
        inputs,
        batch.box,
        eft_objective(body, batch, config),
        Adam(config.learning_rate),
        config.iterations,
        stop=lambda evaluation: bool((evaluation.error_px < config.stop_px).all()),
        progress=progress,
    )
    if not trace.iterates:
        raise ValueError("the regressor's answer is not finite")
    weights = fitted_weights(batch.keypoints_2d[..., 2], body.available("smpl49"), config)
    return ExemplarFit(trace, weights[0])


def later_part(
    regressor: nn.Module, image: Float[Tensor, "b 3 side side"]
) -> tuple[nn.Module, Float[Tensor, "b c h w"]]:
    """What follows a regressor's frozen early stages, and what they make of the crops.

    ValueError for a regressor without a method `split`.
    """
    split = getattr(regressor, "split", None)
    if split is None:
        raise ValueError(f"{type(regressor).__name__} has no early stages to split off: adapt all")
    early, late = split()
    with torch.no_grad():
        return late.eval(), early.eval()(image)
