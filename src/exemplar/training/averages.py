"""Exponential moving averages of a module's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """A running average of the weights that a module trains.

    After update n (from 0) it has moved towards the weights by 1 - min(decay, (1 + n) / (10 + n)),
    so that the first steps, far from the end, are soon forgotten.

    Buffers are not averaged but taken as they are: batch norm's statistics are running averages
    already, which a second averaging would make lag behind, and counters have no mean. Nor are
    weights that do not train: they are their own average.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._average = {name: p.detach().clone() for name, p in _trained(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = _trained(module)
        for name, value in self._average.items():
            value.lerp_(now[name], 1 - decay)
        self.updates += 1

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Within the block, the module has the averaged weights."""
        own = {name: p.data for name, p in _trained(module).items()}
        try:
            for name, parameter in _trained(module).items():
                parameter.data = self._average[name]
            yield
        finally:
            for name, parameter in _trained(module).items():
                parameter.data = own[name]

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        return {"updates": self.updates, "average": dict(self._average)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take up a checkpoint; ValueError if it is of other weights."""
        average, updates = state["average"], state["updates"]
        assert isinstance(average, dict)
        assert isinstance(updates, int)
        if average.keys() != self._average.keys():
            odd = sorted(average.keys() ^ self._average.keys())
            raise ValueError(f"averages of other weights: {', '.join(odd[:3])} in only one of them")
        for name, value in self._average.items():
            value.copy_(average[name])
        self.updates = updates


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
