"""The loop: unknowns of many exemplars, each group with its own copy, moved along its own gradient.

EFT's unknowns are a regressor's weights, SMPLify's are body parameters; the objective is a function
passed in. Because it gives one value per exemplar and no exemplar's value depends on another's
unknowns, the gradient of the sum is each exemplar's own gradient, and an elementwise update of the
stacked unknowns is that update for each.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.environment import one_torch_thread
from exemplar.fitting.slots import fit_in_slots
from exemplar.fitting.stages import (
    Finished,
    Progress,
    Stage,
    Unknowns,
    evaluate,
    group_means,
    unheard,
)
from exemplar.fitting.trace import Evaluation, Record, Trace, concatenated
from exemplar.fitting.updates import Params, Update


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
    refill: bool = False,
    progress: Progress = unheard,
    finished: Finished = lambda rows, trace: None,
) -> Trace:
    """Minimise the stages' objectives over the unknowns of `count` exemplars (EFT, Eq. 3).

    Successive `group_size` exemplars share one copy of the unknowns and the mean of their losses;
    1 gives each its own. `chunk_size` exemplars (rounded to whole groups; None: all) are worked
    on at a time, which changes memory and time but no result; a chunk that memory has no room for
    is halved. `workers` threads take one chunk each; torch then uses a single thread in
    each, which on a CPU beats several threads on one exemplar. With `history` every iterate is
    kept. Exemplars to `skip` stay at their start (a group is skipped if all of it is).

    With `refill` an exemplar that is done leaves its place in the chunk to the next one instead of
    waiting for the others (one stage, groups of one). `finished` hears of exemplars as they are
    done, from any of the threads. An interrupt waits for the chunks in work and starts no other.

    A group that stops, or whose numbers are no longer finite, keeps its result while the others
    go on. Raises ValueError for settings that make no sense.
    """
    if min(count, group_size, workers) < 1 or (chunk_size is not None and chunk_size < 1):
        raise ValueError(
            f"expected positive counts, got {count=}, {group_size=}, {chunk_size=}, {workers=}"
        )
    if not stages or any(stage.stop for stage in stages[:-1]):
        raise ValueError("expected at least one stage, and no stop but in the last one")
    if refill and (len(stages) > 1 or group_size > 1 or stages[0].stop_after_update):
        raise ValueError("only fits of one stage, alone in their groups, can be refilled")
    side_by_side = chunk_size or count
    at_once = -(-count // workers) if refill else side_by_side
    chunks = _chunks(count, group_size, at_once, torch.device(device))

    idle = torch.zeros(count, dtype=torch.bool) if skip is None else skip
    idle = idle.to(device)
    done: list[tuple[Tensor, Trace]] = []

    def keep(rows: Tensor, trace: Trace) -> None:
        done.append((rows, trace))
        finished(rows, trace)

    def attempt(rows: Tensor, most: int) -> None:
        if not refill:
            group = min(group_size, len(rows))
            keep(rows, _fit_chunk(unknowns, rows, stages, group, idle[rows], history, progress))
            return
        known = [torch.isin(rows, own) for own, _ in done]
        left = rows[~torch.stack(known).any(0)] if known else rows
        fit_in_slots(
            unknowns,
            left,
            stages[0],
            most,
            idle=idle,
            history=history,
            progress=progress,
            finished=keep,
        )

    def work(rows: Tensor) -> None:
        most = side_by_side if refill else min(side_by_side, len(rows))
        _in_memory(attempt, rows, most, group_size, whole=refill)

    on_cpu = torch.device(device).type == "cpu"
    with one_torch_thread() if on_cpu else nullcontext():
        if workers == 1:
            for rows in chunks:
                work(rows)
        else:
            _in_threads(work, chunks, workers)
    return concatenated(done)


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
            iterate, slopes = evaluate(
                unknowns, params, moving, stage.objective, rows, groups, step < stage.steps
            )
            running = record.add(iterate, running, group)
            progress(rows, record.count - 1, iterate.evaluation)
            running = running & ~closing & ~idle.unflatten(0, (groups, -1)).all(1)
            if stage.stop is not None:
                now = group_means(iterate.evaluation, groups)
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


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(
        error
    )


def _in_memory(
    attempt: Callable[[Tensor, int], None], rows: Tensor, most: int, group: int, *, whole: bool
) -> None:
    """Attempt `rows` with `most` side by side; with half as many each time memory runs out.

    What does not take `whole` rows gets them in parts. (Not a closure that calls itself: such a
    circle would keep the batch in memory until Python looks for circles.)
    """
    group = min(group, len(rows))
    try:
        attempt(rows, most)
        return
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error) or most == group:
            raise
    half = max(1, most // group // 2) * group
    for part in [rows] if whole else rows.split(half):
        _in_memory(attempt, part, min(half, len(part)), group, whole=whole)


def _in_threads(work: Callable[[Tensor], None], chunks: Sequence[Tensor], workers: int) -> None:
    """Each chunk by a thread in which torch itself uses only one."""
    pool = ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1))
    try:
        for waiting in [pool.submit(work, rows) for rows in chunks]:
            waiting.result()
    finally:
        pool.shutdown(cancel_futures=True)
