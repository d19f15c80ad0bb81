"""Surfaces that hang from the body instead of following it: skirts, long hair, brims, packs.

Built at rest on a grid and skinned with the body. Rest frame as in `regions`, metres.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from exemplar.skeletons import SMPL_24
from exemplar.synth.regions import Regions

SHOE_THICKNESSES = (0.008, 0.011, 0.014)
"""Metres from the skin to a shoe's outside; few, so that the shapes can be kept."""


@dataclass(frozen=True)
class Piece:
    """A mesh at rest with its skinning."""

    points: np.ndarray
    """float32 (N, 3), metres."""
    weights: np.ndarray
    """float32 (N, 24), shares of the joints."""
    faces: np.ndarray
    """int32 (F, 3)."""
    fabric: np.ndarray
    """float32 (N, 2): (across, along) the cloth, metres."""
    anchor: np.ndarray
    """int64 (N,): the body vertex whose shape displacement each point follows."""
    is_skirt: bool = False
    """Whether what is inside it need not be drawn."""


def skirt(regions: Regions, rng: np.random.Generator, *, length: float, ease: float) -> Piece:
    """A skirt from the waist down; `length` 0 ends at the hips and 1 at the ankles."""
    marks = regions.marks
    heights, around = np.linspace(0, 1, 12), np.linspace(0, 2 * np.pi, 41)[:-1]
    top = marks.waist_y - 0.02
    bottom = marks.hip_y - 0.1 + length * (marks.ankle_y - marks.hip_y + 0.1)
    y = top + (bottom - top) * heights
    girth = regions.girth[:, 1:][::-1]
    known = regions.girth[::-1, 0]
    half_x, half_z, middle = (np.interp(y, known, girth[:, i]) for i in range(3))
    half_x, half_z = np.maximum.accumulate(half_x), np.maximum.accumulate(half_z)
    flare = rng.uniform(0.0, 0.35) * (top - y)
    ripple = 1 + rng.uniform(0, 0.10) * heights[:, None] * np.sin(
        around * rng.integers(5, 12) + rng.uniform(0, 6)
    )
    x = (half_x + ease + flare)[:, None] * np.sin(around) * ripple
    z = (half_z + ease + flare)[:, None] * np.cos(around) * ripple + middle[:, None]
    points = _grid_points(x, np.broadcast_to(y[:, None], x.shape), z)

    down = np.clip((marks.hip_y + 0.06 - points[:, 1]) / 0.22, 0, 1)
    side = _smooth(np.clip(points[:, 0] / 0.30 + 0.5, 0, 1))
    low = np.clip((marks.knee_y + 0.08 - points[:, 1]) / 0.35, 0, 1) * 0.7
    shares = {"pelvis": 1 - 0.92 * down}
    for name, share in (("left", side), ("right", 1 - side)):
        shares[f"{name}_hip"] = 0.92 * down * share * (1 - low)
        shares[f"{name}_knee"] = 0.92 * down * share * low
    fabric = np.stack([np.tile(around * 0.17, len(y)), points[:, 1]], 1)
    faces = _grid_faces(len(y), len(around), closed=True)
    return replace(_piece(regions, points, shares, faces, fabric), is_skirt=True)


def long_hair(regions: Regions, rng: np.random.Generator, ease: float) -> Piece:
    """A curtain of hair around the sides and the back of the head, down to a random length."""
    marks = regions.marks
    wide = rng.uniform(1.6, 2.15)
    around = np.linspace(-wide, wide, 25)
    bottom = marks.neck_y + rng.uniform(-0.30, 0.02)
    y = np.linspace(marks.eye[1] + 0.09, bottom, 16)
    centre_z = marks.ear[2] - 0.012
    half_x, half_z = marks.ear[0] + ease + 0.008, 0.098 + ease
    below = np.clip((marks.neck_y + 0.06 - y) / 0.12, 0, 1)
    widen = 1 + below * rng.uniform(-0.15, 0.45)
    back = below * rng.uniform(0.0, 0.03)
    dome = np.sqrt(1 - np.clip((y - marks.eye[1] + 0.01) / 0.12, 0, 0.95) ** 2)
    x = (half_x * widen * dome)[:, None] * np.sin(around)
    z = centre_z - (half_z * dome * (1 + 0.1 * below) + back)[:, None] * np.cos(around)
    ripple = 0.006 * np.sin(around * 23 + rng.uniform(0, 6)) * below[:, None]
    points = _grid_points(x * (1 + ripple), np.broadcast_to(y[:, None], x.shape), z - ripple)
    loose = np.repeat(below, len(around))
    shares = {"head": 1 - 0.85 * loose, "neck": 0.35 * loose, "spine3": 0.5 * loose}
    fabric = np.stack([np.tile(around * 0.1, len(y)), points[:, 1]], 1)
    return _piece(regions, points, shares, _grid_faces(len(y), len(around), closed=False), fabric)


def hair_knot(regions: Regions, rng: np.random.Generator) -> Piece:
    """A bun, or a ponytail."""
    marks = regions.marks
    place = np.array([0.0, marks.eye[1] + rng.uniform(-0.03, 0.1), marks.ear[2] - 0.125])
    size = rng.uniform(0.028, 0.05)
    radii = np.array([size, size, size])
    if rng.random() < 0.5:
        radii = np.array([size * 0.7, rng.uniform(0.08, 0.17), size * 0.7])
        place[1] -= radii[1] * 0.7
    return _ellipsoid(regions, place, radii, {"head": 1.0})


@cache
def shoe(regions: Regions, side: str, thickness: float) -> Piece:
    """A shoe: the left or right foot's outline from heel to toe, without the toes."""
    marks, sign = regions.marks, 1.0 if side == "left" else -1.0
    foot = regions.rest * np.array([sign, 1, 1], np.float32)
    foot = foot[(regions.leg > 0.5) & (foot[:, 0] > 0) & (foot[:, 1] < marks.ankle_y - 0.01)]
    heel, toe = foot[:, 2].min() - thickness, foot[:, 2].max() + thickness
    around = np.linspace(0, 2 * np.pi, 17)[:-1]
    along = np.linspace(-1, 1, 15)
    stations = (toe + heel) / 2 + (toe - heel) / 2 * np.sin(along * np.pi / 2)
    taper = np.maximum(1 - along**8, 0.02) ** 0.5
    rows = []
    for z, shrink in zip(stations, taper, strict=True):
        near = foot[np.abs(foot[:, 2] - np.clip(z, heel + 0.025, toe - 0.03)) < 0.025]
        low, high = near.min(0) - thickness, near.max(0) + thickness
        half, middle = (high - low) / 2, (high + low) / 2
        x = middle[0] + half[0] * shrink * _boxy(np.sin(around))
        y = marks.sole_y - thickness + half[1] * (1 + shrink * _boxy(np.cos(around)))
        rows.append(np.stack([sign * x, y, np.full_like(x, z)], 1))
    points = np.concatenate(rows)
    ahead = _smooth(np.clip((points[:, 2] - marks.ball_z) / 0.05 + 0.5, 0, 1))
    shares = {f"{side}_ankle": 1 - ahead, f"{side}_foot": ahead}
    faces = _grid_faces(len(stations), len(around), closed=True)
    return _piece(regions, points, shares, faces, points[:, [2, 1]])


def _boxy(t: np.ndarray) -> np.ndarray:
    """Makes a circle's coordinates those of a rounded square."""
    return np.sign(t) * np.abs(t) ** 0.7


def backpack(regions: Regions, rng: np.random.Generator) -> Piece:
    """A bag on the back."""
    marks = regions.marks
    place = np.array([0.0, marks.chest_y - rng.uniform(0.02, 0.12), -0.2])
    radii = np.array([rng.uniform(0.12, 0.2), rng.uniform(0.17, 0.27), rng.uniform(0.07, 0.13)])
    return _ellipsoid(regions, place, radii, {"spine3": 0.7, "spine2": 0.3})


def hat_brim(regions: Regions, rng: np.random.Generator) -> Piece:
    """The brim of a hat: all around, or the peak of a cap."""
    marks = regions.marks
    all_around = rng.random() < 0.4
    around = np.linspace(-np.pi, np.pi, 33) if all_around else np.linspace(-1.0, 1.0, 15)
    inner, outer = 0.9, 1 + rng.uniform(0.35, 0.9)
    radii = np.linspace(inner, outer, 4)
    backward = -1.0 if not all_around and rng.random() < 0.15 else 1.0
    x = radii[:, None] * 0.088 * np.sin(around)
    z = radii[:, None] * 0.108 * np.cos(around) * backward
    y = marks.eye[1] + 0.062 - 0.25 * np.maximum(z, 0) - 0.04 * (radii[:, None] - inner)
    points = _grid_points(x, np.broadcast_to(y, x.shape), z + marks.ear[2])
    faces = _grid_faces(len(radii), len(around), closed=False)
    return _piece(regions, points, {"head": 1.0}, faces, points[:, [0, 2]])


def _ellipsoid(
    regions: Regions, place: np.ndarray, radii: np.ndarray, shares: dict[str, float]
) -> Piece:
    polar, around = np.linspace(0.02, np.pi - 0.02, 10), np.linspace(0, 2 * np.pi, 19)[:-1]
    x = np.sin(polar)[:, None] * np.sin(around)
    y = np.broadcast_to(np.cos(polar)[:, None], x.shape)
    z = np.sin(polar)[:, None] * np.cos(around)
    points = _grid_points(x, y, z) * radii + place
    faces = _grid_faces(len(polar), len(around), closed=True)
    whole = {name: np.full(len(points), share) for name, share in shares.items()}
    return _piece(regions, points, whole, faces, points[:, :2])


def _piece(
    regions: Regions,
    points: np.ndarray,
    shares: dict[str, float] | dict[str, np.ndarray],
    faces: np.ndarray,
    fabric: np.ndarray,
) -> Piece:
    weights = np.zeros((len(points), len(SMPL_24)), np.float32)
    for name, share in shares.items():
        weights[:, SMPL_24.index(name)] = share
    weights /= weights.sum(1, keepdims=True)
    sparse = np.flatnonzero(regions.arm < 0.2)[::37]  # shape changes smoothly
    candidates = regions.rest[sparse]
    squared = (candidates**2).sum(1) - 2 * points.astype(np.float32) @ candidates.T
    anchor = sparse[squared.argmin(1)]
    return Piece(
        np.ascontiguousarray(points, dtype=np.float32),
        weights,
        faces,
        np.ascontiguousarray(fabric, dtype=np.float32),
        anchor,
    )


def _grid_points(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.stack([x, y, z], -1).reshape(-1, 3)


def _grid_faces(rows: int, columns: int, *, closed: bool) -> np.ndarray:
    """Two triangles for every cell of a grid of points stored row by row."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], -2)
    return np.ascontiguousarray(faces.reshape(-1, 3), dtype=np.int32)


def _smooth(t: np.ndarray) -> np.ndarray:
    return t * t * (3 - 2 * t)
