"""How a training loop runs: its settings, and the rate at a step."""

import math
from dataclasses import dataclass
from typing import Literal

ONE_CYCLE_RISE = 0.3
"""Share of the steps over which a one-cycle schedule rises, unless a warm-up is given."""

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 25e4
"""The one-cycle schedule's first and last rate, as parts of its highest (Smith and Topin 2018)."""

FREE = frozenset(
    f"loop.{name}"
    for name in (
        *("accelerator", "devices", "num_nodes", "strategy", "compile", "tensorboard"),
        *("validate_every", "checkpoint_every", "keep_every", "log_every"),
    )
)
"""What may change when a run is resumed: the numbers do not depend on it, but for rounding. (The
number of processes is looked at by itself, as `devices` may be all there are.)"""


@dataclass(frozen=True)
class LoopConfig:
    """How to train: steps, rates, devices, and what is written how often."""

    steps: int = 10_000
    """Updates of the weights."""
    learning_rate: float = 1e-4
    """The optimiser's highest rate, for parameter groups that have none of their own."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Course of the rate after the warm-up: constant, half a cosine to 0, or up and down by
    half cosines. The momentum stays as it is."""
    warm_up: int | None = None
    """Steps over which the rate rises: linearly from 0, or in one_cycle its rising part. None is
    no warm-up, in one_cycle three tenths of the steps."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Adam, as both papers' programs have it, or Adam with decoupled weight decay."""
    weight_decay: float = 0.0
    """The optimiser's weight decay."""
    clip_norm: float | None = None
    """Longest gradient, over all weights together; None lets every length pass."""
    ema: float | None = None
    """Decay of the averaged weights, which are then those that are validated; None averages
    nothing."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    """Numbers of the forward pass. With 16-mixed the loss is scaled, and a step whose gradient
    overflows is skipped."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Kind of device."""
    devices: int = 1
    """Devices of this machine; -1 is all of them."""
    num_nodes: int = 1
    """Machines; the launcher's environment tells each which one it is."""
    strategy: Literal["auto", "ddp", "ddp_fork"] = "auto"
    """How several processes come about: ddp, the default, starts the same command again for each
    device; ddp_fork works in a notebook, too, and leaves the trained weights in files only."""
    log_every: int = 50
    """Steps between rows of the log."""
    validate_every: int | None = 1000
    """Steps between validations; None validates at the end only."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is always one at the end."""
    keep_every: int | None = None
    """Steps between checkpoints that are kept beside the last one; None keeps none."""
    score: str = "score"
    """Which of the validation's numbers tells the best weights: the lower the better."""
    seed: int = 0
    """Seed of whatever the step draws, such as dropout."""
    compile: bool = False
    """Compile the step with torch.compile."""
    tensorboard: bool = True
    """Write TensorBoard's events, if it is installed."""

    def __post_init__(self) -> None:
        everies = ("log_every", "validate_every", "checkpoint_every", "keep_every")
        for name in ("steps", "learning_rate", "clip_norm", "num_nodes", *everies):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1, got {self.ema}")
        if self.warm_up is not None and not 0 <= self.warm_up < self.steps:
            raise ValueError(f"warm_up must be 0 to {self.steps - 1}, got {self.warm_up}")
        for name in ("weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.devices < 1 and self.devices != -1:
            raise ValueError(f"devices must be 1 or more, or -1 for all, got {self.devices}")


def rate_factor(step: int, config: LoopConfig) -> float:
    """The learning rate of a step (from 0) as a part of the highest.

    A function of the step alone, so that a resumed run needs no state of it.
    """
    one_cycle = config.schedule == "one_cycle"
    if config.warm_up is None:
        rise = ONE_CYCLE_RISE * config.steps if one_cycle else 0.0
    else:
        rise = float(config.warm_up)
    if one_cycle:
        top = rise - 1
        if step <= top:
            return _between(ONE_CYCLE_START, 1.0, step / max(top, 1e-9))
        return _between(1.0, ONE_CYCLE_END, (step - top) / max(config.steps - 1 - top, 1e-9))
    if step < rise:
        return (step + 1) / rise
    if config.schedule == "constant":
        return 1.0
    return _between(1.0, 0.0, (step - rise) / (config.steps - rise))


def _between(start: float, end: float, part: float) -> float:
    """Half a cosine from start (part 0) to end (part 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(part, 0.0), 1.0))) / 2
