"""Calibrated cameras that see one world: lenses, rays, and points where rays meet.

A camera's frame is x right, y down, z forward; the world's axes and unit are the calibration's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

LEAST_ANGLE = np.deg2rad(3.0)
"""Rays of two cameras that are nearer to parallel do not tell where they meet."""

CODEC_BLOCK = 16
"""Videos are coded in squares of so many px a side, and a picture's size is sometimes rounded."""

LARGEST = 1e9
"""No number of a camera is larger, whatever its world counts in."""

MIDDLE = 0.05
"""Within this angle (radians) of its axis a lens shows nothing at half or twice its place."""

_ROUNDS = 3
"""Solutions of a triangulation, each weighted by the distances that the last one gave."""


@dataclass(frozen=True)
class LensCamera:
    """A pinhole camera with a lens, and where it stands. ValueError if its numbers make none."""

    name: str
    intrinsics: Float[np.ndarray, "3 3"]
    """Px."""
    rotation: Float[np.ndarray, "3 3"]
    """World to camera."""
    translation: Float[np.ndarray, "3"]
    """World to camera, the world's unit."""
    distortion: Float[np.ndarray, " n"]
    """OpenCV's coefficients: k1, k2, p1, p2, k3, ...; k1 to k4 of a fisheye lens."""
    image_size: tuple[int, int] | None = None
    """Width and height of its pictures, px."""
    fisheye: bool = False
    """Whether the lens is OpenCV's fisheye model."""

    def __post_init__(self) -> None:
        arrays = (self.intrinsics, self.rotation, self.translation, self.distortion)
        # false of NaN, too
        if not all((np.abs(array) < LARGEST).all() for array in arrays):
            raise ValueError(f"camera {self.name} has numbers that no camera has")
        focal = np.diag(self.intrinsics)[:2]
        if not (focal >= 1).all() or not np.allclose(self.intrinsics[2], (0, 0, 1)):
            raise ValueError(f"camera {self.name}: {self.intrinsics.tolist()} is no camera matrix")
        gap = np.abs(self.rotation @ self.rotation.T - np.eye(3)).max()
        if gap > 1e-3 or np.linalg.det(self.rotation) < 0:
            raise ValueError(f"camera {self.name}: its rotation is no rotation")
        if len(self.distortion) not in ((4,) if self.fisheye else (0, 4, 5, 8, 12, 14)):
            raise ValueError(
                f"camera {self.name}: {len(self.distortion)} lens coefficients, expected"
                f" {'4' if self.fisheye else '0, 4, 5, 8, 12 or 14'}"
            )
        aside = MIDDLE * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        shown = self._shown(np.concatenate((aside, np.ones((len(aside), 1))), axis=1))
        shift = np.linalg.norm((shown - self.intrinsics[:2, 2]) / focal, axis=1) / MIDDLE
        if not (np.abs(np.log2(np.maximum(shift, 1e-9))) < 1).all():
            raise ValueError(
                f"camera {self.name}: its lens would bend the very middle of the picture:"
                f" {self.distortion.tolist()}"
            )

    @property
    def focal(self) -> float:
        """Focal length, px."""
        return float(np.diag(self.intrinsics)[:2].mean())

    @property
    def centre(self) -> Float[np.ndarray, "3"]:
        """Where it stands in the world."""
        return -self.rotation.T @ self.translation

    def in_camera(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """World points in the camera's frame."""
        return points @ self.rotation.T + self.translation

    def project(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 2"]:
        """World points to px; NaN for those that are NaN or not in front of the camera."""
        local = self.in_camera(points)
        seen = np.full((*points.shape[:-1], 2), np.nan)
        front = np.isfinite(local).all(-1) & (local[..., 2] > 0)
        if front.any():
            seen[front] = self._shown(local[front].astype(np.float64))
        return seen

    def _shown(self, local: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Points in front of the camera, in its frame, to px."""
        distort = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        none = np.zeros(3)
        return distort(local[:, None], none, none, self.intrinsics, self.distortion)[0][:, 0]

    def straight(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Px to where a camera without a lens' distortion would have seen them, px."""
        flat = np.asarray(points, np.float64).reshape(-1, 1, 2)
        if self.fisheye:
            found = cv2.fisheye.undistortPoints(
                flat, self.intrinsics, self.distortion, P=self.intrinsics
            )
        else:
            found = cv2.undistortPoints(flat, self.intrinsics, self.distortion, P=self.intrinsics)
        return np.asarray(found).reshape(points.shape)

    def directions(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 3"]:
        """Px to unit vectors of the world, from the camera to what is seen there."""
        straight = self.straight(points)
        flat = np.concatenate((straight, np.ones_like(straight[..., :1])), axis=-1)
        rays = flat @ np.linalg.inv(self.intrinsics).T @ self.rotation
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def of_size(self, width: int, height: int) -> "LensCamera":
        """The camera of pictures that were made larger or smaller after the calibration.

        Some columns or rows too few or too many are a video codec's, at the right and the bottom.
        ValueError if pictures of that size cannot be the calibrated ones.
        """
        if self.image_size is None:
            return replace(self, image_size=(width, height))
        if np.abs(np.subtract(self.image_size, (width, height))).max() < CODEC_BLOCK:
            return replace(self, image_size=(width, height))
        scale = width / self.image_size[0]
        if abs(height / self.image_size[1] / scale - 1) > 0.01:
            calibrated = "x".join(map(str, self.image_size))
            raise ValueError(
                f"camera {self.name} was calibrated for pictures of {calibrated} px, got"
                f" {width}x{height}"
            )
        intrinsics = self.intrinsics * np.array([[scale], [scale], [1.0]])
        return replace(self, intrinsics=intrinsics, image_size=(width, height))

    def in_world(self, turn: Float[np.ndarray, "3 3"], unit: float) -> "LensCamera":
        """The camera in a world to whose axes `turn` takes the former's, of `unit` times the
        numbers."""
        return replace(self, rotation=self.rotation @ turn.T, translation=self.translation * unit)


def triangulate(
    points: Float[np.ndarray, "views k 3"], cameras: Sequence[LensCamera]
) -> Float[np.ndarray, "k 3"]:
    """World points whose rays are met best, by weighted least squares of the angles.

    `points` are x, y in px and a weight, 0 for what is not seen. NaN for those that fewer than two
    cameras see, or from one direction only.
    """
    return _meeting(*_rays(points, cameras), points[..., 2])


def triangulate_robust(
    points: Float[np.ndarray, "views k 3"],
    cameras: Sequence[LensCamera],
    limits: Float[np.ndarray, " views"],
) -> tuple[Float[np.ndarray, "k 3"], Bool[np.ndarray, "views k"]]:
    """World points, and which views they are made of: the others see them too far off.

    For each point every pair of cameras makes a proposal (RANSAC without chance); the one that the
    most weight supports is triangulated anew from all its supporters, which see it no farther off
    than `limits` (px). NaN where no two cameras agree.
    """
    views, count = points.shape[:2]
    directions, centres = _rays(points, cameras)
    weights = points[..., 2]
    best = np.zeros(count)
    supports = np.zeros((views, count), bool)
    for a in range(views):
        for b in range(a):
            pair = np.zeros_like(weights)
            pair[[a, b]] = weights[[a, b]] * (weights[[a, b]] > 0).all(0)
            proposed = _meeting(directions, centres, pair)
            gaps = misses(proposed, points, cameras)
            good = (gaps < limits[:, None]) & (weights > 0)
            good &= good[a] & good[b]
            # equal support: the smaller misses
            score = (good * weights * (1 - 0.5 * np.nan_to_num(gaps) / limits[:, None])).sum(0)
            better = score > best
            best = np.where(better, score, best)
            supports = np.where(better, good, supports)
    return _meeting(directions, centres, weights * supports), supports


def misses(
    world: Float[np.ndarray, "k 3"],
    points: Float[np.ndarray, "views k 3"],
    cameras: Sequence[LensCamera],
) -> Float[np.ndarray, "views k"]:
    """How far from world points the views' points are, px; NaN for the unknown and unseen."""
    gaps = np.stack([camera.project(world) for camera in cameras]) - points[..., :2]
    return np.where(points[..., 2] > 0, np.linalg.norm(gaps, axis=-1), np.nan)


def _rays(
    points: Float[np.ndarray, "views k 3"], cameras: Sequence[LensCamera]
) -> tuple[Float[np.ndarray, "views k 3"], Float[np.ndarray, "views 3"]]:
    pairs = zip(cameras, points, strict=True)
    directions = np.stack([camera.directions(own[:, :2]) for camera, own in pairs])
    return directions, np.stack([camera.centre for camera in cameras])


def _meeting(
    directions: Float[np.ndarray, "views k 3"],
    centres: Float[np.ndarray, "views 3"],
    weights: Float[np.ndarray, "views k"],
) -> Float[np.ndarray, "k 3"]:
    """Least squares of the distances to rays, over the distances from the cameras."""
    apart = np.eye(3) - directions[..., :, None] * directions[..., None, :]
    on_rays = np.einsum("vkij,vj->vki", apart, centres)
    depths = np.ones_like(weights)
    found = np.full((weights.shape[1], 3), np.nan)
    for _ in range(_ROUNDS):
        scaled = weights / depths**2
        normal = np.einsum("vk,vkij->kij", scaled, apart)
        moment = np.einsum("vk,vki->ki", scaled, on_rays)
        values = np.linalg.eigvalsh(normal)
        # two rays an angle a apart have a smallest eigenvalue of 1 - cos a, in weights of 1
        known = values[:, 0] > (1 - np.cos(LEAST_ANGLE)) * values[:, 2] / 2
        if not known.any():
            break
        found[~known] = np.nan
        found[known] = np.linalg.solve(normal[known], moment[known][..., None])[..., 0]
        away = np.linalg.norm(found - centres[:, None], axis=-1)
        depths = np.where(np.isfinite(away), np.maximum(away, 1e-9), 1.0)
    return found
