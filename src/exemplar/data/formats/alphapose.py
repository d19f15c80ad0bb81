"""AlphaPose's JSON by image, its options `--format cmu` and `--format open`.

An object of image names (https://github.com/MVIG-SJTU/AlphaPose/blob/master/docs/output.md): each
has `bodies` with `joints`, or `people` with `pose_keypoints_2d`: x, y px and score of OpenPose's 18
joints. AlphaPose's default output is `coco_results`.
"""

from collections.abc import Iterator
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, triplets
from exemplar.data.formats.openpose import body_of
from exemplar.skeletons import OPENPOSE_18

TITLE = "AlphaPose by image (JSON)"
JOINTS = OPENPOSE_18

_LISTS = ("bodies", "people")


def matches(contents: Contents) -> bool:
    """Whether it is an object of objects with bodies or people."""
    data = contents.json_or_none()
    first = next(iter(data.values()), None) if isinstance(data, dict) else None
    return isinstance(first, dict) and any(isinstance(first.get(key), list) for key in _LISTS)


def _records(contents: Contents) -> Iterator[Record]:
    if not matches(contents):
        raise ValueError(f"{contents.path} is not {TITLE}: expected images with 'bodies'")
    for image, content in contents.json.items():
        people = [content.get(key) for key in _LISTS] if isinstance(content, dict) else []
        for person in next((each for each in people if isinstance(each, list)), [content]):
            yield Record(person, image)


def _person(person: Any) -> Detection:
    if isinstance(person, dict) and "joints" in person:
        return Detection(triplets(person["joints"], "joints"))
    return body_of(person)


read = detector_reader(_records, _person, ".json")
