"""Training of the lifter's head: people made ahead, a run that stops for time and goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import tyro

from exemplar.skeletons import BLAZEPOSE_33
from scripts.gpu_run_inputs import network_inputs
from scripts.lifter import pack, train
from scripts.lifter.noise import guessed


def test_people_made_ahead_are_those_of_their_steps() -> None:
    steps = range(3, 12)
    for workers in (0, 1, 3):
        assert list(train.ahead(lambda step: step * step, steps, workers)) == [
            (step, step * step) for step in steps
        ]


def test_an_error_of_a_maker_is_told() -> None:
    def make(step: int) -> int:
        raise ValueError(f"no people for {step}")

    with pytest.raises(ValueError, match="no people for 0"):
        list(train.ahead(make, range(100), 2))


@pytest.mark.slow
def test_a_run_that_stops_for_time_goes_on(tmp_path: Path) -> None:
    network_inputs(tmp_path)
    config = train.Train(
        tmp_path / "whole", tmp_path / "poses.npz", bank=tmp_path / "bank", families=50, steps=3,
        batch=16, hidden=32, blocks=1, dropout=0.0, every=3, weights=tmp_path / "whole.pt",
    )  # fmt: skip
    train.main(config)
    parts = replace(config, out=tmp_path / "parts", seconds=0.0, weights=tmp_path / "parts.pt")
    for step in (1, 2, 3):
        train.main(replace(parts, workers=step - 1))
        state = torch.load(parts.out / "head.pt", weights_only=True)
        assert state["step"] == step
    whole, found = (torch.load(c.weights, weights_only=True) for c in (config, parts))
    assert found["shape"] == [32, 1]
    for name, value in whole["average"].items():
        assert torch.equal(found["average"][name], value), name


@pytest.mark.slow
def test_a_packed_run_can_be_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network_inputs(tmp_path)
    begun = train.Train(
        tmp_path / "run", tmp_path / "poses.npz", bank=tmp_path / "bank", families=50, steps=1,
        batch=16, dropout=0.0, every=1,
    )  # fmt: skip
    train.main(begun)
    seen = torch.ones(8, len(BLAZEPOSE_33))
    guessed(seen, 0.01 * seen).save(tmp_path / "noise.npz")
    monkeypatch.chdir(tmp_path)
    pack.main(pack.Config(begun.out, tmp_path / "poses.npz", tmp_path / "noise.npz"))
    words = Path(".gpu/network/arguments.txt").read_text().split()
    assert Path(".gpu/network/head.pt").stat().st_size < 4e6
    going_on = tyro.cli(train.Train, args=[*words, "--out", "on", "--batch", "16"])
    train.main(replace(going_on, steps=1, families=50))
    before, after = (
        torch.load(path, weights_only=True)["average"]
        for path in (Path(".gpu/network/head.pt"), Path("on/head.pt"))
    )
    for name, value in before.items():
        torch.testing.assert_close(after[name], value.float(), atol=1e-2, rtol=0.0)
