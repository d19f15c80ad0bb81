"""A small data set on disk: drawn people, exact keypoints."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from exemplar.image_files import write_image
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_25
from exemplar.synth import SynthBatch, draw_samples

PEOPLE = 6


@cache
def drawn() -> SynthBatch:
    return draw_samples(PEOPLE, seed=7)


def write_images(folder: Path) -> Path:
    """Photographs 0.png to 5.png in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(drawn().images):
        write_image(image, folder / f"{i}.png")
    return folder


def sample(number: int, **changes) -> Sample:
    """An annotated person of `write_images`; numbers beyond the photographs repeat them."""
    number %= PEOPLE
    points = drawn().keypoints_2d[number].astype(np.float64)
    points[: len(OPENPOSE_25)] = 0.0
    side = drawn().images.shape[1]
    made = Sample(f"{number}.png", np.full(2, side / 2), side / 200, points, annotation_id=number)
    return replace(made, **changes)


def write_annotation(path: Path, count: int = PEOPLE) -> Path:
    """SPIN's npz of these people."""
    people = [sample(i) for i in range(count)]
    np.savez(
        path,
        imgname=np.array([person.image for person in people]),
        center=np.array([person.box_centre for person in people]),
        scale=np.array([person.box_scale for person in people]),
        part=np.array([person.keypoints_2d[len(OPENPOSE_25) :] for person in people]),
    )
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("photographs"))
