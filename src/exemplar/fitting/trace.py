"""What a fit leaves behind: its iterates, exemplar by exemplar."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar.regressors.prediction import Prediction


@dataclass(frozen=True)
class Evaluation:
    """An objective's view of a prediction, one value per exemplar."""

    loss: Float[Tensor, "*batch"]
    """What is minimised."""
    error_px: Float[Tensor, "*batch"]
    """Mean 2D error over the fitted keypoints, px of a 224 crop."""
    terms: Mapping[str, Float[Tensor, "*batch"]]
    """Weighted terms, summing to the loss."""


@dataclass(frozen=True)
class Iterate:
    """The state after some number of updates."""

    prediction: Prediction
    """What the unknowns of this moment predict."""
    evaluation: Evaluation
    """How the objective sees it."""


@dataclass(frozen=True)
class Trace:
    """What became of B exemplars."""

    iterates: Iterate
    """Axes (B, K, ...): all iterates if a history was asked for (the last repeated to the end for
    exemplars that stopped early), else the first and the last. Always finite but for
    exemplars without any finite iterate, which hold an unposed body and infinite losses."""
    updates: Int[Tensor, " b"]
    """Updates behind the result."""
    diverged: Bool[Tensor, " b"]
    """Whether the fit ended because a number was no longer finite; the result is the last finite
    iterate."""

    @property
    def before(self) -> Iterate:
        """The starting point (B, ...)."""
        return pick(self.iterates, lambda x: x[:, 0])

    @property
    def after(self) -> Iterate:
        """The result (B, ...)."""
        return pick(self.iterates, lambda x: x[:, -1])

    def at(self, step: Int[Tensor, " b"]) -> Iterate:
        """The iterate after a number of updates, exemplar by exemplar (needs the history)."""
        rows = torch.arange(len(step), device=step.device)
        return pick(self.iterates, lambda x: x[rows, step])


def ended_at(trace: Trace, step: Int[Tensor, " b"]) -> Trace:
    """The fits as if each had ended after so many updates; needs the history.

    ValueError for a trace without it.
    """
    count = trace.iterates.prediction.camera.shape[1]
    if count <= int(trace.updates.max()):
        raise ValueError(f"expected all iterates of the fits, got {count} of each")
    steps = torch.arange(count, device=step.device).clamp_max(step[:, None])
    rows = torch.arange(len(step), device=step.device)[:, None]
    return Trace(pick(trace.iterates, lambda x: x[rows, steps]), step, trace.diverged)


def ends(trace: Trace) -> Trace:
    """The first and the last iterates only."""
    iterates = pick(trace.iterates, lambda x: x[:, [0, -1]])
    return Trace(iterates, trace.updates, trace.diverged)


def pick(iterate: Iterate, choose: Callable[[Tensor], Tensor]) -> Iterate:
    """The same slice of every tensor of an iterate."""
    return _zipped([iterate], lambda tensors: choose(tensors[0]))


class Record:
    """Iterates of a chunk as they come."""

    def __init__(self, rows: Int[Tensor, " b"], capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self.kept: list[Iterate] = []
        self.updates = torch.zeros_like(rows)
        self.diverged = torch.zeros_like(rows, dtype=torch.bool)

    def add(self, iterate: Iterate, running: Tensor, group: int) -> Tensor:
        """Keep the iterate of running groups, and the former one of the others.

        Returns which groups go on: those whose every number is finite.
        """
        finite = _finite_rows(iterate).unflatten(0, (-1, group)).all(1)
        fresh = (running & finite).repeat_interleave(group)
        failed = (running & ~finite).repeat_interleave(group)
        former = self.kept[-1] if self.kept else _unposed(iterate)
        merged = _where(fresh, iterate, former)
        self.updates = torch.where(fresh, self.count, self.updates)
        self.diverged = self.diverged | failed
        if len(self.kept) == self.capacity:
            self.kept.pop()
        self.kept.append(merged)
        self.count += 1
        return running & finite

    def trace(self) -> Trace:
        """Everything kept."""
        kept = self.kept + [self.kept[-1]] * (self.capacity - len(self.kept))
        return Trace(_joined(kept, torch.stack, 1), self.updates, self.diverged)


class SlotRecords:
    """Iterates of exemplars that began at different times, each in a slot: a `Record` of each."""

    def __init__(self, slots: int, capacity: int, device: torch.device) -> None:
        self.capacity = capacity
        self.counts = [0] * slots
        self._slots = torch.arange(slots, device=device)
        self._updates = torch.zeros_like(self._slots)
        self._diverged = torch.zeros_like(self._slots, dtype=torch.bool)
        self._kept: Iterate | None = None

    def clear(self, slot: int) -> None:
        """Begin anew in a slot."""
        self.counts[slot] = 0
        self._updates[slot] = 0
        self._diverged[slot] = False

    def add(self, iterate: Iterate, taken: Sequence[bool]) -> Bool[Tensor, " slots"]:
        """Keep the iterate of the slots that are `taken`; which of them go on, all finite."""
        device = self._slots.device
        count = torch.tensor(self.counts, device=device)
        taking = torch.tensor(taken, device=device)
        if self._kept is None:
            self._kept = pick(iterate, lambda x: x.new_zeros(len(x), self.capacity, *x.shape[1:]))
        place = count.clamp_max(self.capacity - 1)
        latest = (count - 1).clamp(0, self.capacity - 1)
        former = pick(self._kept, lambda x: x[self._slots, latest])
        former = _where(count > 0, former, _unposed(iterate))
        fresh = taking & _finite_rows(iterate)
        merged = _where(fresh, iterate, former)
        _zipped(
            [self._kept, merged], lambda pair: pair[0].index_put_((self._slots, place), pair[1])
        )
        self._updates = torch.where(fresh, count, self._updates)
        self._diverged = self._diverged | (taking & ~fresh)
        self.counts = [n + own for n, own in zip(self.counts, taken, strict=True)]
        return fresh

    def trace(self, slots: Sequence[int]) -> Trace:
        """Everything kept of these slots."""
        assert self._kept is not None
        own = torch.tensor(slots, device=self._slots.device)
        last = torch.tensor([self.counts[i] - 1 for i in slots], device=own.device)
        steps = torch.arange(self.capacity, device=own.device).minimum(last[:, None])
        iterates = pick(self._kept, lambda x: x[own[:, None], steps])
        return Trace(iterates, self._updates[own], self._diverged[own])


def _finite_rows(iterate: Iterate) -> Bool[Tensor, " b"]:
    evaluation = iterate.evaluation
    judged = torch.isfinite(evaluation.loss) & torch.isfinite(evaluation.error_px)
    return judged & iterate.prediction.finite_rows()


def _unposed(like: Iterate) -> Iterate:
    """What stands for an exemplar without any finite iterate: a body at rest, infinite losses."""
    losses = pick(like, lambda x: torch.full_like(x, torch.inf)).evaluation
    return Iterate(like.prediction.unposed(), losses)


def _where(mask: Bool[Tensor, " b"], one: Iterate, other: Iterate) -> Iterate:
    """Row by row one or the other; a term that only one of them knows is 0 in the other."""
    names = {**one.evaluation.terms, **other.evaluation.terms}
    one, other = _with_terms(one, names), _with_terms(other, names)
    return _zipped(
        [one, other],
        lambda tensors: torch.where(
            mask.view(-1, *[1] * (tensors[0].ndim - 1)), tensors[0], tensors[1]
        ),
    )


def _joined(iterates: Sequence[Iterate], join: Callable[..., Tensor], dim: int) -> Iterate:
    """Iterates stacked or concatenated along an axis."""
    names = {name: None for it in iterates for name in it.evaluation.terms}
    return _zipped([_with_terms(it, names) for it in iterates], lambda ts: join(list(ts), dim=dim))


def _with_terms(iterate: Iterate, names: Mapping[str, Any]) -> Iterate:
    evaluation = iterate.evaluation
    zero = torch.zeros_like(evaluation.loss)
    terms = {name: evaluation.terms.get(name, zero) for name in names}
    return Iterate(iterate.prediction, Evaluation(evaluation.loss, evaluation.error_px, terms))


def _zipped(iterates: Sequence[Iterate], combine: Callable[[Sequence[Tensor]], Tensor]) -> Iterate:
    """One iterate out of several, tensor by tensor."""
    predictions = [it.prediction for it in iterates]
    evaluations = [it.evaluation for it in iterates]
    return Iterate(
        Prediction(
            combine([p.global_orient for p in predictions]),
            combine([p.body_pose for p in predictions]),
            combine([p.betas for p in predictions]),
            combine([p.camera for p in predictions]),
        ),
        Evaluation(
            combine([e.loss for e in evaluations]),
            combine([e.error_px for e in evaluations]),
            {name: combine([e.terms[name] for e in evaluations]) for name in evaluations[0].terms},
        ),
    )


def joined(iterates: Sequence[Iterate]) -> Iterate:
    """Iterates one after another, along the first axis."""
    return _joined(iterates, torch.cat, 0)


def concatenated(traces: Sequence[tuple[Tensor, Trace]]) -> Trace:
    """Exemplars and their traces as one trace, in the exemplars' order."""
    order = torch.cat([rows for rows, _ in traces]).argsort()
    return Trace(
        pick(joined([trace.iterates for _, trace in traces]), lambda x: x[order]),
        torch.cat([trace.updates for _, trace in traces])[order],
        torch.cat([trace.diverged for _, trace in traces])[order],
    )
