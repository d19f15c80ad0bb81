"""A small data set on disk: drawn people, exact keypoints."""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.image_files import write_image
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Ledger, Selection
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_25
from exemplar.synth import SynthBatch, draw_samples

PEOPLE = 6
FAST = LiftConfig("mobile", iterations=2)
UNFITTED = LiftConfig("mobile", recipe="regressor")
EVERYONE = Selection()
COUNT = 12


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


def numbers(rows: list[PseudoTruth]) -> list[tuple]:
    """What must not depend on who did the work: everything but the identity of objects."""
    found = []
    for row in rows:
        body = row.sample.body
        assert body is not None
        fields = tuple(repr(value) for name, value in vars(row).items() if name != "sample")
        found.append((row.sample.image, fields, body.pose.tobytes(), body.betas.tobytes()))
    return found


def new_job(folder: Path, photographs: Path, count: int = COUNT) -> Ledger:
    ledger = Ledger(folder, create=True)
    ledger.fill((sample(i) for i in range(count)), {"images": str(photographs)})
    return ledger


def wait_for(folder: Path, done: int, seconds: float = 30.0) -> None:
    """Until so many people of a job are done."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with Ledger(folder) as ledger:
                if ledger.progress(EVERYONE)[1] >= done:
                    return
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{done} people were not done in {seconds:g} s")


def lifted_here(
    folder: Path, photographs: Path, count: int = COUNT, config: LiftConfig = FAST
) -> list[PseudoTruth]:
    """A job that nothing disturbs."""
    with new_job(folder, photographs, count) as ledger:
        ledger.join()
        run_local(ledger, Lifter(config, workers=1), EVERYONE, lambda made: None)
        return list(ledger.truths())


@pytest.fixture(scope="session")
def undisturbed(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[PseudoTruth]:
    return lifted_here(tmp_path_factory.mktemp("job"), photographs)
