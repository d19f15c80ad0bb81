"""Who is who: switches and fragments of tracks of drawn crossings, against overlap of boxes alone.

    python -m benchmarks.tracking [-o RESULTS.json]

Two bodies of `drawn_clips` pass each other four times in 238 frames, one behind the other. What a
detector would see of them is simulated, without pictures: keypoints off by noise, the one behind
not seen while most of them is covered, and one reading in twenty missing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro
from scipy.optimize import linear_sum_assignment

from benchmarks.drawn_clips import FPS, SIDE, project, walkers_joints
from exemplar.files.atomic_files import replacing
from exemplar.scene.sightings import COLOUR_BINS, Sighting
from exemplar.scene.tracks import LONGEST_GAP, tracks_of
from exemplar.skeletons import BLAZEPOSE_33, SMPL_49, to_smpl49

FRAMES = 238
COVERED = 0.5
"""Overlap of the boxes, over the smaller one's area, at which the one behind is not seen."""

MISSED = 0.05
"""Share of readings that a detector misses anyhow."""

NOISE = 0.02
"""Of keypoints, in the body's height."""


@dataclass(frozen=True)
class TrackingCommand:
    """How many crossings, and where results go."""

    clips: int = 20
    """Number of drawn clips."""
    alike: bool = False
    """Whether both people wear the same."""
    output: Path | None = None
    """A JSON file."""


Tracker = Callable[[Sequence[Sequence[Sighting]], Sequence[float]], list[dict[int, int]]]
"""Frames and times to tracks: numbers of sightings by frame."""


def ours(frames: Sequence[Sequence[Sighting]], times: Sequence[float]) -> list[dict[int, int]]:
    """The tracker of `exemplar video`."""
    return [track.rows for track in tracks_of(frames, times)]


def by_overlap(
    frames: Sequence[Sequence[Sighting]], times: Sequence[float]
) -> list[dict[int, int]]:
    """SORT without its filter: the boxes' overlap, at least 0.3, with the same patience."""
    tracks: list[tuple[dict[int, int], list]] = []
    for t, (time, people) in enumerate(zip(times, frames, strict=True)):
        alive = [track for track in tracks if time - track[1][0] <= LONGEST_GAP]
        table = np.array([[_overlap(last[1], p.keypoints) for p in people] for _, last in alive])
        table = table.reshape(len(alive), len(people))
        free = set(range(len(people)))
        for i, row in zip(*linear_sum_assignment(-table), strict=True):
            if table[i, row] >= 0.3:
                alive[i][0][t] = int(row)
                alive[i][1][:] = [time, people[row].keypoints]
                free.discard(int(row))
        tracks += [({t: row}, [time, people[row].keypoints]) for row in sorted(free)]
    return [rows for rows, _ in tracks if len(rows) >= 6]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low = np.maximum(a[:, :2].min(0), b[:, :2].min(0))
    high = np.minimum(a[:, :2].max(0), b[:, :2].max(0))
    common = float(np.prod(np.clip(high - low, 0, None)))
    areas = [float(np.prod(np.ptp(x[:, :2], axis=0))) for x in (a, b)]
    return common / max(sum(areas) - common, 1e-9)


def seen(seed: int, alike: bool) -> tuple[list[list[Sighting]], list[list[int]]]:
    """Sightings by frame, and whose they are."""
    rng = np.random.default_rng([seed, 11])
    joints = walkers_joints(FRAMES, seed, crossing=True)
    colours = rng.dirichlet(np.full(COLOUR_BINS**3, 0.05), 2)
    if alike:
        colours[1] = colours[0]
    frames, owners = [], []
    for t in range(FRAMES):
        points = [_landmarks(joints[i, t]) for i in range(2)]
        hidden = _covered(points) >= COVERED
        there = [i for i in range(2) if not (i == 1 and hidden) and rng.random() >= MISSED]
        rng.shuffle(there)
        people = []
        for i in there:
            height = float(np.ptp(points[i][:, 1]))
            noisy = points[i].copy()
            noisy[:, :2] += rng.normal(0, NOISE * height, (len(noisy), 2))
            colour = np.clip(colours[i] + rng.normal(0, 0.01, len(colours[i])), 0, None)
            people.append(
                Sighting(noisy.astype(np.float32), 0.9, colour / colour.sum(), np.zeros(4))
            )
        frames.append(people)
        owners.append(there)
    return frames, owners


def _landmarks(joints: np.ndarray) -> np.ndarray:
    """BlazePose's landmarks of the 49 joints (camera's metres); unknown ones lie at the nose."""
    places = project(joints)
    points = np.zeros((len(BLAZEPOSE_33), 3))
    points[:, :2] = places[SMPL_49.index("nose")]
    for source, target in to_smpl49(BLAZEPOSE_33):
        points[source] = [*places[target], 0.9]
    return points


def _covered(points: Sequence[np.ndarray]) -> float:
    a, b = points
    low = np.maximum(a[:, :2].min(0), b[:, :2].min(0))
    high = np.minimum(a[:, :2].max(0), b[:, :2].max(0))
    common = float(np.prod(np.clip(high - low, 0, None)))
    return common / float(np.prod(np.ptp(b[:, :2], axis=0)))


def judged(tracks: Sequence[dict[int, int]], owners: Sequence[Sequence[int]]) -> dict[str, int]:
    """Switches: changes of person within a track. Fragments: tracks beyond one a person."""
    switches = 0
    for rows in tracks:
        who = [owners[t][row] for t, row in sorted(rows.items())]
        switches += sum(a != b for a, b in pairwise(who))
    return {"switches": switches, "fragments": max(0, len(tracks) - 2)}


def main(command: TrackingCommand) -> None:
    """Draw, track and count."""
    trackers: dict[str, Tracker] = {"ours": ours, "overlap of boxes": by_overlap}
    totals = {name: {"switches": 0, "fragments": 0, "clips_right": 0} for name in trackers}
    times = (np.arange(FRAMES) / FPS).tolist()
    for seed in range(command.clips):
        frames, owners = seen(seed, command.alike)
        for name, tracker in trackers.items():
            found = judged(tracker(frames, times), owners)
            for key, count in found.items():
                totals[name][key] += count
            totals[name]["clips_right"] += not any(found.values())
    for name, counts in totals.items():
        print(f"{name:18s}", counts, f"of {command.clips} clips, {SIDE} px")
    if command.output is not None:
        with replacing(command.output) as temporary:
            temporary.write_text(json.dumps(totals, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(TrackingCommand))
