"""By how much each camera's footage lags behind the others', told by people who move.

Two cameras that see one moment see each joint in one plane with themselves (the epipolar
constraint). Shown at different times, a joint that moves leaves that plane. So the shift is taken
at which the cameras' keypoints lie nearest to common planes; nobody has to be matched or
triangulated first.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from exemplar.geometry.rigs import LensCamera
from exemplar.scene.association import FEWEST_JOINTS, Joints49, extents_of

STEP = 1 / 30
"""Least time between two looks, seconds: joints move little within it."""

PROBED = 4.0
"""So much of the footage is looked at, its middle, seconds."""

LARGEST = 1.0
"""Largest lag that is looked for, seconds; a quarter of what is looked at where that is less."""

FEWEST_LOOKS = 16
"""Of fewer nothing is told."""

LEAST_GAIN = 0.04
"""Part of the cameras' disagreement that a lag must take away, in each half of the time."""

CAP = 0.1
"""Most that a joint counts, of the person's extent: what is farther off is somebody else."""

_NEAR_AXIS = 1e-3
_ROUNDS = 20


@dataclass(frozen=True)
class _Looks:
    """What one camera sees of its people, T looks at P of them."""

    rays: Float[np.ndarray, "t p 49 3"]
    """Unit vectors of the world."""
    weights: Float[np.ndarray, "t p 49"]
    extents: Float[np.ndarray, "t p"]
    """Of each person, radians."""

    def at(self, rows: np.ndarray) -> "_Looks":
        """Some of the looks."""
        return _Looks(self.rays[rows], self.weights[rows], self.extents[rows])


def lags_of(
    seen: Sequence[Sequence[Sequence[Joints49]]], cameras: Sequence[LensCamera], step: float
) -> tuple[float, ...]:
    """How late each camera shows a moment, seconds, the middle one 0, from looks `step` apart.

    `seen` are the keypoints (px) by camera, look and person. A lag is believed if it lowers the
    camera's disagreement with the others by `LEAST_GAIN` in both halves of the time; a camera in
    whose picture nobody moves, or that the others contradict anyhow, keeps 0.
    """
    count = len(seen[0])
    reach = min(round(LARGEST / step), count // 4)
    if count < FEWEST_LOOKS:
        return (0.0,) * len(cameras)
    looks = [_looks(own, camera) for own, camera in zip(seen, cameras, strict=True)]
    apart = [c.centre for c in cameras]
    tables = {
        (a, b): _disagreement(looks[a], looks[b], apart[b] - apart[a], reach)
        for a, b in itertools.combinations(range(len(cameras)), 2)
    }
    shifts = _consistent(tables, len(cameras), reach)
    whole = np.round(shifts).astype(int)
    believed = np.array([_believed(tables, whole, c, reach) for c in range(len(cameras))])
    seconds = np.where(believed, shifts * step, 0.0)
    return tuple(float(x) for x in seconds)


def _looks(own: Sequence[Sequence[Joints49]], camera: LensCamera) -> _Looks:
    people = max(1, max(len(each) for each in own))
    points = np.zeros((len(own), people, 49, 3))
    for t, each in enumerate(own):
        for p, person in enumerate(each):
            points[t, p] = person
    flat = points.reshape(-1, 49, 3)
    rays = camera.directions(flat[..., :2].reshape(-1, 2)).reshape(points.shape)
    extents = (extents_of(flat) / camera.focal).reshape(points.shape[:2])
    return _Looks(rays, points[..., 2], extents)


def _disagreement(
    a: _Looks, b: _Looks, apart: Float[np.ndarray, "3"], reach: int
) -> Float[np.ndarray, "shifts t"]:
    """How far the cameras' keypoints are from common planes, over the people's extent, if b is
    seen 0, 1, ... looks later than `reach` before a; NaN for looks without people.

    The same looks of one camera are compared for all shifts, half of them a's and half b's, so
    that shifts are not judged by different movement.
    """
    rows = np.arange(reach, len(a.extents) - reach)
    shifts = range(-reach, reach + 1)
    # cameras in one place have no common planes that differ: nothing is off them
    base = apart / max(float(np.linalg.norm(apart)), 1e-12)
    ahead = [_gaps(a.at(rows), b.at(rows + s), base) for s in shifts]
    behind = [_gaps(b.at(rows), a.at(rows - s), base) for s in shifts]
    # looks of one time stand together, so that halves are halves of the time
    return np.stack((ahead, behind), axis=2).reshape(len(shifts), -1)


def _gaps(a: _Looks, b: _Looks, base: Float[np.ndarray, "3"]) -> Float[np.ndarray, " t"]:
    """Each look's mean over the people of `a` of the distance of whoever in `b` fits best."""
    misses = np.full((*a.extents.shape, b.extents.shape[1]), np.nan)
    for p, q in itertools.product(range(a.extents.shape[1]), range(b.extents.shape[1])):
        weight = a.weights[:, p] * b.weights[:, q]
        off = [
            _off_plane(x.rays[:, i], y.rays[:, j], base) / y.extents[:, j, None]
            for x, i, y, j in ((a, p, b, q), (b, q, a, p))
        ]
        each = np.minimum((off[0] + off[1]) / 2, CAP)
        enough = (weight > 0).sum(1) >= FEWEST_JOINTS
        misses[enough, p, q] = ((weight * each).sum(1) / np.maximum(weight.sum(1), 1e-9))[enough]
    nearest = np.where(np.isnan(misses).all(2), np.nan, np.nan_to_num(misses, nan=CAP).min(2))
    return _over_known(nearest, 1, 1)


def _off_plane(
    x: Float[np.ndarray, "t k 3"], y: Float[np.ndarray, "t k 3"], base: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "t k"]:
    """Angle (radians) of y from the plane of x and the line between the cameras."""
    normal = np.cross(x, base)
    length = np.linalg.norm(normal, axis=-1)
    sine = np.abs((y * normal).sum(-1)) / np.maximum(length, 1e-12)
    # what lies in the direction of the other camera has no plane
    return np.where(length > _NEAR_AXIS, np.arcsin(np.minimum(sine, 1.0)), 0.0)


_Tables = dict[tuple[int, int], np.ndarray]


def _curve(
    tables: _Tables, shifts: Int[np.ndarray, " cameras"], camera: int, reach: int
) -> Float[np.ndarray, "shifts t"]:
    """A camera's disagreement with the others, by its own shift, as they are shifted."""
    rows = []
    for (a, b), table in tables.items():
        if camera not in (a, b):
            continue
        other = shifts[a] if camera == b else shifts[b]
        own = np.arange(-reach, reach + 1)
        place = own - other if camera == b else other - own
        inside = np.abs(place) <= reach
        seen = table[np.clip(place + reach, 0, 2 * reach)]
        rows.append(np.where(inside[:, None], seen, CAP))
    return _over_known(np.stack(rows), 0, 1)


def _consistent(tables: _Tables, cameras: int, reach: int) -> Float[np.ndarray, " cameras"]:
    """Each camera's shift, in looks, such that the pairs' own best shifts are met: weighted least
    absolute differences (by least squares, weighted anew), the middle camera's 0."""
    pairs = list(tables)
    best, weights = np.zeros(len(pairs)), np.zeros(len(pairs))
    for row, pair in enumerate(pairs):
        curve = _mean(tables[pair])
        place = int(curve.argmin())
        if 0 < place < 2 * reach:
            best[row] = place - reach + _vertex(curve, place)
            weights[row] = 1 - curve[place] / max(float(np.median(curve)), 1e-12)
    design = np.zeros((len(pairs), cameras))
    rows = np.arange(len(pairs))
    design[rows, [a for a, _ in pairs]], design[rows, [b for _, b in pairs]] = -1.0, 1.0
    # of all the shifts that differ by the same, and of a camera that nothing tells of, the least
    ridge = 1e-6 * np.eye(cameras)
    shifts, again = np.zeros(cameras), weights
    for _ in range(_ROUNDS):
        normal = design.T @ (again[:, None] * design) + ridge
        shifts = np.linalg.solve(normal, design.T @ (again * best))
        again = weights / np.maximum(np.abs(design @ shifts - best), 0.1)
    return shifts - np.sort(shifts)[(cameras - 1) // 2]


def _believed(
    tables: _Tables, shifts: Int[np.ndarray, " cameras"], camera: int, reach: int
) -> bool:
    """Whether a camera's shift is better than none, in both halves of the time."""
    curve = _curve(tables, shifts, camera, reach)
    place = shifts[camera] + reach
    if not 0 < place < 2 * reach:
        return False
    halves = [_mean(half) for half in np.array_split(curve, 2, axis=1)]
    return all(half[place] < (1 - LEAST_GAIN) * half[reach] for half in halves)


def _mean(curve: Float[np.ndarray, "shifts t"]) -> Float[np.ndarray, " shifts"]:
    """Each shift's mean over the looks that show people; `CAP` for few."""
    return np.nan_to_num(_over_known(curve, 1, FEWEST_LOOKS // 4), nan=CAP)


def _over_known(values: np.ndarray, axis: int, least: int) -> np.ndarray:
    """Mean along an axis of what is not NaN; NaN where that is fewer than `least`."""
    known = np.isfinite(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(count >= least, total / np.maximum(count, 1), np.nan)


def _vertex(curve: Float[np.ndarray, " shifts"], place: int) -> float:
    """Where the parabola through a least value and its neighbours is least, -0.5 to 0.5 away."""
    before, here, after = curve[place - 1 : place + 2]
    bend = before - 2 * here + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend > 0 else 0.0
