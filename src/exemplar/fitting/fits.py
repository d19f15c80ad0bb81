"""What every recipe returns: iterates, and whether to believe them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar import objectives
from exemplar.bodies import Body
from exemplar.fitting.projections import Projection
from exemplar.fitting.trace import Iterate, Trace, pick
from exemplar.geometry.products import enough_rows
from exemplar.regressors.prediction import Prediction
from exemplar.regressors.shaped import as_they_are
from exemplar.results import BAD_INPUT, DIVERGED, NOTHING_TO_FIT, OK, REJECTED

FEWEST_KEYPOINTS = 2
"""One point fixes no body: with fewer fitted keypoints there is nothing to fit."""


@dataclass(frozen=True)
class Acceptance:
    """When a fit is believed; the defaults are EFT's paper's (appendix A)."""

    largest_beta: float = 5.0
    """A fit with a larger |beta| is rejected."""
    largest_loss: float = 0.01
    """A fit with a larger mean over all 49 x 2 of weight times squared error is rejected, crop
    units squared."""

    def reason(self, largest_beta: float, loss: float) -> str:
        """Why a fit with these numbers is rejected, or ""."""
        if largest_beta > self.largest_beta:
            return f"shape: largest |beta| {largest_beta:.2f} > {self.largest_beta:g}"
        if not loss <= self.largest_loss:
            return f"2D error: loss {loss:.2g} > {self.largest_loss:g}"
        return ""

    @classmethod
    def released(cls) -> "Acceptance":
        """What made the published EFT annotations."""
        return cls(largest_beta=3.0, largest_loss=5e-4)


PAPER_ACCEPTANCE = Acceptance()
"""Every recipe's default."""


@dataclass(frozen=True)
class Fits:
    """Fitted people, each in the frame of its own (turned) crop."""

    trace: Trace
    """Their iterates."""
    made: Int[Tensor, " b"]
    """Updates that were made: more than `trace.updates` where the guard chose an earlier one."""
    fitted: Float[Tensor, "b 49"]
    """Weight of each of the 49 joints in the 2D term; 0 for those not fitted."""
    loss_2d: Float[Tensor, " b"]
    """Mean over all 49 x 2 of weight times squared error of the result, crop units squared."""
    status: tuple[str, ...]
    """`results.OK`, or what was wrong."""

    @property
    def before(self) -> Iterate:
        """Where the fits started."""
        return self.trace.before

    @property
    def after(self) -> Iterate:
        """The fits."""
        return self.trace.after

    def cpu(self) -> "Fits":
        """The fits on the CPU."""
        trace = self.trace
        moved = pick(trace.iterates, Tensor.cpu), trace.updates.cpu(), trace.diverged.cpu()
        numbers = self.made.cpu(), self.fitted.cpu(), self.loss_2d.cpu()
        return Fits(Trace(*moved), *numbers, self.status)


def too_few(weights: Float[Tensor, "b 49"]) -> Bool[Tensor, " b"]:
    """Whom there is nothing to fit to."""
    return (weights > 0).sum(1) < FEWEST_KEYPOINTS


def judged(
    trace: Trace,
    body: Body,
    keypoints_2d: Float[Tensor, "b 49 3"],
    weights: Float[Tensor, "b 49"],
    projection: Projection,
    broken: Bool[Tensor, " b"],
    acceptance: Acceptance,
    made: Int[Tensor, " b"] | None = None,
    standardised: Callable[[Tensor], Tensor] = as_they_are,
) -> Fits:
    """The fits with their statuses; `made` are the updates, if not those of the trace. A shape is
    extreme by its `standardised` betas."""
    prediction = trace.after.prediction
    count = len(weights)
    rows = enough_rows(count).to(weights.device)
    with torch.no_grad():
        end = Prediction(*(x[rows] for x in vars(prediction).values()))
        joints = body.keypoints(end.body_params(), "smpl49")
        projected = projection(joints, end.camera, rows)
        loss = objectives.keypoints_2d(projected, keypoints_2d[rows, :, :2], weights[rows])[:count]
    poor = standardised(prediction.betas).abs().amax(1) > acceptance.largest_beta
    poor = poor | ~(loss <= acceptance.largest_loss)
    status = [OK] * count
    # the later, the graver
    for mask, name in (
        (poor, REJECTED),
        (too_few(weights), NOTHING_TO_FIT),
        (trace.diverged, DIVERGED),
        (broken, BAD_INPUT),
    ):
        for row in mask.nonzero()[:, 0].tolist():
            status[row] = name
    return Fits(trace, trace.updates if made is None else made, weights, loss, tuple(status))
