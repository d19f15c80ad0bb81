"""How much memory an exemplar needs, and how many fit at once."""

import os

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from exemplar.fitting.optimiser import Objective, Unknowns

COPIES = 4
"""Weights, their gradients, Adam's two moments."""

SLACK = 1.2
"""Kernels' workspaces and fragmentation, over what is counted (`benchmarks.fit_memory`)."""

USED_SHARE = 0.8
"""Share of the free memory that a chunk may take."""


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
    """Free memory of a device, bytes; 1 GiB where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**30


def chunk_size_for(
    unknowns: Unknowns, objective: Objective, device: torch.device, group_size: int = 1
) -> int:
    """Exemplars to fit side by side: what the free memory holds, in whole groups; at least one.

    A CPU gains nothing from several at once: it takes one group at a time.
    """
    if device.type == "cpu":
        return group_size
    need = bytes_per_group(unknowns, objective, group_size)
    return max(1, int(USED_SHARE * free_bytes(device)) // need) * group_size
