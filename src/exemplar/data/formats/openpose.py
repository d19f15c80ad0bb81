"""OpenPose's JSON output and what imitates it: a folder with a file an image, or one such file.

`NAME_keypoints.json` is of image `NAME.jpg` (or another suffix) and holds `{"people": [...]}`; a
person has `pose_keypoints_2d` (before OpenPose 1.2 `pose_keypoints`), x, y px and score of a joint
set that the number of joints tells (BODY_25, COCO-18; Halpe and COCO from other tools) or `joints`
names (BODY_25B), and perhaps `hand_left_keypoints_2d`, `hand_right_keypoints_2d` (63 numbers) and
`face_keypoints_2d` (210, of which SPIN's 68 are the first). Missing keypoints are (0, 0, 0).

OpenPose 1.0 and before have `{"bodies": [{"joints": [...]}]}`. Pose2Sim's folders have a
`NAME.json` an image. ControlNet's and DWPose's files are a list of such objects, fractions of the
picture in some versions, else px of a `canvas_width` x `canvas_height` that the image was resized
to.

`person_id`, where it is not -1, is the subject. People without any keypoint are left out.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, triplets
from exemplar.data.records import known_points, size_of
from exemplar.skeletons import OPENPOSE_25

TITLE = "OpenPose JSON (a folder, or one file)"
JOINTS = OPENPOSE_25
ENDINGS = ("_keypoints.json", ".json")

_LISTS = ("people", "bodies")
_BODY_KEYS = ("pose_keypoints_2d", "pose_keypoints", "joints")
_HAND, _FACE, _SPIN_FACE = 21, 70, 68
_OTHERS = (
    ("hand_left_keypoints", "kp_leftHand", (_HAND,), _HAND),
    ("hand_right_keypoints", "kp_rightHand", (_HAND,), _HAND),
    ("face_keypoints", "kp_face", (_FACE, _SPIN_FACE), _SPIN_FACE),
)


def matches(contents: Contents) -> bool:
    """Whether it is a file with people, or a folder whose first file is."""
    first = contents.first_file(*ENDINGS)
    data = None if first is None else first.json_or_none()
    if isinstance(data, list) and data:
        data = data[0]
    return people_of(data) is not None


def people_of(image: Any) -> list[Any] | None:
    """The people in an image's object, None if it is no such object."""
    lists = [image.get(key) for key in _LISTS] if isinstance(image, dict) else []
    return next((each for each in lists if isinstance(each, list)), None)


def _records(contents: Contents) -> Iterator[Record]:
    data = contents.json
    for image in data if isinstance(data, list) else [data]:
        people = people_of(image)
        if people is None:
            raise ValueError(f"{contents.path} has no list of 'people', expected OpenPose's output")
        canvas = size_of(image.get("canvas_width"), image.get("canvas_height"))
        yield from (Record((person, canvas)) for person in people)


def _person(value: tuple[Any, tuple[int, int] | None]) -> Detection:
    person, canvas = value
    found = body_of(person)
    return found if found.is_fraction else replace(found, picture=canvas)


def body_of(person: Any) -> Detection:
    """What a person's object says; ValueError for a broken one."""
    if not isinstance(person, dict):
        raise ValueError(f"expected a person to be an object, got {str(person)[:40]}")
    key = next((key for key in _BODY_KEYS if key in person), None)
    if key is None:
        raise ValueError(f"a person has no {_BODY_KEYS[0]!r}, only {', '.join(person)[:60]}")
    points = triplets(person[key] or [], key)
    extra = {}
    for prefix, name, counts, kept in _OTHERS:
        part = triplets(person.get(f"{prefix}_2d") or person.get(prefix) or [], prefix)
        if len(part) not in (0, *counts):
            raise ValueError(f"{prefix} has {3 * len(part)} numbers, expected {3 * counts[0]}")
        part = known_points(part)[:kept]
        if part.any():
            extra[name] = np.column_stack([part[:, :2], part[:, 2].clip(0.0, 1.0)])
    is_fraction = is_all_fractions(points)
    return Detection(points, (), _subject(person), is_fraction, {} if is_fraction else extra)


def is_all_fractions(points: np.ndarray) -> bool:
    """Whether coordinates of known points (x, y, score) lie in 0..1: nobody is that small in px."""
    known = known_points(points)[:, :2]
    return bool(known.any()) and float(known.max()) <= 1.0


def _subject(person: Any) -> str:
    tag = person.get("person_id", -1)
    tag = tag[0] if isinstance(tag, list) and tag else tag
    return str(tag) if isinstance(tag, int) and tag >= 0 else ""


read = detector_reader(_records, _person, *ENDINGS)
