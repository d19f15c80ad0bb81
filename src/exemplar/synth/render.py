"""One synthetic photograph from a posed and dressed body."""

from dataclasses import dataclass

import cv2
import numpy as np

from exemplar.render.raster import NEAR_PLANE, NOTHING, compiled, draw_triangles
from exemplar.synth.backgrounds import Floor, draw_background, draw_occluders
from exemplar.synth.camera_noise import photograph
from exemplar.synth.config import SynthConfig
from exemplar.synth.lighting import cast_shadow, draw_lights
from exemplar.synth.shading import Lights, shade_buffer
from exemplar.synth.surfaces import SceneMesh, join_meshes
from exemplar.synth.views import Crop


@dataclass(frozen=True)
class Canvas:
    """Memory to draw on, used again for every picture; make one with `new_canvas`."""

    face_ids: np.ndarray
    """int32 (T, T), T samples along a side."""
    nearness: np.ndarray
    """float32 (T, T), 1 / metres."""
    weights: np.ndarray
    """float32 (T, T, 2)."""
    rgb: np.ndarray
    """float32 (S, S, 3), premultiplied linear light, S pixels along a side."""
    coverage: np.ndarray
    """float32 (S, S)."""


@dataclass(frozen=True)
class Rendering:
    """A finished picture and what the drawing knows about it."""

    image: np.ndarray
    """uint8 (S, S, 3), RGB."""
    nearness: np.ndarray
    """float32 (T, T): 1 / depth of what is drawn, negative where there is nobody; a view of the
    canvas, gone with the next picture."""
    hidden: np.ndarray
    """bool (S, S): covered by an occluder, or beyond the photograph's border."""


@dataclass(frozen=True)
class Surroundings:
    """Where the person is, if it is not drawn at random."""

    lights: Lights
    """In the crop's camera frame."""
    background: np.ndarray
    """float32 (S, S, 3): the picture without the person, linear; changed by the drawing."""


def new_canvas(config: SynthConfig) -> Canvas:
    """A canvas of the configured size."""
    size, fine = config.image_size, config.image_size * config.antialias
    return Canvas(
        face_ids=np.empty((fine, fine), np.int32),
        nearness=np.empty((fine, fine), np.float32),
        weights=np.empty((fine, fine, 2), np.float32),
        rgb=np.empty((size, size, 3), np.float32),
        coverage=np.empty((size, size), np.float32),
    )


def render_person(
    rng: np.random.Generator,
    mesh: SceneMesh,
    bystander: SceneMesh | None,
    marks: np.ndarray,
    face_floor: float,
    crop: Crop,
    up: np.ndarray,
    config: SynthConfig,
    volume: np.ndarray,
    canvas: Canvas,
    surroundings: Surroundings | None = None,
) -> Rendering:
    """Light, draw and photograph a person.

    Args:
        rng: source of everything random here.
        mesh: the dressed body in the crop's camera frame.
        bystander: somebody else in the picture.
        marks: the painted face, from `faces.face_marks`.
        face_floor: height on the template above which skin has a face, metres.
        crop: the camera.
        up: (3,) up in the crop's camera frame.
        config: sizes and frequencies.
        volume: the noise volume.
        canvas: memory to draw on.
        surroundings: where the person is; random if not given.
    """
    size = config.image_size
    everybody = mesh if bystander is None else join_meshes(mesh, bystander)
    points = crop.project(everybody.vertices).astype(np.float32)
    _draw(everybody, points, canvas, config)
    known = surroundings
    lights = draw_lights(rng, up, config.scene) if known is None else known.lights
    _shade(everybody, marks, face_floor, lights, canvas, config, volume)

    height = (mesh.vertices @ up.astype(np.float32)).min()
    distance = float(mesh.vertices[:, 2].mean())
    floor = Floor(up, float(height), crop.focal, crop.principal_point, distance)
    linear = draw_background(rng, size, floor) if known is None else known.background
    if lights.shadow > 0:
        _darken_floor(linear, everybody, floor, lights, config)
    gain = rng.uniform(0.5, 1.1) if known is None else 1.0
    over_background(linear, canvas.rgb, canvas.coverage, np.float32(gain))

    hidden = np.zeros((size, size), bool)
    if rng.random() < config.scene.occluder:
        x, y = points[: len(mesh.vertices)].T
        box = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
        texture, mask = draw_occluders(rng, size, box)
        texture *= np.float32(rng.uniform(0.4, 1.1))
        cover_with(linear, texture, mask)
        hidden |= mask > 0.5
    image = photograph(rng, linear, config.scene)
    if len(crop.border):
        beyond = ~crop.in_photograph(np.stack(np.meshgrid(*[np.arange(size) + 0.5] * 2), -1))
        image[beyond] = 0
        hidden |= beyond
    return Rendering(image, canvas.nearness, hidden)


@compiled
def over_background(background, rgb, coverage, gain):
    """Put premultiplied `rgb` over `background` times `gain`; changes `background`."""
    height, width = coverage.shape
    for y in range(height):
        for x in range(width):
            through = (np.float32(1) - coverage[y, x]) * gain
            for c in range(3):
                background[y, x, c] = background[y, x, c] * through + rgb[y, x, c]


@compiled
def cover_with(image, texture, mask):
    """Blend `texture` over `image` where `mask` is; changes `image`."""
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            share = mask[y, x]
            if share > 0:
                for c in range(3):
                    image[y, x, c] += (texture[y, x, c] - image[y, x, c]) * share


def _draw(mesh: SceneMesh, points: np.ndarray, canvas: Canvas, config: SynthConfig) -> None:
    canvas.face_ids.fill(-1)
    canvas.nearness.fill(NOTHING)
    depth = np.ascontiguousarray(mesh.vertices[:, 2])
    cut = np.where(depth > NEAR_PLANE, mesh.cut, NOTHING)
    draw_triangles(
        points * np.float32(config.antialias), 1 / np.maximum(depth, np.float32(NEAR_PLANE)),
        mesh.faces, cut, mesh.num_body_faces, canvas.face_ids, canvas.nearness, canvas.weights,
    )  # fmt: skip


def _shade(
    mesh: SceneMesh,
    marks: np.ndarray,
    face_floor: float,
    lights: Lights,
    canvas: Canvas,
    config: SynthConfig,
    volume: np.ndarray,
) -> None:
    canvas.rgb.fill(0)
    canvas.coverage.fill(0)
    if lights.shadow > 0:
        shadow_points, shadow_map = cast_shadow(mesh, lights.directions[0])
    else:
        shadow_points, shadow_map = mesh.vertices, np.zeros((2, 2), np.float32)
    shade_buffer(
        canvas.face_ids, canvas.weights, mesh.faces, mesh.normals, mesh.rest, mesh.fabric,
        mesh.material, mesh.materials, marks, np.float32(face_floor),
        (lights.directions, lights.colours, lights.sky, lights.ground, lights.up),
        np.float32(lights.shadow), shadow_points, shadow_map, volume, config.antialias,
        canvas.rgb, canvas.coverage,
    )  # fmt: skip


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
    cut = np.where(depth > 0.1, mesh.cut, NOTHING)
    ids, buffer = np.full((size, size), -1, np.int32), np.full((size, size), NOTHING)
    nearness = np.zeros(len(points), np.float32)
    weights = np.empty((size, size, 2), np.float32)
    draw_triangles(points, nearness, mesh.faces, cut, 0, ids, buffer, weights)
    mask = cv2.GaussianBlur((ids >= 0).astype(np.float32), (0, 0), 1.5)
    mask = cv2.resize(mask, background.shape[:2], interpolation=cv2.INTER_LINEAR)
    background *= 1 - np.float32(0.6 * lights.shadow) * mask[..., None]
