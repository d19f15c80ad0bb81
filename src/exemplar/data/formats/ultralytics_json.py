"""Ultralytics' `Results.to_json()`: YOLO's people of one image.

A list of detections, those of people with `keypoints`: `{"x": [...], "y": [...], "visible":
[...]}` in px, or fractions after `normalize=True`; `visible` is the score, absent for 1. Joints
under a confidence of 0.5 are at (0, 0) there and are missing here. `track_id` is the subject.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, with_scores
from exemplar.data.formats.openpose import is_all_fractions
from exemplar.skeletons import COCO_17

TITLE = "Ultralytics YOLO results (JSON)"
JOINTS = COCO_17


def matches(contents: Contents) -> bool:
    """Whether it is a list of detections some of which have keypoints by axis."""
    first = contents.first_file(".json")
    data = None if first is None else first.json_or_none()
    return isinstance(data, list) and any(map(_is_person, data))


def _is_person(each: Any) -> bool:
    keypoints = each.get("keypoints") if isinstance(each, dict) else None
    return isinstance(keypoints, dict) and keypoints.keys() >= {"x", "y"}


def _records(contents: Contents) -> Iterator[Record]:
    data = contents.json
    if not isinstance(data, list):
        raise ValueError(f"{contents.path} is not {TITLE}: expected a list of detections")
    yield from map(Record, data)


def _person(each: Any) -> Detection | None:
    if not _is_person(each):
        return None
    keypoints = each["keypoints"]
    xy = np.array([keypoints["x"], keypoints["y"]], np.float64).T
    points = with_scores(xy, keypoints.get("visible"), "keypoints")
    track = each.get("track_id")
    return Detection(points, (), "" if track is None else str(track), is_all_fractions(points))


read = detector_reader(_records, _person, ".json")
