"""Cameras around the person and the crop that the fitting pipeline would take.

World frame: y up. Camera frame: x right, y down, z forward, metres. Crop: pixels, x right, y down.
"""

from dataclasses import dataclass

import numpy as np

from exemplar.skeletons import SMPL_49, indices
from exemplar.synth.config import ViewConfig
from exemplar.synth.poses import turn

HIPS = indices(("op_right_hip", "op_left_hip"), SMPL_49)
SHOULDERS = indices(("op_right_shoulder", "op_left_shoulder"), SMPL_49)
LEGS = [
    i for i, name in enumerate(SMPL_49) if {"knee", "ankle", "toe", "heel"} & {*name.split("_")}
]

_PARTS = {
    "head": ("nose", "eye", "ear", "neck", "head", "jaw", "top"),
    "arms": ("shoulder", "elbow", "wrist"),
    "chest": ("shoulder", "neck", "thorax"),
    "hips": ("hip", "pelvis", "spine", "mid"),
    "knees": ("knee",),
    "feet": ("ankle", "toe", "heel"),
}

_TRUNCATIONS = (
    (("head", "arms", "chest", "hips"), 0.40),
    (("head", "arms", "chest"), 0.15),
    (("head", "chest"), 0.13),
    (("head", "arms", "chest", "hips", "knees"), 0.17),
    (("arms", "chest", "hips", "knees", "feet"), 0.07),
    (("hips", "knees", "feet"), 0.08),
)


@dataclass(frozen=True)
class View:
    """Where the camera is."""

    rotation: np.ndarray
    """float64 (3, 3): world to camera, before the crop turns it."""
    place: np.ndarray
    """float64 (3,): the pelvis in the camera frame, metres."""


@dataclass(frozen=True)
class Crop:
    """A virtual camera whose picture is the crop."""

    roll: np.ndarray
    """float64 (3, 3): camera to crop camera, about the optical axis."""
    focal: float
    """Pixels of the crop."""
    principal_point: np.ndarray
    """float64 (2,): where the optical axis meets the crop, pixels."""
    border: np.ndarray
    """float64 (E, 3): the photograph is where a x + b y + c >= 0 for every row, crop pixels."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the crop camera frame, metres, to crop pixels (..., 2)."""
        return points[..., :2] / points[..., 2:] * self.focal + self.principal_point

    def in_photograph(self, points: np.ndarray) -> np.ndarray:
        """Whether crop pixels (..., 2) are inside the photograph."""
        sides = points @ self.border[:, :2].T + self.border[:, 2]
        return (sides >= 0).all(-1)


def draw_view(rng: np.random.Generator, config: ViewConfig) -> View:
    """A camera around a person, mostly near eye level."""
    kind = rng.random()
    if kind < config.high_view:
        elevation = rng.uniform(35, 90)
    elif kind < config.high_view + config.low_view:
        elevation = rng.uniform(-40, -15)
    elif kind < 0.6:
        elevation = rng.normal(6, 9)
    else:
        elevation = rng.uniform(-15, 35)
    azimuth = rng.normal(0, 40) if rng.random() < 0.25 else rng.uniform(-180, 180)
    tilt = rng.normal(0, 30) if rng.random() < 0.05 else rng.normal(0, 4)
    low, high = np.log(config.distance)
    distance = np.exp(rng.uniform(low, high))
    across = np.clip(rng.normal(0, config.off_axis, 2), -0.4, 0.4)
    rotation = look_at(np.radians(elevation), np.radians(azimuth))
    return View(turn("z", np.radians(tilt)) @ rotation, np.array([*across * distance, distance]))


def look_at(elevation: float, azimuth: float) -> np.ndarray:
    """World to camera (3, 3) of a camera at these angles (radians) that looks at the origin."""
    forward = -np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    return np.stack([right, np.cross(forward, right), forward])


def draw_crop(
    rng: np.random.Generator, keypoints: np.ndarray, config: ViewConfig, size: int
) -> Crop:
    """The box that the pipeline takes around the keypoints, as a camera.

    Args:
        rng: source of everything random here.
        keypoints: (49, 3) in the camera frame, metres, all in front of the camera.
        config: how boxes vary.
        size: side of the crop in pixels.
    """
    plane = keypoints[:, :2] / keypoints[:, 2:]
    up = plane[SHOULDERS].mean(0) - plane[HIPS].mean(0)
    # a picture turned by `angle` has `up` pointing to -y
    upright = -np.arctan2(up[0], -up[1]) if config.turned else 0.0
    angle = upright + np.radians(rng.normal(0, config.angle_std))
    if rng.random() < config.any_angle:
        angle = rng.uniform(-np.pi, np.pi)
    roll = turn("z", angle)
    turned = plane @ roll[:2, :2].T
    used = _truncate(rng, np.ones(len(plane), bool), config)
    border = np.zeros((0, 3))
    if rng.random() < config.image_border:
        border = _draw_border(rng, turned, roll)
        inside = (turned @ border[:, :2].T + border[:, 2] >= 0).all(1)
        if (inside & used).sum() >= 8:
            used &= inside
        else:
            border = np.zeros((0, 3))
    line = None if config.ends is None else _line_across(rng, turned, config.ends)
    if line is not None:
        used &= turned[:, 1] < line
    low, high = turned[used].min(0), turned[used].max(0)
    side = (high - low).max() * config.box_scale * rng.uniform(*config.box_scale_jitter)
    side = max(side, 0.12 / keypoints[:, 2].mean())
    centre = (low + high) / 2 + side * rng.uniform(-config.box_shift, config.box_shift, 2)
    if line is not None:
        centre[1] = line - side / 2
    focal = size / side
    principal_point = size / 2 - centre * focal
    in_pixels = border.copy()
    in_pixels[:, 2] = border[:, 2] * focal - border[:, :2] @ principal_point
    return Crop(roll, float(focal), principal_point, in_pixels)


def _truncate(rng: np.random.Generator, used: np.ndarray, config: ViewConfig) -> np.ndarray:
    if rng.random() >= config.truncated:
        return used
    shares = np.array([share for _, share in _TRUNCATIONS])
    parts, _ = _TRUNCATIONS[int(rng.choice(len(_TRUNCATIONS), p=shares / shares.sum()))]
    words = {word for part in parts for word in _PARTS[part]}
    return np.array([bool(words & set(name.split("_"))) for name in SMPL_49])


def _line_across(
    rng: np.random.Generator, turned: np.ndarray, heights: tuple[float, float]
) -> float:
    """y of a line across the torso in the turned image plane, above knees and feet if it can be."""
    hips, shoulders = turned[HIPS, 1].mean(), turned[SHOULDERS, 1].mean()
    torso = hips - shoulders
    line = hips - torso * rng.uniform(*heights)
    line = min(line, turned[LEGS, 1].min() - 0.05 * abs(torso))
    return float(max(line, shoulders + 0.1 * abs(torso)))


def _draw_border(rng: np.random.Generator, turned: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """One or two sides of the photograph near the person, in the turned image plane."""
    extent = turned.max(0) - turned.min(0)
    middle = (turned.max(0) + turned.min(0)) / 2
    sides = []
    first = rng.integers(4)
    for quarter in {first, (first + 1) % 4} if rng.random() < 0.2 else {first}:
        inward = roll[:2, :2] @ turn("z", quarter * np.pi / 2)[:2, 0]
        reach = np.abs(extent @ np.abs(inward)) / 2
        through = middle - inward * reach * rng.uniform(0.35, 1.25)
        sides.append((*inward, -inward @ through))
    return np.array(sides)


def weak_camera(points: np.ndarray, pixels: np.ndarray, size: int) -> np.ndarray:
    """Least-squares (s, tx, ty) with u = s X + tx, v = s Y + ty in the crop's [-1, 1] units.

    Args:
        points: (K, 3), metres.
        pixels: (K, 2), crop pixels.
        size: side of the crop in pixels.
    """
    target = 2 * pixels / size - 1
    mean_point, mean_target = points[:, :2].mean(0), target.mean(0)
    centred = points[:, :2] - mean_point
    scale = (centred * (target - mean_target)).sum() / (centred**2).sum()
    return np.array([scale, *(mean_target - scale * mean_point)])
