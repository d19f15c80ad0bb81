"""Who is in a photo: the keypoints of each person that is to be fitted."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from exemplar.counting import counted, numbers_of_people
from exemplar.data.detections import (
    LEAST_CONFIDENCE,
    Detection,
    detected_joints,
    detections_of,
    scale_of,
    unit_of,
)
from exemplar.data.people_files import KeypointFile
from exemplar.detect.landmarks import find_people
from exemplar.scene.options import FitOptions
from exemplar.skeletons import BLAZEPOSE_33, OPENPOSE_25, SMPL_49, TORSO

KeypointSource = (
    str
    | Path
    | KeypointFile
    | Detection
    | Sequence[Detection]
    | Float[np.ndarray, "*people k 3"]
    | None
)
"""A keypoint file or folder (for many photos better a `KeypointFile`, which is read once),
detections, or an array of a joint set told by its length."""


@dataclass(frozen=True)
class Wanted:
    """Somebody to be fitted."""

    keypoints_2d: Float[np.ndarray, "49 3"]
    """x, y (image px) and confidence, 0 for those not known."""
    framed: Float[np.ndarray, "49 3"]
    """Likewise: those that the crop is made of."""
    score: float | None = None
    """How sure the built-in finder is of the person, 0..1; None where keypoints were given."""


def people_in(
    pixels: np.ndarray, source: KeypointSource, options: FitOptions, name: str | None
) -> list[Wanted]:
    """The people to be fitted."""
    box = options.box
    height, width = pixels.shape[:2]
    if box is not None:
        _check_box(box, pixels)
    if source is None:
        found = _built_in(pixels, box)
    else:
        found = [
            Wanted(each, each) for each in _given(source, name, (width, height), options.joints)
        ]
    found = [person for person in found if has_extent(person.keypoints_2d)]
    shown = "the image" if name is None else Path(name).name
    if not found and source is None:
        raise ValueError(f"no person found in {shown}: give --keypoints or --box")
    file = source.path if isinstance(source, KeypointFile) else source
    given = file if isinstance(file, str | Path) else "the keypoints"
    if not found:
        raise ValueError(
            f"{given}: expected a person with at least 2 distinct keypoints of confidence"
            f" {LEAST_CONFIDENCE:g} or more"
        )
    if source is not None:
        _check_inside(found, width, height, str(given))
    if box is not None:
        found = [max(found, key=lambda person: _overlap(person.keypoints_2d, box))]
        if _overlap(found[0].keypoints_2d, box) <= 0:
            raise ValueError(f"no person found in the box {_text(box)} of {shown}")
    return _chosen(found, options.person)


def _built_in(pixels: np.ndarray, box: tuple[float, ...] | None) -> list[Wanted]:
    """People found by the built-in network, in the whole photo or around a box."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    if box is not None:
        x, y, w, h = box
        left, top = max(0, int(x - w / 4)), max(0, int(y - h / 4))
        right, bottom = min(width, int(x + 1.25 * w) + 1), min(height, int(y + 1.25 * h) + 1)
    people = []
    for person in find_people(pixels[top:bottom, left:right]):
        points = np.array(person.keypoints, dtype=np.float64)
        points[:, :2] += (left, top)
        joints = landmark_joints(points, (width, height))
        people.append(Wanted(joints, framing_joints(joints, points), person.score))
    return people


def landmark_joints(
    landmarks: Float[np.ndarray, "33 3"], size: tuple[int, int] | None = None
) -> Float[np.ndarray, "49 3"]:
    """Built-in landmarks (image px, confidence) as the 49 joints.

    Unsure ones are missing, and those outside an image of width and height `size`.
    """
    points = np.array(landmarks, dtype=np.float64)
    if size is not None:
        inside = (points[:, :2] >= 0).all(1) & (points[:, :2] <= size).all(1)
        points[~inside, 2] = 0.0
    return detected_joints(Detection(points, BLAZEPOSE_33))


def framing_joints(
    joints: Float[np.ndarray, "49 3"], landmarks: Float[np.ndarray, "33 3"]
) -> Float[np.ndarray, "49 3"]:
    """The joints by which somebody is cropped: hips and shoulders that are not seen, as in
    close-ups, are where the landmarks have them, outside the picture or hidden.
    """
    joints = joints.copy()
    for pair in np.reshape(TORSO, (2, 2)):
        rows = [SMPL_49.index(name, len(OPENPOSE_25)) for name in pair]
        if not (joints[rows, 2] > 0).any():
            guessed = [BLAZEPOSE_33.index(name) for name in pair]
            joints[rows] = np.column_stack((landmarks[guessed, :2], np.full(2, LEAST_CONFIDENCE)))
    return joints


def _given(
    source: KeypointSource, name: str | None, size: tuple[int, int], joints: str
) -> list[Float[np.ndarray, "49 3"]]:
    """The 49 joints of the people that are given, unsure ones missing."""
    if isinstance(source, str | Path):
        source = KeypointFile(source, joints)
    if isinstance(source, KeypointFile):
        people = source.people(name, size)
        broken = [person.problem for person in people if person.problem]
        if len(broken) == len(people):
            raise ValueError(f"{source.path}: {broken[0]}")
        if broken:
            left = f"{source.path}: {counted(len(broken))} left out: {broken[0]}"
            warnings.warn(left, stacklevel=2)
        found = [person.keypoints_2d for person in people if not person.problem]
        return [np.where(each[:, 2:] < LEAST_CONFIDENCE, 0.0, each) for each in found]
    assert source is not None
    detections = [source] if isinstance(source, Detection) else source
    if isinstance(detections, np.ndarray):
        detections = detections_of(detections)
    scale = scale_of(detections)
    return [
        detected_joints(person, joints=joints, scale=scale, unit=unit_of(person, size))
        for person in detections
    ]


def _check_inside(people: list[Wanted], width: int, height: int, given: str) -> None:
    """Warn of keypoints outside the photo; ValueError if none is inside."""
    joints = np.concatenate([person.keypoints_2d for person in people])
    points = joints[joints[:, 2] > 0, :2]
    outside = int(((points < 0) | (points > (width, height))).any(1).sum())
    if outside == len(points):
        raise ValueError(f"{given}: no keypoint lies in the photo of {width} x {height} px")
    if outside:
        warnings.warn(
            f"{given}: {outside} of {len(points)} keypoints lie outside the photo of"
            f" {width} x {height} px",
            stacklevel=2,
        )


def _chosen(people: list[Wanted], person: str) -> list[Wanted]:
    if person == "all":
        return people
    if person == "largest":
        sizes = [float(np.subtract(*_extent(one.keypoints_2d)).prod()) for one in people]
        return [people[int(np.argmax(sizes))]]
    if not person.isdigit() or int(person) >= len(people):
        raise ValueError(
            f"--person {person!r}: expected all, largest, or {numbers_of_people(len(people))}"
        )
    return [people[int(person)]]


def has_extent(person: np.ndarray) -> bool:
    """Whether two keypoints are apart by more than a pixel: fewer make no crop."""
    return bool((person[:, 2] > 0).any()) and float(np.subtract(*_extent(person)).min()) < -1.0


def _extent(person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = person[person[:, 2] > 0, :2]
    return seen.min(0), seen.max(0)


def _overlap(person: np.ndarray, box: tuple[float, ...]) -> float:
    """Intersection over union of the keypoints' extent and an x, y, w, h box."""
    low, high = _extent(person)
    corner = np.array(box[:2])
    inner = np.minimum(high, corner + box[2:]) - np.maximum(low, corner)
    common = float(np.prod(np.clip(inner, 0, None)))
    return common / (float(np.prod(high - low)) + box[2] * box[3] - common + 1e-9)


def _check_box(box: tuple[float, ...], pixels: np.ndarray) -> None:
    x, y, w, h = box
    height, width = pixels.shape[:2]
    if not (np.isfinite(box).all() and w > 0 and h > 0):
        raise ValueError(f"--box {_text(box)}: expected x,y,w,h with positive w and h")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(f"--box {_text(box)} lies outside the {width}x{height} image")


def _text(box: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in box)
