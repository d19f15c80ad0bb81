"""Continuous batching: exemplars side by side, a slot that one leaves taken by the next."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from exemplar.fitting.stages import Finished, Progress, Stage, Stop, Unknowns, evaluate, unheard
from exemplar.fitting.trace import Evaluation, Iterate, SlotRecords, pick
from exemplar.fitting.updates import step_each_in_place
from exemplar.geometry.products import enough_rows


def fit_in_slots(
    unknowns: Unknowns,
    rows: Int[Tensor, " b"],
    stage: Stage,
    slots: int,
    *,
    idle: Bool[Tensor, " batch"],
    history: bool,
    progress: Progress,
    finished: Finished,
) -> None:
    """Fit `rows`, `slots` at a time; those done together are handed to `finished` together.

    The numbers are those of lockstep batches: every slot has its own weights and its own state of
    the update, views into the stacked tensors. Slots for which no exemplar is left compute on,
    unrecorded, so that shapes stay the same. `idle` exemplars (of the whole batch, by row) keep
    their start. What is done for each update is done for all slots at once, and one answer is
    waited for, so that a GPU is not kept waiting.
    """
    waiting = deque(rows.tolist())
    current = rows[enough_rows(len(rows)).to(rows.device)[:slots]]
    slots = len(current)
    params = unknowns.start(current, slots)
    moving = {name: p for name, p in params.items() if stage.moves(name)}
    views = [{name: p[i : i + 1] for name, p in moving.items()} for i in range(slots)]
    records = SlotRecords(slots, 1 + (stage.steps if history else 1), current.device)
    skipped = set(rows[idle[rows]].tolist())
    working: list[int | None] = [None] * slots
    states: list[Any] = [None] * slots
    before: Evaluation | None = None

    def enter(i: int) -> None:
        working[i] = waiting.popleft() if waiting else None
        if working[i] is None:
            return
        row = torch.tensor([working[i]], device=current.device)
        current[i : i + 1] = row
        for name, value in unknowns.start(row, 1).items():
            params[name][i : i + 1].copy_(value)
        states[i] = stage.update.init(views[i])
        records.clear(i)

    for i in range(slots):
        enter(i)
    while any(row is not None for row in working):
        iterate, slopes = evaluate(unknowns, params, moving, stage.objective, current, slots, True)
        steps, taken = records.counts, [row is not None for row in working]
        going = records.add(iterate, taken)
        if progress is not unheard:
            _tell(progress, current, steps, taken, iterate)
        if stage.stop is not None:
            going = going & ~_stopped(stage.stop, iterate.evaluation, before, steps)
            before = iterate.evaluation
        moves = going.tolist()
        own = [
            i for i in range(slots)
            if moves[i] and steps[i] < stage.steps and working[i] not in skipped
        ]  # fmt: skip
        if own:
            parts = {name: slope.split(1) for name, slope in slopes().items()}
            grads = [{name: part[i] for name, part in parts.items()} for i in own]
            with torch.no_grad():
                after = step_each_in_place(
                    stage.update, [views[i] for i in own], grads, [states[i] for i in own]
                )
            for i, state in zip(own, after, strict=True):
                states[i] = state
        done = sorted({i for i in range(slots) if taken[i]} - set(own))
        if done:
            finished(current[done], records.trace(done))
            for i in done:
                enter(i)


def _tell(
    progress: Progress, rows: Tensor, steps: Sequence[int], taken: Sequence[bool], iterate: Iterate
) -> None:
    for i, step in enumerate(steps):
        if taken[i]:
            own = pick(iterate, lambda x, i=i: x[i : i + 1])
            progress(rows[i : i + 1], step, own.evaluation)


def _stopped(
    stop: Stop, now: Evaluation, before: Evaluation | None, steps: Sequence[int]
) -> Bool[Tensor, " slots"]:
    """Whom the stop calls; who has just begun has no evaluation before."""
    first = [step == 0 for step in steps]
    if before is None or all(first):
        return stop(now, None)
    done = stop(now, before)
    if not any(first):
        return done
    return torch.where(torch.tensor(first, device=done.device), stop(now, None), done)
