"""MediaPipe's 33 pose landmarks as JSON, and TensorFlow.js's keypoints.

MediaPipe has no writer of its own; its results become JSON in these ways: a list of 33 `{"x", "y",
"z", "visibility"}`, by itself, one list a person, or under `landmarks` (the tasks for the web),
`pose_landmarks` or `poseLandmarks`, perhaps within `landmark` (its protocol buffers). x and y are
fractions of the image's width and height, `visibility` is the confidence. TensorFlow.js has
`[{"keypoints": [{"x", "y", "score", "name"}, ...]}]` in px.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, with_scores
from exemplar.skeletons import BLAZEPOSE_33, our_names

TITLE = "MediaPipe pose landmarks (JSON)"
JOINTS = BLAZEPOSE_33

_KEYS = ("landmarks", "pose_landmarks", "poseLandmarks", "landmark", "keypoints")
_DEEPEST = 5
"""Levels of lists and objects about a list of points."""
_MOST_FRACTION = 2.0
"""Landmarks are estimated beyond the picture's edge, too, but not far from it."""


def matches(contents: Contents) -> bool:
    """Whether it is a file of lists of points, or a folder whose first file is."""
    first = contents.first_file(".json")
    return first is not None and next(_people(first.json_or_none()), None) is not None


def _people(data: Any, depth: int = _DEEPEST) -> Iterator[list[Any]]:
    """The lists of points in it."""
    if depth == 0:
        return
    if isinstance(data, dict):
        yield from _people(next((data[key] for key in _KEYS if key in data), None), depth - 1)
    elif isinstance(data, list) and data and isinstance(data[0], dict) and "x" in data[0]:
        yield data
    elif isinstance(data, list):
        for each in data:
            yield from _people(each, depth - 1)


def _records(contents: Contents) -> Iterator[Record]:
    people = list(_people(contents.json))
    if not people and not isinstance(contents.json, list | dict):
        raise ValueError(f"{contents.path} is not {TITLE}: expected lists of landmarks")
    yield from map(Record, people)


def _person(points: list[Any]) -> Detection:
    rows = [
        [point.get("x"), point.get("y"), point.get("visibility", point.get("score", 1.0))]
        for point in points
    ]
    array = with_scores(np.array(rows, np.float64), None, "landmarks")
    names = [str(point.get("name") or "") for point in points]  # null in MediaPipe's dataclasses
    middle = float(np.nanmedian(np.abs(array[:, :2]))) if len(array) else 0.0
    return Detection(
        array, our_names(names) if all(names) else (), is_fraction=middle < _MOST_FRACTION
    )


read = detector_reader(_records, _person, ".json")
