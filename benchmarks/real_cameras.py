"""Calibrated cameras of real sequences: triangulation, videos, markers.

World coordinates are metres with z up, and a camera's are x right, y down, z forward.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from exemplar.data.footage import open_footage
from exemplar.geometry.rigs import LensCamera
from exemplar.skeletons import LIMBS_12, LSP_14

LEAST_CONFIDENCE = 0.5
"""Keypoints below this take no part in a triangulation."""

FEWEST_VIEWS = 3
"""A point that fewer cameras see is not triangulated."""

_SIDES = {"L": "left", "R": "right"}


def up_in(camera: LensCamera) -> Float[np.ndarray, "3"]:
    """The world's up in the camera's frame."""
    return camera.rotation[:, 2]


def triangulate(
    points: Mapping[int, Float[np.ndarray, "k 3"]], cameras: Sequence[LensCamera]
) -> Float[np.ndarray, "k 3"]:
    """World points (metres) from 2D points (px, confidence) by camera, by least squares.

    NaN where fewer than `FEWEST_VIEWS` cameras see one.
    """
    count = len(next(iter(points.values())))
    views = list(points)
    rays = np.stack([_rays(cameras[c], points[c][:, :2]) for c in views])
    poses = [np.column_stack((cameras[c].rotation, cameras[c].translation)) for c in views]
    sure = np.stack([points[c][:, 2] for c in views]) > LEAST_CONFIDENCE
    out = np.full((count, 3), np.nan)
    for k in range(count):
        rows = []
        for view in np.flatnonzero(sure[:, k]):
            (x, y), pose = rays[view, k], poses[view]
            rows += [x * pose[2] - pose[0], y * pose[2] - pose[1]]
        if len(rows) >= 2 * FEWEST_VIEWS:
            system = np.stack([row / np.linalg.norm(row[:3]) for row in rows])
            _, _, vt = np.linalg.svd(system)
            out[k] = vt[-1, :3] / vt[-1, 3]
    return out


def _rays(camera: LensCamera, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Px to x / z and y / z in the camera's frame, without the lens' distortion."""
    centred = camera.straight(points) - camera.intrinsics[:2, 2]
    return centred / np.diag(camera.intrinsics)[:2]


def frames(path: Path, every: int) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """(number, RGB picture) of every n-th frame of a video; ValueError if there is none."""
    footage = open_footage(path)
    wanted = range(0, footage.count, every)
    return zip(wanted, footage.pictures(wanted), strict=False)


def read_markers(path: Path) -> dict[int, Float[np.ndarray, "14 3"]]:
    """`LSP_14` by a video's frame, from a TRC file of OpenPose's joints: limbs, the rest NaN.

    World metres: the file's y is up, its (x, y, z) our (y, z, x). Its first row is frame 0.
    """
    lines = path.read_text().splitlines()
    names = lines[3].split("\t")[2::3]
    columns = {_limb(name): i for i, name in enumerate(names) if _limb(name) in LIMBS_12}
    if len(columns) != len(LIMBS_12):
        raise ValueError(f"{path}: expected markers of the 12 limb joints, got {names}")
    out = {}
    for line in lines[5:]:
        values = line.split("\t")
        if not values[0].strip():
            continue
        markers = np.array(values[2:], np.float64).reshape(-1, 3)[:, [2, 0, 1]]
        joints = np.full((len(LSP_14), 3), np.nan)
        for name, column in columns.items():
            joints[LSP_14.index(name)] = markers[column]
        out[int(values[0]) - 1] = joints
    return out


def _limb(marker: str) -> str:
    """OpenPose's marker by our name: LHip -> left_hip."""
    return f"{_SIDES.get(marker[:1], '')}_{marker[1:].lower()}"
