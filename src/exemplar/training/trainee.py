"""A regressor in training."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from exemplar.fitting.weights import Adapt, Inputs, Parts, moving_names, parts_of
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction, run


class Trainee(nn.Module):
    """A regressor in training: its frozen beginning, and the parts after it."""

    def __init__(
        self,
        regressor: nn.Module,
        *,
        frozen: int = 0,
        cached: bool = False,
        batch_norm: Literal["train", "frozen"] = "train",
        passes: int = 1,
    ) -> None:
        """The first `frozen` parts stay as they are; `cached`: inputs are what they returned.

        `passes`: how often running statistics take up each batch. The released dual-network
        program sends a batch twice through a backbone that has not changed in between; here it
        goes once.

        ValueError if no part is left to train.
        """
        super().__init__()
        parts = parts_of(regressor)
        if not 0 <= frozen < len(parts):
            raise ValueError(
                f"{type(regressor).__name__} has {len(parts)} parts, of which fewer can be "
                f"frozen, got {frozen}"
            )
        self.regressor = regressor
        self.frozen, self.cached, self.batch_norm = frozen, cached, batch_norm
        for part in parts[:frozen]:
            part.requires_grad_(False)
        for norm in batch_norms(regressor):
            if norm.momentum is not None:
                norm.momentum = 1 - (1 - norm.momentum) ** passes

    def train(self, mode: bool = True) -> "Trainee":
        """Training mode for what is trained; frozen parts and norms stay in eval mode."""
        super().train(mode)
        for part in parts_of(self.regressor)[: self.frozen]:
            part.eval()
        if self.batch_norm == "frozen":
            for module in batch_norms(self.regressor):
                module.eval()
        return self

    def split(self, own: int) -> tuple[Callable[[Inputs], Inputs], list[nn.Module]]:
        """What all exemplars share, as a function of a batch's inputs, and the last `own` parts."""
        parts = parts_of(self.regressor)
        first = len(parts) - own
        before = parts[min(self.frozen, first) : first]
        frozen = [] if self.cached else parts[: self.frozen]

        def shared(inputs: Inputs) -> Inputs:
            with torch.no_grad():
                for part in frozen:
                    inputs = part(inputs)
            for part in before:
                inputs = part(inputs)
            return inputs

        return shared, parts[first:]

    def adapted(self, adapt: Adapt) -> tuple[frozenset[str], int]:
        """The weights that `adapt` selects of those in training, by their names in the chain of
        the last parts, and how many parts that chain has. ValueError if there are none."""
        names = moving_names(self.regressor, adapt)
        chosen = {id(p) for name, p in self.regressor.named_parameters() if name in names}
        parts = parts_of(self.regressor)[self.frozen :]
        while parts and not any(id(p) in chosen for p in parts[0].parameters()):
            parts.pop(0)
        if not parts:
            raise ValueError(f"adapt={adapt!r} selects no weight that is trained")
        chain = Parts(parts)
        return frozenset(n for n, p in chain.named_parameters() if id(p) in chosen), len(parts)

    def forward(self, inputs: Inputs, box: Box) -> Prediction:
        """Bodies of a batch."""
        shared, own = self.split(1)
        return run(own, shared(inputs), box)


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The batch norms in a module."""
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
