"""A z-buffer rasteriser in numba: no display, no OpenGL, the same picture everywhere.

Image frame: x right, y down, the centre of the top left pixel at (0.5, 0.5). Camera frame:
x right, y down, z forward, metres. A triangle whose outward side faces the camera is clockwise
on screen as drawn with y down, that is, its signed area below is negative.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

NEAR_PLANE = 0.02
"""Triangles with a corner nearer than this many metres are not drawn."""

NOTHING = np.float32(-1e30)
"""Nearness where nothing has been drawn."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`numba.njit`, kept on disk between runs where a cache folder can be written."""
    function = inspect.unwrap(function)  # without the shape checks that tests add
    try:
        return numba.njit(cache=True, nogil=True, fastmath=True)(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        return numba.njit(nogil=True, fastmath=True)(function)


@compiled
def draw_triangles(points, nearness, faces, cut, num_one_sided, face_ids, buffer, weights):
    """Draw triangles into the z-buffer; arrays are changed in place.

    Args:
        points: float32 (V, 2), pixels.
        nearness: float32 (V,), larger is nearer and linear on screen (1 / z, or minus depth).
        faces: int32 (F, 3).
        cut: float32 (V,); pixels where its interpolation is negative are left out.
        num_one_sided: the first so many faces are skipped where they face away.
        face_ids: int32 (H, W), -1 where nothing was drawn.
        buffer: float32 (H, W), nearness of what was drawn.
        weights: float32 (H, W, 2), screen-linear weights of a face's first two corners.
    """
    height, width = buffer.shape
    for t in range(faces.shape[0]):
        i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
        if cut[i] < 0 and cut[j] < 0 and cut[k] < 0:
            continue
        x0, y0, x1, y1 = points[i, 0], points[i, 1], points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < np.float32(1e-9) or (area > 0 and t < num_one_sided):
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - np.float32(0.5))), 0)
        right = min(int(np.floor(max(x0, x1, x2) - np.float32(0.5))), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2) - np.float32(0.5))), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - np.float32(0.5))), height - 1)
        if left > right or top > bottom:
            continue
        inverse = np.float32(1) / area
        step_w1, step_w2 = (y2 - y0) * inverse, (y0 - y1) * inverse
        q0, q1, q2 = nearness[i], nearness[j], nearness[k]
        c0, c1, c2 = cut[i], cut[j], cut[k]
        whole = c0 >= 0 and c1 >= 0 and c2 >= 0
        dx = np.float32(left) + np.float32(0.5) - x0
        for y in range(top, bottom + 1):
            dy = np.float32(y) + np.float32(0.5) - y0
            w1 = dx * step_w1 - (x2 - x0) * dy * inverse
            w2 = dx * step_w2 + (x1 - x0) * dy * inverse
            for x in range(left, right + 1):
                w0 = np.float32(1) - w1 - w2
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    q = w0 * q0 + w1 * q1 + w2 * q2
                    if q > buffer[y, x] and (whole or w0 * c0 + w1 * c1 + w2 * c2 >= 0):
                        buffer[y, x] = q
                        face_ids[y, x] = t
                        weights[y, x, 0] = w0
                        weights[y, x, 1] = w1
                w1 += step_w1
                w2 += step_w2


@compiled
def accumulate_normals(vertices, faces, normals):
    """Fill `normals` (V, 3) with unit vertex normals: area-weighted means over the faces."""
    normals[:] = 0
    for t in range(faces.shape[0]):
        i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
        ax, ay = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1]
        az = vertices[j, 2] - vertices[i, 2]
        bx, by = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1]
        bz = vertices[k, 2] - vertices[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        norm = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if norm > 0:
            normals[v] /= norm


@compiled
def _resolve(face_ids, weights, faces, colours, samples, rgba):
    """Average samples x samples blocks of the drawn vertex colours into `rgba` (H, W, 4)."""
    height, width = rgba.shape[:2]
    share = np.float32(1) / (samples * samples)
    for y in range(height):
        for x in range(width):
            r = g = b = covered = np.float32(0)
            for sy in range(samples):
                for sx in range(samples):
                    yy, xx = y * samples + sy, x * samples + sx
                    t = face_ids[yy, xx]
                    if t < 0:
                        continue
                    w0, w1 = weights[yy, xx, 0], weights[yy, xx, 1]
                    w2 = np.float32(1) - w0 - w1
                    i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
                    r += w0 * colours[i, 0] + w1 * colours[j, 0] + w2 * colours[k, 0]
                    g += w0 * colours[i, 1] + w1 * colours[j, 1] + w2 * colours[k, 1]
                    b += w0 * colours[i, 2] + w1 * colours[j, 2] + w2 * colours[k, 2]
                    covered += np.float32(1)
            if covered > 0:
                rgba[y, x, 0] = r / covered
                rgba[y, x, 1] = g / covered
                rgba[y, x, 2] = b / covered
                rgba[y, x, 3] = covered * share


@dataclass(frozen=True)
class Raster:
    """What a picture of a mesh shows at every pixel."""

    face_ids: np.ndarray
    """int32 (H, W): the face seen, -1 where there is none."""
    barycentrics: np.ndarray
    """float32 (H, W, 3): weights of its corners on the surface (perspective-correct)."""
    depth: np.ndarray
    """float32 (H, W): depth, 0 where there is none."""


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit outward normals (V, 3) float32 of `vertices` (V, 3) joined by `faces` (F, 3)."""
    normals = np.zeros((len(vertices), 3), np.float32)
    accumulate_normals(_float32(vertices), _int32(faces), normals)
    return normals


def rasterise(
    points_px: np.ndarray,
    depth: np.ndarray,
    faces: np.ndarray,
    width: int,
    height: int,
    *,
    perspective: bool = True,
) -> Raster:
    """Draw a mesh that is already projected.

    Args:
        points_px: (V, 2), pixels.
        depth: (V,), larger is farther; metres from the camera plane if `perspective`.
        faces: (F, 3); both sides are drawn.
        width, height: size of the picture in pixels.
        perspective: whether the points were divided by depth (else a parallel projection).

    Raises:
        ValueError: the shapes do not belong together.
    """
    points_px, depth, faces = _float32(points_px), _float32(depth), _int32(faces)
    _check_mesh(points_px, depth, faces)
    nearness = -depth
    if perspective:
        faces_in_front = (depth[faces] > NEAR_PLANE).all(axis=1)
        nearness = 1 / np.maximum(depth, NEAR_PLANE)
    else:
        faces_in_front = np.ones(len(faces), bool)
    drawn = np.flatnonzero(faces_in_front)
    face_ids, buffer, weights = _empty_buffers(width, height)
    no_cut = np.zeros(len(depth), np.float32)
    draw_triangles(points_px, nearness, faces[drawn], no_cut, 0, face_ids, buffer, weights)

    hit = face_ids >= 0
    face_ids[hit] = drawn[face_ids[hit]]
    barycentrics = np.zeros((height, width, 3), np.float32)
    screen = weights[hit]
    screen = np.concatenate([screen, 1 - screen.sum(axis=1, keepdims=True)], axis=1)
    seen_depth = np.zeros((height, width), np.float32)
    if perspective:
        screen *= nearness[faces[face_ids[hit]]] / buffer[hit][:, None]
        seen_depth[hit] = 1 / buffer[hit]
    else:
        seen_depth[hit] = -buffer[hit]
    barycentrics[hit] = screen
    return Raster(face_ids, barycentrics, seen_depth)


def render_mesh(
    vertices_camera: np.ndarray,
    faces: np.ndarray,
    *,
    focal: float,
    principal_point: tuple[float, float],
    width: int,
    height: int,
    colour: np.ndarray | Sequence[float] = (0.70, 0.78, 0.92),
    light: Sequence[float] = (-0.4, -0.7, -0.8),
    ambient: float = 0.4,
    antialias: int = 2,
) -> np.ndarray:
    """A smoothly shaded picture of a mesh under a pinhole camera.

    Args:
        vertices_camera: (V, 3) in the camera frame, metres.
        faces: (F, 3).
        focal: pixels.
        principal_point: pixels.
        width, height: size of the picture in pixels.
        colour: RGB in 0..1, one for the mesh (3,) or one a vertex (V, 3).
        light: direction towards the light in the camera frame.
        ambient: share of the light that comes from everywhere, 0..1.
        antialias: samples along each side of a pixel.

    Returns:
        uint8 (height, width, 4), straight (not premultiplied) alpha.
    """
    vertices = _float32(vertices_camera)
    depth = vertices[:, 2]
    points = vertices[:, :2] / np.maximum(depth, NEAR_PLANE)[:, None] * focal
    points = points + np.asarray(principal_point, np.float32)
    faces = _int32(faces)
    faces = faces[(depth[faces] > NEAR_PLANE).all(axis=1)]
    shaded = _lambert(vertices, faces, colour, light, ambient)
    nearness = 1 / np.maximum(depth, NEAR_PLANE)
    return _draw_colours(points, nearness, faces, shaded, width, height, antialias)


def render_projected_mesh(
    points_px: np.ndarray,
    depth: np.ndarray,
    faces: np.ndarray,
    *,
    pixels_per_metre: float,
    width: int,
    height: int,
    colour: np.ndarray | Sequence[float] = (0.70, 0.78, 0.92),
    light: Sequence[float] = (-0.4, -0.7, -0.8),
    ambient: float = 0.4,
    antialias: int = 2,
) -> np.ndarray:
    """`render_mesh` for a parallel projection (a weak-perspective camera).

    Args:
        points_px: (V, 2), pixels.
        depth: (V,), metres, larger is farther; any origin.
        faces: (F, 3).
        pixels_per_metre: the projection's scale, so that the shading has the right slopes.
        width, height, colour, light, ambient, antialias: as for `render_mesh`.
    """
    points, depth, faces = _float32(points_px), _float32(depth), _int32(faces)
    _check_mesh(points, depth, faces)
    surface = np.concatenate([points, depth[:, None] * np.float32(pixels_per_metre)], axis=1)
    shaded = _lambert(surface, faces, colour, light, ambient)
    return _draw_colours(points, -depth, faces, shaded, width, height, antialias)


def _lambert(vertices, faces, colour, light, ambient) -> np.ndarray:
    towards = np.asarray(light, np.float32) / np.linalg.norm(light)
    incidence = np.clip(vertex_normals(vertices, faces) @ towards, 0, 1)
    albedo = np.broadcast_to(_float32(colour), (len(vertices), 3))
    return _float32(albedo * (ambient + (1 - ambient) * incidence)[:, None])


def _draw_colours(points, nearness, faces, colours, width, height, antialias) -> np.ndarray:
    face_ids, buffer, weights = _empty_buffers(width * antialias, height * antialias)
    cut = np.zeros(len(points), np.float32)
    scaled = _float32(points * antialias)
    draw_triangles(scaled, _float32(nearness), faces, cut, 0, face_ids, buffer, weights)
    rgba = np.zeros((height, width, 4), np.float32)
    _resolve(face_ids, weights, faces, colours, antialias, rgba)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)


def _empty_buffers(width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    face_ids = np.full((height, width), -1, np.int32)
    buffer = np.full((height, width), NOTHING, np.float32)
    return face_ids, buffer, np.zeros((height, width, 2), np.float32)


def _check_mesh(points: np.ndarray, depth: np.ndarray, faces: np.ndarray) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or depth.shape != points.shape[:1]:
        raise ValueError(
            f"expected points (V, 2) and depth (V,), got {points.shape} and {depth.shape}"
        )
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"expected faces (F, 3), got {faces.shape}")


def _float32(values) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)


def _int32(values) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.int32)
