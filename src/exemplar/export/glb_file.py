"""glTF scenes: every person's fitted mesh, as 3D tools open them."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from exemplar.atomic_files import replacing
from exemplar.geometry.meshes import vertex_normals
from exemplar.results import FitResult

COLOURS = (
    (142, 184, 242), (247, 161, 135), (148, 212, 153), (250, 207, 117), (196, 166, 235),
    (120, 209, 209), (245, 171, 204), (212, 194, 166),
)  # fmt: skip
"""Base colours of the people's materials, RGB; people beyond the last start again."""


def write_glb(result: FitResult, path: str | Path) -> None:
    """Write the fitted bodies as a binary glTF scene with one node a person.

    Nodes are `person_0`, `person_1`, ... in the result's order. Units are metres; the frame is
    glTF's camera frame: the photo's camera at the origin, x right, y up, looking along -z.
    ValueError for a result without people, OSError when the file cannot be written.
    """
    if not result.people:
        raise ValueError("the result has no people, and a scene needs at least one")
    import trimesh  # here, since it takes a while to import
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    scene, faces = trimesh.Scene(), torch.from_numpy(np.asarray(result.faces, np.int64))
    for i, person in enumerate(result.people):
        name = f"person_{i}"
        vertices = camera_to_gltf(person.after.vertices)
        normals = vertex_normals(torch.from_numpy(vertices), faces).numpy()
        mesh = trimesh.Trimesh(vertices, result.faces, vertex_normals=normals, process=False)
        material = PBRMaterial(
            name=name,
            baseColorFactor=(*COLOURS[i % len(COLOURS)], 255),
            metallicFactor=0.0,
            roughnessFactor=0.75,
        )
        mesh.visual = TextureVisuals(material=material)
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    data = export_glb(scene, include_normals=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def camera_to_gltf(points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Camera frame (y down, z forward) to glTF's (y up, z backward): half a turn about x."""
    return points * np.array([1.0, -1.0, -1.0])
