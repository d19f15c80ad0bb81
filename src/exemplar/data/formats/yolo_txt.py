"""YOLO-pose labels: a `.txt` file an image, or a folder of them.

A line is a person (https://docs.ultralytics.com/datasets/pose): class, the box's middle, width and
height, then x, y and visibility (or, in predictions, score) of each joint, or x, y alone; then
perhaps the person's score and track. Coordinates are fractions of the image's width and height.
"""

from collections.abc import Iterator

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, with_scores
from exemplar.skeletons import COCO_17, FILE_SETS

TITLE = "YOLO-pose labels (.txt)"
JOINTS = COCO_17

_BEFORE = 5
_COUNTS = frozenset(map(len, FILE_SETS.values()))


def matches(contents: Contents) -> bool:
    """Whether it is a text of such lines, or a folder whose first text is."""
    first = contents.first_file(".txt")
    try:
        lines = [] if first is None else list(_records(first))
        return bool(lines) and _person(lines[0].value) is not None
    except (ValueError, OSError):
        return False


def _records(contents: Contents) -> Iterator[Record]:
    try:
        lines = contents.path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{contents.path} is not {TITLE}: not a text") from error
    yield from (Record(line) for line in lines if line.strip())


def _person(line: str) -> Detection:
    try:
        numbers = np.array([float(part) for part in line.split()])
    except ValueError as error:
        raise ValueError(f"expected a line of numbers, got {line[:40]!r}") from error
    for width in (3, 2):
        for after in range(3):
            count, rest = divmod(len(numbers) - _BEFORE - after, width)
            if rest == 0 and count in _COUNTS:
                points = numbers[_BEFORE : _BEFORE + count * width].reshape(count, width)
                return Detection(with_scores(points, None, "keypoints"), is_fraction=True)
    raise ValueError(f"{len(numbers)} numbers in a line, expected 56 for COCO's 17 joints")


read = detector_reader(_records, _person, ".txt")
