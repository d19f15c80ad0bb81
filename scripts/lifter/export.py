"""Write a trained head as the file that the package ships; the trunk is a file of its own.

    python -m scripts.lifter.export --head R/final/head.pt \
        --out src/exemplar/assets/mobile.safetensors

Of several heads, one trained on from the other, the weights are averaged (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"): the mean keeps more of what the first knew.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import nn

from exemplar.regressors.blazepose import Size
from exemplar.regressors.checkpoints import RegressorInfo, save_regressor
from exemplar.regressors.lifter import LifterHead
from scripts.lifter.fits import load_head


@dataclass(frozen=True)
class Export:
    """Settings."""

    head: tuple[str, ...]
    """Checkpoints of `scripts.lifter.train`, or a shipped regressor whose head stays."""
    out: Path
    """File to write."""
    shares: tuple[float, ...] = (1.0,)
    """What each head counts; they sum to 1."""
    given: Path | None = None
    """Checkpoint of the head that reads keypoints (`train --keypoints`)."""
    trunk: Size = "full"
    """Whose landmarks it was trained on."""
    adapt: str = "head.enter"
    """Weights that EFT moves: the first layer alone does as well as the whole head."""
    learning_rate: float = 2e-5
    """EFT's step, chosen on real people."""
    given_rate: float = 2e-5
    """That of the head that reads keypoints."""


def mean_head(heads: Sequence[LifterHead], shares: Sequence[float]) -> LifterHead:
    """A head whose weights are the mean of others'; ValueError unless the shares sum to 1."""
    if len(shares) != len(heads) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"expected {len(heads)} shares that sum to 1, got {tuple(shares)}")
    states = [head.state_dict() for head in heads]
    mean = {
        name: torch.stack([share * s[name] for share, s in zip(shares, states, strict=True)]).sum(0)
        for name in states[0]
    }
    head = copy.deepcopy(heads[0])
    head.load_state_dict(mean)
    return head


def main(config: Export) -> None:
    """Write the averaged weights in half precision."""
    architecture = "lifter" if config.trunk == "full" else "lifter_heavy"
    info = RegressorInfo(
        architecture, "open", config.learning_rate, config.adapt,
        notes="scripts/lifter", given_rate=None if config.given is None else config.given_rate,
    )  # fmt: skip
    heads = {"head": mean_head([load_head(name) for name in config.head], config.shares)}
    if config.given is not None:
        heads["given_head"] = load_head(config.given)
    save_regressor(nn.ModuleDict(heads), info, config.out)
    config.out.chmod(0o644)
    print(f"{config.out} {config.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(tyro.cli(Export))
