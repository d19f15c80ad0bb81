"""One synthetic photograph from a posed and dressed body."""

from dataclasses import dataclass

import cv2
import numpy as np

from exemplar.render.raster import NEAR_PLANE, draw_triangles
from exemplar.synth.backgrounds import Floor, draw_background, draw_occluders
from exemplar.synth.camera_noise import photograph
from exemplar.synth.config import SynthConfig
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import Outfit
from exemplar.synth.lighting import cast_shadow, draw_lights
from exemplar.synth.regions import Regions
from exemplar.synth.shading import Lights, shade_buffer
from exemplar.synth.surfaces import SceneMesh
from exemplar.synth.views import Crop


@dataclass(frozen=True)
class Rendering:
    """A finished picture and what the drawing knows about it."""

    image: np.ndarray
    """uint8 (S, S, 3), RGB."""
    depth: np.ndarray
    """float32 (S, S): depth of the person, metres, infinite elsewhere."""
    hidden: np.ndarray
    """bool (S, S): covered by an occluder, or beyond the photograph's border."""


@dataclass(frozen=True)
class _Buffers:
    face_ids: np.ndarray
    nearness: np.ndarray
    weights: np.ndarray


def render_person(
    rng: np.random.Generator,
    mesh: SceneMesh,
    outfit: Outfit,
    regions: Regions,
    crop: Crop,
    up: np.ndarray,
    config: SynthConfig,
    volume: np.ndarray,
) -> Rendering:
    """Light, draw and photograph a person.

    Args:
        rng: source of everything random here.
        mesh: the dressed body in the crop's camera frame.
        outfit: what it wears, for the face.
        regions: the body's landmarks.
        crop: the camera.
        up: (3,) up in the crop's camera frame.
        config: sizes and frequencies.
        volume: the noise volume.
    """
    size = config.image_size
    points = crop.project(mesh.vertices).astype(np.float32)
    buffers = _draw(mesh, points, config)
    lights = draw_lights(rng, up, config.scene)
    rgb, coverage = _shade(rng, mesh, outfit, regions, lights, buffers, config, volume)

    height = (mesh.vertices @ up.astype(np.float32)).min()
    distance = float(np.median(mesh.vertices[:, 2]))
    floor = Floor(up, float(height), crop.focal, crop.principal_point, distance)
    background = draw_background(rng, size, floor) * rng.uniform(0.5, 1.1)
    if lights.shadow > 0:
        _darken_floor(background, mesh, floor, lights, config)
    linear = rgb + background * (1 - coverage[..., None])

    hidden = np.zeros((size, size), bool)
    if rng.random() < config.scene.occluder:
        x, y = points.T
        texture, mask = draw_occluders(rng, size, (x.min(), y.min(), x.max(), y.max()))
        linear += (texture * rng.uniform(0.4, 1.1) - linear) * mask[..., None]
        hidden |= mask > 0.5
    image = photograph(rng, linear.astype(np.float32), config.scene)
    if len(crop.border):
        beyond = ~crop.in_photograph(np.stack(np.meshgrid(*[np.arange(size) + 0.5] * 2), -1))
        image[beyond] = 0
        hidden |= beyond

    step = config.antialias
    nearness = buffers.nearness[::step, ::step]
    depth = np.where(nearness > 0, 1 / np.maximum(nearness, 1e-6), np.inf).astype(np.float32)
    return Rendering(image, depth, hidden)


def _draw(mesh: SceneMesh, points: np.ndarray, config: SynthConfig) -> _Buffers:
    size = config.image_size * config.antialias
    buffers = _Buffers(
        np.full((size, size), -1, np.int32),
        np.full((size, size), -1e30, np.float32),
        np.empty((size, size, 2), np.float32),
    )
    nearness = 1 / np.maximum(mesh.vertices[:, 2], NEAR_PLANE)
    cut = np.where(mesh.vertices[:, 2] > NEAR_PLANE, mesh.cut, np.float32(-1e6))
    draw_triangles(
        points * np.float32(config.antialias), nearness, mesh.faces, cut.astype(np.float32),
        mesh.num_body_faces, buffers.face_ids, buffers.nearness, buffers.weights,
    )  # fmt: skip
    return buffers


def _shade(
    rng: np.random.Generator,
    mesh: SceneMesh,
    outfit: Outfit,
    regions: Regions,
    lights: Lights,
    buffers: _Buffers,
    config: SynthConfig,
    volume: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour (S, S, 3), linear, and coverage (S, S)."""
    size = config.image_size
    rgb, coverage = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    if lights.shadow > 0:
        shadow_points, shadow_map = cast_shadow(mesh, lights.directions[0])
    else:
        shadow_points, shadow_map = mesh.vertices, np.zeros((2, 2), np.float32)
    marks = face_marks(rng, outfit, regions.marks)
    shade_buffer(
        buffers.face_ids, buffers.weights, mesh.faces, mesh.normals, mesh.rest, mesh.fabric,
        mesh.material, mesh.materials, marks, np.float32(regions.marks.neck_y),
        (lights.directions, lights.colours, lights.sky, lights.ground, lights.up),
        np.float32(lights.shadow), shadow_points, shadow_map, volume, config.antialias,
        rgb, coverage,
    )  # fmt: skip
    return rgb, coverage


def _darken_floor(
    background: np.ndarray, mesh: SceneMesh, floor: Floor, lights: Lights, config: SynthConfig
) -> None:
    """Draw the person's shadow on the floor, soft; changes `background`."""
    direction = lights.directions[0].astype(np.float64)
    slope = float(direction @ floor.up)
    if slope < 0.15:
        return
    above = mesh.vertices @ floor.up - floor.height
    fallen = mesh.vertices - (above / slope)[:, None] * direction
    size = config.image_size // 2
    depth = fallen[:, 2]
    points = fallen[:, :2] / np.maximum(depth, NEAR_PLANE)[:, None] * floor.focal
    points = ((points + floor.principal_point) / 2).astype(np.float32)
    cut = np.where(depth > 0.1, mesh.cut, np.float32(-1e6)).astype(np.float32)
    ids, buffer = np.full((size, size), -1, np.int32), np.full((size, size), -1e30, np.float32)
    nearness = np.zeros(len(points), np.float32)
    weights = np.empty((size, size, 2), np.float32)
    draw_triangles(points, nearness, mesh.faces, cut, 0, ids, buffer, weights)
    mask = cv2.GaussianBlur((ids >= 0).astype(np.float32), (0, 0), 1.5)
    mask = cv2.resize(mask, background.shape[:2], interpolation=cv2.INTER_LINEAR)
    background *= 1 - np.float32(0.6 * lights.shadow) * mask[..., None]
