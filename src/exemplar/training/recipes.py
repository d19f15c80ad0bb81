"""What decides the numbers of a training run, and the papers' recipes by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.fitting.dual import DualConfig
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import AugmentConfig
from exemplar.training.schedule import LoopConfig

Kind = Literal["supervised", "exemplar"]
"""Whether each iteration has an exemplar step inside."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    loss: BodyLossConfig
    """The training loss."""
    augmentation: AugmentConfig
    """How people are changed."""
    loop: LoopConfig
    """Steps, rates, devices."""
    inner: InnerConfig | None = None
    """The exemplar step; None is supervised training."""
    batch_size: int = 64
    """People of a step, of all devices together."""
    auxiliary_rate: float | None = None
    """Learning rate of the auxiliary network; None is the main network's."""
    batch_norm: Literal["train", "frozen"] = "train"
    """Whether batch norm uses the batch's statistics and follows them, or keeps its own."""
    passes: int = 1
    """How often running statistics take up each batch (the released dual program: twice)."""
    dropout: float | None = None
    """Dropout in the heads; None is the networks' own."""
    check_steps: tuple[int, ...] = field(default=(0,))
    """Test-time steps after which validation looks at the network; the first number is scored."""


OURS = BodyLossConfig.ours()
"""The loss of this project's recipes."""

AUGMENTATIONS = {
    "none": AugmentConfig.none,
    "spin": AugmentConfig.spin,
    "eft": AugmentConfig.eft,
    "dual": AugmentConfig.dual,
    "default": AugmentConfig.default,
}
"""By name."""

TEST_TIME = DualConfig.trained()
"""The fit that networks of the exemplar default recipe are trained for."""


def _default(inner: InnerConfig | None) -> Recipe:
    loop = LoopConfig(
        learning_rate=3e-4, schedule="one_cycle", warm_up=None, optimiser="adamw",
        weight_decay=1e-2, ema=0.998,
    )  # fmt: skip
    steps = (0,) if inner is None else (0, 1, 7)
    return Recipe(OURS, AugmentConfig.default(), loop, inner, batch_size=128, check_steps=steps)


def _dual(inner: InnerConfig | None, loss: BodyLossConfig, batch_size: int) -> Recipe:
    return Recipe(
        loss, AugmentConfig.dual(), LoopConfig(learning_rate=1e-4), inner, batch_size=batch_size
    )


RECIPES: Mapping[Kind, Mapping[str, Recipe]] = {
    "supervised": {
        "default": _default(None),
        "spin": Recipe(
            BodyLossConfig.spin(),
            AugmentConfig.spin(),
            LoopConfig(learning_rate=5e-5),
        ),
        "eft": Recipe(
            BodyLossConfig.spin(),
            AugmentConfig.eft(),
            LoopConfig(learning_rate=5e-5, steps=200_000),
            batch_size=256,
        ),
        "paper": _dual(None, BodyLossConfig.paper(), 40),
        "released": _dual(None, BodyLossConfig.released(), 30),
    },
    "exemplar": {
        "default": _default(
            InnerConfig(
                learning_rate=TEST_TIME.learning_rate, adapt=TEST_TIME.adapt, loss=TEST_TIME.loss
            )
        ),
        "paper": replace(
            _dual(InnerConfig.paper(), BodyLossConfig.paper(), 40), batch_norm="frozen"
        ),
        "released": replace(
            _dual(InnerConfig.released(), BodyLossConfig.released(), 30),
            auxiliary_rate=1e-6,
            passes=2,
        ),
    },
}
"""By kind and name. default: this project's. spin, eft: their programs (facts: Adam 5e-5, batch 64
and 256). paper, released: the dual networks' ResNet recipe as printed and as their program runs,
under "supervised" without the inner step (their `--no_inner`). Batch norms that exemplars own
cannot follow a batch, so the printed recipe, which adapts all weights, has them frozen."""


def recipe_named(kind: Kind, name: str) -> Recipe:
    """A recipe; ValueError in one line if there is none of that name."""
    known = RECIPES[kind]
    if name not in known:
        raise ValueError(f"unknown preset {name!r} of {kind} training: expected {', '.join(known)}")
    return known[name]
