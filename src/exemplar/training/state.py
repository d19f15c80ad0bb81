"""What changes from step to step while training: weights, their optimiser and average, counts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exemplar.files.reading_files import one_line
from exemplar.training.averages import WeightAverage
from exemplar.training.schedule import LoopConfig

MAX_SKIPPED = 30
"""Overflows in a row after which 16-bit training gives up: the scale has fallen by 1e9."""


class NotFinite(FloatingPointError, ValueError):
    """A loss or gradient that is NaN or infinite; no weight has been changed by it."""


@dataclass
class TrainingState:
    """All that a checkpoint holds, but for the settings."""

    module: nn.Module
    """The step module."""
    optimiser: torch.optim.Optimizer
    """Its optimiser."""
    average: WeightAverage | None = None
    """Averaged weights."""
    scaler: torch.amp.GradScaler | None = None
    """Scale of the loss, with 16-mixed."""
    step: int = 0
    """Steps that are done."""
    skipped: int = 0
    """How many of them were skipped because gradients overflowed."""
    skipped_in_a_row: int = 0
    """How many of the last ones."""
    best_score: float | None = None
    """Lowest validation score."""
    best_step: int | None = None
    """Steps that were done then."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the steps' numbers since the last row of the log."""
    summed: int = 0
    """How many steps are in the sums."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        state = dict(vars(self))
        for name in _PARTS:
            part = state[name]
            state[name] = None if part is None else part.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any], source: Path) -> None:
        """Take up a checkpoint; ValueError in one line naming its file if it is of another net."""
        for name in vars(self):
            if name not in state:
                raise ValueError(f"{source} has no {name}: it is not a checkpoint to resume from")
            if name not in _PARTS:
                setattr(self, name, _counted(name, state[name], source))
                continue
            part = getattr(self, name)
            try:
                if part is self.optimiser:
                    _load_optimiser(self.optimiser, state[name])
                elif part is not None:
                    part.load_state_dict(state[name])
            except Exception as error:  # torch raises whatever a damaged checkpoint leads to
                why = one_line(error)[:200]
                raise ValueError(f"{source} does not fit the {name} to train: {why}") from error

    def apply_gradient(self, clip_norm: float | None) -> float | None:
        """Cut the gradient to `clip_norm` and step; returns its length before the cut.

        None, and the weights are as they were, if scaled 16-bit gradients overflowed. NotFinite,
        and the weights are as they were, if others did, or these too often.
        """
        if self.scaler is not None:
            self.scaler.unscale_(self.optimiser)
        moving = [p for p in self.module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in moving if p.grad is not None])
        if not math.isfinite(norm):
            return self._skip()
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(moving, clip_norm, norm)
        if self.scaler is None:
            self.optimiser.step()
        else:
            self.scaler.step(self.optimiser)
            self.scaler.update()
        if self.average is not None:
            self.average.update(self.module)
        self.skipped_in_a_row = 0
        return float(norm)

    def _skip(self) -> None:
        if self.scaler is None:
            named = self.module.named_parameters()
            broken = (n for n, p in named if p.grad is not None and not p.grad.isfinite().all())
            name = next(broken, "all weights together")
            raise NotFinite(f"the gradient of {name!r} is not finite")
        # given here, and not found by the scaler: the length can overflow where no number does
        self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > MAX_SKIPPED:
            raise NotFinite(f"the gradient overflowed {self.skipped_in_a_row} times in a row")

    def add(self, numbers: Mapping[str, float]) -> None:
        """Count a step's numbers for the next row of the log."""
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.summed += 1

    def take_means(self) -> dict[str, float]:
        """Means of the numbers since the last call."""
        means = {name: total / self.summed for name, total in self.sums.items()}
        self.sums, self.summed = {}, 0
        return means

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """The module in eval mode and with averaged weights, if there are some."""
        modes = {module: module.training for module in self.module.modules()}
        self.module.eval()
        try:
            with nullcontext() if self.average is None else self.average.applied(self.module):
                yield self.module
        finally:
            for module, mode in modes.items():
                module.training = mode


def _counted(name: str, value: Any, source: Path) -> Any:
    """A count, score or sum of a checkpoint; ValueError if it is none."""
    if name in ("best_score", "best_step") and value is None:
        return value
    numbers = value.values() if name == "sums" and isinstance(value, dict) else [value]
    kinds = (int, float) if name in ("best_score", "sums") else (int,)
    if not all(isinstance(n, kinds) and (n >= 0 or float in kinds) for n in numbers):
        raise ValueError(f"{source}: {name} is {str(value)[:9]!r}, expected a number of training")
    return value


def _load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take up an optimiser's state; ValueError if it is not of these weights. Its step would read
    past the end of a tensor that is too short."""
    settings = [_settings(group) for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(state))
    if [_settings(group) for group in optimiser.param_groups] != settings:
        raise ValueError("its settings are not those of the optimiser")
    wanted = {"step": (), **dict.fromkeys(("exp_avg", "exp_avg_sq"))}
    for weight, known in optimiser.state.items():
        shapes = {name: getattr(value, "shape", None) for name, value in known.items()}
        if shapes != {**wanted, "exp_avg": weight.shape, "exp_avg_sq": weight.shape}:
            raise ValueError(f"a weight of shape {tuple(weight.shape)} has moments {shapes}")


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """What training does not change, and whether the rate is a number: each step sets it."""
    fixed = {k: v for k, v in group.items() if k not in ("params", "lr", "initial_lr")}
    return fixed | {"lr": isinstance(group["lr"], int | float)}


_PARTS = ("module", "optimiser", "average", "scaler")


def new_optimiser(
    module: nn.Module, config: LoopConfig, groups: Sequence[Mapping[str, Any]] | None
) -> torch.optim.Optimizer:
    """The config's optimiser of some groups of weights, or of all that require gradients."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimiser]
    moving = [{"params": [p for p in module.parameters() if p.requires_grad]}]
    chosen = [dict(group) for group in groups or moving]
    return kind(chosen, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
