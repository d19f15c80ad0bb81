"""The rasteriser against triangles whose picture is known."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exemplar.render.raster import rasterise, render_mesh, render_projected_mesh, vertex_normals

SQUARE = np.array([[2.0, 1.0], [6.0, 1.0], [6.0, 5.0], [2.0, 5.0]])
SQUARE_FACES = np.array([[0, 1, 2], [0, 2, 3]])


def test_a_square_covers_exactly_its_pixels() -> None:
    raster = rasterise(SQUARE, np.full(4, 2.0), SQUARE_FACES, 8, 8)
    expected = np.zeros((8, 8), bool)
    expected[1:5, 2:6] = True
    assert np.array_equal(raster.face_ids >= 0, expected)
    assert np.allclose(raster.depth[expected], 2.0, atol=1e-6)
    assert np.allclose(raster.barycentrics.sum(-1)[expected], 1.0, atol=1e-6)


@pytest.mark.parametrize("perspective", [True, False])
def test_the_nearer_of_two_faces_is_seen(perspective: bool) -> None:
    points = np.concatenate([SQUARE, SQUARE])
    depth = np.array([3.0] * 4 + [2.0] * 4)
    faces = np.concatenate([SQUARE_FACES, SQUARE_FACES + 4])
    raster = rasterise(points, depth, faces, 8, 8, perspective=perspective)
    assert set(np.unique(raster.face_ids)) == {-1, 2, 3}


def test_depth_and_barycentrics_are_right_on_a_slanted_plane() -> None:
    """Every pixel's point, rebuilt from barycentrics, lies on its ray and has its depth."""
    corners = np.array([[-1.0, -1.0, 2.0], [1.0, -1.0, 6.0], [0.0, 1.0, 3.0]])
    focal, centre = 20.0, 16.0
    points = corners[:, :2] / corners[:, 2:] * focal + centre
    raster = rasterise(points, corners[:, 2], np.array([[0, 1, 2]]), 32, 32)
    y, x = np.nonzero(raster.face_ids == 0)
    rebuilt = raster.barycentrics[y, x] @ corners
    pixels = rebuilt[:, :2] / rebuilt[:, 2:] * focal + centre
    assert len(x) > 50
    assert np.abs(pixels - np.stack([x, y], 1) - 0.5).max() < 1e-3  # float32 at some 30 px
    assert np.allclose(rebuilt[:, 2], raster.depth[y, x], atol=1e-4)


def test_faces_behind_the_camera_are_left_out() -> None:
    raster = rasterise(SQUARE, np.array([1.0, 1.0, -1.0, 1.0]), SQUARE_FACES, 8, 8)
    assert (raster.face_ids < 0).all()


def test_normals_of_a_tetrahedron_point_outwards() -> None:
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    assert np.allclose(vertex_normals(vertices, faces), vertices / np.sqrt(3), atol=1e-6)


def test_both_projections_draw_a_distant_mesh_alike() -> None:
    """At 1 km the perspective of a 1 m square is weak to 1e-3 of its size."""
    vertices = np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.1], [0.5, 0.5, 0.0], [-0.5, 0.5, -0.1]])
    far = vertices + np.array([0, 0, 1000.0])
    pinhole = render_mesh(
        far, SQUARE_FACES, focal=20_000.0, principal_point=(16.0, 16.0), width=32, height=32
    )
    parallel = render_projected_mesh(
        vertices[:, :2] * 20 + 16, vertices[:, 2], SQUARE_FACES,
        pixels_per_metre=20.0, width=32, height=32,
    )  # fmt: skip
    assert pinhole.shape == (32, 32, 4)
    assert pinhole[16, 16, 3] == 255
    assert pinhole[0, 0, 3] == 0
    both = (pinhole[..., 3] == 255) & (parallel[..., 3] == 255)
    assert both.sum() > 300
    assert np.abs(pinhole.astype(int) - parallel)[both].max() <= 2


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="expected points"):
        rasterise(np.zeros((4, 3)), np.zeros(4), SQUARE_FACES, 8, 8)
    with pytest.raises(ValueError, match="expected faces"):
        rasterise(SQUARE, np.ones(4), np.zeros((2, 4), int), 8, 8)


@pytest.mark.slow
def test_it_works_where_no_cache_can_be_written(tmp_path: Path) -> None:
    """A read-only installation, and a home that is no folder."""
    nowhere = tmp_path / "file"
    nowhere.touch()
    code = (
        "import numba.core.caching as c\n"
        "c._CacheLocator.ensure_cache_path = lambda self: (_ for _ in ()).throw(OSError())\n"
        "import numpy as np\n"
        "from exemplar.render.raster import rasterise\n"
        "p, f = np.array([[0, 0], [4, 0], [0, 4]]), np.array([[0, 1, 2]])\n"
        "r = rasterise(p, np.ones(3), f, 4, 4)\n"
        "assert (r.face_ids == 0).sum() in (6, 10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HOME": str(nowhere), "XDG_CACHE_HOME": str(nowhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
