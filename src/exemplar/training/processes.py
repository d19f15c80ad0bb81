"""The processes that train together: Lightning Fabric, and what is shared or done once."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from exemplar.training.schedule import LoopConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import Precision

T = TypeVar("T")

STARTS: Mapping[str, Literal["popen", "fork"]] = {"ddp": "popen", "ddp_fork": "fork"}
"""How the processes of a strategy come about."""


def open_fabric(config: LoopConfig) -> "Fabric":
    """Fabric for the config's devices; ValueError in one line if there are none such."""
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise ImportError(
            "training needs lightning-fabric: pip install 'exemplar-hmr[train]'"
        ) from error
    several = config.devices != 1 or config.num_nodes > 1
    start = STARTS.get("ddp" if config.strategy == "auto" and several else config.strategy)
    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            # a weight that a recipe leaves without gradient would keep the others waiting
            strategy=DDPStrategy(start_method=start, find_unused_parameters=True)
            if start
            else "auto",
            plugins=[_precision(config)],
        )
    except Exception as error:  # of many kinds, some of several lines
        raise ValueError(" ".join(str(error).split())) from error


def _precision(config: LoopConfig) -> "Precision":
    from lightning_fabric.plugins import MixedPrecision, Precision

    if config.precision == "32":
        return Precision()
    cuda = config.accelerator in ("auto", "cuda") and torch.cuda.is_available()
    kind = "mps" if config.accelerator == "mps" else "cuda" if cuda else "cpu"
    return MixedPrecision(config.precision, kind)


class Share:
    """A process's share of a batch, closed to Fabric, which would round keypoints to 16 bits."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class Step(nn.Module):
    """The step module as DDP sees it: nothing but the loss leads back to the weights."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, share: Share) -> dict[str, Tensor]:
        """The step's scalars; ValueError if they are none, or without a loss."""
        terms = self.module(share.batch)
        if "loss" not in terms:
            raise ValueError(f"the step module returned {', '.join(terms)}: expected a loss")
        for name, term in terms.items():
            if term.ndim:
                raise ValueError(f"{name!r} of the step has shape {tuple(term.shape)}: expected ()")
        return {name: term if name == "loss" else term.detach() for name, term in terms.items()}


def means(
    fabric: "Fabric", terms: Mapping[str, Tensor], flag: bool
) -> tuple[dict[str, float], bool]:
    """Means of scalars over the processes, and whether any has the flag: all then decide alike."""
    loss = terms["loss"]
    numbers = [*(t.detach().float() for t in terms.values()), loss.new_tensor(flag).float()]
    shared = fabric.all_reduce(torch.stack(numbers), reduce_op="mean")
    assert isinstance(shared, Tensor)
    *values, flags = shared.tolist()
    return dict(zip(terms, values, strict=True)), flags > 0


def on_first(fabric: "Fabric", action: Callable[[], T]) -> T:
    """What the first process alone does and all get; if it fails, it fails in all."""
    outcome: list[T] = []
    error = None
    if fabric.is_global_zero:
        try:
            outcome = [action()]
        except Exception as failure:
            error = failure
    outcome, reason = fabric.broadcast((outcome, None if error is None else str(error)))
    if error is not None:
        raise error
    if reason is not None:
        raise ValueError(f"the first process ended: {reason}")
    return outcome[0]


def seed_step(seed: int, step: int, rank: int) -> None:
    """Whatever a step draws is a function of the seed, the step and the process."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))
