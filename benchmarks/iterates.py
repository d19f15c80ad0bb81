"""Every iterate of EFT on synthetic people with true 2D keypoints, for tables and guards to read.

python -m benchmarks.iterates --count 1000 --seed 3 --folder out/iterates3

Writes one .npz for every 25 people, and takes up where an earlier run stopped.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.synthetic import one
from exemplar.bodies import load_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplar
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


def main(config: Config) -> None:
    """Fit block after block."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config.folder.mkdir(parents=True, exist_ok=True)
    module, info = load_regressor(config.regressor)
    body = load_body(info.body)
    eft = EftConfig(
        config.learning_rate or info.learning_rate, iterations=config.iterations, stop_px=0.0
    )
    for first in range(config.first, config.first + config.count, BLOCK):
        path = config.folder / f"{first:06d}.npz"
        if path.exists():
            continue
        drawn = draw_samples(BLOCK, seed=config.seed, start=first, body=body)
        rows = []
        for i in range(BLOCK):
            batch = one(drawn, i)
            iterates = fit_exemplar(module, body, batch, eft).trace.iterates
            rows.append(
                {
                    "keypoints_2d": batch.keypoints_2d[0],
                    "true_rotmats": torch.from_numpy(
                        np.concatenate((drawn.global_orient[i, None], drawn.body_pose[i]))
                    ),
                    "true_betas": torch.from_numpy(drawn.betas[i]),
                    "rotmats": torch.cat(
                        [
                            torch.cat(
                                (x.prediction.global_orient[:, None], x.prediction.body_pose), 1
                            )
                            for x in iterates
                        ]
                    ),
                    "betas": torch.cat([x.prediction.betas for x in iterates]),
                    "camera": torch.cat([x.prediction.camera for x in iterates]),
                    "error_px": torch.cat([x.evaluation.error_px for x in iterates]),
                    "loss": torch.cat([x.evaluation.loss for x in iterates]),
                }
            )
        np.savez(path, **{k: torch.stack([r[k] for r in rows]).numpy() for k in rows[0]})
        print(f"{path.name} written", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
