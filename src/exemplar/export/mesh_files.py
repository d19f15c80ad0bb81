"""Meshes of single frames: `.obj` and `.ply`."""

from pathlib import Path

from exemplar.bodies import Body
from exemplar.files.atomic_files import replacing
from exemplar.motion import Motion, vertices_at


def write_mesh(motion: Motion, body: Body, row: int, path: str | Path) -> None:
    """Write the mesh of a frame in the motion's own axes, metres; the suffix is the format.

    OSError when the file cannot be written.
    """
    import trimesh  # here, since it takes a while to import

    mesh = trimesh.Trimesh(vertices_at(motion, body, row), body.faces.numpy(), process=False)
    with replacing(path) as temporary:
        mesh.export(temporary, file_type=Path(path).suffix[1:].lower())
