"""The example that trains a head."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from exemplar import load_regressor
from exemplar.fitting.weights import parts_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "06_train.py"


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    """Whether all weights are the same to the bit."""
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_the_example_trains_heads_alone_and_fits_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning_fabric")
    spec = importlib.util.spec_from_file_location("train_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(tmp_path)
    before, after = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert (before[-1], after[-1]) == ("px", "px")
    assert float(after[-2]) < float(before[-2])
    start = parts_of(load_regressor("mobile")[0])
    made = [parts_of(load_regressor(str(p))[0]) for p in (tmp_path / "run").glob("*.safetensors")]
    assert len(made) == 2
    for parts in made:
        assert all(same(ours, shipped) for ours, shipped in zip(parts[:-1], start, strict=False))
        assert not same(parts[-1], start[-1])
    assert not same(made[0][-1], made[1][-1])
