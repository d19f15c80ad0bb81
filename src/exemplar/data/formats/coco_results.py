"""Lists of people in COCO's results format, which AlphaPose, ViTPose and most detectors write.

`[{"image_id": ..., "keypoints": [x, y, score, ...], "score": ...}, ...]`
(https://cocodataset.org/#format-results), with COCO's 17 joints, Halpe's 26 or 136 (AlphaPose),
COCO-WholeBody's 133, or others by `joints`. The image is a file name or COCO's number, in
`image_id`, `image_name` or `file_name`; a file without any is of one image (OpenPifPaf). Also one
such object, or `{"annotations": [...]}` without a table of images. `idx` is AlphaPose's track.
"""

from collections.abc import Iterator
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.detections import (
    IMAGE_KEYS,
    Detection,
    Record,
    detector_reader,
    text_of,
    triplets,
)
from exemplar.skeletons import COCO_17

TITLE = "COCO results, AlphaPose (JSON)"
JOINTS = COCO_17

_TRACK_KEYS = ("track_id", "idx")
_SET_KEYS = {"images", "categories"}


def matches(contents: Contents) -> bool:
    """Whether it is a list of objects with flat lists of keypoints."""
    first = contents.first_file(".json")
    people = None if first is None else _people(first.json_or_none())
    person = people[0] if people else None
    keypoints = person.get("keypoints") if isinstance(person, dict) else None
    return isinstance(keypoints, list) and not isinstance(next(iter(keypoints), 0), list | dict)


def _people(data: Any) -> list[Any] | None:
    if isinstance(data, dict) and "annotations" in data and not data.keys() & _SET_KEYS:
        data = data["annotations"]
    if isinstance(data, dict) and "keypoints" in data:
        data = [data]
    return data if isinstance(data, list) else None


def _records(contents: Contents) -> Iterator[Record]:
    people = _people(contents.json)
    if people is None:
        raise ValueError(f"{contents.path} is not {TITLE}: expected a list of people")
    for person in people:
        yield Record(person, text_of(person, IMAGE_KEYS))


def _person(person: Any) -> Detection | None:
    if not isinstance(person, dict) or "keypoints" not in person:
        raise ValueError(f"a person has no 'keypoints': {str(person)[:60]}")
    if person.get("iscrowd"):
        return None
    return Detection(triplets(person["keypoints"], "keypoints"), (), text_of(person, _TRACK_KEYS))


read = detector_reader(_records, _person, ".json")
