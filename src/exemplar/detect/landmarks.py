"""The built-in 2D keypoints: people in a photo and BlazePose's 33 landmarks of each.

Two networks that know nothing of each other: MoveNet sees everyone in the picture at once
(`pose_finder`), and BlazePose reads a turned crop of each (Bazarevsky et al., "BlazePose: On-device
Real-time Body Pose Tracking", 2020). Alone, the second is sure of itself even where it mistakes
head for feet or mixes two people; so each reading is held against the first network's keypoints,
and the joints that both have are placed by both.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8

from exemplar.detect.pose_finder import (
    PoseFinder,
    Sighting,
    middle,
    overlap,
    see_people,
    side_of,
    square,
)
from exemplar.files.image_files import crop_image
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, Size
from exemplar.regressors.checkpoints import load_trunk
from exemplar.skeletons import BLAZEPOSE_33, COCO_17

MIN_SCORE = 0.3
"""People who score less are left out."""

DOUBTFUL = 0.4
"""Crops whose reading is trusted less are tried in three further turns."""

CROP_MARGIN = 1.25
"""Side of a person's crop over the diameter of the circle that holds the body (BlazePose's)."""

FIRST_MARGIN = 1.1
"""How much larger the crop about a sighting is: it has 17 joints, which end at wrists and
ankles."""

LEAST_LENGTH = 1.2
"""Least radius of that circle, in lengths of the torso: where legs and arms are not seen."""

SEEN = 0.1
"""Joints of a sighting with less probability do not count."""

NEAR = 0.15
"""Joints of a sighting and a reading that are nearer than this, in sides of a square as large as
the person's box, are one place; of others the surer one is taken."""

MOVE_SCALE = 0.2
"""Movement between two readings, over the body's extent, that lowers the trust to 1/e: right
readings moved by under 0.1 on our photographs, wrong ones mostly by 0.15 to 0.6."""

FEWEST_JOINTS = 4
"""Somebody of whom fewer of the 17 joints are known is nobody: a hand, or a shoe."""

KNOWN = 0.3
"""Least confidence of a joint that is known."""

SAME_PERSON = 0.1
"""Two sets of landmarks whose median distance is below this part of a body's extent are one."""

SAME_PLACE = 0.5
"""Overlap (intersection over union) of two people, head to feet, who are one read twice."""

BATCH = 8
"""Crops that pass through the network together."""

_COMMON = [BLAZEPOSE_33.index(name) for name in COCO_17]
"""BlazePose's rows of the joints that MoveNet has."""


@dataclass(frozen=True)
class DetectedPerson:
    """One person and the landmarks found."""

    keypoints: Float[np.ndarray, "33 3"]
    """`skeletons.BLAZEPOSE_33`: x, y in image px, also outside the image; confidence 0..1, the
    probability that the landmark is in the crop and not hidden, halved where the two networks put
    it in different places."""
    score: float
    """0..1: how sure the networks are that here is a person."""
    box: Box
    """The crop (unbatched) in which the landmarks were found: around the middle of the hips, the
    person upright in it unless they bend."""
    agreement: float = 1.0
    """0..1: how far the two networks put the joints in the same places."""


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
    return middle(keypoints, part, BLAZEPOSE_33)


def _up(keypoints: np.ndarray) -> np.ndarray:
    return _middle(keypoints, "shoulder") - _middle(keypoints, "hip")


def extent(keypoints: np.ndarray) -> float:
    """The longer side of the landmarks' box, px."""
    return max(float(np.ptp(keypoints[:, :2], axis=0).max()), 1e-6)


def box_of(keypoints: Float[np.ndarray, "33 3"]) -> Box | None:
    """The crop that the landmarks ask for; None where they have no extent.

    Its centre is the middle of the hips, the middle of the shoulders is straight above it, and its
    side is `CROP_MARGIN` times the diameter of the circle that holds all landmarks.
    """
    hips = _middle(keypoints, "hip")
    radius = float(np.linalg.norm(keypoints[:, :2] - hips, axis=1).max())
    return _circle(hips, _up(keypoints), radius)


def first_box(person: Sighting) -> Box | None:
    """The crop about somebody who has been seen; None where they have no extent."""
    hips = middle(person.keypoints, "hip")
    far = np.linalg.norm(person.keypoints[:, :2] - hips, axis=1)
    reach = float(far[person.keypoints[:, 2] > SEEN].max(initial=0.0))
    radius = max(reach, LEAST_LENGTH * float(np.linalg.norm(person.up)))
    return _circle(hips, person.up, FIRST_MARGIN * radius)


def _circle(hips: np.ndarray, up: np.ndarray, radius: float) -> Box | None:
    """The crop for somebody who fits into a circle about the hips."""
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


@dataclass(frozen=True)
class _Match:
    """A reading, held against the sighting that asked for it."""

    reading: Reading
    agreement: float
    trust: float


def _distances(reading: Reading, person: Sighting) -> Float[np.ndarray, "17"]:
    """Between the joints of a reading and of a sighting, in sides of the person."""
    apart = reading.keypoints[_COMMON, :2] - person.keypoints[:, :2]
    return np.linalg.norm(apart, axis=1) / side_of(person)


def _matched(person: Sighting, first: Reading, second: Reading) -> _Match:
    """The better of two readings, the second in the crop that the first asked for.

    It is trusted if the sighting says the same, or else if both readings do.
    """
    moved = np.linalg.norm(first.keypoints[:, :2] - second.keypoints[:, :2], axis=1).mean()
    alike = math.exp(-((float(moved) / extent(first.keypoints) / MOVE_SCALE) ** 2))
    weight = np.where(person.keypoints[:, 2] > SEEN, person.keypoints[:, 2], 1e-6)

    def match(reading: Reading) -> _Match:
        near = np.exp(-((_distances(reading, person) / NEAR) ** 2))
        agreement = float(np.average(near, weights=weight))
        return _Match(reading, agreement, reading.presence * max(agreement, alike))

    return max(match(first), match(second), key=lambda found: found.agreement)


def _read(
    image: np.ndarray,
    people: list[Sighting],
    trunks: tuple[BlazePoseTrunk, BlazePoseTrunk],
    quarters: int = 0,
) -> list[_Match]:
    """A reading of each person, in crops turned by quarters of a turn."""
    boxes = [first_box(person) or square(0.0, 0.0, 2.0) for person in people]
    first = read_landmarks(image, [turned(box, quarters) for box in boxes], trunks[0])
    again = [box_of(reading.keypoints) or reading.box for reading in first]
    second = read_landmarks(image, again, trunks[1])
    return [_matched(*three) for three in zip(people, first, second, strict=True)]


def _joined(person: Sighting, match: _Match) -> DetectedPerson:
    """Somebody as both networks see them."""
    keypoints = match.reading.keypoints.astype(np.float64)
    read, seen = keypoints[_COMMON], person.keypoints
    believed = read[:, 2] * (1.0 + match.agreement) / 2.0
    near = _distances(match.reading, person) < NEAR
    mean = seen[:, 2] / np.maximum(believed + seen[:, 2], 1e-6)
    share = np.where(near, mean, seen[:, 2] > believed)[:, None]
    keypoints[_COMMON, :2] = (1.0 - share) * read[:, :2] + share * seen[:, :2]
    keypoints[_COMMON, 2] = np.maximum(believed, seen[:, 2]) * np.where(near, 1.0, 0.5)
    score = person.sureness * match.reading.presence
    return DetectedPerson(keypoints, score, match.reading.box, match.agreement)


def _is_same(a: DetectedPerson, b: DetectedPerson) -> bool:
    """Whether two people are one: the landmarks coincide, or the same body is read upside down."""
    first, second = a.keypoints[:, :2], b.keypoints[:, :2]
    distance = float(np.median(np.linalg.norm(first - second, axis=1)))
    if distance < SAME_PERSON * min(extent(first), extent(second)):
        return True
    bounds = [np.concatenate((p.min(axis=0), p.max(axis=0))) for p in (first, second)]
    is_opposite = float(_up(a.keypoints) @ _up(b.keypoints)) < 0.0
    return is_opposite and overlap(bounds[0], bounds[1]) > SAME_PLACE


def distinct(people: list[DetectedPerson]) -> list[DetectedPerson]:
    """The best of each group of people who are one person, best first."""
    kept: list[DetectedPerson] = []
    for candidate in sorted(people, key=lambda person: -person.score):
        if not any(_is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def as_rgb(
    image: UInt8[np.ndarray, "height width *channels"],
) -> UInt8[np.ndarray, "height width 3"]:
    """An 8-bit grey, RGB or RGBA image as RGB; ValueError for anything else."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"expected a uint8 image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {image.dtype} {image.shape}"
        )
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image[:, :, :3]


def find_people(
    image: UInt8[np.ndarray, "height width *channels"],
    *,
    min_score: float = MIN_SCORE,
    finder: PoseFinder | None = None,
    trunk: BlazePoseTrunk | None = None,
) -> list[DetectedPerson]:
    """The people in an image (RGB or grey, 0..255) and their landmarks, best first.

    People whose `score` is under `min_score`, and those of whom few joints are known, are left out.
    `trunk` takes the place of both sizes of the landmark network. Raises ValueError for an array
    that is no 8-bit image.
    """
    image = as_rgb(image)
    trunks = (trunk or default_trunk("full"), trunk or default_trunk("heavy"))
    people = [p for p in see_people(image, model=finder) if p.sureness >= min_score]
    matches = _read(image, people, trunks)
    doubtful = [i for i, match in enumerate(matches) if match.trust < DOUBTFUL]
    for quarters in (1, 2, 3):
        others = _read(image, [people[i] for i in doubtful], trunks, quarters)
        for i, other in zip(doubtful, others, strict=True):
            matches[i] = max(matches[i], other, key=lambda match: match.trust)
    found = [_joined(*both) for both in zip(people, matches, strict=True)]
    return distinct(
        [
            person
            for person in found
            if person.score >= min_score
            and (person.keypoints[_COMMON, 2] >= KNOWN).sum() >= FEWEST_JOINTS
        ]
    )
