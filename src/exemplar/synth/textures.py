"""Surfaces of floors, walls and things: square pictures in linear light, float32."""

import cv2
import numpy as np

from exemplar.render.raster import compiled
from exemplar.synth.materials import draw_colour


def linear_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of `materials.draw_colour` in linear light, float32 (3,)."""
    colour = np.array(draw_colour(rng), np.float32)
    if rng.random() < 0.7:  # places are less colourful than clothes
        colour += (colour.mean() - colour) * np.float32(rng.uniform(0.3, 0.95))
    return np.square(colour)


def fractal_noise(rng: np.random.Generator, size: int, *, roughness: float = 0.55) -> np.ndarray:
    """Noise of all sizes, float32 (size, size), about 0..1."""
    cells = (2, 4, 9, 20, 45, 100)
    strengths = roughness ** np.arange(len(cells))
    out: np.ndarray | None = None
    for count, strength in zip(cells, strengths / strengths.sum(), strict=True):
        small = rng.random((count + 1, count + 1), dtype=np.float32) * np.float32(strength)
        larger = min(count * 3, size)
        if out is not None:
            small = small + cv2.resize(out, small.shape, interpolation=cv2.INTER_LINEAR)
        out = cv2.resize(small, (larger, larger), interpolation=cv2.INTER_CUBIC)
    assert out is not None
    return cv2.resize(out, (size, size), interpolation=cv2.INTER_LINEAR)


def plain(rng: np.random.Generator, size: int) -> np.ndarray:
    """One colour that fades into another."""
    first, second = linear_colour(rng), linear_colour(rng)
    second = first + (second - first) * np.float32(rng.uniform(0, 0.6))
    angle = rng.uniform(0, 2 * np.pi)
    image = np.empty((size, size, 3), np.float32)
    _fill_gradient(image, first, second, np.float32(np.cos(angle)), np.float32(np.sin(angle)))
    return image


def noise_cloth(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clouds between two colours, or of all colours."""
    image = np.empty((size, size, 3), np.float32)
    if rng.random() < 0.25:
        roughness = rng.uniform(0.4, 1.1)
        for channel in range(3):
            image[..., channel] = np.square(fractal_noise(rng, size, roughness=roughness))
        return image
    share = fractal_noise(rng, size, roughness=rng.uniform(0.4, 1.1))
    gain = np.float32(rng.uniform(1.5, 5))
    _fill_blend(image, share, gain, linear_colour(rng), linear_colour(rng))
    return image


def tiles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Tiles, planks, bricks, checks or stripes, with dirt; seen straight on or at a slant."""
    first, second = linear_colour(rng), linear_colour(rng)
    if rng.random() < 0.6:
        second = first * np.float32(rng.uniform(0.4, 1.6))
    steps = np.exp(rng.uniform(np.log(5), np.log(70), 2)).astype(np.float32)
    kind = rng.random()
    image = np.empty((size, size, 3), np.float32)
    dirt = fractal_noise(rng, size, roughness=rng.uniform(0.5, 1.0))
    _fill_tiles(
        image, dirt, np.float32(rng.uniform(0.2, 1.6)), rng.random((64, 64), dtype=np.float32),
        np.float32(rng.uniform(0.1, 0.9)), steps, np.float32(rng.uniform(0.03, 0.15)),
        kind < 0.3, kind > 0.8, first, second,
    )  # fmt: skip
    if rng.random() < 0.4:
        return image
    source = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    target = source + rng.normal(0, size * 0.2, (4, 2)).astype(np.float32)
    warp = cv2.getPerspectiveTransform(source, target)
    return cv2.warpPerspective(image, warp, (size, size), borderMode=cv2.BORDER_REFLECT)


_GROUNDS = ((0.20, 0.33, 0.12), (0.33, 0.40, 0.18), (0.40, 0.35, 0.25), (0.5, 0.48, 0.44),
            (0.62, 0.55, 0.42), (0.30, 0.30, 0.30))  # fmt: skip


def foliage(rng: np.random.Generator, size: int) -> np.ndarray:
    """Leaves, grass, gravel, sand: layers of blobs of similar colours."""
    base = np.square(np.array(_GROUNDS[int(rng.integers(len(_GROUNDS)))], np.float32))
    image = np.empty((size, size, 3), np.float32)
    image[:] = base * np.float32(0.5)
    harshness = rng.uniform(0.3, 1.0)
    for layer in range(3):
        cells = int(np.exp(rng.uniform(np.log(12), np.log(128))))
        small = rng.random((cells, cells), dtype=np.float32)
        mask = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        tone = base * rng.uniform(1 - harshness / 2, 1 + harshness * 1.4)
        tone = tone * (1 + rng.normal(0, 0.12, 3)) * (0.6 + 0.2 * layer)
        threshold, edge = np.float32(rng.uniform(0.4, 0.7)), np.float32(rng.uniform(2, 8))
        _cover_blobs(image, mask, threshold, edge, tone.astype(np.float32))
    return image


def scatter(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Draw boxes, polygons, ellipses and lines anywhere; changes `image`."""
    size = image.shape[0]
    for _ in range(count):
        colour = (linear_colour(rng) * rng.uniform(0.3, 1.1)).tolist()
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


@compiled
def _fill_gradient(image, first, second, across, down):
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            share = across * (np.float32(x) / width - np.float32(0.5))
            share += down * (np.float32(y) / height - np.float32(0.5)) + np.float32(0.5)
            share = min(max(share, np.float32(0)), np.float32(1))
            for c in range(3):
                image[y, x, c] = first[c] + (second[c] - first[c]) * share


@compiled
def _fill_blend(image, share, gain, first, second):
    height, width = share.shape
    for y in range(height):
        for x in range(width):
            s = (share[y, x] - np.float32(0.5)) * gain + np.float32(0.5)
            s = min(max(s, np.float32(0)), np.float32(1))
            for c in range(3):
                image[y, x, c] = first[c] + (second[c] - first[c]) * s


@compiled
def _fill_tiles(
    image, dirt, dirt_gain, shades, shade_gain, steps, joint, bricks, checks, first, second
):
    height, width = dirt.shape
    for y in range(height):
        b = np.float32(y) / steps[1]
        row = int(b)
        for x in range(width):
            a = np.float32(x) / steps[0]
            if bricks and row % 2 == 1:
                a += np.float32(0.5)
            column = int(a)
            light = np.float32(1) + (dirt[y, x] - np.float32(0.5)) * dirt_gain
            other = (row + column) % 2 == 1 if checks else a - column < joint or b - row < joint
            if not other:
                tile = shades[row % shades.shape[0], column % shades.shape[1]]
                light *= np.float32(0.7) + shade_gain * tile
            for c in range(3):
                image[y, x, c] = (second[c] if other else first[c]) * light


@compiled
def _cover_blobs(image, mask, threshold, edge, tone):
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            amount = (mask[y, x] - threshold) * edge
            if amount > 0:
                amount = min(amount, np.float32(1))
                for c in range(3):
                    image[y, x, c] += (tone[c] - image[y, x, c]) * amount
