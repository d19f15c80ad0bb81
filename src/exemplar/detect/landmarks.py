"""The built-in 2D keypoints: people in a photo and BlazePose's 33 landmarks of each.

Detector, turned crop, landmark network, as in Bazarevsky et al., "BlazePose: On-device Real-time
Body Pose Tracking", 2020. The network is sure of itself even where it mistakes head for feet or
mixes two people, so each reading is checked: drawing the crop again from the landmarks must give
the same landmarks, they must put the face where the detector saw it, and a larger network must
agree. A doubtful crop is tried in four turns, since people who lie, bend or stand on their hands
matter here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8

from exemplar.detect.person_detector import (
    CROP_MARGIN,
    Detection,
    PersonDetector,
    as_rgb,
    detect_people,
    square,
)
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.image_files import crop_image
from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, Size
from exemplar.regressors.checkpoints import load_trunk
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, flip_permutation

FIRST_PRESENCE = 0.2
"""Crops to which the landmark network gives less than this probability of a person are dropped."""

FIRST_SCORE = 0.3
"""People who score less with the first network are not shown to the second."""

MIN_SCORE = 0.45
"""People who score less in the end are dropped: animals and things scored up to 0.41, people mostly
over 0.5."""

MOVE_SCALE = 0.2
"""Movement between two readings of a network, over the body's extent, that lowers a score to 1/e:
right readings moved by under 0.15 on our photographs, wrong ones mostly by 0.15 to 0.6."""

CHECK_SCALE = 0.3
"""Likewise between two networks, of which the second mends some of the first one's mistakes."""

FACE_SCALE = 0.1
"""Distance of the landmarks' face from the detector's, over the crop's side, that lowers a score
to 1/e: right readings were under 0.07 away, upside-down ones about 0.5."""

DOUBTFUL_THRESHOLD = 0.5
"""Where the detector is this sure of a face and nobody is found, other crops are tried."""

CLOSER = 0.6
"""Side of the crop about the upper body that is one of these, over the detector's crop."""

MOST_CROPS = 32
"""Detections that are read, best first: a crowd costs no more."""

SAME_PERSON = 0.1
"""Two sets of landmarks whose median distance is below this part of a body's extent are one."""

SAME_FACE = 0.06
"""Two people whose faces are nearer than this part of the smaller extent are one."""

SAME_PLACE = 0.6
"""Share of the smaller of two people, head to feet, within the other, if one is upside down: they
are then one, read twice."""

SHARED_JOINT = 0.04
"""Distance, over a body's extent, below which two people's joints are in one place."""

SHARED_JOINTS = 3
"""Limb joints in one place of which one person is robbed: bodies touch in fewer."""

CUT_CONFIDENCE = 0.3
"""Mean confidence of knees and ankles below which somebody counts as cut off."""

WIDER = 1.5
"""How much larger a further crop of somebody is who is cut off."""

BATCH = 8
"""Crops that pass through the network together."""

_FACE = list(range(BLAZEPOSE_33.index("left_shoulder")))
_LEGS = [
    BLAZEPOSE_33.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")
]
_LIMBS = [BLAZEPOSE_33.index(name) for name in LIMBS_12]
_MIRRORED = flip_permutation(BLAZEPOSE_33)


@dataclass(frozen=True)
class DetectedPerson:
    """One person and the landmarks found."""

    keypoints: Float[np.ndarray, "33 3"]
    """`skeletons.BLAZEPOSE_33`: x, y in image px, also outside the image; confidence 0..1, the
    probability that the landmark is in the crop and not hidden, lowered as far as two networks put
    it in different places, 0 if it is somebody else's."""
    score: float
    """0..1: the probability of a person, lowered as far as readings of the landmarks differ and as
    the face is not where the detector saw it."""
    box: Box
    """The crop (unbatched) in which the landmarks were found: around the middle of the hips, the
    person upright in it unless they bend."""
    detection: Detection
    """Where the detector saw them."""


@dataclass(frozen=True)
class Reading:
    """What the landmark network sees in one crop, whether or not somebody is there."""

    keypoints: Float[np.ndarray, "33 3"]
    """As `DetectedPerson.keypoints`; confidence as the network has it."""
    presence: float
    """Probability of a person."""
    box: Box
    """The crop (unbatched)."""


@cache
def default_trunk(size: Size = "full") -> BlazePoseTrunk:
    """A shipped landmark network."""
    return load_trunk(size)


def _middle(keypoints: np.ndarray, part: str) -> np.ndarray:
    """Middle between the left and the right joint called `part`, x and y."""
    rows = [BLAZEPOSE_33.index(f"{side}_{part}") for side in ("left", "right")]
    return keypoints[rows, :2].mean(axis=0)


def _up(keypoints: np.ndarray) -> np.ndarray:
    return _middle(keypoints, "shoulder") - _middle(keypoints, "hip")


def _extent(keypoints: np.ndarray) -> float:
    return max(float(np.ptp(keypoints[:, :2], axis=0).max()), 1e-6)


def box_of(keypoints: Float[np.ndarray, "33 3"]) -> Box | None:
    """The crop that the landmarks ask for; None where they have no extent.

    Its centre is the middle of the hips, the middle of the shoulders is straight above it, and its
    side is `CROP_MARGIN` times the diameter of the circle that holds all landmarks.
    """
    hips, up = _middle(keypoints, "hip"), _up(keypoints)
    radius = float(np.linalg.norm(keypoints[:, :2] - hips, axis=1).max())
    size = 2.0 * CROP_MARGIN * radius
    if not (math.isfinite(size) and size > 1.0):
        return None
    return square(float(hips[0]), float(hips[1]), size, math.atan2(up[0], -up[1]))


def turned(box: Box, quarters: int) -> Box:
    """The same square turned by quarters of a turn."""
    return Box(box.centre, box.size, box.angle + quarters * math.pi / 2.0)


@torch.no_grad()
def read_landmarks(
    image: UInt8[np.ndarray, "height width 3"],
    boxes: list[Box],
    model: BlazePoseTrunk | None = None,
) -> list[Reading]:
    """What the landmark network sees in each crop (unbatched boxes) of an image."""
    model = default_trunk() if model is None else model
    readings = []
    for start in range(0, len(boxes), BATCH):
        batch = boxes[start : start + BATCH]
        crops = np.stack([crop_image(image, box, RESOLUTION) for box in batch])
        output = model(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255.0)
        named = output.landmarks[:, : len(BLAZEPOSE_33)]
        units = named[..., :2] * (2.0 / RESOLUTION) - 1.0
        confidence = named[..., 3:5].sigmoid().prod(dim=-1, keepdim=True)
        presence = output.presence.sigmoid()
        for box, points, sure, present in zip(batch, units, confidence, presence, strict=True):
            keypoints = torch.cat((crop_to_image(points, box), sure), dim=-1).numpy()
            readings.append(Reading(keypoints, float(present), box))
    return readings


def _face(keypoints: np.ndarray) -> np.ndarray:
    return keypoints[_FACE, :2].mean(axis=0)


def _moved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, :2] - b[:, :2], axis=1)


def _agreement(distance: float, scale: float) -> float:
    """1 where something is where it should be, 1/e at a distance of `scale`."""
    return math.exp(-((distance / scale) ** 2))


def _person(reading: Reading, detection: Detection) -> DetectedPerson:
    """A reading as a person: as sure as the network is, and as the face is the detector's."""
    distance = float(np.linalg.norm(_face(reading.keypoints) - detection.face))
    score = reading.presence * _agreement(distance, FACE_SCALE * float(detection.box.size))
    return DetectedPerson(reading.keypoints, score, reading.box, detection)


def _read_again(
    image: np.ndarray, people: list[DetectedPerson], trunk: BlazePoseTrunk
) -> list[tuple[DetectedPerson, float]]:
    """People in the crops that their landmarks ask for, and how far these move, in extents."""
    boxes = [box_of(person.keypoints) or person.box for person in people]
    pairs = []
    for person, reading in zip(people, read_landmarks(image, boxes, trunk), strict=True):
        moved = _moved(person.keypoints, reading.keypoints) / _extent(person.keypoints)
        pairs.append((_person(reading, person.detection), float(moved.mean())))
    return pairs


def _read_people(
    image: np.ndarray, detections: list[Detection], trunk: BlazePoseTrunk
) -> list[DetectedPerson]:
    """The people in the crops of detections: the better of two readings of each."""
    readings = read_landmarks(image, [detection.box for detection in detections], trunk)
    there = [
        _person(reading, detection)
        for reading, detection in zip(readings, detections, strict=True)
        if reading.presence >= FIRST_PRESENCE
    ]
    # not yet those upside down: which way up is right shows when they are read again
    first = distinct(there, _coincide)
    people = []
    for person, (again, moved) in zip(first, _read_again(image, first, trunk), strict=True):
        best = max(person, again, key=lambda each: each.score)
        people.append(replace(best, score=best.score * _agreement(moved, MOVE_SCALE)))
    return people


def _read_doubtful(
    image: np.ndarray,
    detections: list[Detection],
    people: list[DetectedPerson],
    trunk: BlazePoseTrunk,
) -> list[DetectedPerson]:
    """Those whose face the detector saw, but who are not among `people`.

    They may be the other way up, or somebody else in their crop may be easier to see.
    """
    doubtful = [
        detection
        for detection in detections
        if detection.score >= DOUBTFUL_THRESHOLD
        and not any(_is_at(detection, person) for person in people if person.score >= MIN_SCORE)
    ]
    crops = [turned(d.box, quarters) for quarters in (1, 2, 3) for d in doubtful]
    crops += [_closer(d) for d in doubtful]
    return _read_people(
        image, [replace(d, box=box) for d, box in zip(doubtful * 4, crops, strict=True)], trunk
    )


def _closer(detection: Detection) -> Box:
    """A smaller crop nearer to the face."""
    face = torch.from_numpy(detection.face).float()
    centre = face + CLOSER * (detection.box.centre - face)
    return replace(detection.box, centre=centre, size=CLOSER * detection.box.size)


def _is_at(detection: Detection, person: DetectedPerson) -> bool:
    distance = float(np.linalg.norm(_face(person.keypoints) - detection.face))
    return distance < FACE_SCALE * float(detection.box.size)


def _is_doubtful(person: DetectedPerson, min_score: float) -> bool:
    return person.score < min_score and person.detection.score >= DOUBTFUL_THRESHOLD


def _read_wider(
    image: np.ndarray, people: list[DetectedPerson], trunk: BlazePoseTrunk
) -> list[DetectedPerson]:
    """People whose legs are not seen, in larger crops: the network squeezes a body into its own."""
    crops = [
        replace(person.detection, box=replace(person.box, size=WIDER * person.box.size))
        for person in people
        if person.score >= FIRST_SCORE and person.keypoints[_LEGS, 2].mean() < CUT_CONFIDENCE
    ]
    return _read_people(image, crops, trunk)


def _checked(
    image: np.ndarray, people: list[DetectedPerson], trunk: BlazePoseTrunk
) -> list[DetectedPerson]:
    """People as another network reads them.

    Scores fall as far as the networks differ, and so does each landmark's confidence: where one
    body is continued in somebody else's, they mostly do.
    """
    checked = []
    for person, (other, moved) in zip(people, _read_again(image, people, trunk), strict=True):
        keypoints = other.keypoints.copy()
        distances = _moved(person.keypoints, keypoints) / _extent(person.keypoints)
        keypoints[:, 2] *= np.exp(-((distances / MOVE_SCALE) ** 2))
        score = other.score * _agreement(moved, CHECK_SCALE)
        checked.append(replace(other, keypoints=keypoints, score=score))
    return checked


def _coincide(a: DetectedPerson, b: DetectedPerson) -> bool:
    """Whether two people have a face in common, or landmarks as they are or mirrored."""
    first, second = a.keypoints[:, :2], b.keypoints[:, :2]
    extent = min(_extent(first), _extent(second))
    if float(np.linalg.norm(_face(first) - _face(second))) < SAME_FACE * extent:
        return True
    distances = (float(np.median(_moved(first, each))) for each in (second, second[_MIRRORED]))
    return min(distances) < SAME_PERSON * extent


def _is_same(a: DetectedPerson, b: DetectedPerson) -> bool:
    """Whether two people are one: they coincide, or the same body is read upside down."""
    first, second = a.keypoints[:, :2], b.keypoints[:, :2]
    is_opposite = float(_up(first) @ _up(second)) < 0.0
    return _coincide(a, b) or (is_opposite and shared_place(first, second) > SAME_PLACE)


def shared_place(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"]) -> float:
    """What the upright rectangles about two sets of points share, over the smaller of them."""
    low, high = np.maximum(a.min(axis=0), b.min(axis=0)), np.minimum(a.max(axis=0), b.max(axis=0))
    smaller = min(float(np.ptp(points, axis=0).prod()) for points in (a, b))
    shared = float(np.clip(high - low, 0, None).prod())
    return shared / smaller if smaller > 0 else 0.0


def distinct(
    people: list[DetectedPerson],
    is_same: Callable[[DetectedPerson, DetectedPerson], bool] = _is_same,
) -> list[DetectedPerson]:
    """The best of each group of people who are one person, best first."""
    kept: list[DetectedPerson] = []
    for candidate in sorted(people, key=lambda person: -person.score):
        if not any(is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def without_shared(people: list[DetectedPerson]) -> list[DetectedPerson]:
    """People, given and returned best first, without the limbs that are a better one's.

    Several limb joints in one place are one body's: the less sure person's are then not seen
    (confidence 0), and their score falls by the share of what they lose.
    """
    kept: list[DetectedPerson] = []
    for person in people:
        keypoints, taken = person.keypoints, np.zeros(len(BLAZEPOSE_33), bool)
        for other in kept:
            shared = _moved(keypoints, other.keypoints) < SHARED_JOINT * _extent(other.keypoints)
            shared &= other.keypoints[:, 2] > keypoints[:, 2] / 2  # else it is the other's guess
            if shared[_LIMBS].sum() >= SHARED_JOINTS:
                taken |= shared
        if taken.any():
            left = np.where(taken, 0.0, keypoints[:, 2])
            share = left[_LIMBS].sum() / max(keypoints[_LIMBS, 2].sum(), 1e-6)
            keypoints = np.column_stack((keypoints[:, :2], left))
            person = replace(person, keypoints=keypoints, score=person.score * float(share))
        kept.append(person)
    return sorted(kept, key=lambda person: -person.score)


def find_people(
    image: UInt8[np.ndarray, "height width *channels"],
    *,
    threshold: float = 0.3,
    min_score: float = MIN_SCORE,
    zooms: bool = True,
    detector: PersonDetector | None = None,
    trunk: BlazePoseTrunk | None = None,
    checker: BlazePoseTrunk | None = None,
) -> list[DetectedPerson]:
    """The people in an image (RGB or grey, 0..255) and their landmarks, best first.

    `threshold` and `zooms` are the detector's (`detect_people`); the threshold is low, since the
    landmark networks sort out what is no person: `trunk` (`full` unless given) looks at all
    candidates, `checker` (`heavy`) at those who are left, and its landmarks are returned. People
    whose `score` is under `min_score` are left out. Raises ValueError for an array that is no 8-bit
    image.
    """
    image = as_rgb(image)
    trunk = default_trunk() if trunk is None else trunk
    checker = default_trunk("heavy") if checker is None else checker
    detections = detect_people(image, threshold=threshold, zooms=zooms, model=detector)
    detections = detections[:MOST_CROPS]
    people = _read_people(image, detections, trunk)
    people += _read_doubtful(image, detections, people, trunk)
    people += _read_wider(image, people, trunk)
    people = distinct([p for p in people if p.score >= FIRST_SCORE], _coincide)
    people = _checked(image, people, checker)
    # where the networks differ, the second has to agree with itself
    people += _checked(image, [p for p in people if _is_doubtful(p, min_score)], checker)
    found = without_shared(distinct(people))
    return [person for person in found if person.score >= min_score]
