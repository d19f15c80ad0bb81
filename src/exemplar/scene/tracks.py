"""Who is who from frame to frame of a clip: sightings joined to tracks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from exemplar.detect.landmarks import extent
from exemplar.scene.sightings import Sighting, same_colours

LONGEST_GAP = 1.5
"""Seconds after which somebody who was not seen is somebody else."""

LEAST_SIMILARITY = 0.3
"""Sightings less like a track are not its."""

REACH = 0.12
"""Distance of a landmark from where it is expected, in the body's extent, at which it counts 1/e
(as COCO's object keypoint similarity)."""

REACH_GROWTH = 2.0
"""By how many times itself `REACH` grows in a second without a sighting."""

SHORTEST = 0.2
"""Seconds that somebody must be seen for, unless the clip is short itself."""

_VELOCITY_SECONDS = 0.1
_PLACE, _BOX, _COLOUR = 0.5, 0.2, 0.3
"""Shares of landmarks, box and colour in the similarity."""


@dataclass
class Track:
    """One person: which sighting of which frame."""

    rows: dict[int, int] = field(default_factory=dict)
    """Number of the sighting, by frame."""
    seen: list[tuple[float, Sighting]] = field(default_factory=list)
    """Times and sightings, as they came."""
    colour: np.ndarray | None = None
    """Running mean of the torso's colours."""

    def add(self, frame: int, time: float, row: int, sighting: Sighting) -> None:
        """The next sighting."""
        self.rows[frame] = row
        self.seen.append((time, sighting))
        old = sighting.colour if self.colour is None else self.colour
        self.colour = 0.9 * old + 0.1 * sighting.colour

    def mean_extent(self) -> float:
        """Size in the picture, px."""
        return float(np.mean([extent(sighting.keypoints) for _, sighting in self.seen]))

    def expected(self, time: float) -> Float[np.ndarray, "33 2"]:
        """Where the landmarks are expected, px: moved on as the person last moved, for as long as
        the movement was watched."""
        last_time, last = self.seen[-1]
        begin = next(
            (i for i in range(len(self.seen) - 1, -1, -1)
             if last_time - self.seen[i][0] >= _VELOCITY_SECONDS),
            0,
        )  # fmt: skip
        first_time, first = self.seen[begin]
        if last_time <= first_time:
            return last.keypoints[:, :2]
        step = np.median(last.keypoints[:, :2] - first.keypoints[:, :2], axis=0)
        ahead = min(time - last_time, 0.5)
        return last.keypoints[:, :2] + step * ahead / (last_time - first_time)


def tracks_of(frames: Sequence[Sequence[Sighting]], times: Sequence[float]) -> list[Track]:
    """The people of a clip, who is seen most first.

    Each frame's sightings go to the tracks by the assignment of greatest similarity (Kuhn 1955):
    landmarks where they are expected, overlap of the boxes, colours of the torso. A track that gets
    none goes on for `LONGEST_GAP`.
    """
    assign = assignment()
    tracks: list[Track] = []
    for number, (time, people) in enumerate(zip(times, frames, strict=True)):
        alive = [track for track in tracks if time - track.seen[-1][0] <= LONGEST_GAP]
        table = np.array([[similarity(t, p, time) for p in people] for t in alive])
        table = table.reshape(len(alive), len(people))
        free = set(range(len(people)))
        for i, row in zip(*assign(-table), strict=True):
            if table[i, row] >= LEAST_SIMILARITY:
                alive[i].add(number, time, int(row), people[row])
                free.discard(int(row))
        for row in sorted(free):
            tracks.append(Track())
            tracks[-1].add(number, time, row, people[row])
    return _worth_keeping(tracks, times)


def assignment() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """scipy's solver; ImportError with the extra that brings it."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError(
            "telling people apart needs scipy: pip install 'exemplar-hmr[video]'"
        ) from None
    return linear_sum_assignment


def similarity(track: Track, person: Sighting, time: float) -> float:
    """0..1: how like a track's person somebody is; 0 out of reach."""
    gap = time - track.seen[-1][0]
    expected, last = track.expected(time), track.seen[-1][1]
    size = (extent(last.keypoints) + extent(person.keypoints)) / 2
    reach = REACH * size * (1 + REACH_GROWTH * gap)
    away = np.linalg.norm(person.keypoints[:, :2] - expected, axis=1)
    weight = np.minimum(last.keypoints[:, 2], person.keypoints[:, 2]) + 0.1
    place = float((weight * np.exp(-((away / reach) ** 2))).sum() / weight.sum())
    if place < 0.02:
        return 0.0
    assert track.colour is not None
    colour = same_colours(track.colour, person.colour)
    return _PLACE * place + _BOX * _overlap(expected, person.keypoints[:, :2]) + _COLOUR * colour


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two sets' boxes."""
    (a_low, a_high), (b_low, b_high) = ((x.min(0), x.max(0)) for x in (a, b))
    common = np.prod(np.clip(np.minimum(a_high, b_high) - np.maximum(a_low, b_low), 0, None))
    areas = np.prod(a_high - a_low) + np.prod(b_high - b_low)
    return float(common / max(areas - common, 1e-9))


def _worth_keeping(tracks: list[Track], times: Sequence[float]) -> list[Track]:
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    least = min(SHORTEST / step if step > 0 else 1.0, len(times) / 2)
    kept = [track for track in tracks if len(track.rows) >= least]
    return sorted(kept, key=lambda track: (-len(track.rows), min(track.rows)))
