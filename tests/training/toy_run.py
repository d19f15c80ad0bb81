"""`exemplar train` on a toy network and tiny people: what its tests share."""

from pathlib import Path

import pytest
import torch

from exemplar.cli import main
from exemplar.regressors.checkpoints import ARCHITECTURES, RegressorInfo, save_regressor
from exemplar.training.run_folder import load_checkpoint
from tests.training.people_files import write_people
from tests.training.toy import ToyNetwork

NOT_NUMBERS = frozenset({"settings", "versions"})
"""What a checkpoint holds besides the state of its run."""

FEW = ("--steps", 2, "--batch-size", 2, "--regressor", "toy", "--workers", 0)
"""Two steps of two people on the toy network."""


def make_toy(info: RegressorInfo) -> ToyNetwork:
    """A toy network whose weights come from torch's generator, as those of real networks do."""
    return ToyNetwork(int(torch.randint(1 << 30, ())))


def add_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `toy` an architecture; it has three parts, and batch norm in the second."""
    monkeypatch.setitem(ARCHITECTURES, "toy", make_toy)  # pyright: ignore[reportArgumentType]


def save_toy(path: Path, seed: int = 0, body: str = "open") -> Path:
    """A toy checkpoint."""
    save_regressor(ToyNetwork(seed), RegressorInfo("toy", body, 1e-5), path)
    return path


def train(*arguments: object) -> int:
    """Exit status of `exemplar train`."""
    try:
        main(["train", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def people_at(folder: Path, count: int = 5) -> str:
    """People with bodies as an argument of --data."""
    return f"some={write_people(folder, count, bodies=True)}"


def numbers(path: Path) -> dict[str, object]:
    """A checkpoint's state."""
    return {name: v for name, v in load_checkpoint(path).items() if name not in NOT_NUMBERS}
