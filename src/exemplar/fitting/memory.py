"""How much memory an exemplar needs, and how many fit at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from exemplar.environment import cores
from exemplar.fitting.memory_files import available_bytes
from exemplar.fitting.optimiser import minimise
from exemplar.fitting.stages import Finished, Objective, Progress, Stage, Unknowns, unheard
from exemplar.fitting.trace import Trace

COPIES = 4
"""Weights, their gradients, Adam's two moments."""

SLACK = 1.2
"""Kernels' workspaces and fragmentation, over what is counted (`benchmarks.fit_memory`)."""

USED_SHARE = 0.8
"""Share of the free memory that a chunk may take."""

MOST_ON_GPU = 256
"""Most exemplars side by side on a GPU. With so many, work outweighs the cost of starting it; a
head alone is so small that thousands would fit, whose crops would not."""


def bytes_per_group(unknowns: Unknowns, objective: Objective, group_size: int = 1) -> int:
    """Memory that fitting one group with Adam takes, bytes: counted in one forward pass."""
    saved: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    rows = torch.arange(group_size)
    params = unknowns.start(rows, 1)
    own = sum(p.numel() * p.element_size() for p in params.values())
    leaves = {name: p.requires_grad_() for name, p in params.items()}
    with torch.enable_grad(), saved_tensors_hooks(count, lambda tensor: tensor):
        objective(unknowns.predict(leaves, rows), rows)
    for p in params.values():
        saved.pop(p.untyped_storage().data_ptr(), None)
    return int(SLACK * (COPIES * own + sum(saved.values())))


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, bytes."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def plan(
    unknowns: Unknowns,
    objective: Objective,
    device: torch.device,
    count: int,
    group_size: int = 1,
) -> tuple[int, int]:
    """(chunk_size, workers) for `count` exemplars, as far as the free memory goes.

    A GPU takes many exemplars side by side, up to `MOST_ON_GPU`. A CPU has as many threads as
    cores, each of which takes one group at a time, or `side_by_side` of a network so small that
    starting its products takes most of the time. (MPS takes one group at a time.)
    """
    threads = cores() if device.type == "cpu" else 1
    beside = getattr(unknowns, "side_by_side", 1) if device.type == "cpu" else 1
    groups = min(beside, -(-count // group_size))
    if device.type != "cuda" and (threads == 1 or count <= group_size):
        return groups * group_size, 1
    need = bytes_per_group(unknowns, objective, min(group_size, count))
    room = max(1, int(USED_SHARE * free_bytes(device)) // need)
    if device.type == "cuda":
        return min(room, max(MOST_ON_GPU // group_size, 1)) * group_size, 1
    groups = min(groups, room)
    return groups * group_size, min(threads, room // groups)


def minimise_in_memory(
    unknowns: Unknowns,
    stages: Sequence[Stage],
    *,
    skip: Bool[Tensor, " b"],
    group_size: int,
    chunk_size: int | None,
    workers: int | None,
    history: bool,
    refill: bool = False,
    progress: Progress = unheard,
    finished: Finished = lambda rows, trace: None,
) -> Trace:
    """`minimise` for the exemplars of `skip`, with what is None chosen by `plan`."""
    device, count = skip.device, len(skip)
    if chunk_size is None or workers is None:
        chunk, threads = plan(unknowns, stages[0].objective, device, count, group_size)
        chunk_size, workers = chunk_size or chunk, workers or threads
    return minimise(
        unknowns,
        count,
        stages,
        skip=skip,
        history=history,
        group_size=group_size,
        chunk_size=chunk_size,
        workers=workers,
        device=device,
        refill=refill,
        progress=progress,
        finished=finished,
    )
