"""The loop: unknowns of many exemplars, each group with its own copy, moved along its own gradient.

EFT's unknowns are a regressor's weights, SMPLify's are body parameters; the objective is a function
passed in. Because it gives one value per exemplar and no exemplar's value depends on another's
unknowns, the gradient of the sum is each exemplar's own gradient, and an elementwise update of the
stacked unknowns is that update for each.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar.fitting.trace import Evaluation, Iterate, Record, Trace, concatenated, pick
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


def minimise(
    unknowns: Unknowns,
    count: int,
    stages: Sequence[Stage],
    *,
    skip: Bool[Tensor, " b"] | None = None,
    group_size: int = 1,
    chunk_size: int | None = None,
    history: bool = False,
    workers: int = 1,
    device: torch.device | str = "cpu",
    progress: Progress = lambda rows, step, evaluation: None,
) -> Trace:
    """Minimise the stages' objectives over the unknowns of `count` exemplars (EFT, Eq. 3).

    Successive `group_size` exemplars share one copy of the unknowns and the mean of their losses;
    1 gives each its own. `chunk_size` exemplars (rounded to whole groups; None: all) are worked
    on at a time, which changes memory and time but no result; a chunk that memory has no room for
    is halved. `workers` threads take one chunk each; torch then uses a single thread in
    each, which on a CPU beats several threads on one exemplar. With `history` every iterate is
    kept. Exemplars to `skip` stay at their start (a group is skipped if all of it is).

    A group that stops, or whose numbers are no longer finite, keeps its result while the others
    go on. Raises ValueError for settings that make no sense.
    """
    if min(count, group_size, workers) < 1 or (chunk_size is not None and chunk_size < 1):
        raise ValueError(
            f"expected positive counts, got {count=}, {group_size=}, {chunk_size=}, {workers=}"
        )
    if not stages or any(stage.stop for stage in stages[:-1]):
        raise ValueError("expected at least one stage, and no stop but in the last one")
    chunks = _chunks(count, group_size, chunk_size or count, torch.device(device))

    idle = torch.zeros(count, dtype=torch.bool) if skip is None else skip
    idle = idle.to(device)

    def work(rows: Tensor) -> Trace:
        group = min(group_size, len(rows))
        try:
            return _fit_chunk(unknowns, rows, stages, group, idle[rows], history, progress)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or len(rows) == group:
                raise
        half = max(1, len(rows) // group // 2) * group
        return concatenated([work(rows[:half]), work(rows[half:])])

    if workers == 1 or len(chunks) == 1:
        traces = [work(rows) for rows in chunks]
    else:
        with _one_thread_each(), ThreadPoolExecutor(workers, initializer=_single) as pool:
            traces = list(pool.map(work, chunks))
    return concatenated(traces)


def unroll(
    loss: Callable[[Params], Float[Tensor, " groups"]],
    params: Params,
    update: Update[Any],
    steps: int,
    *,
    second_order: bool = False,
) -> Params:
    """Parameters after a few updates, as a differentiable function of where they started.

    The exemplar step inside a training iteration (dual networks paper, Eq. 4 to 6). First order
    takes the inner gradients as constants; second order differentiates through them.
    """
    state = update.init(params)
    for _ in range(steps):
        slopes = torch.autograd.grad(
            loss(params).sum(),
            list(params.values()),
            create_graph=second_order,
            retain_graph=True,
            materialize_grads=True,
        )
        params, state = update.step(params, dict(zip(params, slopes, strict=True)), state)
    return params


def _chunks(count: int, group: int, chunk: int, device: torch.device) -> list[Tensor]:
    """Rows by chunk; a last group that is not full is a chunk of its own."""
    rows = torch.arange(count, device=device)
    whole = count - count % group
    parts = list(rows[:whole].split(max(1, chunk // group) * group)) if whole else []
    return parts + ([rows[whole:]] if whole < count else [])


def _fit_chunk(
    unknowns: Unknowns,
    rows: Tensor,
    stages: Sequence[Stage],
    group: int,
    idle: Tensor,
    history: bool,
    progress: Progress,
) -> Trace:
    """All stages for these exemplars, side by side."""
    groups = len(rows) // group
    params = unknowns.start(rows, groups)
    record = Record(rows, 1 + (sum(stage.steps for stage in stages) if history else 1))
    running = torch.ones(groups, dtype=torch.bool, device=rows.device)
    for number, stage in enumerate(stages, start=1):
        last = number == len(stages)
        moving = {name: p for name, p in params.items() if stage.moves(name)}
        if not moving:
            raise ValueError("no unknown was selected to move")
        state = stage.update.init(moving)
        before: Evaluation | None = None
        closing = torch.zeros_like(running)
        for step in range(stage.steps + last):
            iterate, slopes = _evaluate(
                unknowns, params, moving, stage.objective, rows, groups, step < stage.steps
            )
            running = record.add(iterate, running, group)
            progress(rows, record.count - 1, iterate.evaluation)
            running = running & ~closing & ~idle.unflatten(0, (groups, -1)).all(1)
            if stage.stop is not None:
                now = _group_means(iterate.evaluation, groups)
                done = stage.stop(now, before)
                before = now
                if stage.stop_after_update:
                    closing = done
                else:
                    running = running & ~done
            if step == stage.steps or not bool(running.any()):
                break
            with torch.no_grad():
                state = stage.update.step_in_place(moving, slopes(), state)
        if not bool(running.any()):
            break
    return record.trace()


def _evaluate(
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
        total = _group_means(evaluation, groups).loss.sum()

    def slopes() -> Params:
        wanted = [leaves[name] for name in moving]
        found = torch.autograd.grad(total, wanted, materialize_grads=True)
        return dict(zip(moving, found, strict=True))

    detached = pick(Iterate(prediction, evaluation), torch.Tensor.detach)
    return detached, slopes


def _group_means(evaluation: Evaluation, groups: int) -> Evaluation:
    def mean(values: Tensor) -> Tensor:
        return values.unflatten(0, (groups, -1)).mean(1)

    return Evaluation(
        mean(evaluation.loss),
        mean(evaluation.error_px),
        {name: mean(term) for name, term in evaluation.terms.items()},
    )


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(
        error
    )


def _single() -> None:
    torch.set_num_threads(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Restore this thread's own number of torch threads afterwards."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
