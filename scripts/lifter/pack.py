"""What `scripts.gpu_run` trains on from, made small enough to carry to a machine with a card.

    python -m scripts.lifter.pack --start large --poses POSES.npz --noise W/noise.npz

Writes the noise model in half precision, the poses, and arguments.txt: options of
`scripts.lifter.train`, relative to where this is run. The weights to start from are a shipped
regressor's, which are there already. Real people stay behind: their readings are too large.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR
from scripts.lifter.noise import NoiseModel


@dataclass(frozen=True)
class Config:
    """Settings."""

    poses: Path
    """Motion capture, .npz."""
    noise: Path
    """The noise model of the trunk that the regressor stands on."""
    start: str = DEFAULT_REGRESSOR
    """Name of the shipped regressor to go on from."""
    out: Path = Path(".gpu/network")
    """Folder to write."""
    rate: float = 5e-4
    """Largest step of the updates to come."""
    steps: int = 200_000
    """Updates to come: more than there will be time for."""


def main(config: Config) -> None:
    """Pack."""
    config.out.mkdir(parents=True, exist_ok=True)
    NoiseModel.load(config.noise).save(config.out / "noise.npz", half=True)
    shutil.copyfile(config.poses, config.out / "poses.npz")
    options = {
        "--start": config.start,
        "--poses": config.out / "poses.npz",
        "--noise": config.out / "noise.npz",
        "--rate": config.rate,
        "--steps": config.steps,
    }
    words = [str(word) for option in options.items() for word in option]
    (config.out / "arguments.txt").write_text(" ".join(words) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
