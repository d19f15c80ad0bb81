"""Detected 2D keypoints to samples: what all detectors' files share.

Scores become confidences in 0..1 by one rule (`confidences`), a point at exactly (0, 0) or (-1, -1)
or with a number that is not finite is missing whatever its score, and joints go to the 49 by name.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.image_names import ImageNames
from exemplar.data.records import (
    BROKEN,
    box_of_points,
    joints49,
    known_points,
    sample_or_problem,
)
from exemplar.files.image_files import image_size, image_within
from exemplar.files.reading_files import reading
from exemplar.samples import Sample
from exemplar.skeletons import names_of, to_smpl49

LARGE_SCORE = 2.0
"""Scores above are no probabilities: COCO's visibility goes to 2, heatmap peaks slightly over 1."""

LARGE_SHARE = 0.1
"""Share of a file's scores that has to be above `LARGE_SCORE` for all to be scaled."""

LEAST_CONFIDENCE = 0.3
"""Keypoints below are taken as not seen: they are guesses of a network that sees no such joint."""


@dataclass(frozen=True)
class Detection:
    """One person as a detector's file has them."""

    points: Float[np.ndarray, "k 3"]
    """x, y and score, as in the file; what is missing may be NaN."""
    names: tuple[str, ...] = ()
    """The joints by our names; () if the file does not say."""
    subject: str = ""
    """The number of the person's track, where the file has tracks."""
    is_fraction: bool = False
    """Whether x and y are fractions of the image's width and height instead of px."""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    """As `Sample.extra`."""
    picture: tuple[int, int] | None = None
    """Width and height, px, of the picture that x and y are of, where the file says: some tools
    detect people in a smaller copy of the image."""


@dataclass(frozen=True)
class Record:
    """A person's record in a file, not looked into yet."""

    value: Any
    """The record."""
    image: str = ""
    """The image's name, with or without its ending, or its number; "" if the file does not say."""


def confidences(scores: Float[np.ndarray, " n"], scale: float) -> Float[np.ndarray, " n"]:
    """Scores over the file's `score_scale`, in 0..1: what is negative is 0."""
    return np.clip(scores / scale, 0.0, 1.0)


def score_scale(scores: Float[np.ndarray, " n"]) -> float:
    """What a file's scores are divided by: their 90th percentile if that is over 2, else 1.

    Networks that classify coordinates (SimCC: RTMW and some RTMPose) give the heights of their
    peaks, which reach about 10, and some tools write percent.
    """
    known = scores[np.isfinite(scores) & (scores > 0)]
    high = float(np.quantile(known, 1 - LARGE_SHARE)) if len(known) else 1.0
    return high if high > LARGE_SCORE else 1.0


def triplets(values: object, what: str) -> Float[np.ndarray, "k 3"]:
    """A list of x, y, score (flat or one list a joint), null being NaN; ValueError if it is not."""
    try:
        flat = np.asarray(values, np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"expected a list of numbers as {what}, got {str(values)[:40]}") from error
    if flat.size % 3:
        raise ValueError(f"{what} has {flat.size} numbers, expected x, y, score for each joint")
    return flat.reshape(-1, 3)


def with_scores(points: object, scores: object, what: str) -> Float[np.ndarray, "k 3"]:
    """Points (k, 2) and scores (k), or no scores for 1 each, as x, y, score; ValueError if they do
    not fit together."""
    try:
        xy = np.asarray(points, np.float64)
        ones = np.ones(len(xy)) if scores is None else np.asarray(scores, np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"expected lists of numbers as {what}, got {str(points)[:40]}") from error
    if xy.ndim != 2 or xy.shape[1] not in (2, 3) or ones.shape != (len(xy),):
        raise ValueError(
            f"{what} are {xy.shape} with {ones.shape} scores, expected (k, 2) and (k,)"
        )
    return np.column_stack([xy[:, :2], xy[:, 2] if xy.shape[1] == 3 and scores is None else ones])


def detector_reader(
    records: Callable[[Contents], Iterable[Record]],
    person: Callable[[Any], Detection | None],
    *endings: str,
) -> Callable[..., Iterator[Sample]]:
    """The `read` of a detector's format.

    Args:
        records: the people of one file; ValueError or OSError if it is no such file.
        person: what one record says, None for nobody; any error is that person's problem.
        endings: of the files' names in a folder: the first with which there are any.
    """

    def read(
        source: str | Path | Contents,
        *,
        joints: str = "",
        image: str = "",
        image_suffix: str = ".jpg",
        images: str | Path | None = None,
        size: tuple[int, ...] = (),
        least_confidence: float = LEAST_CONFIDENCE,
    ) -> Iterator[Sample]:
        """The people of a file, or of a folder's files in the order of their paths.

        A person's annotation id is their place in the file.

        Args:
            source: the file or folder.
            joints: the joint set (`skeletons.FILE_SETS`), where the file cannot say.
            image: name of the image, for one file that does not say; else the file's own name.
            image_suffix: ending of the images' names, where the file has none.
            images: folder of the images; where it has an image of the name, its own ending is
                used, and its size where the file has fractions.
            size: width and height of the image, px, for files with fractions.
            least_confidence: keypoints below are missing.

        ValueError, in one line, if there is no such file; a file of a folder that cannot be read
        is one sample with a `problem`.
        """
        contents = Contents(source)
        root = contents.path
        files = files_of(root, endings)
        whole = Contents(files[0]) if root.is_dir() else contents
        if root.is_file():
            _listed(records, whole)
        naming = ImageNames(
            root if root.is_dir() else root.parent,
            image if len(files) == 1 else "",
            image_suffix,
            images,
        )

        def samples(file: Path) -> Iterator[Sample]:
            found = _listed(records, whole if len(files) == 1 else Contents(file))
            people = [_attempted(person, record.value) for record in found]
            scale = scale_of(people)

            def to_joints(person: Detection, unit: np.ndarray) -> Float[np.ndarray, "49 3"]:
                return detected_joints(
                    person,
                    joints=joints,
                    scale=scale,
                    least_confidence=least_confidence,
                    unit=unit,
                )

            for number, (record, each) in enumerate(zip(found, people, strict=True)):
                name = naming.of(file, record.image)
                make = partial(
                    _sample, each, name, number, to_joints, partial(_size_of, name, images, size)
                )
                yield from sample_or_problem(make, image=name, annotation_id=number)

        return _of_files(files, samples, naming, root)

    return read


IMAGE_KEYS = ("file_name", "image_name", "img_path", "image_path", "image_file", "image_id")
"""Where people's records name their image."""


def text_of(record: Any, keys: Sequence[str]) -> str:
    """The first text or number that a record has under one of the keys, "" if there is none."""
    values = [record.get(key) for key in keys] if isinstance(record, Mapping) else []
    return next((str(value) for value in values if isinstance(value, str | int)), "")


def files_of(path: Path, endings: Sequence[str]) -> list[Path]:
    """The file itself, or a folder's files with the first of the endings that any of its files'
    names have, the folders in it included; ValueError for none."""
    found = ([path] if path.is_file() else sorted(path.rglob(f"*{ending}")) for ending in endings)
    files = next((each for each in found if each), None)
    if files is None:
        raise ValueError(f"{path} has no files *{' or *'.join(endings)}")
    return files


def _of_files(
    files: Sequence[Path],
    samples: Callable[[Path], Iterator[Sample]],
    naming: ImageNames,
    root: Path,
) -> Iterator[Sample]:
    """The samples of each file; one that says so in place of a file that cannot be read."""
    for file in files:
        try:
            with reading(file, "a file of keypoints"):
                yield from samples(file)
        except (ValueError, OSError) as error:
            if file == root:
                raise
            yield from sample_or_problem(partial(_fail, error), image=naming.of(file))


def _fail(error: Exception) -> Sample:
    raise ValueError(str(error)) from error


def _listed(records: Callable[[Contents], Iterable[Record]], contents: Contents) -> list[Record]:
    """The records of a file; ValueError or OSError, in one line, if it is broken."""
    try:
        return list(records(contents))
    except (ValueError, OSError):
        raise
    except BROKEN as error:
        raise ValueError(f"{contents.path} is broken: {type(error).__name__}: {error}") from error


def _attempted(person: Callable[[Any], Detection | None], record: Any) -> object:
    """The person, None, or what was wrong with the record."""
    try:
        return person(record)
    except BROKEN as error:
        return error


def _sample(
    found: object,
    image: str,
    number: int,
    to_joints: Callable[[Detection, np.ndarray], Float[np.ndarray, "49 3"]],
    image_size: Callable[[], Float[np.ndarray, "2"] | None],
) -> Sample | None:
    if isinstance(found, Exception):
        raise found
    if not isinstance(found, Detection) or len(found.points) == 0:
        return None
    size = None
    if found.is_fraction:
        size = image_size()
    elif found.picture is not None:
        with contextlib.suppress(OSError, ValueError):  # whoever reads the image will say so
            size = image_size()
    keypoints = to_joints(found, unit_of(found, size))
    if not keypoints.any():
        return None
    centre, scale = box_of_points(keypoints)
    stated = found.picture if size is None else None
    return Sample(
        image, centre, scale, keypoints, number, found.subject, extra=found.extra, image_size=stated
    )


def unit_of(person: Detection, size: Sequence[int | float] | np.ndarray | None) -> np.ndarray:
    """What a person's x and y are multiplied by to be px of an image of `size` (width, height;
    None if nobody knows). ValueError for fractions without it."""
    if person.is_fraction and size is None:
        raise ValueError(f"{_FRACTIONS}: give the folder of images, or size")
    if size is None or not (person.is_fraction or person.picture):
        return np.ones(2)
    return np.asarray(size, np.float64) / (person.picture or 1.0)


_FRACTIONS = "has fractions of the image's size"


def needs_size(sample: Sample) -> bool:
    """Whether a detector's sample would be another one if its image's size had been known."""
    return _FRACTIONS in sample.problem or sample.image_size is not None


def scale_of(people: Iterable[object]) -> float:
    """The `score_scale` of the detections among `people`."""
    scores = [each.points[:, 2] for each in people if isinstance(each, Detection)]
    return score_scale(np.concatenate(scores)) if scores else 1.0


def detected_joints(
    person: Detection,
    *,
    joints: str = "",
    scale: float = 1.0,
    least_confidence: float = LEAST_CONFIDENCE,
    unit: Sequence[int | float] | np.ndarray = (1.0, 1.0),
) -> Float[np.ndarray, "49 3"]:
    """A person's 49 joints: x, y px and confidence, 0 for the missing.

    `joints` is the set of `FILE_SETS` that counts instead of the person's names, `scale` what the
    scores are divided by, `unit` what x and y are multiplied by to be px. ValueError if no joint is
    one of the 49.
    """
    count = len(person.points)
    names = names_of(count, joints) if joints or not person.names else person.names
    if not set(range(count)) & {source for source, _ in to_smpl49(names)}:
        raise ValueError(
            f"unknown joint set {', '.join(names[:3])}, ...: expected such as left_hip"
        )
    points = person.points.copy()
    points[:, 2] = confidences(points[:, 2], scale)
    points[points[:, 2] < least_confidence, 2] = 0.0
    points = known_points(points)
    points[:, :2] *= unit
    return joints49(names, points)


def detections_of(points: np.ndarray) -> list[Detection]:
    """People from (K, 3) or (people, K, 3) rows of x, y px and score; ValueError for others."""
    if points.ndim not in (2, 3) or points.shape[-1] != 3:
        raise ValueError(f"keypoints are {points.shape}, expected (K, 3) or (people, K, 3)")
    return [Detection(each) for each in points.reshape(-1, *points.shape[-2:]).astype(float)]


def _size_of(
    image: str, images: str | Path | None, size: Sequence[int]
) -> Float[np.ndarray, "2"] | None:
    """An image's width and height, px; None if nothing tells. Errors of reading the image."""
    if len(size) == 2:
        return np.array(size, np.float64)
    if images is None:
        return None
    return np.array(image_size(image_within(images, image)), np.float64)
