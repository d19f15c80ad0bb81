"""What is behind the person, and in front: procedural, linear light, float32."""

from dataclasses import dataclass

import cv2
import numpy as np

from exemplar.render.raster import compiled
from exemplar.synth import textures

WALL, SKY = 0, 1


@dataclass(frozen=True)
class Floor:
    """The ground that the person is on, as the crop camera sees it."""

    up: np.ndarray
    """float64 (3,): up in the camera frame."""
    height: float
    """up . x of its points x, metres."""
    focal: float
    """Pixels."""
    principal_point: np.ndarray
    """float64 (2,), pixels."""
    distance: float
    """Depth of the person, metres."""


def draw_background(rng: np.random.Generator, size: int, floor: Floor) -> np.ndarray:
    """A background (size, size, 3) of one of many kinds."""
    kind = rng.random()
    if kind < 0.58:
        image = _place(rng, size, floor)
    elif kind < 0.70:
        image = textures.tiles(rng, size)
    elif kind < 0.78:
        image = textures.noise_cloth(rng, size)
        textures.scatter(rng, image, int(rng.integers(10, 60)))
    elif kind < 0.85:
        image = textures.foliage(rng, size)
    else:
        image = textures.plain(rng, size)
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 5))
    return image


def _surface(rng: np.random.Generator, size: int) -> np.ndarray:
    kind = rng.random()
    if kind < 0.35:
        return textures.tiles(rng, size)
    if kind < 0.6:
        return textures.foliage(rng, size)
    return textures.plain(rng, size) if kind < 0.75 else textures.noise_cloth(rng, size)


def _place(rng: np.random.Generator, size: int, floor: Floor) -> np.ndarray:
    """A floor or ground in true perspective, and a wall or a sky with a skyline above it."""
    ground = _surface(rng, size)
    far_kind = WALL if rng.random() < 0.55 else SKY
    if far_kind == WALL:
        far = textures.tiles(rng, size) if rng.random() < 0.3 else textures.plain(rng, size)
        if rng.random() < 0.5:
            textures.scatter(rng, far, int(rng.integers(1, 10)))
    else:
        far = textures.foliage(rng, size) if rng.random() < 0.5 else _surface(rng, size)
        far *= np.float32(rng.uniform(0.4, 1.0))
    depth = np.exp(rng.uniform(np.log(0.5), np.log(15)))
    ahead = _level_direction(floor.up, rng.normal(0, 0.5))
    axes = np.stack([np.cross(floor.up, ahead), floor.up, ahead]).astype(np.float32)
    horizon = np.square(np.array([0.85, 0.88, 0.92]) * rng.uniform(0.6, 1.1))
    zenith = np.square(np.array([0.35, 0.52, 0.80]) * rng.uniform(0.5, 1.1))
    if rng.random() < 0.4:
        zenith = horizon * rng.uniform(0.7, 1.1)
    skyline = textures.fractal_noise(rng, size)[0] * np.float32(rng.uniform(0.1, 0.6))
    skyline += np.float32(rng.uniform(-0.35, 0.1))
    image = np.empty((size, size, 3), np.float32)
    _cast_rays(
        image, ground, far, far_kind, skyline, axes, np.float32(floor.focal),
        floor.principal_point.astype(np.float32), np.float32(floor.height),
        np.float32(floor.distance + depth), np.float32(size / rng.uniform(2.0, 8)),
        np.float32(size / rng.uniform(2.0, 8)), horizon.astype(np.float32),
        zenith.astype(np.float32),
    )  # fmt: skip
    if rng.random() < 0.6:
        _furnish(rng, image, int(rng.integers(1, 14)))
    return image


@compiled
def _cast_rays(
    image, ground, far, far_kind, skyline, axes, focal, principal_point, height, wall_distance,
    ground_metre, far_metre, horizon, zenith,
):  # fmt: skip
    """Colour every pixel by the floor, the wall or the sky that its ray meets."""
    size = image.shape[0]
    for y in range(size):
        ry = (np.float32(y) + np.float32(0.5) - principal_point[1]) / focal
        for x in range(size):
            rx = (np.float32(x) + np.float32(0.5) - principal_point[0]) / focal
            across = axes[0, 0] * rx + axes[0, 1] * ry + axes[0, 2]
            rise = axes[1, 0] * rx + axes[1, 1] * ry + axes[1, 2]
            ahead = axes[2, 0] * rx + axes[2, 1] * ry + axes[2, 2]
            to_floor = height / rise if rise * height > 0 else np.float32(1e6)
            to_far = wall_distance / ahead if ahead > np.float32(1e-3) else np.float32(1e6)
            if to_floor < to_far or to_far > np.float32(9e5):
                reach = min(to_floor, np.float32(300)) * ground_metre
                u = reflect(across * reach + size / 2, size)
                v = reflect(ahead * reach, size)
                for c in range(3):
                    image[y, x, c] = ground[v, u, c]
                continue
            norm = np.sqrt(rx * rx + ry * ry + 1)
            if far_kind == SKY and rise / norm > skyline[x]:
                share = min(max(rise / norm * np.float32(1.5) + np.float32(0.1), 0), 1)
                for c in range(3):
                    image[y, x, c] = horizon[c] + (zenith[c] - horizon[c]) * share
                continue
            u = reflect(across * to_far * far_metre + size / 2, size)
            v = reflect(size * np.float32(0.6) - rise * to_far * far_metre, size)
            for c in range(3):
                image[y, x, c] = far[v, u, c]


@compiled
def reflect(value, size):
    """A texel index for any coordinate: the texture is mirrored at its edges."""
    place = int(np.floor(value)) % (2 * size)
    return place if place < size else 2 * size - 1 - place


def _level_direction(up: np.ndarray, angle: float) -> np.ndarray:
    """A horizontal direction, `angle` radians from where the camera looks."""
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(forward) < 0.2:
        forward = np.array([0.0, -1.0, 0.0]) + up[1] * up
    forward /= np.linalg.norm(forward)
    return np.cos(angle) * forward + np.sin(angle) * np.cross(up, forward)


def _furnish(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Things that stand about: upright boxes with a lit and a dark side; changes `image`."""
    size = image.shape[0]
    for _ in range(count):
        x, y = rng.uniform(-0.1, 1.1) * size, rng.uniform(0.1, 1.0) * size
        w, h = np.exp(rng.uniform(np.log(0.04), np.log(0.45), 2)) * size
        colour = textures.linear_colour(rng) * rng.uniform(0.3, 1.1)
        split = x + w * rng.uniform(0.2, 0.9)
        cv2.rectangle(image, (int(x), int(y - h)), (int(split), int(y)), colour.tolist(), -1)
        darker = (colour * rng.uniform(0.4, 0.8)).tolist()
        cv2.rectangle(image, (int(split), int(y - h)), (int(x + w), int(y)), darker, -1)


def draw_occluders(
    rng: np.random.Generator, size: int, box: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Things in front of the person.

    Args:
        rng: source of everything random here.
        size: side of the picture, pixels.
        box: left, top, right and bottom of the person, pixels.

    Returns:
        colours (size, size, 3) linear, and opacity (size, size) in 0..1.
    """
    mask = np.zeros((size, size), np.float32)
    left, top, right, bottom = box
    wide, tall = max(right - left, 8.0), max(bottom - top, 8.0)
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        centre = (rng.uniform(left, right), rng.uniform(top, bottom))
        axes = np.exp(rng.uniform(np.log(0.08), np.log(0.5), 2)) * (wide, tall) + 2
        if kind < 0.3:
            corners = cv2.boxPoints((centre, tuple(axes * 1.2), rng.normal(0, 20)))
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0)
        elif kind < 0.5:
            middle = (int(centre[0]), int(centre[1]))
            half = (int(axes[0] / 2) + 1, int(axes[1] / 2) + 1)
            cv2.ellipse(mask, middle, half, rng.uniform(0, 180), 0, 360, 1.0, -1)
        elif kind < 0.65:
            end = np.array(centre) + rng.normal(0, 0.6, 2) * (wide, tall)
            thick = int(max(3, rng.uniform(0.04, 0.14) * max(wide, tall)))
            points = (int(centre[0]), int(centre[1])), (int(end[0]), int(end[1]))
            cv2.line(mask, *points, 1.0, min(thick, 60), cv2.LINE_AA)
        else:
            _border_block(rng, mask, box)
    return _surface(rng, size), cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.2))


def _border_block(
    rng: np.random.Generator, mask: np.ndarray, box: tuple[float, float, float, float]
) -> None:
    """A table, a wall or a doorpost that covers one side of the person; changes `mask`."""
    left, top, right, bottom = box
    cut = rng.uniform(0.05, 0.35)
    side = rng.choice(["low", "left", "right"], p=[0.6, 0.2, 0.2])
    size, slope = mask.shape[0], rng.normal(0, 0.08)
    if side == "low":
        y = bottom - cut * (bottom - top)
        corners = [(0, y - slope * size), (size, y + slope * size), (size, size * 2), (0, size * 2)]
    elif side == "left":
        x = left + cut * (right - left)
        corners = [(-size, 0), (x - slope * size, 0), (x + slope * size, size), (-size, size)]
    else:
        x = right - cut * (right - left)
        corners = [(size * 2, 0), (x - slope * size, 0), (x + slope * size, size), (size * 2, size)]
    cv2.fillPoly(mask, [np.array(corners).astype(np.int32)], 1.0)
