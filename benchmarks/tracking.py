"""Who is who: switches and fragments of tracks of drawn crossings, against overlap of boxes alone.

    python -m benchmarks.tracking [--photos SHARED_PHOTOS --work FOLDER] [--output RESULTS.json]

Two bodies of `drawn_clips` pass each other four times in 238 frames, one behind the other. What a
detector would see of them is simulated, without pictures: keypoints off by noise, the one behind
not seen while most of them is covered, and one reading in twenty missing.

With `--photos` the eight real clips, too, as `benchmarks.clips` or `benchmarks.cameras` read them
in FOLDER. Whose a sighting is, the cameras tell together: people on whom three or four of them
agree are triangulated, and followed in space. Whom fewer see in a frame is left out there.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro
from scipy.optimize import linear_sum_assignment

from benchmarks.common import write_results
from benchmarks.drawn_clips import FPS, project, walkers_joints
from exemplar.data.calibration import read_cameras
from exemplar.scene.association import associate
from exemplar.scene.clip_files import JOB_FILE, ClipJob
from exemplar.scene.people import has_extent, landmark_joints
from exemplar.scene.sightings import COLOUR_BINS, Sighting
from exemplar.scene.tracks import LONGEST_GAP, tracks_of
from exemplar.scene.tracks3d import tracked
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
    photos: Path | None = None
    """Folder with `multiview` and `twoperson`."""
    work: Path | None = None
    """Where what was read of them is kept."""
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


def filmed(folder: Path, work: Path) -> dict[str, tuple[list[list[Sighting]], list[float], list]]:
    """By camera of a sequence: sightings by frame, times, and whose they are (None: not known)."""
    cameras = read_cameras(folder / "Calib.qca.txt")
    clips = []
    for camera in cameras:
        kept = work / f"{folder.name}-{camera.name}"
        settings = json.loads((kept / JOB_FILE).read_text())
        del settings["clip"]
        job = ClipJob(kept, folder / f"{camera.name}.mp4", settings)
        clips.append([job.load(number) for number in range(job.blocks())])
    seen = [[people for block in blocks for people in block.people] for blocks in clips]
    times = [float(time) for block in clips[0] for time in block.times]
    moments, joints = [], []
    for sightings in zip(*seen, strict=True):
        views = [[landmark_joints(p.keypoints) for p in each] for each in sightings]
        joints.append(views)
        people = associate([list(filter(has_extent, each)) for each in views], cameras)
        # two pairs of cameras may each make their own of one person
        moments.append([person for person in people if person.seen.sum() > 2])
    owners = [[[None] * len(people) for people in frames] for frames in seen]
    for number, moments_of in enumerate(tracked(moments, times)):
        for t, person in moments_of.items():
            for c, views in enumerate(joints[t]):
                for row, points in enumerate(views):
                    if np.array_equal(points, person.points[c]):
                        owners[c][t][row] = number
    return {
        f"{folder.name} {camera.name}": (frames, times, whose)
        for camera, frames, whose in zip(cameras, seen, owners, strict=True)
    }


def judged(
    tracks: Sequence[dict[int, int]], owners: Sequence[Sequence[int | None]]
) -> dict[str, int]:
    """Switches: changes of person within a track. Fragments: tracks beyond one a person."""
    switches, parts = 0, Counter[int]()
    for rows in tracks:
        known = [owners[t][row] for t, row in sorted(rows.items())]
        who = [owner for owner in known if owner is not None]
        switches += sum(a != b for a, b in pairwise(who))
        if who:
            parts[Counter(who).most_common(1)[0][0]] += 1
    return {"switches": switches, "fragments": sum(count - 1 for count in parts.values())}


def main(command: TrackingCommand) -> None:
    """Draw or read, track and count."""
    clips = {}
    for seed in range(command.clips):
        frames, owners = seen(seed, command.alike)
        clips[f"drawn {seed}"] = (frames, (np.arange(FRAMES) / FPS).tolist(), owners)
    if command.photos is not None and command.work is not None:
        for name in ("multiview", "twoperson"):
            clips |= filmed(command.photos / name, command.work)
    trackers: dict[str, Tracker] = {"ours": ours, "overlap of boxes": by_overlap}
    results: dict[str, dict[str, dict[str, int]]] = {}
    for clip, (frames, times, owners) in clips.items():
        kind = clip.split()[0]
        for name, tracker in trackers.items():
            found = judged(tracker(frames, times), owners)
            totals = results.setdefault(kind, {}).setdefault(
                name, {"clips": 0, "switches": 0, "fragments": 0, "clips_right": 0}
            )
            for key, count in found.items():
                totals[key] += count
            totals["clips"] += 1
            totals["clips_right"] += not any(found.values())
    for kind, by_tracker in results.items():
        for name, counts in by_tracker.items():
            print(f"{kind:10s} {name:18s}", counts)
    write_results(command.output, command, results)


if __name__ == "__main__":
    main(tyro.cli(TrackingCommand))
