"""A photo's glb opens as a glTF scene in metres, y up, one skinned node a person."""

from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh

from exemplar.export import write_glb
from exemplar.results import FitResult
from exemplar.skeletons import SMPL_24
from tests.fixtures.gltf_skinning import skinned
from tests.fixtures.made_results import made_result


@pytest.fixture(scope="module")
def result() -> FitResult:
    centres = [(100.0, 150.0), (300.0, 150.0)]
    return made_result(np.zeros((300, 400, 3), np.uint8), centres, 260.0, steps=1)


def scene_of(result: FitResult, folder: Path) -> trimesh.Scene:
    write_glb(result, folder / "fit.glb")
    return trimesh.load_scene(folder / "fit.glb", process=False)


def test_each_person_is_a_named_node_whose_skin_poses_it(tmp_path: Path, result: FitResult) -> None:
    """Metres, y up: the fit's vertices, turned by pi about x; float32 holds 5 micrometres."""
    assert sorted(scene_of(result, tmp_path).graph.nodes_geometry) == ["person_0", "person_1"]
    file = pygltflib.GLTF2().load(str(tmp_path / "fit.glb"))
    assert not file.animations
    for i, person in enumerate(result.people):
        vertices, joints = skinned(file, f"person_{i}")
        np.testing.assert_allclose(vertices, person.after.vertices * [1, -1, -1], atol=5e-6)
        points = np.array([joints[name] for name in SMPL_24])
        np.testing.assert_allclose(points, person.after.kinematic_joints * [1, -1, -1], atol=5e-6)


def test_the_mesh_at_rest_is_upright_and_its_normals_point_outward(
    tmp_path: Path, result: FitResult
) -> None:
    mesh = scene_of(result, tmp_path).geometry["person_0"]
    assert np.array_equal(mesh.faces, result.faces)
    assert mesh.volume > 0.03  # cubic metres; inside out it would be negative
    assert 1.2 < np.ptp(mesh.vertices[:, 1]) < 2.2
    of_faces = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).vertex_normals
    agreeing = (of_faces * mesh.vertex_normals).sum(1) > 0.9  # weighed by angles there, areas here
    assert np.mean(agreeing) > 0.95


def test_normals_are_smooth_and_in_the_file(tmp_path: Path, result: FitResult) -> None:
    write_glb(result, tmp_path / "fit.glb")
    assert b'"NORMAL"' in (tmp_path / "fit.glb").read_bytes()


def test_people_have_materials_of_their_own(tmp_path: Path, result: FitResult) -> None:
    scene = scene_of(result, tmp_path)
    colours = [scene.geometry[f"person_{i}"].visual.material.baseColorFactor for i in range(2)]
    assert not np.array_equal(colours[0], colours[1])


def test_a_scene_of_nobody_is_refused(tmp_path: Path) -> None:
    nobody = made_result(np.zeros((300, 400, 3), np.uint8), [], 260.0)
    with pytest.raises(ValueError, match="no people"):
        write_glb(nobody, tmp_path / "fit.glb")
