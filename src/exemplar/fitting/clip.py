"""A clip as an exemplar: successive frames of one person share a copy of the weights (EFT, Eq. 3)
and a term that keeps the body from shaking."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.fitting.exemplar import EftConfig, eft_objective, eft_stop, fitted_weights
from exemplar.fitting.fits import Fits, judged, too_few
from exemplar.fitting.inputs import checked
from exemplar.fitting.optimiser import minimise
from exemplar.fitting.projections import projection_of
from exemplar.fitting.stages import Objective, Stage
from exemplar.fitting.trace import Evaluation
from exemplar.fitting.updates import Adam
from exemplar.fitting.weights import Inputs, RegressorWeights, each_input, moving_names
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import rotation_about_z, rotmat_to_rot6d
from exemplar.regressors.prediction import Prediction
from exemplar.regressors.shaped import standardised_by
from exemplar.samples import Batch


@dataclass(frozen=True)
class ClipConfig:
    """How a clip is fitted."""

    eft: EftConfig = field(default_factory=EftConfig)
    """The fit of each frame."""
    window: int = 32
    """Successive frames that share a copy of the weights; 1 is each frame alone."""
    joints_weight: float = 0.0
    """Weight of the joints' mean squared acceleration, (m/s^2)^2."""
    rotations_weight: float = 0.0
    """Weight of the rotations' mean squared acceleration, 6D numbers per s^2, squared."""


def fit_clip(
    regressor: nn.Module,
    body: Body,
    inputs: Inputs,
    box: Box,
    keypoints_2d: Float[Tensor, "t 49 3"],
    times: Float[Tensor, " t"],
    config: ClipConfig,
) -> Fits:
    """Fit one person's frames (EFT's 2D keypoints in crop units, times in seconds).

    `inputs` are what `weights.frozen_outputs` made of the crops. Frames with broken numbers or
    without keypoints get a status and the regressor's answer.
    """
    first = inputs if isinstance(inputs, Tensor) else inputs[0]
    picture = first.new_zeros(len(first), 3, 1, 1)
    batch, broken = checked(Batch(picture, box, keypoints_2d, None))
    moving = moving_names(regressor, config.eft.adapt)
    inputs = each_input(inputs, lambda x: x.nan_to_num())
    unknowns = RegressorWeights(regressor, inputs, batch.box, moving, prepared=True)
    projection = projection_of(regressor, batch.box)
    weights = fitted_weights(batch.keypoints_2d[..., 2], body.available("smpl49"), config.eft)
    standardised = standardised_by(regressor)
    objective = eft_objective(body, batch, config.eft, projection, standardised)
    if config.joints_weight or config.rotations_weight:
        objective = steadied(objective, body, batch.box, times, config)
    stage = Stage(
        objective,
        Adam(config.eft.learning_rate),
        config.eft.iterations,
        stop=eft_stop(config.eft),
    )
    trace = minimise(
        unknowns,
        len(batch),
        [stage],
        skip=broken | too_few(weights),
        group_size=config.window,
        chunk_size=config.window,
        device=first.device,
    )
    return judged(
        trace,
        body,
        batch.keypoints_2d,
        weights,
        projection,
        broken,
        config.eft.acceptance,
        standardised=standardised,
    )


def steadied(
    objective: Objective, body: Body, box: Box, times: Float[Tensor, " t"], config: ClipConfig
) -> Objective:
    """An objective with the accelerations of joints and rotations added, in each window.

    Both are taken in the unturned image's axes, the joints about the body's origin.
    """
    back = rotation_about_z(box.angle)

    def evaluate(prediction: Prediction, rows: Tensor) -> Evaluation:
        plain = objective(prediction, rows)
        when, window = times[rows], rows // config.window
        level = replace(prediction, global_orient=back[rows] @ prediction.global_orient)
        joints = body.keypoints(level.body_params(), "smpl49")
        known = body.available("smpl49").bool()
        rotmats = torch.cat((level.global_orient[:, None], level.body_pose), 1)
        terms = {
            "joints_acceleration": config.joints_weight
            * mean_square_acceleration(joints[:, known].flatten(1), when, window),
            "rotations_acceleration": config.rotations_weight
            * mean_square_acceleration(rotmat_to_rot6d(rotmats).flatten(1), when, window),
        }
        terms = {name: config.eft.overall_weight * term for name, term in terms.items()}
        total = plain.loss + torch.stack(list(terms.values())).sum(0)
        return Evaluation(total, plain.error_px, {**plain.terms, **terms})

    return evaluate


def mean_square_acceleration(
    values: Float[Tensor, "t n"], times: Float[Tensor, " t"], window: Num[Tensor, " t"]
) -> Float[Tensor, " t"]:
    """Mean squared second derivative of each row, by its neighbours in the same window; 0 where
    one is missing or farther away in time than twice the usual step."""
    if len(values) < 3:
        return values.new_zeros(len(values))
    before, after = times[1:-1] - times[:-2], times[2:] - times[1:-1]
    slope = (values[1:] - values[:-1]) / (times[1:] - times[:-1])[:, None]
    found = (slope[1:] - slope[:-1]) * (2 / (before + after))[:, None]
    together = _neighbours(window, before, after)
    inner = torch.where(together, found.square().mean(1), 0.0)
    return torch.nn.functional.pad(inner, (1, 1))


def _neighbours(window: Tensor, before: Tensor, after: Tensor) -> Bool[Tensor, " inner"]:
    usual = torch.cat((before, after[-1:])).median()
    near = (before < 2 * usual) & (after < 2 * usual)
    return near & (window[:-2] == window[2:])
