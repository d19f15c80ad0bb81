"""Lights, and the shadow that the main one casts."""

import numpy as np

from exemplar.render.raster import NOTHING, draw_triangles
from exemplar.synth.config import SceneConfig
from exemplar.synth.shading import Lights
from exemplar.synth.surfaces import SceneMesh

SHADOW_MAP_SIZE = 192
"""Side of the shadow map, texels."""


def draw_lights(rng: np.random.Generator, up: np.ndarray, config: SceneConfig) -> Lights:
    """Sun, overcast sky, rooms and flash; lights come from above more often than not.

    Args:
        rng: source of everything random here.
        up: (3,) up in the camera frame.
        config: how often there are shadows.
    """
    warm = np.array([1.0, 0.93, 0.82])
    cool = np.array([0.85, 0.93, 1.0])
    count = int(rng.integers(1, 4))
    directions, colours = [], []
    for i in range(count):
        direction = rng.standard_normal(3)
        direction += up * rng.uniform(0.2, 2.0)
        direction[2] -= rng.uniform(0, 1.2)
        if i == 0 and rng.random() < 0.08:
            direction = np.array([0.05, -0.1, -1.0])
        directions.append(direction / np.linalg.norm(direction))
        tint = warm + (cool - warm) * rng.random()
        strength = rng.uniform(0.4, 1.3) if i == 0 else rng.uniform(0.05, 0.45)
        colours.append(strength * tint)
    ambient = rng.uniform(0.12, 0.6)
    sky = ambient * (warm + (cool - warm) * rng.random())
    bounce = rng.uniform(0.15, 0.9)
    return Lights(
        directions=np.array(directions, np.float32),
        colours=np.array(colours, np.float32),
        sky=sky.astype(np.float32),
        ground=(sky * bounce).astype(np.float32),
        up=up.astype(np.float32),
        shadow=float(rng.uniform(0.5, 1.0)) if rng.random() < config.shadow else 0.0,
    )


def cast_shadow(mesh: SceneMesh, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Look at the mesh from a light.

    Returns:
        float32 (N, 3): the vertices' texel x, texel y and nearness to the light (metres), and
        float32 (S, S): the greatest nearness in every texel.
    """
    side = np.cross(direction, [0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(direction, side), direction]).astype(np.float32)
    seen = mesh.vertices @ axes.T
    low = np.array([seen[:, 0].min(), seen[:, 1].min()])
    high = np.array([seen[:, 0].max(), seen[:, 1].max()])
    scale = (SHADOW_MAP_SIZE - 4) / (high - low).max()
    seen[:, :2] = (seen[:, :2] - low) * scale + 2
    buffer = np.full((SHADOW_MAP_SIZE,) * 2, NOTHING, np.float32)
    ids = np.full(buffer.shape, -1, np.int32)
    weights = np.empty((*buffer.shape, 2), np.float32)
    points, nearness = np.ascontiguousarray(seen[:, :2]), np.ascontiguousarray(seen[:, 2])
    draw_triangles(points, nearness, mesh.faces, mesh.cut, 0, ids, buffer, weights)
    return seen, buffer
