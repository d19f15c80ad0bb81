"""The colour of every sample of the z-buffer: patterns, faces, light and shadow.

Linear light throughout; the camera's curve comes after.
"""

from dataclasses import dataclass

import numpy as np

from exemplar.render.raster import compiled
from exemplar.synth import materials as mat
from exemplar.synth.surfaces import sample_noise

PATTERN, FIRST, SECOND, THIRD = mat.PATTERN, mat.FIRST, mat.SECOND, mat.THIRD
PERIOD, DUTY, GRAIN, GRAIN_SIZE = mat.PERIOD, mat.DUTY, mat.GRAIN, mat.GRAIN_SIZE
GLOSS, SPLIT, LOGO, BUMP, BUMP_SIZE = mat.GLOSS, mat.SPLIT, mat.LOGO, mat.BUMP, mat.BUMP_SIZE
STRIPES, VERTICAL, CHECKS, DOTS = mat.STRIPES, mat.VERTICAL, mat.CHECKS, mat.DOTS
CAMOUFLAGE, TWO_TONE, DIAGONAL = mat.CAMOUFLAGE, mat.TWO_TONE, mat.DIAGONAL
FADE, SPECKLE, SKIN, HAIR = mat.FADE, mat.SPECKLE, mat.SKIN, mat.HAIR

MARK_LENGTH = 8


@dataclass(frozen=True)
class Lights:
    """What lights the person."""

    directions: np.ndarray
    """float32 (L, 3): unit vectors towards the lights, camera frame; the first casts shadows."""
    colours: np.ndarray
    """float32 (L, 3), linear."""
    sky: np.ndarray
    """float32 (3,): light from above, linear."""
    ground: np.ndarray
    """float32 (3,): light from below, linear."""
    up: np.ndarray
    """float32 (3,): up in the camera frame."""
    shadow: float
    """How much of the first light its shadows take away, 0..1."""


@compiled
def second_share(row, x, y, z, u, v, volume):
    """How much of the second colour (0..1) and of the third a pattern shows at a place."""
    pattern, period, duty = int(row[PATTERN]), row[PERIOD], row[DUTY]
    a, b = u / period, v / period
    if pattern == STRIPES:
        return (np.float32(1.0) if b - np.floor(b) < duty else np.float32(0.0)), np.float32(0)
    if pattern == VERTICAL:
        return (np.float32(1.0) if a - np.floor(a) < duty else np.float32(0.0)), np.float32(0)
    if pattern == DIAGONAL:
        c = (a + b) * np.float32(0.7)
        return (np.float32(1.0) if c - np.floor(c) < duty else np.float32(0.0)), np.float32(0)
    if pattern == CHECKS:
        across = np.float32(0.5) if a - np.floor(a) < duty else np.float32(0.0)
        along = np.float32(0.5) if b - np.floor(b) < duty else np.float32(0.0)
        return across + along, np.float32(0)
    if pattern == DOTS:
        p, q = a - np.floor(a) - np.float32(0.5), b - np.floor(b) - np.float32(0.5)
        inside = p * p + q * q < np.float32(0.16) * duty
        return (np.float32(1.0) if inside else np.float32(0.0)), np.float32(0)
    if pattern == TWO_TONE:
        return (np.float32(1.0) if v < row[SPLIT] else np.float32(0.0)), np.float32(0)
    if pattern == FADE:
        share = (row[SPLIT] - v) / np.float32(0.4) + duty
        return min(max(share, np.float32(0)), np.float32(1)), np.float32(0)
    if pattern in (CAMOUFLAGE, SPECKLE):
        scale = np.float32(1.6) if pattern == CAMOUFLAGE else np.float32(8.0)
        k = scale / period
        n = sample_noise(volume, x * k, y * k, z * k)
        apart = np.float32(31.4)
        m = sample_noise(volume, x * k + apart, y * k + apart, z * k)
        second = np.float32(1.0) if n < duty * np.float32(0.6) + np.float32(0.2) else np.float32(0)
        return second, (np.float32(1.0) if m > np.float32(0.64) else np.float32(0))
    if pattern == HAIR:
        k = np.float32(1) / period
        angle = np.arctan2(x, z + np.float32(0.02)) * np.float32(0.09)
        n = sample_noise(volume, angle * k + angle * k, y * k * np.float32(0.12), angle)
        return n * n * np.float32(0.6), np.float32(0)
    return np.float32(0), np.float32(0)


@compiled
def logo_share(row, x, y, z):
    """How much of the third colour a print on the chest shows."""
    shape = int(row[LOGO])
    if shape == 0 or z < 0:
        return np.float32(0)
    p, q = (x - row[LOGO + 1]) / row[LOGO + 3], (y - row[LOGO + 2]) / row[LOGO + 4]
    if abs(p) > 1 or abs(q) > 1:
        return np.float32(0)
    if shape == 1:
        r = p * p + q * q
        return np.float32(1) if r < np.float32(0.4) or np.float32(0.7) < r < 1 else np.float32(0)
    if shape == 2:
        return np.float32(1)
    line, letter = (q + 1) * np.float32(2.5), (p + 1) * np.float32(6)
    wide = line - np.floor(line) < np.float32(0.6) and letter - np.floor(letter) < np.float32(0.7)
    return np.float32(1) if wide else np.float32(0)


@compiled
def shade_sample(row, place, cloth, normal, marks, face_floor, lights, shade, volume, out):
    """Reflected light of one sample; `place` rest position, `shade` the first light's share."""
    x, y, z = place
    second, third = second_share(row, x, y, z, cloth[0], cloth[1], volume)
    third = max(third, logo_share(row, x, y, z))
    k = row[GRAIN_SIZE]
    grain = sample_noise(volume, x * k, y * k, z * k) - np.float32(0.5)
    bright = np.float32(1) + row[GRAIN] * grain
    r = row[FIRST] + (row[SECOND] - row[FIRST]) * second
    g = row[FIRST + 1] + (row[SECOND + 1] - row[FIRST + 1]) * second
    b = row[FIRST + 2] + (row[SECOND + 2] - row[FIRST + 2]) * second
    r += (row[THIRD] - r) * third
    g += (row[THIRD + 1] - g) * third
    b += (row[THIRD + 2] - b) * third
    if int(row[PATTERN]) == SKIN and y > face_floor and z > np.float32(0.03):
        for m in range(marks.shape[0]):
            p = (abs(x) - marks[m, 0]) / marks[m, 2]
            q = (y - marks[m, 1]) / marks[m, 3]
            d = p * p + q * q
            if d < 1:
                share = min((np.float32(1) - d) * np.float32(3), np.float32(1)) * marks[m, 7]
                r += (marks[m, 4] - r) * share
                g += (marks[m, 5] - g) * share
                b += (marks[m, 6] - b) * share
    nx, ny, nz = normal
    if row[BUMP] > 0:
        k = row[BUMP_SIZE]
        shift = np.float32(7.3)
        nx += row[BUMP] * (sample_noise(volume, x * k + shift, y * k, z * k) - np.float32(0.5))
        ny += row[BUMP] * (sample_noise(volume, x * k, y * k + shift, z * k) - np.float32(0.5))
    norm = np.float32(1) / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    directions, colours, sky, ground, up = lights
    high = (nx * up[0] + ny * up[1] + nz * up[2]) * np.float32(0.5) + np.float32(0.5)
    lr = ground[0] + (sky[0] - ground[0]) * high
    lg = ground[1] + (sky[1] - ground[1]) * high
    lb = ground[2] + (sky[2] - ground[2]) * high
    shine = np.float32(0)
    for i in range(directions.shape[0]):
        cosine = nx * directions[i, 0] + ny * directions[i, 1] + nz * directions[i, 2]
        if cosine <= 0:
            continue
        share = cosine * shade if i == 0 else cosine
        lr += colours[i, 0] * share
        lg += colours[i, 1] * share
        lb += colours[i, 2] * share
        mirrored = np.float32(-2) * cosine * nz + directions[i, 2]
        if mirrored > 0 and row[GLOSS] > 0:
            shine += share / cosine * colours[i, 1] * row[GLOSS] * mirrored**12
    out[0] = r * bright * lr + shine
    out[1] = g * bright * lg + shine
    out[2] = b * bright * lb + shine


@compiled
def lit_share(shadow_map, lx, ly, depth, bias):
    """Share of light that reaches a point: four neighbouring looks at the shadow map."""
    height, width = shadow_map.shape
    i, j = int(np.floor(ly)), int(np.floor(lx))
    if i < 0 or j < 0 or i > height - 2 or j > width - 2:
        return np.float32(1)
    ty, tx = np.float32(ly - i), np.float32(lx - j)
    a = np.float32(1) if shadow_map[i, j] <= depth + bias else np.float32(0)
    b = np.float32(1) if shadow_map[i, j + 1] <= depth + bias else np.float32(0)
    c = np.float32(1) if shadow_map[i + 1, j] <= depth + bias else np.float32(0)
    d = np.float32(1) if shadow_map[i + 1, j + 1] <= depth + bias else np.float32(0)
    near, far = a + (b - a) * tx, c + (d - c) * tx
    return near + (far - near) * ty


@compiled
def one_surface(face_ids, faces, material, top, left, samples):
    """Whether all samples of a pixel show the same material (they then share one colour)."""
    first = face_ids[top, left]
    if first < 0:
        return False
    for sample in range(1, samples * samples):
        t = face_ids[top + sample // samples, left + sample % samples]
        if t < 0 or material[faces[t, 0]] != material[faces[first, 0]]:
            return False
    return True


@compiled
def shade_buffer(
    face_ids, weights, faces, normals, rest, fabric, material, materials, marks, face_floor,
    lights, shadow, shadow_points, shadow_map, volume, samples, rgb, coverage,
):  # fmt: skip
    """Fill `rgb` (H, W, 3), premultiplied, and `coverage` (H, W) from the z-buffer."""
    height, width = coverage.shape
    part = np.float32(1) / np.float32(samples * samples)
    place, cloth = np.zeros(3, np.float32), np.zeros(2, np.float32)
    normal, light, spot = np.zeros(3, np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)
    for y in range(height):
        for x in range(width):
            top, left = y * samples, x * samples
            whole = one_surface(face_ids, faces, material, top, left, samples)
            used = 1 if whole else samples * samples
            share = np.float32(1) if whole else part
            for sample in range(used):
                yy, xx = top + sample // samples, left + sample % samples
                t = face_ids[yy, xx]
                if t < 0:
                    continue
                i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
                w0, w1 = weights[yy, xx, 0], weights[yy, xx, 1]
                w2 = np.float32(1) - w0 - w1
                for a in range(3):
                    place[a] = w0 * rest[i, a] + w1 * rest[j, a] + w2 * rest[k, a]
                    normal[a] = w0 * normals[i, a] + w1 * normals[j, a] + w2 * normals[k, a]
                for a in range(2):
                    cloth[a] = w0 * fabric[i, a] + w1 * fabric[j, a] + w2 * fabric[k, a]
                if normal[2] > np.float32(0.25):
                    normal[:] = -normal
                lit = np.float32(1)
                if shadow > 0:
                    for a in range(3):
                        spot[a] = (
                            w0 * shadow_points[i, a]
                            + w1 * shadow_points[j, a]
                            + w2 * shadow_points[k, a]
                        )
                    reached = lit_share(shadow_map, spot[0], spot[1], spot[2], np.float32(0.025))
                    lit = np.float32(1) - shadow * (np.float32(1) - reached)
                row = materials[material[i]]
                shade_sample(
                    row, place, cloth, normal, marks, face_floor, lights, lit, volume, light
                )
                for a in range(3):
                    rgb[y, x, a] += light[a] * share
                coverage[y, x] += share
