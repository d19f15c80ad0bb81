"""A room with the same walls, floor and lights from every camera in it.

World frame: y up, metres; the floor is at y = 0, and the room's middle over the origin.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from exemplar.render.raster import compiled
from exemplar.synth import textures
from exemplar.synth.shading import Lights

TEXTURE_SIZE = 1024
"""Texels along a side of a wall, whatever its size."""


@dataclass(frozen=True)
class Room:
    """A box seen from within."""

    half: np.ndarray
    """float32 (3,): half the extent along x, y and z, metres."""
    sides: np.ndarray
    """float32 (6, T, T, 3): what is on the sides -x, +x, -y (floor), +y, -z, +z; linear."""
    lights: Lights
    """In the world frame."""


def draw_room(rng: np.random.Generator) -> Room:
    """A room of a few colours with some things on its walls."""
    half = np.array([rng.uniform(4.2, 5.5), rng.uniform(1.4, 1.8), rng.uniform(4.2, 5.5)])
    size = TEXTURE_SIZE
    paint = np.square(rng.uniform(0.55, 0.9) + rng.normal(0, 0.04, 3))
    sides = np.empty((6, size, size, 3), np.float32)
    for side in range(6):
        sides[side] = (paint * rng.uniform(0.75, 1.0)).astype(np.float32)
        if side not in (2, 3):
            _hang(rng, sides[side])
    floor = textures.tiles(rng, size)
    sides[2] = floor.mean(-1, keepdims=True) * 0.85 + floor * 0.15
    sides[2] *= np.float32(0.25 / max(0.05, float(sides[2].mean())))
    sides[3] = np.float32(0.75)
    return Room(half.astype(np.float32), sides, _draw_lamps(rng))


def _hang(rng: np.random.Generator, wall: np.ndarray) -> None:
    """Doors, posters and shelves; changes `wall`, whose rows go from its top down."""
    size = len(wall)
    for _ in range(int(rng.integers(3, 9))):
        colour = (textures.linear_colour(rng) * rng.uniform(0.4, 1.0)).tolist()
        left, top = rng.uniform(0.0, 0.95) * size, rng.uniform(0.1, 0.7) * size
        across, down = np.exp(rng.uniform(np.log(0.03), np.log(0.2), 2)) * size
        bottom = size if rng.random() < 0.4 else top + 2 * down
        corners = (int(left), int(top)), (int(left + across), int(bottom))
        cv2.rectangle(wall, *corners, colour, -1)


def _draw_lamps(rng: np.random.Generator) -> Lights:
    """Lamps at the ceiling: several directions from above, and light from the walls."""
    directions = rng.standard_normal((3, 3)) * (0.5, 0.0, 0.5) + (0.0, 1.0, 0.0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    tint = np.array([1.0, 0.96, 0.9]) + rng.normal(0, 0.02, 3)
    strengths = np.array([rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3)])
    ambient = rng.uniform(0.3, 0.45) * tint
    return Lights(
        directions=directions.astype(np.float32),
        colours=(strengths[:, None] * tint).astype(np.float32),
        sky=ambient.astype(np.float32),
        ground=(ambient * 0.6).astype(np.float32),
        up=np.array([0.0, 1.0, 0.0], np.float32),
        shadow=float(rng.uniform(0.4, 0.7)),
    )


def lights_from(lights: Lights, rotation: np.ndarray) -> Lights:
    """The same lights in another frame: `rotation` (3, 3) goes from the old one to the new."""
    turned = rotation.astype(np.float32)
    return Lights(
        directions=np.ascontiguousarray(lights.directions @ turned.T),
        colours=lights.colours,
        sky=lights.sky,
        ground=lights.ground,
        up=turned @ lights.up,
        shadow=lights.shadow,
    )


def see_room(
    room: Room,
    rotation: np.ndarray,
    centre: np.ndarray,
    focal: float,
    principal_point: np.ndarray,
    size: int,
) -> np.ndarray:
    """The empty room as a camera in it sees it, float32 (size, size, 3), linear.

    Args:
        room: the room.
        rotation: (3, 3) world to camera.
        centre: (3,) the camera in the world, metres, inside the room.
        focal: pixels.
        principal_point: (2,) pixels.
        size: side of the picture, pixels.
    """
    image = np.empty((size, size, 3), np.float32)
    from_middle = (centre - np.array([0.0, room.half[1], 0.0])).astype(np.float32)
    _cast_room(
        image, room.sides, room.half, from_middle,
        rotation.T.astype(np.float32), np.float32(focal), principal_point.astype(np.float32),
    )  # fmt: skip
    return image


@compiled
def _cast_room(image, sides, half, centre, turn_back, focal, principal_point):
    """Colour every pixel by the side that its ray meets; `centre` is from the middle."""
    size, texels = image.shape[0], sides.shape[1]
    for y in range(size):
        ry = (np.float32(y) + np.float32(0.5) - principal_point[1]) / focal
        for x in range(size):
            rx = (np.float32(x) + np.float32(0.5) - principal_point[0]) / focal
            nearest, met = np.float32(1e9), 0
            for axis in range(3):
                slope = turn_back[axis, 0] * rx + turn_back[axis, 1] * ry + turn_back[axis, 2]
                if abs(slope) < np.float32(1e-6):
                    continue
                wall = half[axis] if slope > 0 else -half[axis]
                reach = (wall - centre[axis]) / slope
                if reach < nearest:
                    nearest, met = reach, 2 * axis + (1 if slope > 0 else 0)
            axis = met // 2
            across = 2 if axis == 0 else 0
            down = 2 if axis == 1 else 1
            u, v = np.float32(0), np.float32(0)
            for other in range(3):
                slope = turn_back[other, 0] * rx + turn_back[other, 1] * ry + turn_back[other, 2]
                place = (centre[other] + slope * nearest) / half[other]
                if other == across:
                    u = place
                elif other == down:
                    v = place
            column = min(max(int((u + 1) * texels / 2), 0), texels - 1)
            row = min(max(int((1 - v) * texels / 2), 0), texels - 1)
            for c in range(3):
                image[y, x, c] = sides[met, row, column, c]
