"""Continuous batching: exemplars side by side, a slot that one leaves taken by the next."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from exemplar.fitting.stages import Finished, Progress, Stage, Unknowns, evaluate
from exemplar.fitting.trace import Evaluation, Record, pick


@dataclass
class _Slot:
    """One exemplar in work."""

    row: Tensor
    record: Record
    state: Any
    before: Evaluation | None = None


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
    """Fit `rows`, `slots` at a time; each is handed to `finished` as soon as it is done.

    The numbers are those of lockstep batches: every slot has its own weights and its own state of
    the update, views into the stacked tensors. Slots for which no exemplar is left compute on,
    unrecorded, so that shapes stay the same. `idle` exemplars (of the whole batch, by row) keep
    their start.
    """
    waiting = deque(rows.split(1))
    slots = min(slots, len(waiting))
    current = rows[:slots].clone()
    params = unknowns.start(current, slots)
    moving = {name: p for name, p in params.items() if stage.moves(name)}
    views = [{name: p[i : i + 1] for name, p in moving.items()} for i in range(slots)]
    capacity = 1 + (stage.steps if history else 1)
    skipped = {int(row) for row in rows[idle[rows]]}

    def enter(i: int) -> _Slot | None:
        if not waiting:
            return None
        row = waiting.popleft()
        current[i : i + 1] = row
        for name, value in unknowns.start(row, 1).items():
            params[name][i : i + 1].copy_(value)
        return _Slot(row, Record(row, capacity), stage.update.init(views[i]))

    working = [enter(i) for i in range(slots)]
    while any(working):
        iterate, slopes = evaluate(unknowns, params, moving, stage.objective, current, slots, True)
        go_on: list[Tensor] = []
        for i, slot in enumerate(working):
            if slot is None:
                go_on.append(torch.zeros(1, dtype=torch.bool, device=current.device))
                continue
            own = pick(iterate, lambda x, i=i: x[i : i + 1])
            step = slot.record.count
            running = slot.record.add(own, torch.ones_like(slot.row, dtype=torch.bool), 1)
            progress(slot.row, step, own.evaluation)
            if stage.stop is not None:
                running = running & ~stage.stop(own.evaluation, slot.before)
                slot.before = own.evaluation
            if step == stage.steps or int(slot.row) in skipped:
                running = torch.zeros_like(running)
            go_on.append(running)
        moves = torch.cat(go_on).tolist()
        found = slopes() if any(moves) else {}
        for i, slot in enumerate(working):
            if slot is not None and moves[i]:
                own_slopes = {name: slope[i : i + 1] for name, slope in found.items()}
                with torch.no_grad():
                    slot.state = stage.update.step_in_place(views[i], own_slopes, slot.state)
            elif slot is not None:
                finished(slot.row, slot.record.trace())
                working[i] = enter(i)
