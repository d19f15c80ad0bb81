"""What `exemplar compare` compares: lifting jobs, files of bodies, methods of evaluation runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exemplar.bodies import OPEN_BODY, Body
from exemplar.data.formats import read_truths
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.report.data import read_run, read_samples
from exemplar.evaluation.run_files import SAMPLES
from exemplar.files.image_store_files import open_images
from exemplar.files.reading_files import one_line
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.store import Ledger
from exemplar.render.compare_picture import (
    extent_of,
    overlay_picture,
    person_photo,
    plain_picture,
    views_of,
)
from exemplar.viewer.compare.page import BodyView
from exemplar.viewer.compare.people import ComparedPerson, body_name
from exemplar.viewer.local_pages import NamedBodies, jpeg

PICTURE_SIZE = 440
"""Height of a page's pictures, px."""


@dataclass(frozen=True)
class BodySource:
    """Where bodies come from."""

    name: str
    """As it was given."""
    rows: Callable[[], Iterator[PseudoTruth]]
    """Its people, from the first; may be called again."""
    images: str | Path | None = None
    """Where the images are (`image_store_files.open_images`), where the source knows it."""


def open_source(text: str) -> BodySource:
    """A lifting job's folder, a file of any format with bodies, or RUN:METHOD of an evaluation.

    FileNotFoundError or ValueError, in one line, if it is none of these.
    """
    path = Path(text)
    if (path / LEDGER).is_file():
        with Ledger.open(path) as ledger:
            if not ledger.filled():
                raise ValueError(f"{path}: no samples are recorded yet: run exemplar lift")
            return BodySource(text, lambda: _of_job(path), ledger.images)
    if (path / SAMPLES).is_file():
        methods = one_line(", ".join(f"{path}:{method}" for method in read_run(path).methods))
        raise ValueError(f"{path} is an evaluation run of several methods: name one of {methods}")
    if path.is_file():
        return BodySource(text, lambda: read_truths(path))
    folder, colon, method = text.rpartition(":")
    if colon and (Path(folder) / SAMPLES).is_file():
        return _of_run(text, Path(folder), method)
    if path.is_dir():
        raise FileNotFoundError(f"{path} is neither a lifting job nor an evaluation run")
    raise FileNotFoundError(f"no lifting job, file of bodies or RUN:METHOD at {text}")


def _of_job(folder: Path) -> Iterator[PseudoTruth]:
    with Ledger.open(folder) as ledger:
        yield from ledger.truths()


def _of_run(text: str, folder: Path, method: str) -> BodySource:
    run = read_run(folder)
    if method not in run.methods:
        there = one_line(", ".join(run.methods))
        raise ValueError(f"{folder} has no method {method!r}, only {there}")
    found, body = run.methods[method], str(run.summary.get("body") or OPEN_BODY)
    images = run.config.get("images")

    def rows() -> Iterator[PseudoTruth]:
        samples = read_samples(folder, found.row.tolist())
        for sample, status in zip(samples, found.texts["status"], strict=True):
            yield PseudoTruth(sample, status, body_model=body)

    return BodySource(text, rows, Path(images) if images else None)


class ComparedPictures:
    """The chosen people of two sources as the page of a comparison sees them."""

    def __init__(
        self,
        people: Sequence[ComparedPerson],
        sources: tuple[BodySource, BodySource],
        *,
        images: str | Path,
        body: str | None = None,
        size: int = PICTURE_SIZE,
    ) -> None:
        """Reads the people's bodies from the sources; `body` stands for the ones they name.

        ValueError or OSError for a body that cannot be read.
        """
        self.people, self._images, self._size = people, open_images(images), size
        self._body, self._extents = NamedBodies(body), dict[int, float]()
        self._truths = [
            _wanted(source, {person.bodies[side] for person in people})
            for side, source in enumerate(sources)
        ]
        for name in {truth.body_model for own in self._truths for truth in own.values()}:
            self._body(name or OPEN_BODY)

    @property
    def unnamed(self) -> bool:
        """Whether there are bodies of which nothing says what model they are for."""
        rows = (truth for own in self._truths for truth in own.values())
        return any(not truth.body_model for truth in rows)

    def photo(self, person: int) -> bytes:
        """A JPEG of the person's box; grey without the image."""
        sample = self._truth(person, 0).sample
        return jpeg(person_photo(sample, self._image(sample.image), self._size))

    def body(self, person: int, second: bool, view: BodyView) -> bytes:
        """A JPEG of one of the person's bodies, as the camera sees it and from the side."""
        truth, extent = self._truth(person, int(second)), self._extent(person)
        body = self._model(truth)
        if view == "overlay":
            image = self._image(truth.sample.image)
            return jpeg(overlay_picture(truth.sample, image, body, self._size, extent=extent))
        faces = body.faces.cpu().numpy()
        views = views_of(truth.sample, body)
        return jpeg(plain_picture(views, faces, self._size, extent=extent))

    def _truth(self, person: int, side: int) -> PseudoTruth:
        return self._truths[side][self.people[person].bodies[side]]

    def _model(self, truth: PseudoTruth) -> Body:
        return self._body(truth.body_model or OPEN_BODY)

    def _image(self, name: str) -> np.ndarray | None:
        try:
            return self._images.read(name)
        except (OSError, ValueError):
            return None

    def _extent(self, person: int) -> float:
        """Metres that fill a view of either body: a scale of its own would tell them apart."""
        if person not in self._extents:
            truths = [self._truth(person, side) for side in range(2)]
            extents = [extent_of(views_of(one.sample, self._model(one))) for one in truths]
            self._extents[person] = max(extents)
        return self._extents[person]


def _wanted(source: BodySource, names: set[str]) -> Mapping[str, PseudoTruth]:
    """The rows whose bodies have these names."""
    named = ((body_name(truth), truth) for truth in source.rows())
    return {name: truth for name, truth in named if name in names}
