"""A glTF scene is read as players show it, and a damaged one is one line."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest

from exemplar.bodies import load_body
from exemplar.export import write_motion_glb
from exemplar.files.glb_files import read_glb
from exemplar.skeletons import SMPL_24
from tests.fixtures.gltf_skinning import skinned
from tests.fixtures.made_motions import made_motion


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glb") / "motion.glb"
    people = {0: made_motion(5), 1: made_motion(5, seed=1)}
    write_motion_glb(people, load_body("open"), path)
    return path


def test_meshes_and_joints_move_as_a_player_moves_them(path: Path) -> None:
    times, meshes = read_glb(path, 600)
    np.testing.assert_allclose(times, np.arange(5) / 24, atol=1e-6)
    assert [mesh.name for mesh in meshes] == ["person_0", "person_1"]
    file = pygltflib.GLTF2().load(str(path))
    for mesh in meshes:
        assert mesh.joint_names == SMPL_24
        for frame, time in enumerate(times):
            vertices, joints = skinned(file, mesh.name, float(time))
            np.testing.assert_allclose(mesh.vertices[frame], vertices, atol=1e-5)
            expected = np.array([joints[name] for name in SMPL_24])
            np.testing.assert_allclose(mesh.joints[frame], expected, atol=1e-5)
    assert np.isclose(meshes[0].colour, np.array((142, 184, 242)) / 255, atol=1e-3).all()


def test_long_animations_are_thinned_from_the_first_time_to_the_last(path: Path) -> None:
    times, meshes = read_glb(path, 3)
    np.testing.assert_allclose(times, np.array([0, 2, 4]) / 24, atol=1e-6)
    assert len(meshes[0].vertices) == 3


def test_a_mesh_without_bones_stands_where_its_nodes_put_it(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    asset = {
        "nodes": [
            {"children": [1], "translation": [0, 0, 5]},
            {"mesh": 0, "rotation": [0, half, 0, half], "scale": [2, 2, 2]},
        ],
        "scenes": [{"nodes": [0]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 3}],
        "bufferViews": [{"buffer": 0}],
    }
    points = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    write(tmp_path / "a.glb", asset, points.tobytes())
    _, (mesh,) = read_glb(tmp_path / "a.glb", 600)
    # a quarter turn about y takes x to -z and z to x
    np.testing.assert_allclose(mesh.vertices[0], [[0, 0, 3], [0, 2, 5], [2, 0, 5]], atol=1e-6)
    assert mesh.faces.tolist() == [[0, 1, 2]]


def write(path: Path, asset: dict[str, Any], binary: bytes) -> None:
    text = json.dumps(asset).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def circle(asset: dict[str, Any]) -> None:
    asset["nodes"][2]["children"] = [1]


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a circle of nodes": (circle, "is no node, or in two places"),
    "a count beyond the file": (lambda a: a["accessors"][0].update(count=10**6), "beyond the end"),
    "a count beyond memory": (lambda a: a["accessors"][0].update(count=10**12), "more than"),
    "no meshes": (lambda a: [node.pop("mesh", None) for node in a["nodes"]], "no mesh"),
    "an extension": (lambda a: a.update(extensionsRequired=["KHR_draco"]), "KHR_draco"),
    "a list for a table": (lambda a: a.update(nodes={"a": 1}), "is no node"),
    "no times": (lambda a: a["animations"][0]["samplers"][0].update(input=0), "do not grow"),
    "text for a number": (lambda a: a["accessors"][3].update(count="many"), "glTF"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_scene_is_one_line(what: str, path: Path, tmp_path: Path) -> None:
    damage, expected = DAMAGES[what]
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    asset = json.loads(data[20 : 20 + size])
    damage(asset)
    write(tmp_path / "bad.glb", asset, data[28 + size :])
    with pytest.raises(ValueError, match=expected) as caught:
        read_glb(tmp_path / "bad.glb", 600)
    assert "bad.glb" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"glTF", b"solid cube", b"glTF\2\0\0\0" + bytes(30)])
def test_what_is_no_glb_is_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.glb"):
        read_glb(tmp_path / "a.glb", 600)
