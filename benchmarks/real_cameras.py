"""Calibrated cameras of real sequences: their files, projection, triangulation, videos, markers.

World coordinates are metres with z up, and a camera's are x right, y down, z forward.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from exemplar.skeletons import LIMBS_12, LSP_14

SUBPIXELS = 64
"""Qualisys counts in 64ths of a pixel."""

LEAST_CONFIDENCE = 0.5
"""Keypoints below this take no part in a triangulation."""

FEWEST_VIEWS = 3
"""A point that fewer cameras see is not triangulated."""

_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with a lens."""

    name: str
    """Which of the folder's videos is its."""
    intrinsics: Float[np.ndarray, "3 3"]
    """Px."""
    rotation: Float[np.ndarray, "3 3"]
    """World to camera."""
    translation: Float[np.ndarray, "3"]
    """World to camera, metres."""
    distortion: Float[np.ndarray, "4"]
    """OpenCV's k1, k2, p1, p2."""

    def in_camera(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """World points in the camera's frame, metres."""
        return points @ self.rotation.T + self.translation

    def project(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """World points to px; NaN where a point is."""
        seen = np.full((len(points), 2), np.nan)
        known = np.isfinite(points).all(1)
        if known.any():
            turn, _ = cv2.Rodrigues(self.rotation)
            found, _ = cv2.projectPoints(
                points[known].astype(np.float64),
                turn,
                self.translation,
                self.intrinsics,
                self.distortion,
            )
            seen[known] = found[:, 0]
        return seen

    def rays(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Px to x / z and y / z in the camera's frame, without the lens' distortion."""
        flat = cv2.undistortPoints(
            np.asarray(points, np.float64)[:, None], self.intrinsics, self.distortion
        )
        return np.asarray(flat)[:, 0]

    @property
    def up(self) -> Float[np.ndarray, "3"]:
        """The world's up in the camera's frame."""
        return self.rotation[:, 2]


def read_cameras(path: Path) -> list[Camera]:
    """Cameras of a Qualisys calibration (`*.qca.txt`)."""
    cameras = []
    for camera in ElementTree.parse(path).getroot().iter("camera"):
        transform, intrinsic = camera.find("transform"), camera.find("intrinsic")
        if transform is None or intrinsic is None:
            raise ValueError(f"{path} lacks a camera's transform or intrinsic")
        world = np.array(
            [[float(transform.attrib[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)]
        )
        position = np.array([float(transform.attrib[axis]) for axis in "xyz"]) / 1000
        number = {key: float(value) / SUBPIXELS for key, value in intrinsic.attrib.items()}
        matrix = np.array(
            [
                [number["focalLengthU"], 0, number["centerPointU"]],
                [0, number["focalLengthV"], number["centerPointV"]],
                [0, 0, 1],
            ]
        )
        lens = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1")
        distortion = np.array([number[key] for key in (*lens, "tangentalDistortion2")])
        # Qualisys' cameras look along -z with y up; ours along z with y down
        rotation = np.diag([1.0, -1.0, -1.0]) @ world
        name = camera.attrib["serial"]
        cameras.append(Camera(name, matrix, rotation, -rotation @ position, distortion))
    return cameras


def triangulate(
    points: Mapping[int, Float[np.ndarray, "k 3"]], cameras: Sequence[Camera]
) -> Float[np.ndarray, "k 3"]:
    """World points (metres) from 2D points (px, confidence) by camera, by least squares.

    NaN where fewer than `FEWEST_VIEWS` cameras see one.
    """
    count = len(next(iter(points.values())))
    views = list(points)
    rays = np.stack([cameras[c].rays(points[c][:, :2]) for c in views])
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


def frames(path: Path, every: int) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """(number, RGB picture) of every n-th frame of a video; ValueError if there is none."""
    video = cv2.VideoCapture(str(path))
    number = 0
    while video.grab():
        if number % every == 0:
            _, picture = video.retrieve()
            yield number, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        number += 1
    if number == 0:
        raise ValueError(f"{path}: no frame could be read")


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
