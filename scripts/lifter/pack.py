"""What `scripts.gpu_run` trains on from, made small enough to carry to a machine with a card.

    python -m scripts.lifter.pack --run runs/round1 --poses POSES.npz --noise W/noise.npz \
        --out .gpu/network

Writes the run's averaged weights and the noise model in half precision, the poses, and
arguments.txt: options of `scripts.lifter.train`, relative to where this is run. Real people stay
behind: their readings are too large.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from scripts.lifter.noise import NoiseModel


@dataclass(frozen=True)
class Config:
    """Settings."""

    run: Path
    """Folder of `scripts.lifter.train`."""
    poses: Path
    """Motion capture, .npz, of that run."""
    noise: Path
    """The noise model of that run."""
    out: Path = Path(".gpu/network")
    """Folder to write."""
    rate: float = 5e-4
    """Largest step of the updates to come."""
    steps: int = 200_000
    """Updates to come: more than there will be time for."""


def main(config: Config) -> None:
    """Pack."""
    config.out.mkdir(parents=True, exist_ok=True)
    weights = torch.load(config.run / "head.pt", map_location="cpu", weights_only=True)["average"]
    halved = {name: value.half() for name, value in weights.items()}
    torch.save({"average": halved}, config.out / "head.pt")
    NoiseModel.load(config.noise).save(config.out / "noise.npz", half=True)
    shutil.copyfile(config.poses, config.out / "poses.npz")
    options = {
        "--start": config.out / "head.pt",
        "--poses": config.out / "poses.npz",
        "--noise": config.out / "noise.npz",
        "--rate": config.rate,
        "--steps": config.steps,
    }
    words = [str(word) for option in options.items() for word in option]
    (config.out / "arguments.txt").write_text(" ".join(words) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
