"""Every iterate of EFT on synthetic people, for tables and guards to read.

python -m benchmarks.iterates --count 1000 --seed 3 --folder out/iterates3

Writes one .npz for every 25 people, and takes up where an earlier run stopped.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.synthetic import batch_of
from exemplar.bodies import load_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.geometry.crops import crop_units_to_pixels
from exemplar.regressors.checkpoints import load_regressor
from exemplar.synth.dataset import draw_samples

BLOCK = 25
"""People in a file."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    folder: Path
    """Where the files go."""
    count: int = 1000
    """People."""
    seed: int = 3
    """Seed of the people; 1 is training, 2 and 5 validation, 3 test."""
    first: int = 0
    """The first person."""
    iterations: int = 20
    """Updates; there is no stop."""
    learning_rate: float | None = None
    """Adam's step; None takes the regressor's own."""
    regressor: str = "mobile"
    """Regressor to start from."""
    detected: bool = False
    """Spoil the true 2D keypoints as a detector does (`as_detected`)."""


def as_detected(keypoints: Tensor, generator: torch.Generator) -> Tensor:
    """(b, 49, 3) keypoints with a detector's errors: all off by 3 px (deviation of x and of y, px
    of a 224 crop), one in twenty by 20 px, one in ten not found."""
    shape = keypoints.shape[:2]
    outlier = torch.rand(shape, generator=generator) < 0.05
    lost = torch.rand(shape, generator=generator) < 0.1
    pixels = torch.where(outlier, 20.0, 3.0) / crop_units_to_pixels()
    points = keypoints[..., :2] + pixels[..., None] * torch.randn(*shape, 2, generator=generator)
    confidence = torch.where(lost, 0.0, keypoints[..., 2])
    return torch.cat((points, confidence[..., None]), dim=-1)


def main(config: Config) -> None:
    """Fit block after block."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config.folder.mkdir(parents=True, exist_ok=True)
    module, info = load_regressor(config.regressor)
    body = load_body(info.body)
    eft = EftConfig(
        config.learning_rate or info.learning_rate, iterations=config.iterations, stop_px=None
    )
    for first in range(config.first, config.first + config.count, BLOCK):
        path = config.folder / f"{first:06d}.npz"
        if path.exists():
            continue
        drawn = draw_samples(BLOCK, seed=config.seed, start=first, body=body)
        batch = batch_of(drawn)
        if config.detected:
            generator = torch.Generator().manual_seed(first)
            batch = replace(batch, keypoints_2d=as_detected(batch.keypoints_2d, generator))
        fits = fit_exemplars(module, body, batch, eft, history=True, workers=1)
        found, judged = fits.trace.iterates.prediction, fits.trace.iterates.evaluation
        np.savez(
            path,
            keypoints_2d=batch.keypoints_2d.numpy(),
            true_rotmats=np.concatenate((drawn.global_orient[:, None], drawn.body_pose), axis=1),
            true_betas=drawn.betas,
            rotmats=torch.cat((found.global_orient[:, :, None], found.body_pose), dim=2).numpy(),
            betas=found.betas.numpy(),
            camera=found.camera.numpy(),
            error_px=judged.error_px.numpy(),
            loss=judged.loss.numpy(),
        )
        print(f"{path.name} written", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
