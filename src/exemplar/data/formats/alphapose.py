"""AlphaPose's JSON by image: its options `--format cmu` and `--format open`, and PoseFlow's tracks.

An object of image names (https://github.com/MVIG-SJTU/AlphaPose/blob/master/docs/output.md): each
has `bodies` with `joints`, or `people` with `pose_keypoints_2d`: x, y px and score of OpenPose's 18
joints; or, of the tracker, a list of people with `keypoints` and `idx`. AlphaPose's default output
is `coco_results`.
"""

from collections.abc import Iterator
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, text_of, triplets
from exemplar.data.formats.openpose import body_of, people_of
from exemplar.skeletons import OPENPOSE_18

TITLE = "AlphaPose by image (JSON)"
JOINTS = OPENPOSE_18


def matches(contents: Contents) -> bool:
    """Whether it is an object of objects with bodies or people, or of lists of people."""
    data = contents.json_or_none()
    first = next(filter(None, data.values()), None) if isinstance(data, dict) else None
    if isinstance(first, list):
        return isinstance(first[0], dict) and "keypoints" in first[0] and "idx" in first[0]
    return people_of(first) is not None


def _records(contents: Contents) -> Iterator[Record]:
    if not matches(contents):
        raise ValueError(f"{contents.path} is not {TITLE}: expected images with 'bodies'")
    for image, content in contents.json.items():
        people = content if isinstance(content, list) else people_of(content)
        for person in [content] if people is None else people:
            yield Record(person, image)


def _person(person: Any) -> Detection:
    if isinstance(person, dict) and "keypoints" in person:
        return Detection(triplets(person["keypoints"], "keypoints"), (), text_of(person, ("idx",)))
    return body_of(person)


read = detector_reader(_records, _person, ".json")
