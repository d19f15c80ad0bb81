"""People in calibrated videos: their 2D keypoints in each view, and where they really are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from benchmarks.real_cameras import (
    FEWEST_VIEWS,
    LEAST_CONFIDENCE,
    frames,
    read_markers,
    triangulate,
)
from exemplar.data.calibration import read_cameras
from exemplar.data.detections import LEAST_CONFIDENCE as LEAST_SEEN
from exemplar.data.detections import Detection, detected_joints
from exemplar.detect.landmarks import find_people
from exemplar.files.atomic_files import replacing
from exemplar.geometry.rigs import LensCamera
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, LSP_14, OPENPOSE_25, SMPL_49

KeypointKind = Literal["built-in", "true"]
"""built-in: the built-in detector's; true: the truth as the cameras see it."""

Joints49 = Float[np.ndarray, "49 3"]
Detections = Mapping[int, Mapping[int, Sequence[Joints49]]]
"""People found, by frame and camera."""

FOURTEEN = [SMPL_49.index(name, len(OPENPOSE_25)) for name in LSP_14]
"""Rows of `LSP_14` among the 49 joints."""

LIMBS = np.array([name in LIMBS_12 for name in LSP_14])
"""Which of `LSP_14` are limb joints."""

CAP_PX = 60.0
"""Most that a view counts against an assignment of people, px: about a tenth of a person."""

SURE_PX = 25.0
"""A triangulated joint that its views see farther off than this is not taken for the truth, px."""

FEWEST_JOINTS = 8
"""Limb joints whose place must be known for somebody to be compared."""


@dataclass(frozen=True)
class Seen:
    """Somebody at one moment."""

    frame: int
    person: int
    """Number at this moment; it may be somebody else's at another."""
    points: Mapping[int, Joints49]
    """2D keypoints by camera, px."""
    truth: Float[np.ndarray, "14 3"]
    """World metres; NaN where not known."""


@dataclass(frozen=True)
class Videos:
    """A folder of calibrated videos."""

    folder: Path
    every: int
    """Take every n-th frame."""
    cache: Path | None = None
    """Where detected keypoints are kept."""

    @property
    def cameras(self) -> tuple[LensCamera, ...]:
        """Its cameras; FileNotFoundError without a calibration."""
        found = sorted(self.folder.glob("*.qca.txt"))
        if not found:
            raise FileNotFoundError(f"no calibration (*.qca.txt) in {self.folder}")
        return read_cameras(found[0])

    def pictures(self, camera: LensCamera) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
        """(frame, picture) of a camera."""
        return frames(self.folder / f"{camera.name}.mp4", self.every)

    def people(self, kind: KeypointKind) -> list[Seen]:
        """Everybody at every moment, with these keypoints."""
        cameras, found = self.cameras, self._detections()
        markers = self.folder / "pose3d.trc"
        if markers.exists():
            truth = read_markers(markers)
            seen = [Seen(f, 0, _largest(views), truth[f]) for f, views in found.items()]
        else:
            seen = [one for f, views in found.items() for one in associated(f, views, cameras)]
        if kind == "true":
            seen = [replace(one, points=projected(one.truth, cameras)) for one in seen]
        return seen

    def _detections(self) -> Detections:
        found: dict[int, dict[int, Sequence[Joints49]]] = {}
        for number, camera in enumerate(self.cameras):
            for frame, people in self._detected(camera).items():
                found.setdefault(frame, {})[number] = people
        return dict(sorted(found.items()))

    def _detected(self, camera: LensCamera) -> dict[int, Sequence[Joints49]]:
        """People of one video by frame; one file of the cache holds them."""
        name = f"{self.folder.name}-{camera.name}-every{self.every}.npz"
        kept = None if self.cache is None else self.cache / name
        if kept is not None and kept.exists():
            with np.load(kept) as file:
                return {int(frame): list(file[frame]) for frame in file.files}
        out = {frame: detect(picture) for frame, picture in self.pictures(camera)}
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            arrays = {str(f): np.reshape(people, (-1, 49, 3)) for f, people in out.items()}
            with replacing(kept) as half, half.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
        return {frame: list(people) for frame, people in out.items()}


def detect(picture: UInt8[np.ndarray, "h w 3"]) -> list[Joints49]:
    """People of a picture by the built-in network, as `photo.Fitter` takes them."""
    height, width = picture.shape[:2]
    people = []
    for person in find_people(picture):
        points = np.array(person.keypoints, dtype=np.float64)
        inside = (points[:, :2] >= 0).all(1) & (points[:, :2] <= (width, height)).all(1)
        points[~inside | (points[:, 2] < LEAST_SEEN), 2] = 0.0
        people.append(detected_joints(Detection(points, BLAZEPOSE_33), least_confidence=0.0))
    return [person for person in people if (person[:, 2] > 0).sum() > 1]


def _largest(views: Mapping[int, Sequence[Joints49]]) -> dict[int, Joints49]:
    return {c: max(people, key=_area) for c, people in views.items() if people}


def _area(person: Joints49) -> float:
    return float(np.prod(np.ptp(person[person[:, 2] > 0, :2], axis=0)))


def projected(
    truth: Float[np.ndarray, "14 3"], cameras: Sequence[LensCamera]
) -> dict[int, Joints49]:
    """Limb joints as the cameras see them, as the 49 joints; views in which few are known lack."""
    views = {}
    for number, camera in enumerate(cameras):
        places = camera.project(truth)[LIMBS]
        # the principal point is the middle of the picture to within a few pixels
        size = 2 * camera.intrinsics[:2, 2]
        inside = np.all(places > 0, axis=1) & np.all(places < size, axis=1)
        points = np.where(inside[:, None], np.column_stack((places, np.ones(len(places)))), 0.0)
        names = tuple(name for name in LSP_14 if name in LIMBS_12)
        if inside.sum() >= FEWEST_JOINTS:
            views[number] = detected_joints(Detection(points, names), least_confidence=0.0)
    return views


@dataclass(frozen=True)
class _Match:
    """One person's detections across views."""

    choice: tuple[int | None, ...]
    """Which detection of each camera, None for none."""
    cost: float
    """Sum over cameras of the mean distance of reprojected points, capped, px."""
    truth: Float[np.ndarray, "14 3"]


def associated(
    frame: int,
    views: Mapping[int, Sequence[Joints49]],
    cameras: Sequence[LensCamera],
    people: Literal[1, 2] = 2,
) -> list[Seen]:
    """Who is who in the views of a moment, by the least reprojection error, and where they are.

    Detections that agree with no others stay out of the truth, but are fitted: as the person whose
    place in that view is nearest, within half of that person's extent.
    """
    options = [(None, *range(len(views.get(c, ())))) for c in range(len(cameras))]
    matches = [
        _match(choice, views, cameras)
        for choice in product(*options)
        if sum(number is not None for number in choice) >= FEWEST_VIEWS
    ]
    matches = [m for m in matches if np.isfinite(m.truth[LIMBS]).all(1).sum() >= FEWEST_JOINTS]
    if not matches:
        return []
    best = [min(matches, key=lambda m: m.cost)]
    if people == 2:
        pairs = [(a, b) for i, a in enumerate(matches) for b in matches[:i] if _disjoint(a, b)]
        best = list(min(pairs, key=lambda p: p[0].cost + p[1].cost, default=best))
    best.sort(key=lambda m: float(np.nanmean(m.truth[:, 0])))
    taken = {(c, n) for m in best for c, n in enumerate(m.choice) if n is not None}
    seen = []
    for number, match in enumerate(best):
        points = {c: views[c][n] for c, n in enumerate(match.choice) if n is not None}
        for c, camera in enumerate(cameras):
            free = [x for n, x in enumerate(views.get(c, ())) if (c, n) not in taken]
            nearest = None if c in points else _nearest(free, camera.project(match.truth))
            if nearest is not None:
                points[c] = nearest
        seen.append(Seen(frame, number, points, match.truth))
    return seen


def _match(
    choice: tuple[int | None, ...],
    views: Mapping[int, Sequence[Joints49]],
    cameras: Sequence[LensCamera],
) -> _Match:
    points = {c: views[c][n][FOURTEEN] for c, n in enumerate(choice) if n is not None}
    truth = triangulate(points, cameras)
    truth[~LIMBS] = np.nan
    off = np.full((len(cameras), len(LSP_14)), np.nan)
    for c, own in points.items():
        distance = np.linalg.norm(cameras[c].project(truth) - own[:, :2], axis=1)
        off[c] = np.where(own[:, 2] > LEAST_CONFIDENCE, distance, np.nan)
    means = [float(np.nanmean(row)) if np.isfinite(row).any() else CAP_PX for row in off]
    known = np.isfinite(truth).all(1)
    sure = np.zeros_like(known)
    sure[known] = np.nanmean(off[:, known], axis=0) < SURE_PX
    truth[~sure] = np.nan
    return _Match(choice, float(np.minimum(means, CAP_PX).sum()), truth)


def _disjoint(a: _Match, b: _Match) -> bool:
    return all(x is None or x != y for x, y in zip(a.choice, b.choice, strict=True))


def _nearest(people: Sequence[Joints49], place: Float[np.ndarray, "14 2"]) -> Joints49 | None:
    """The person nearest to a place, if near enough."""
    known = np.isfinite(place).all(1)
    reach = 0.5 * float(np.ptp(place[known], axis=0).max())

    def distance(person: Joints49) -> float:
        own = person[FOURTEEN]
        both = known & (own[:, 2] > 0)
        if not both.any():
            return float("inf")
        return float(np.linalg.norm(own[both, :2] - place[both], axis=1).mean())

    best = min(people, key=distance, default=None)
    return best if best is not None and distance(best) < reach else None
