"""Predictions of MMPose (its demos and inferencer) and of rtmlib.

A person has `keypoints`, x, y px of each joint, and `keypoint_scores`. They are in a list, in
`{"meta_info": ..., "instance_info": [...]}`, or, of a video, in a list of `{"frame_id": ...,
"instances": [...]}` (https://mmpose.readthedocs.io/en/latest/user_guides/inference.html). The
joints are named by `meta_info.keypoint_id2name`, or told by their number. A person may name the
image (`img_path`, `image_id`, ...). MMPose 0.x has `[{"preds": [[[x, y, score], ...], ...],
"image_paths": [...]}]`. rtmlib and torchvision return arrays, which people keep as `{"keypoints":
[[[x, y], ...], ...], "scores": [[...], ...]}`. RTMW's scores reach about 10 and torchvision's 20
(`detections.score_scale`). easy_ViTPose has `{"keypoints": [{"0": [[y, x, score], ...]}],
"skeleton": {"0": "nose", ...}}`: a frame's people by their number, y first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.detections import (
    IMAGE_KEYS,
    Detection,
    Record,
    detector_reader,
    text_of,
    with_scores,
)
from exemplar.skeletons import COCO_17, our_names

TITLE = "MMPose and rtmlib predictions (JSON)"
JOINTS = COCO_17

_SCORES = ("keypoint_scores", "keypoints_scores", "scores")
_Y_FIRST = "y first"


def matches(contents: Contents) -> bool:
    """Whether it is a file of people with lists of points, or a folder whose first file is."""
    first = contents.first_file(".json")
    data = None if first is None else first.json_or_none()
    if isinstance(data, dict) and isinstance(data.get("instance_info"), list):
        return True
    person = next(_people(data), None)
    keypoints = person[1].get("keypoints") if person else None
    return isinstance(keypoints, list) and bool(keypoints) and isinstance(keypoints[0], list)


def _people(data: Any, *, is_outer: bool = True) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Frame or image, "" if nothing says, and person: whatever is not one is passed over."""
    if isinstance(data, dict) and "predictions" in data:
        data = data["predictions"]
    if isinstance(data, dict) and isinstance(data.get("instance_info"), list):
        data = data["instance_info"]
    if isinstance(data, dict) and _is_batch(data):
        people = data["keypoints"]
        scores = next((data[key] for key in _SCORES if key in data), [None] * len(people))
        if isinstance(scores, list):
            for points, own in zip_longest(people, scores[: len(people)]):
                yield "", {"keypoints": points, _SCORES[0]: own}
        return
    if isinstance(data, dict) and isinstance(data.get("skeleton"), dict):
        frames = data["keypoints"] if isinstance(data.get("keypoints"), list) else []
        for number, people in enumerate(frames):
            frame = str(number) if number or len(frames) > 1 else ""
            for points in people.values() if isinstance(people, dict) else []:
                yield frame, {"keypoints": points, _Y_FIRST: True}
        return
    for each in data if isinstance(data, list) else [data]:
        if isinstance(each, list) and is_outer:
            yield from _people(each, is_outer=False)
        elif isinstance(each, dict) and isinstance(each.get("instances"), list):
            frame = each.get("frame_id")
            yield from (("" if frame is None else str(frame), one) for one in each["instances"])
        elif isinstance(each, dict) and isinstance(each.get("preds"), list):
            images = each.get("image_paths")
            names = images if isinstance(images, list) else []
            for points, name in zip_longest(each["preds"], names[: len(each["preds"])]):
                yield str(name or ""), {"keypoints": points}
        elif isinstance(each, dict) and "keypoints" in each:
            yield text_of(each, IMAGE_KEYS), each


def _is_batch(data: Mapping[str, Any]) -> bool:
    points = data.get("keypoints")
    for _ in range(2):
        points = points[0] if isinstance(points, list) and points else None
    return isinstance(points, list)


def _records(contents: Contents) -> Iterator[Record]:
    data = contents.json
    meta = data.get("meta_info") if isinstance(data, dict) else None
    listed = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if isinstance(data, dict) and "skeleton" in data:
        listed = data["skeleton"]
    named = listed if isinstance(listed, dict) else {}
    names = [str(named[key]) for key in sorted(named, key=lambda key: int(key))]
    people = list(_people(data))
    if not people and not isinstance(data, list) and "instance_info" not in data:
        raise ValueError(f"{contents.path} is not {TITLE}: expected people with 'keypoints'")
    for frame, person in people:
        yield Record((person, names), frame)


def _person(value: tuple[Any, list[str]]) -> Detection:
    person, names = value
    scores = next((person[key] for key in _SCORES if key in person), None)
    points = with_scores(person["keypoints"], scores, "keypoints")
    if _Y_FIRST in person:
        points[:, :2] = points[:, 1::-1]
    found = Detection(points)
    return replace(found, names=our_names(names)) if len(names) == len(found.points) else found


read = detector_reader(_records, _person, ".json")
