"""Who is seen in each frame of a clip: found every few frames, and followed between them.

Following is BlazePose's own way (Bazarevsky et al. 2020): the landmarks of a frame say which crop
to read in the next. Of somebody whose feet are not seen they are guesses in part, and crops made of
them shrink from frame to frame: there the crop moves as the landmarks do that are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from exemplar.detect.landmarks import (
    SAME_PERSON,
    SAME_PLACE,
    Reading,
    box_of,
    extent,
    find_people,
    read_landmarks,
)
from exemplar.detect.pose_finder import overlap, square
from exemplar.geometry.crops import Box
from exemplar.skeletons import BLAZEPOSE_33, TORSO

COLOUR_BINS = 4
"""Of each channel, in the histogram of a torso."""

FASTEST = 0.35
"""Most that a followed person's landmarks move from frame to frame, in the body's extent, on
average: more is a reading of somebody or something else."""

LEAST_ALIKE = 0.8
"""How alike a torso's colours are from frame to frame: 0.95 and more on the same person, 0.69 where
a reading slid from a man onto a woman in front of him."""

MIN_PRESENCE = 0.5
"""Least probability of a person in the crop of somebody who is followed."""

REREAD = 0.2
"""As `SAME_PERSON`, for somebody who is followed and found anew: the crops differ."""

SURE = 0.5
"""Confidence from which a landmark counts as seen."""

_TORSO = [BLAZEPOSE_33.index(name) for name in TORSO]
_ANKLES = [BLAZEPOSE_33.index(f"{side}_ankle") for side in ("left", "right")]


@dataclass(frozen=True)
class Sighting:
    """Somebody in one frame."""

    keypoints: Float[np.ndarray, "33 3"]
    """`skeletons.BLAZEPOSE_33`: x, y in image px, confidence."""
    score: float
    """How sure it is that somebody is there, 0 to 1."""
    colour: Float[np.ndarray, " bins"]
    """Histogram of the torso's colours; its sum is 1."""
    crop: Float[np.ndarray, "4"]
    """Where the landmarks were read: centre (px), side (px) and angle (radians)."""


def sightings_in(
    pixels: UInt8[np.ndarray, "h w 3"],
    before: list[Sighting],
    *,
    look: bool,
) -> list[Sighting]:
    """The people of a frame, given those of the frame before.

    With `look`, or where somebody is lost, the whole picture is searched, too.
    """
    followed = _followed(pixels, before)
    found = followed
    if look or len(followed) < len(before):
        fresh = [_sighting(pixels, p.keypoints, p.score, p.box) for p in find_people(pixels)]
        found = with_fresh(followed, fresh)
    return found


def with_fresh(followed: Sequence[Sighting], fresh: Sequence[Sighting]) -> list[Sighting]:
    """Who is followed, and who is found besides.

    Each who is found is at most one of the followed: first the nearest within `REREAD`, then
    whoever is in the same place in the same clothes, but read otherwise. There the fresh reading is
    taken, as two networks made it.
    """
    pairs = sorted(
        (median_gap(person, other), i, j)
        for i, person in enumerate(followed)
        for j, other in enumerate(fresh)
    )
    owners: dict[int, int] = {}
    for within in (True, False):
        for gap, i, j in pairs:
            if i in owners or j in owners.values():
                continue
            same = gap < REREAD if within else _same_place(followed[i], fresh[j])
            if same:
                owners[i] = j
    kept = [
        fresh[owners[i]]
        if i in owners and median_gap(person, fresh[owners[i]]) >= REREAD
        else person
        for i, person in enumerate(followed)
    ]
    return [*kept, *(other for j, other in enumerate(fresh) if j not in owners.values())]


def _same_place(a: Sighting, b: Sighting) -> bool:
    bounds = [
        np.concatenate((p.keypoints[:, :2].min(axis=0), p.keypoints[:, :2].max(axis=0)))
        for p in (a, b)
    ]
    return overlap(*bounds) > SAME_PLACE and same_colours(a.colour, b.colour) >= LEAST_ALIKE


def _followed(pixels: np.ndarray, before: list[Sighting]) -> list[Sighting]:
    """The people of the frame before who are found where they were, each once."""
    boxes = [(person, _next_box(person, pixels)) for person in before]
    asked = [(person, box) for person, box in boxes if box is not None]
    readings = read_landmarks(pixels, [box for _, box in asked])
    kept: list[tuple[float, Sighting]] = []
    for (person, _), reading in zip(asked, readings, strict=True):
        moved = _distance(person.keypoints, reading.keypoints)
        if reading.presence < MIN_PRESENCE or moved > FASTEST or not _in_picture(reading, pixels):
            continue
        box = reading.box
        if not _feet_seen(reading.keypoints, pixels):
            box = _moved(box, person.keypoints, reading.keypoints, pixels)
        now = _sighting(pixels, reading.keypoints, reading.presence, box)
        if same_colours(person.colour, now.colour) >= LEAST_ALIKE:
            kept.append((moved, now))
    # two who are read as one: the one who moved less is there
    alone: list[Sighting] = []
    for _, person in sorted(kept, key=lambda pair: pair[0]):
        if not any(median_gap(person, other) < SAME_PERSON for other in alone):
            alone.append(person)
    return alone


def _next_box(person: Sighting, pixels: np.ndarray) -> Box | None:
    """Where to read somebody in the next frame."""
    if _feet_seen(person.keypoints, pixels):
        return box_of(person.keypoints)
    x, y, size, angle = (float(value) for value in person.crop)
    return square(x, y, size, angle)


def _seen(keypoints: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    places = keypoints[:, :2]
    inside = (places >= 0).all(1) & (places <= pixels.shape[1::-1]).all(1)
    return inside & (keypoints[:, 2] >= SURE)


def _feet_seen(keypoints: np.ndarray, pixels: np.ndarray) -> bool:
    return bool(_seen(keypoints, pixels)[_ANKLES].any())


def _moved(box: Box, old: np.ndarray, new: np.ndarray, pixels: np.ndarray) -> Box:
    """The crop, moved, grown and turned as the landmarks are that both frames show (the similarity
    of least squares: Umeyama 1991)."""
    both = _seen(old, pixels) & _seen(new, pixels)
    if both.sum() < 3:
        return box
    # in the plane of complex numbers a similarity is a product
    places = (points[both, :2].astype(np.float64) for points in (old, new))
    source, target = (xy[:, 0] + 1j * xy[:, 1] for xy in places)
    apart, away = source - source.mean(), target - target.mean()
    factor = np.vdot(apart, away) / max(np.vdot(apart, apart).real, 1e-9)
    factor = factor if 0.5 < abs(factor) < 2 else 1.0 + 0j
    centre = complex(*box.centre.tolist())
    place = complex(target.mean() + factor * (centre - source.mean()))
    size = float(box.size) * float(abs(factor))
    angle = float(box.angle) + float(np.angle(factor))
    return square(place.real, place.imag, size, angle)


def median_gap(a: Sighting, b: Sighting) -> float:
    """Median distance of two sightings' landmarks, in the smaller body's extent."""
    gaps = np.linalg.norm(a.keypoints[:, :2] - b.keypoints[:, :2], axis=1)
    return float(np.median(gaps)) / min(extent(a.keypoints), extent(b.keypoints))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of landmarks, in the extent of `a`."""
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean()) / extent(a)


def _in_picture(reading: Reading, pixels: np.ndarray) -> bool:
    """Whether most of the torso is: people who leave are not followed out of the picture."""
    torso = reading.keypoints[_TORSO, :2]
    inside = (torso >= 0).all(1) & (torso <= pixels.shape[1::-1]).all(1)
    return int(inside.sum()) * 2 >= len(_TORSO)


def _sighting(pixels: np.ndarray, keypoints: np.ndarray, score: float, box: Box) -> Sighting:
    crop = np.array([*box.centre.tolist(), float(box.size), float(box.angle)])
    colours = _torso_colours(pixels, keypoints)
    return Sighting(keypoints.astype(np.float32), float(score), colours, crop)


def same_colours(a: Float[np.ndarray, " bins"], b: Float[np.ndarray, " bins"]) -> float:
    """How alike two histograms are, 0 to 1 (Bhattacharyya's coefficient)."""
    return float(np.sqrt(a * b).sum())


def _torso_colours(pixels: np.ndarray, keypoints: np.ndarray) -> Float[np.ndarray, " bins"]:
    height, width = pixels.shape[:2]
    torso = keypoints[_TORSO, :2]
    low = np.clip(np.floor(torso.min(0)), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(torso.max(0)), low + 1, (width, height)).astype(int)
    part = np.ascontiguousarray(pixels[low[1] : high[1], low[0] : high[0]])
    small = cv2.resize(part, (24, 24), interpolation=cv2.INTER_AREA)
    bins = (small.reshape(-1, 3).astype(int) * COLOUR_BINS) // 256
    codes = bins @ [COLOUR_BINS**2, COLOUR_BINS, 1]
    return np.bincount(codes, minlength=COLOUR_BINS**3) / len(codes)
