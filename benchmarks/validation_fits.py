"""Pictures of validation people as a regressor and EFT see them, with their errors.

python -m benchmarks.validation_fits --people val=V/annotations.npz --output fits.jpg

Each row is a person: keypoints, body, side view of the regressor's answer, and the same after EFT.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from exemplar.evaluation.train_pictures import column
from exemplar.files.image_files import write_image
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.regressors.checkpoints import body_for, load_regressor
from exemplar.samples import Batch
from exemplar.training.augment import frame_of
from exemplar.training.sources import load_people, parse_source
from exemplar.training.validation import ValidationPeople, errors


@dataclass(frozen=True)
class Config:
    """Settings."""

    people: str
    """People with bodies, as `exemplar train --validation` has them: the first six are drawn."""
    output: Path
    """Picture to write."""
    regressor: str = "mobile"
    """Regressor."""
    threads: int = 1
    """Torch threads."""


def main(config: Config) -> None:
    """Fit, draw, print."""
    torch.set_num_threads(config.threads)
    regressor, info = load_regressor(config.regressor)
    body = body_for(info)
    people = ValidationPeople(
        load_people(parse_source(config.people)), frame_of(regressor), limit=6
    )
    batch = people.shown_batch
    assert isinstance(batch.inputs, torch.Tensor)
    eft = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt)
    fits = fit_exemplars(regressor, body, Batch(batch.inputs, batch.box, batch.keypoints_2d), eft)
    columns = []
    for name, iterate in (("regressor", fits.before), ("EFT", fits.after)):
        columns.append(column(people.shown, iterate.prediction, body))
        found = errors(body, regressor, iterate.prediction, batch)
        print(name, {key: [round(x, 1) for x in value.tolist()] for key, value in found.items()})
    write_image(np.concatenate(columns, axis=1), config.output)
    print(f"wrote {config.output}")


if __name__ == "__main__":
    main(tyro.cli(Config))
