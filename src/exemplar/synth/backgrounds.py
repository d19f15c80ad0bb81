"""What is behind and in front of the person: procedural, linear light, float32 in 0..1."""

from dataclasses import dataclass

import cv2
import numpy as np

from exemplar.synth.materials import draw_colour


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


def fractal_noise(
    rng: np.random.Generator, size: int, *, channels: int = 1, roughness: float = 0.55
) -> np.ndarray:
    """Noise of all sizes, float32 (size, size, channels), about 0..1."""
    out = np.zeros((size, size, channels), np.float32)
    strength, total = 1.0, 0.0
    for cells in (2, 4, 9, 20, 45, 100):
        small = rng.random((cells + 1, cells + 1, channels), dtype=np.float32)
        large = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        out += strength * large.reshape(size, size, channels)
        total += strength
        strength *= roughness
    return out / total


def draw_background(rng: np.random.Generator, size: int, floor: Floor) -> np.ndarray:
    """A background (size, size, 3) of one of many kinds."""
    kind = rng.random()
    if kind < 0.50:
        image = _place(rng, size, floor)
    elif kind < 0.66:
        image = _texture(rng, size)
    elif kind < 0.76:
        image = _blend_noise(rng, size)
        _scatter(rng, image, int(rng.integers(10, 60)))
    elif kind < 0.84:
        image = _foliage(rng, size)
    else:
        image = _plain(rng, size)
    if rng.random() < 0.35:
        sigma = rng.uniform(0.6, 5)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.clip(image, 0, 1.2)


def _linear_colour(rng: np.random.Generator) -> np.ndarray:
    return np.square(np.array(draw_colour(rng), np.float32))


def _plain(rng: np.random.Generator, size: int) -> np.ndarray:
    first, second = _linear_colour(rng), _linear_colour(rng)
    second = first + (second - first) * rng.uniform(0, 0.6)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    share = np.clip(np.cos(angle) * x + np.sin(angle) * y + 0.5, 0, 1)[..., None]
    return (first + (second - first) * share).astype(np.float32)


def _blend_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    if rng.random() < 0.3:
        return np.square(fractal_noise(rng, size, channels=3, roughness=rng.uniform(0.4, 1.1)))
    share = fractal_noise(rng, size, roughness=rng.uniform(0.4, 1.1))
    share = np.clip((share - 0.5) * rng.uniform(1.5, 5) + 0.5, 0, 1)
    first, second = _linear_colour(rng), _linear_colour(rng)
    return (first + (second - first) * share).astype(np.float32)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Tiles, planks, bricks, stripes or cloth, with dirt."""
    image = np.empty((size, size, 3), np.float32)
    first, second = _linear_colour(rng), _linear_colour(rng)
    step_x, step_y = rng.uniform(6, 60), rng.uniform(6, 60)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    kind = rng.random()
    row = np.floor(y / step_y)
    if kind < 0.3:
        x = x + (row % 2) * step_x / 2
    column = np.floor(x / step_x)
    if kind < 0.75:
        line = rng.uniform(0.03, 0.15)
        joint = (x / step_x - column < line) | (y / step_y - row < line)
        shade = rng.random((64, 64), dtype=np.float32) * rng.uniform(0.1, 0.9)
        tile = shade[row.astype(np.int32) % 64, column.astype(np.int32) % 64, None]
        image[:] = first * (0.6 + tile)
        image[joint] = second
    else:
        image[:] = np.where(((row + column) % 2)[..., None] > 0, first, second)
    dirt = fractal_noise(rng, size, roughness=rng.uniform(0.5, 1.0))
    image *= 1 + (dirt - 0.5) * rng.uniform(0.2, 1.6)
    if rng.random() < 0.3:
        return image
    source = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    target = source + rng.normal(0, size * 0.25, (4, 2)).astype(np.float32)
    warp = cv2.getPerspectiveTransform(source, target)
    return cv2.warpPerspective(image, warp, (size, size), borderMode=cv2.BORDER_REFLECT)


def _foliage(rng: np.random.Generator, size: int) -> np.ndarray:
    """Leaves, grass, gravel: layers of blobs of similar colours."""
    base = np.square(np.array(rng.choice(
        [(0.20, 0.33, 0.12), (0.33, 0.40, 0.18), (0.40, 0.35, 0.25), (0.5, 0.48, 0.44)]
    ), np.float32))  # fmt: skip
    image = np.empty((size, size, 3), np.float32)
    image[:] = base * 0.5
    for layer in range(3):
        cells = int(rng.integers(18, 110))
        small = rng.random((cells, cells), dtype=np.float32)
        mask = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        tone = base * rng.uniform(0.5, 2.4) * (1 + rng.normal(0, 0.12, 3))
        amount = np.clip((mask - rng.uniform(0.45, 0.7)) * 8, 0, 1)[..., None]
        image += (tone.astype(np.float32) * (0.6 + 0.4 * layer / 2) - image) * amount
    return image


def _scatter(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Draw boxes, polygons, ellipses and lines anywhere; changes `image`."""
    size = image.shape[0]
    for _ in range(count):
        colour = (_linear_colour(rng) * rng.uniform(0.3, 1.1)).tolist()
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        w, h = np.exp(rng.uniform(np.log(0.02), np.log(0.5), 2)) * size
        kind = rng.random()
        if kind < 0.4:
            corners = cv2.boxPoints(((x, y), (w, h), rng.normal(0, 12)))
            cv2.fillPoly(image, [corners.astype(np.int32)], colour)
        elif kind < 0.65:
            corners = np.array([x, y]) + rng.normal(0, 0.6, (int(rng.integers(3, 8)), 2)) * (w, h)
            cv2.fillPoly(image, [corners.astype(np.int32)], colour)
        elif kind < 0.85:
            axes = (int(w / 2) + 1, int(h / 2) + 1)
            cv2.ellipse(image, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, colour, -1)
        else:
            end = (int(x + rng.normal(0, size / 3)), int(y + rng.normal(0, size / 2)))
            cv2.line(image, (int(x), int(y)), end, colour, int(rng.integers(1, 9)))


def _place(rng: np.random.Generator, size: int, floor: Floor) -> np.ndarray:
    """A floor or ground in true perspective, and walls or a sky that meet it."""
    ground = _texture(rng, size) if rng.random() < 0.6 else _foliage(rng, size)
    if rng.random() < 0.3:
        ground = _blend_noise(rng, size)
    depth = np.exp(rng.uniform(np.log(0.6), np.log(15)))
    rays = _rays(size, floor)
    towards = rays @ floor.up
    ahead = _level_direction(floor.up, rng.normal(0, 0.5))
    # distance along each ray to the floor and to a wall `depth` behind the person
    with np.errstate(divide="ignore"):
        to_floor = np.where(towards * floor.height > 0, floor.height / towards, np.inf)
    behind = rays @ ahead
    centre = _person_depth(floor)
    to_wall = np.where(behind > 1e-3, (centre + depth) / np.maximum(behind, 1e-3), np.inf)
    on_floor = to_floor < to_wall

    image = _far(rng, size, rays, floor.up, to_wall, ahead)
    across = np.cross(floor.up, ahead)
    metre = size / rng.uniform(2.5, 8)
    reach = np.where(on_floor, to_floor, 0)
    u = (rays @ across * reach * metre).astype(np.float32)
    v = (behind * reach * metre).astype(np.float32)
    looked_up = cv2.remap(
        ground, np.abs((u + size / 2) % (2 * size) - size), np.abs(v % (2 * size) - size),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    image = np.where(on_floor[..., None], looked_up, image)
    if rng.random() < 0.6:
        _furnish(rng, image, int(rng.integers(1, 14)))
    return image.astype(np.float32)


def _rays(size: int, floor: Floor) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] + 0.5
    x = (x - floor.principal_point[0]) / floor.focal
    y = (y - floor.principal_point[1]) / floor.focal
    return np.stack([x, y, np.ones_like(x)], -1).astype(np.float32)


def _level_direction(up: np.ndarray, angle: float) -> np.ndarray:
    """A horizontal direction, `angle` radians from where the camera looks."""
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(forward) < 0.2:
        forward = np.array([0.0, -1.0, 0.0]) + up[1] * up
    forward /= np.linalg.norm(forward)
    return np.cos(angle) * forward + np.sin(angle) * np.cross(up, forward)


def _person_depth(floor: Floor) -> float:
    return abs(floor.height) * 1.2


def _far(
    rng: np.random.Generator,
    size: int,
    rays: np.ndarray,
    up: np.ndarray,
    to_wall: np.ndarray,
    ahead: np.ndarray,
) -> np.ndarray:
    """A wall, or a sky with a skyline."""
    if rng.random() < 0.55:
        wall = _texture(rng, size) if rng.random() < 0.4 else _plain(rng, size)
        if rng.random() < 0.4:
            _scatter(rng, wall, int(rng.integers(1, 8)))
        metre = size / rng.uniform(2.5, 8)
        reach = np.minimum(to_wall, 1e3)
        u = rays @ np.cross(up, ahead) * reach * metre + size / 2
        v = -(rays @ up) * reach * metre + size * 0.6
        u, v = np.abs(u % (2 * size) - size), np.abs(v % (2 * size) - size)
        return cv2.remap(
            wall, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
    norm = np.linalg.norm(rays, axis=-1)
    rise = np.clip(rays @ up / norm * 1.5 + 0.1, 0, 1)[..., None]
    horizon = np.square(np.array([0.85, 0.88, 0.92]) * rng.uniform(0.6, 1.1))
    zenith = np.square(np.array([0.35, 0.52, 0.80]) * rng.uniform(0.5, 1.1))
    if rng.random() < 0.4:
        zenith = horizon * rng.uniform(0.7, 1.1)
    sky = (horizon + (zenith - horizon) * rise).astype(np.float32)
    if rng.random() < 0.7:
        hills = _foliage(rng, size) if rng.random() < 0.6 else _texture(rng, size)
        line = fractal_noise(rng, size)[0, :, 0] - 0.5
        below = rays @ up / norm < rng.uniform(0.0, 0.3) + 0.5 * line
        sky[below] = hills[below] * rng.uniform(0.4, 1.0)
    return sky


def _furnish(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Things that stand about: upright boxes with a lit and a dark side; changes `image`."""
    size = image.shape[0]
    for _ in range(count):
        x, y = rng.uniform(-0.1, 1.1) * size, rng.uniform(0.1, 1.0) * size
        w, h = np.exp(rng.uniform(np.log(0.04), np.log(0.45), 2)) * size
        colour = _linear_colour(rng) * rng.uniform(0.3, 1.1)
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
    texture = _texture(rng, size) if rng.random() < 0.5 else _blend_noise(rng, size)
    if rng.random() < 0.2:
        texture = _foliage(rng, size)
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
            cv2.line(mask, *points, 1.0, thick, cv2.LINE_AA)
        else:
            _border_block(rng, mask, box)
    return texture, cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.2))


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
