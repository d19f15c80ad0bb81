"""What the loop works on: unknowns, objectives, stages, and one look at where they stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from exemplar.fitting.trace import Evaluation, Iterate, Trace, pick
from exemplar.fitting.updates import Params, Update
from exemplar.regressors.prediction import Prediction


@runtime_checkable
class Unknowns(Protocol):
    """What a fit moves."""

    def start(self, rows: Int[Tensor, " b"], groups: int) -> Params:
        """Fresh starting values for these exemplars of the batch, (groups, ...) each."""
        ...

    def predict(self, params: Params, rows: Int[Tensor, " b"]) -> Prediction:
        """Bodies of these exemplars, of which each successive B / groups share a copy."""
        ...


Objective = Callable[[Prediction, Int[Tensor, " b"]], Evaluation]
"""Judges predictions of these exemplars (rows) of the batch."""

Stop = Callable[[Evaluation, Evaluation | None], Bool[Tensor, " groups"]]
"""Whether each group is done, from its mean evaluation now and one update before."""


@dataclass(frozen=True)
class Stage:
    """A stretch of updates."""

    objective: Objective
    """What is minimised."""
    update: Update[Any]
    """How."""
    steps: int
    """Most updates."""
    moves: Callable[[str], bool] = lambda name: True
    """Which unknowns move, by name."""
    stop: Stop | None = None
    """When a group is done early; only the last stage may stop."""
    stop_after_update: bool = False
    """Whether the update of the iterate at which the stop was called is still made."""


Progress = Callable[[Int[Tensor, " b"], int, Evaluation], None]
"""Called with exemplars, the number of updates so far, and what the objective says."""


def unheard(rows: Int[Tensor, " b"], step: int, evaluation: Evaluation) -> None:
    """Progress that nobody wants to hear of."""


Finished = Callable[[Int[Tensor, " b"], Trace], None]
"""Called with exemplars and what became of them, as soon as they are done."""


def evaluate(
    unknowns: Unknowns,
    params: Params,
    moving: Params,
    objective: Objective,
    rows: Tensor,
    groups: int,
    with_graph: bool,
) -> tuple[Iterate, Callable[[], Params]]:
    """The iterate at these parameters, and a function that gives the gradients of `moving`."""
    leaves = {name: value.detach() for name, value in params.items()}
    for name in moving:
        leaves[name].requires_grad_(with_graph)
    with torch.set_grad_enabled(with_graph):
        prediction = unknowns.predict(leaves, rows)
        evaluation = objective(prediction, rows)
        total = group_means(evaluation, groups).loss.sum()

    def slopes() -> Params:
        wanted = [leaves[name] for name in moving]
        found = torch.autograd.grad(total, wanted, materialize_grads=True)
        return dict(zip(moving, found, strict=True))

    detached = pick(Iterate(prediction, evaluation), torch.Tensor.detach)
    return detached, slopes


def group_means(evaluation: Evaluation, groups: int) -> Evaluation:
    """Means over the exemplars of each group."""

    def mean(values: Tensor) -> Tensor:
        return values.unflatten(0, (groups, -1)).mean(1)

    return Evaluation(
        mean(evaluation.loss),
        mean(evaluation.error_px),
        {name: mean(term) for name, term in evaluation.terms.items()},
    )
