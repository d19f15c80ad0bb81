"""Made-up objects in front of people (after Sárándi et al. 2018, who paste Pascal VOC's)."""

import math

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

MOST_OBJECTS = 7
"""A person is behind one to this many."""

SHRINK = (0.2, 1.0)
"""Objects are shrunk by a factor between these (the dual networks' program) ..."""

REFERENCE_SIDE = 256.0
"""... times the crop's shorter side over this many px."""

OBJECT_SIDE = (50.0, 220.0)
"""Longer side of an object before that, px: about the range of Pascal's objects."""


def paste_occluders(
    crop: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop (RGB) with one to seven objects at random places, which may reach over its edge.

    Blobs, polygons, bars and bent limbs with soft edges, of one colour, a pattern, or a piece of
    the crop itself, shaded from one side to the other.
    """
    out = crop.copy()
    height, width = crop.shape[:2]
    unit = min(height, width) / REFERENCE_SIDE
    for _ in range(int(rng.integers(1, MOST_OBJECTS + 1))):
        low, high = (math.log(side) for side in OBJECT_SIDE)
        side = math.exp(rng.uniform(low, high)) * rng.uniform(*SHRINK) * unit
        mask = _mask(max(4, round(side)), rng)
        place = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        _paste(out, _texture(crop, mask.shape[:2], rng), mask, place)
    return out


def _paste(out: np.ndarray, colours: np.ndarray, mask: np.ndarray, place: tuple[int, int]) -> None:
    """Lay an object over `out`, its middle at `place` (x, y), in place."""
    rows, columns = mask.shape
    left, top = place[0] - columns // 2, place[1] - rows // 2
    x = slice(max(left, 0), min(left + columns, out.shape[1]))
    y = slice(max(top, 0), min(top + rows, out.shape[0]))
    if x.start >= x.stop or y.start >= y.stop:
        return
    inside = (slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left))
    alpha = mask[inside][..., None]
    below = out[y, x].astype(np.float32)
    out[y, x] = np.clip(below + alpha * (colours[inside] - below), 0, 255).astype(np.uint8)


def _mask(side: int, rng: np.random.Generator) -> Float32[np.ndarray, "h w"]:
    """Opacity of an object whose longer side is about `side` px."""
    kinds = (_blob, _polygon, _bar, _limb)
    outline = kinds[int(rng.integers(len(kinds)))](rng)
    spin = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(spin), math.sin(spin)
    outline = outline @ np.array([[cos, sin], [-sin, cos]])
    low, high = outline.min(0), outline.max(0)
    soft = rng.uniform(0.4, 1.5)
    border = math.ceil(2 * soft) + 1
    points = (outline - low) * (side / float((high - low).max())) + border
    columns, rows = np.ceil(points.max(0) + border).astype(int)
    mask = np.zeros((rows, columns), np.float32)
    # sub-pixel outlines: four binary digits after the point
    fixed = np.rint(points * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 1.0, lineType=cv2.LINE_8, shift=4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)


def _blob(rng: np.random.Generator) -> np.ndarray:
    """A smooth closed curve."""
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, 5):
        height, phase = rng.normal(0, 0.3 / wave), rng.uniform(0, 2 * math.pi)
        radius += height * np.cos(wave * angles + phase)
    circle = np.stack([np.cos(angles) * rng.uniform(0.4, 1.0), np.sin(angles)], axis=1)
    return np.maximum(radius, 0.2)[:, None] * circle


def _polygon(rng: np.random.Generator) -> np.ndarray:
    """Three to seven corners, turning one way."""
    angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 8))))
    return rng.uniform(0.5, 1.0, (len(angles), 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)


def _bar(rng: np.random.Generator) -> np.ndarray:
    """A rectangle, a post or a table's edge."""
    half = rng.uniform(0.1, 1.0)
    return np.array([[-1.0, -half], [1.0, -half], [1.0, half], [-1.0, half]])


def _limb(rng: np.random.Generator) -> np.ndarray:
    """Two tapering pieces that meet at an angle, as an arm."""
    bend = rng.uniform(-2.0, 2.0)
    thick = rng.uniform(0.1, 0.22)
    middle = np.array([[-1.0, 0.0], [0.0, 0.0], [math.cos(bend), math.sin(bend)]])
    across = np.array([[0.0, 1.0], [-math.sin(bend / 2), math.cos(bend / 2)], [0.0, 0.0]])
    across[2] = [-math.sin(bend), math.cos(bend)]
    across *= thick * np.array([[1.0], [0.85], [0.6]])
    return np.concatenate([middle + across, (middle - across)[::-1]])


def _texture(
    crop: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """Colours of an object of `size` (rows, columns), shaded: about 0..255."""
    rows, columns = size
    kind = rng.uniform()
    if kind < 0.3:
        colours = _piece(crop, size, rng)
    elif kind < 0.6:
        colours = np.broadcast_to(_colour(rng), (rows, columns, 3)).astype(np.float32)
    elif kind < 0.8:
        cells = rng.uniform(0, 1, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 1))
        share = cv2.resize(cells.astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
        colours = _mixed(share, rng)
    else:
        slope, period = rng.uniform(-1.0, 1.0), rng.uniform(4.0, 24.0)
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        colours = _mixed(0.5 + 0.5 * np.sign(np.sin((x + slope * y) * (2 * np.pi / period))), rng)
    first, last = (float(x) for x in rng.uniform(0.7, 1.2, 2))
    light = np.linspace(first, last, columns, dtype=np.float32)
    return colours * light[None, :, None]


def _piece(crop: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A piece of the picture, upside down: its colours and grain are the right ones."""
    height, width = (min(have, want) for have, want in zip(crop.shape[:2], size, strict=True))
    top = int(rng.integers(0, crop.shape[0] - height + 1))
    left = int(rng.integers(0, crop.shape[1] - width + 1))
    piece = crop[top : top + height, left : left + width][::-1].astype(np.float32)
    return np.asarray(cv2.resize(piece, (size[1], size[0])))


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Any hue, seldom garish; 0..255."""
    grey, tint = rng.uniform(20, 235), rng.normal(0, 35, 3)
    return np.clip(grey + tint, 0, 255).astype(np.float32)


def _mixed(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours, the first where `share` is 1."""
    share = np.clip(share, 0, 1).astype(np.float32)[..., None]
    return share * _colour(rng) + (1 - share) * _colour(rng)
