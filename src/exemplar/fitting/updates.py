"""Gradient updates: `init(params) -> state`, then steps in place or as differentiable functions."""

from collections.abc import Mapping, Sequence
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
        return self.steps_in_place([params], [grads], [state])[0]

    def steps_in_place(
        self,
        params: Sequence[Params],
        grads: Sequence[Mapping[str, Tensor]],
        states: Sequence[AdamState],
    ) -> list[AdamState]:
        """Steps of several, each with its own state, by one call of the kernel."""
        if self.eps_root > 0:
            return [self._copied_step(*each) for each in zip(params, grads, states, strict=True)]
        own = [
            (_flat(value, value), *(_flat(x, value) for x in (slopes[n], s.first[n], s.second[n])))
            for values, slopes, s in zip(params, grads, states, strict=True)
            for n, value in values.items()
        ]
        values, slopes, first, second = (list(tensors) for tensors in zip(*own, strict=True))
        counts = [float(s.count) for s, each in zip(states, params, strict=True) for _ in each]
        torch_adam(
            values,
            slopes,
            first,
            second,
            [],
            list(torch.tensor(counts, device=values[0].device).unbind()),
            fused=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )
        return [AdamState(s.count + 1, s.first, s.second) for s in states]

    def _copied_step(
        self, params: Params, grads: Mapping[str, Tensor], state: AdamState
    ) -> AdamState:
        moved, after = self.step(params, grads, state)
        for name, value in params.items():
            value.copy_(moved[name])
        return after

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


def step_each_in_place(
    update: Update[State],
    params: Sequence[Params],
    grads: Sequence[Mapping[str, Tensor]],
    states: Sequence[State],
) -> list[State]:
    """A step of several groups in place, each with a state of its own; their next states."""
    if isinstance(update, Adam):
        return update.steps_in_place(params, grads, states)  # pyright: ignore - Adam's states
    return [update.step_in_place(*each) for each in zip(params, grads, states, strict=True)]


def _flat(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor's numbers in the order in which those of `like` lie in memory, contiguous.

    A view where the two have the same layout, whatever it is: the fused kernel would copy anything
    that is not contiguous.
    """
    if tensor.is_contiguous() and like.is_contiguous():
        return tensor
    if tensor.stride() != like.stride():
        tensor = torch.empty_like(like).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,))
