"""The built-in 2D keypoints: people in a photo and BlazePose's 33 landmarks of each.

Detector, turned crop, landmark network, as in Bazarevsky et al., "BlazePose: On-device Real-time
Body Pose Tracking", 2020. The network is sure of itself even where it mistakes head for feet or
mixes two people, so each reading is checked: drawing the crop again from the landmarks must give
the same landmarks, and they must put the face where the detector saw it. A doubtful crop is tried
in four turns, since people who lie, bend or stand on their hands matter here.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from exemplar.detect.person_detector import (
    CROP_MARGIN,
    Detection,
    PersonDetector,
    as_rgb,
    detect_people,
    overlap,
    square,
)
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.image_files import crop_image
from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, Size
from exemplar.regressors.checkpoints import load_trunk
from exemplar.skeletons import BLAZEPOSE_33

MIN_PRESENCE = 0.5
"""Crops to which the landmark network gives less than this probability of a person are dropped."""

MIN_SCORE = 0.5
"""People who score less are tried in three further turns of their crop, and then dropped."""

LEAST_SCORE = 0.2
"""Where nobody reaches `MIN_SCORE`, the best person is taken who reaches this: a grey portrait, in
which most landmarks are guesses, scores 0.35."""

MOVE_SCALE = 0.2
"""Movement between two readings, over the body's extent, that lowers a score to 1/e: right
readings moved by under 0.1 on our photographs, wrong ones mostly by 0.15 to 0.6."""

FACE_SCALE = 0.8
"""Distance of the landmarks' face from the detector's, over its size, that lowers a score to 1/e:
right readings were under 0.5 away on our photographs, upside-down ones about 1."""

SAME_PERSON = 0.1
"""Two sets of landmarks whose median distance is below this part of a body's extent are one."""

SAME_PLACE = 0.5
"""Overlap (intersection over union) of two people, head to feet, who are one read twice."""

BATCH = 8
"""Crops that pass through the network together."""

_FACE = [
    BLAZEPOSE_33.index(name)
    for name in (
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "mouth_left",
        "mouth_right",
    )
]


@dataclass(frozen=True)
class DetectedPerson:
    """One person and the landmarks found."""

    keypoints: Float[np.ndarray, "33 3"]
    """`skeletons.BLAZEPOSE_33`: x, y in image px, also outside the image; confidence 0..1, the
    probability that the landmark is in the crop and not hidden."""
    score: float
    """0..1: the probability of a person, lowered as far as a second reading of the landmarks
    differs from the first and as the face is not where the detector saw it."""
    box: Box
    """The crop (unbatched) in which the landmarks were found: around the middle of the hips, the
    person upright in it unless they bend."""


@dataclass(frozen=True)
class Reading:
    """What the landmark network sees in one crop, whether or not somebody is there."""

    keypoints: Float[np.ndarray, "33 3"]
    """As `DetectedPerson.keypoints`."""
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


def _face_agreement(reading: Reading, face: np.ndarray) -> float:
    """1 where the landmarks' face is in the middle of the detector's, towards 0 far from it."""
    distance = reading.keypoints[_FACE, :2].mean(axis=0) - (face[:2] + face[2:]) / 2.0
    relative = float(np.linalg.norm(distance)) / max(float(face[2] - face[0]), 1e-6)
    return math.exp(-((relative / FACE_SCALE) ** 2))


def _settle(first: Reading, second: Reading, face: np.ndarray) -> DetectedPerson:
    """The better of two readings of one person, the second in the crop that the first asked for."""
    moved = np.linalg.norm(first.keypoints[:, :2] - second.keypoints[:, :2], axis=1).mean()
    agreement = math.exp(-((float(moved) / _extent(first.keypoints) / MOVE_SCALE) ** 2))

    def score(reading: Reading) -> float:
        if reading.presence < MIN_PRESENCE:
            return 0.0
        return reading.presence * _face_agreement(reading, face) * agreement

    best = max(first, second, key=score)
    return DetectedPerson(best.keypoints, score(best), best.box)


def _read_people(
    image: np.ndarray, detections: list[Detection], trunk: BlazePoseTrunk | None, quarters: int
) -> list[DetectedPerson]:
    """One person for each detection, in crops turned by quarters of a turn; score 0 if absent."""
    first = read_landmarks(image, [turned(d.box, quarters) for d in detections], trunk)
    again = [box_of(reading.keypoints) or reading.box for reading in first]
    second = read_landmarks(image, again, trunk)
    faces = [d.face for d in detections]
    return [_settle(*both) for both in zip(first, second, faces, strict=True)]


def _is_same(a: DetectedPerson, b: DetectedPerson) -> bool:
    """Whether two people are one: the landmarks coincide, or the same body is read upside down."""
    first, second = a.keypoints[:, :2], b.keypoints[:, :2]
    distance = float(np.median(np.linalg.norm(first - second, axis=1)))
    if distance < SAME_PERSON * min(_extent(first), _extent(second)):
        return True
    bounds = [np.concatenate((p.min(axis=0), p.max(axis=0))) for p in (first, second)]
    is_opposite = float(_up(first) @ _up(second)) < 0.0
    return is_opposite and overlap(bounds[0], bounds[1]) > SAME_PLACE


def distinct(people: list[DetectedPerson]) -> list[DetectedPerson]:
    """The best of each group of people who are one person, best first."""
    kept: list[DetectedPerson] = []
    for candidate in sorted(people, key=lambda person: -person.score):
        if not any(_is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def find_people(
    image: UInt8[np.ndarray, "height width *channels"],
    *,
    threshold: float = 0.3,
    min_score: float = MIN_SCORE,
    tiling: Literal["auto", "always", "never"] = "auto",
    detector: PersonDetector | None = None,
    trunk: BlazePoseTrunk | None = None,
) -> list[DetectedPerson]:
    """The people in an image (RGB or grey, 0..255) and their landmarks, best first.

    `threshold` and `tiling` are the detector's (`detect_people`); the threshold is low, since the
    landmark network sorts out what is no person. People whose `score` is under `min_score` in
    every turn of their crop are left out, but for the best if it reaches `LEAST_SCORE`. Raises
    ValueError for an array that is no 8-bit image.
    """
    image = as_rgb(image)
    detections = detect_people(image, threshold=threshold, tiling=tiling, model=detector)
    people = _read_people(image, detections, trunk, quarters=0)
    doubtful = [i for i, person in enumerate(people) if person.score < min_score]
    for quarters in (1, 2, 3):
        others = _read_people(image, [detections[i] for i in doubtful], trunk, quarters)
        for i, other in zip(doubtful, others, strict=True):
            people[i] = max(people[i], other, key=lambda person: person.score)
    best = max((person.score for person in people), default=0.0)
    least = min(min_score, max(best, LEAST_SCORE))
    return distinct([person for person in people if person.score >= least])
