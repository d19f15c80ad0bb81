"""Small things to train."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from exemplar.training.loop import LoopConfig
from exemplar.training.run_folder import read_log

PEOPLE = 8
SPEEDS = ("people_per_second",)


@dataclass(frozen=True)
class Points:
    """A batch: a frozen dataclass, as the real one is."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> "Points":
        return Points(self.x.to(device), self.y.to(device))


def points(step: int, rank: int, world: int) -> Points:
    """The same people in every run; rank r of w has rows r::w."""
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(PEOPLE, 3, generator=draw)
    y = x.square().sum(1, keepdim=True)
    return Points(x[rank::world], y[rank::world])


class Regression(nn.Module):
    """Least squares by a small network that has what is hard to resume: dropout and batch norm."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.network = nn.Sequential(
            nn.Linear(3, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(0.2)
        )
        self.last = nn.Linear(width, 1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draw) / 2

    def forward(self, batch: Points) -> dict[str, Tensor]:
        error = self.last(self.network(batch.x)) - batch.y
        terms = {"square": error.square().mean(), "absolute": 0.1 * error.abs().mean()}
        return {"loss": terms["square"] + terms["absolute"], **terms}


class Adapting(nn.Module):
    """An inner gradient step on weights, the outer loss through it, and a weight of no use.

    each: every person adapts weights of their own; else the batch adapts them together.
    """

    def __init__(self, *, each: bool) -> None:
        super().__init__()
        self.each = each
        self.weight = nn.Parameter(torch.full((3, 1), 0.3, dtype=torch.float64))
        self.teacher = nn.Parameter(torch.full((3, 1), 0.1, dtype=torch.float64))
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, batch: Points) -> dict[str, Tensor]:
        x, y = batch.x.double(), batch.y.double()
        groups = list(zip(x.split(1), y.split(1), strict=True)) if self.each else [(x, y)]
        inner, outer = zip(*(self.adapted(*group) for group in groups), strict=True)
        return {"loss": torch.stack(outer).mean(), "inner": torch.stack(inner).mean()}

    def adapted(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        inner = (x @ self.weight - x @ self.teacher).square().mean()
        (gradient,) = torch.autograd.grad(inner, self.weight, create_graph=True)
        return inner, (x @ (self.weight - 0.1 * gradient) - y).square().mean()


def small(**changes: object) -> LoopConfig:
    """Settings for a test: one CPU, a row of the log at every step."""
    settings = {
        **{"steps": 20, "learning_rate": 0.01, "accelerator": "cpu", "log_every": 1},
        **{"validate_every": None, "tensorboard": False, **changes},
    }
    return LoopConfig(**settings)  # pyright: ignore


def held_out(module: nn.Module) -> Mapping[str, float]:
    """Validation on people that training does not see."""
    return {"score": module(points(10_000, 0, 1))["loss"].item()}


def logged(folder: Path) -> list[dict[str, str]]:
    """The log without what a clock tells."""
    rows = read_log(folder / "log.csv")
    return [{k: v for k, v in row.items() if k not in SPEEDS} for row in rows]
