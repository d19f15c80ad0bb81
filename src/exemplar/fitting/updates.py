"""Gradient updates as pairs of functions: `init(params) -> state`, `step(params, grads, state)`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

Params = dict[str, Tensor]
State = TypeVar("State")


@runtime_checkable
class Update(Protocol, Generic[State]):
    """A rule that moves parameters along their gradients."""

    def init(self, params: Params) -> State:
        """The state before the first step."""
        ...

    def step(self, params: Params, grads: Mapping[str, Tensor], state: State) -> State:
        """Move `params` in place; returns the next state."""
        ...


@dataclass(frozen=True)
class AdamState:
    """Moments of the gradients so far."""

    count: int
    """Steps taken."""
    first: Params
    """Running mean of the gradient."""
    second: Params
    """Running mean of its square."""
    scratch: Params
    """Room for a step's intermediate numbers; nothing is kept in it."""


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015, Algorithm 1, with torch's defaults."""

    learning_rate: float
    """Step size."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.999
    """Decay of the second moment."""
    eps: float = 1e-8
    """Added to the root of the second moment."""

    def init(self, params: Params) -> AdamState:
        """Zero moments."""
        first = {name: torch.zeros_like(value) for name, value in params.items()}
        second = {name: torch.zeros_like(value) for name, value in params.items()}
        scratch = {name: torch.empty_like(value) for name, value in params.items()}
        return AdamState(0, first, second, scratch)

    def step(self, params: Params, grads: Mapping[str, Tensor], state: AdamState) -> AdamState:
        """One Adam step, in place."""
        count = state.count + 1
        scale = (1 - self.beta2**count) ** 0.5
        step_size = self.learning_rate / (1 - self.beta1**count)
        for name, value in params.items():
            slope, first, second = grads[name], state.first[name], state.second[name]
            first.lerp_(slope, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(slope, slope, value=1 - self.beta2)
            denominator = torch.sqrt(second, out=state.scratch[name]).div_(scale).add_(self.eps)
            value.addcdiv_(first, denominator, value=-step_size)
        return AdamState(count, state.first, state.second, state.scratch)
