"""Gradient updates: `init(params) -> state`, then steps in place or as differentiable functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

Params = dict[str, Tensor]
"""Named unknowns, each with a leading axis of groups: every group owns its copy."""
State = TypeVar("State")


@runtime_checkable
class Update(Protocol, Generic[State]):
    """A rule that moves parameters along their gradients, elementwise: groups do not mix."""

    def init(self, params: Params) -> State:
        """The state before the first step."""
        ...

    def step_in_place(self, params: Params, grads: Mapping[str, Tensor], state: State) -> State:
        """Move `params` in place, without a graph; returns the next state."""
        ...

    def step(
        self, params: Params, grads: Mapping[str, Tensor], state: State
    ) -> tuple[Params, State]:
        """New parameters and state, differentiable in parameters and gradients."""
        ...


@dataclass(frozen=True)
class Sgd:
    """Plain gradient descent."""

    learning_rate: float
    """Step size."""

    def init(self, params: Params) -> None:
        """Nothing to remember."""
        return None

    def step_in_place(self, params: Params, grads: Mapping[str, Tensor], state: None) -> None:
        """One step, in place."""
        for name, value in params.items():
            value.add_(grads[name], alpha=-self.learning_rate)
        return None

    def step(self, params: Params, grads: Mapping[str, Tensor], state: None) -> tuple[Params, None]:
        """One step."""
        moved = {name: p - self.learning_rate * grads[name] for name, p in params.items()}
        return moved, None


@dataclass(frozen=True)
class AdamState:
    """Moments of the gradients so far."""

    count: int
    """Steps taken."""
    first: Params
    """Running mean of the gradient."""
    second: Params
    """Running mean of its square."""


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
    eps_root: float = 0.0
    """Added under the root. The root's slope at 0 is infinite, so differentiating through a step
    (second order) needs a positive one wherever a gradient can vanish."""

    def init(self, params: Params) -> AdamState:
        """Zero moments."""
        first = {name: torch.zeros_like(value) for name, value in params.items()}
        second = {name: torch.zeros_like(value) for name, value in params.items()}
        return AdamState(0, first, second)

    def step_in_place(
        self, params: Params, grads: Mapping[str, Tensor], state: AdamState
    ) -> AdamState:
        """One step, in place, by torch's fused kernel: one pass over memory."""
        if self.eps_root > 0:
            moved, after = self.step(params, grads, state)
            for name, value in params.items():
                value.copy_(moved[name])
            return after
        values = [_flat(value, value) for value in params.values()]
        torch_adam(
            values,
            [_flat(grads[name], value) for name, value in params.items()],
            [_flat(state.first[name], value) for name, value in params.items()],
            [_flat(state.second[name], value) for name, value in params.items()],
            [],
            [torch.tensor(float(state.count), device=value.device) for value in values],
            fused=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )
        return AdamState(state.count + 1, state.first, state.second)

    def step(
        self, params: Params, grads: Mapping[str, Tensor], state: AdamState
    ) -> tuple[Params, AdamState]:
        """One step."""
        count = state.count + 1
        mean, power = 1 - self.beta1**count, 1 - self.beta2**count
        moved, first, second = {}, {}, {}
        for name, value in params.items():
            slope = grads[name]
            first[name] = self.beta1 * state.first[name] + (1 - self.beta1) * slope
            second[name] = self.beta2 * state.second[name] + (1 - self.beta2) * slope.square()
            root = (second[name] / power + self.eps_root).sqrt() + self.eps
            moved[name] = value - self.learning_rate * (first[name] / mean) / root
        return moved, AdamState(count, first, second)


def _flat(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor's numbers in the order in which those of `like` lie in memory.

    A view where the two have the same layout, whatever it is: the fused kernel would copy anything
    that is not contiguous.
    """
    if tensor.stride() != like.stride():
        tensor = torch.empty_like(like).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,))
