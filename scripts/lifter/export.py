"""Write a trained head as the file that the package ships; the trunk is a file of its own.

python -m scripts.lifter.export --head R/final/head.pt --out src/exemplar/assets/mobile.safetensors
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from torch import nn

from exemplar.regressors.blazepose import Size
from exemplar.regressors.checkpoints import RegressorInfo, save_regressor
from scripts.lifter.fits import load_head


@dataclass(frozen=True)
class Export:
    """Settings."""

    head: Path
    """Checkpoint of `scripts.lifter.train`."""
    out: Path
    """File to write."""
    trunk: Size = "full"
    """Whose landmarks it was trained on."""
    learning_rate: float = 3e-5
    """EFT's step, chosen on real people."""


def main(config: Export) -> None:
    """Write the averaged weights in half precision."""
    architecture = "lifter" if config.trunk == "full" else "lifter_heavy"
    info = RegressorInfo(architecture, "open", config.learning_rate, "head", notes="scripts/lifter")
    save_regressor(nn.ModuleDict({"head": load_head(config.head)}), info, config.out)
    config.out.chmod(0o644)
    print(f"{config.out} {config.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(tyro.cli(Export))
