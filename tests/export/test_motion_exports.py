"""Files of a motion, read by programs that are not ours: joints, meshes, axes, units, rates.

Tolerances are 1 mm unless said otherwise: what users are promised; most files hold far less.
"""

import csv
from dataclasses import replace
from pathlib import Path

import bvhio
import numpy as np
import pygltflib
import pytest
import roma
import torch
import trimesh

from exemplar.bodies import Body, BodyParams, load_open_body
from exemplar.bodies.body import BodyArrays
from exemplar.export import (
    write_amass,
    write_bvh,
    write_csv,
    write_mesh,
    write_motion_glb,
    write_trc,
)
from exemplar.motion import MISSING, Motion, kinematic_joints, steady, vertices_at, y_up
from exemplar.skeletons import SMPL_24, SMPL_24_PARENTS
from tests.fixtures.gltf_skinning import array_of, skinned
from tests.fixtures.made_motions import made_motion

BODY = load_open_body()
MILLIMETRE = 1e-3
FRAMES = (0, 5, 11)
FRAMES_OF_WHICH = ["camera", "world"]


def true_joints(motion: Motion) -> np.ndarray:
    """The joints with y up, by the body itself."""
    return kinematic_joints(motion, BODY) * ([1, -1, -1] if motion.frame == "camera" else 1)


def true_vertices(motion: Motion, row: int) -> np.ndarray:
    return vertices_at(motion, BODY, row) * ([1, -1, -1] if motion.frame == "camera" else 1)


def with_gap(motion: Motion, *rows: int) -> Motion:
    return replace(
        motion,
        status=tuple(MISSING if i in rows else one for i, one in enumerate(motion.status)),
    )


def worst(found: np.ndarray, true: np.ndarray) -> float:
    assert found.shape == true.shape
    return float(np.linalg.norm(found - true, axis=-1).max())


# BVH


def bvh_joints(path: Path, frame: int) -> dict[str, np.ndarray]:
    """World positions of a frame, metres, by bvhio."""
    root = bvhio.readAsHierarchy(str(path))
    root.loadPose(frame)
    return {joint.Name: np.array(joint.PositionWorld) / 100 for joint, _, _ in root.layout()}


@pytest.mark.parametrize("frame", FRAMES_OF_WHICH)
def test_bvh_moves_the_joints_as_the_body_does(tmp_path: Path, frame) -> None:
    motion = made_motion(frame=frame)
    write_bvh(motion, BODY, tmp_path / "a.bvh")
    for row in FRAMES:
        found = bvh_joints(tmp_path / "a.bvh", row)
        assert set(found) == set(SMPL_24)
        points = np.array([found[name] for name in SMPL_24])
        assert worst(points, true_joints(motion)[row]) < MILLIMETRE


def test_bvh_has_a_t_pose_with_y_up_and_the_rate(tmp_path: Path) -> None:
    write_bvh(made_motion(fps=30.0), BODY, tmp_path / "a.bvh")
    file = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    assert file.FrameCount == 12
    assert file.FrameTime == pytest.approx(1 / 30, abs=1e-8)
    rest: dict[str, np.ndarray] = {}

    def walk(joint, above: np.ndarray) -> None:
        rest[joint.Name] = above + np.array(joint.Offset)
        for child in joint.Children:
            walk(child, rest[joint.Name])

    walk(file.Root, np.zeros(3))
    assert file.Root.Name == "pelvis"
    assert list(file.Root.Channels[3:]) == ["Zrotation", "Xrotation", "Yrotation"]
    assert 50 < rest["head"][1] < 80  # centimetres above the pelvis
    assert rest["left_ankle"][1] < -60
    assert rest["left_wrist"][0] > 50  # the left is on +x: it faces +z
    assert abs(rest["left_wrist"][1] - rest["left_shoulder"][1]) < 5
    assert rest["left_foot"][2] > rest["left_ankle"][2]
    tips = [joint.EndSite for joint, _, _ in file.Root.layout() if not joint.Children]
    assert len(tips) == 5
    assert all(2 < np.linalg.norm(np.array(tip)) < 30 for tip in tips)


def test_bvh_bridges_gaps(tmp_path: Path) -> None:
    motion = with_gap(made_motion(frames=20, fps=50.0), 7, 8)
    write_bvh(motion, BODY, tmp_path / "a.bvh")
    root = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    assert root.FrameCount == 20
    found = bvh_joints(tmp_path / "a.bvh", 7)
    points = np.array([found[name] for name in SMPL_24])
    assert worst(points, true_joints(steady(motion))[7]) < MILLIMETRE
    assert worst(points, true_joints(motion)[7]) < 0.01


def test_angles_of_a_bvh_do_not_jump(tmp_path: Path) -> None:
    """A somersault about the vertical, twice: the angle grows to 720 degrees."""
    motion = made_motion(frames=40, frame="world")
    angles = np.linspace(0, 4 * np.pi, 40)
    turns = roma.rotvec_to_rotmat(torch.tensor([[0.0, a, 0.0] for a in angles])).numpy()
    write_bvh(replace(motion, global_orient=turns), BODY, tmp_path / "a.bvh")
    lines = (tmp_path / "a.bvh").read_text().splitlines()[-40:]
    values = np.array([[float(value) for value in line.split()] for line in lines])
    assert values[-1, 5] == pytest.approx(720, abs=1e-3)
    assert np.abs(np.diff(values[:, 3:6], axis=0)).max() < 20


# glTF


@pytest.mark.parametrize("frame", FRAMES_OF_WHICH)
def test_glb_moves_joints_and_vertices_as_the_body_does(tmp_path: Path, frame) -> None:
    """Vertices of five joints keep four: those 4 % may be off when every joint turns by radians."""
    loses = ((BODY.skinning_weights > 0).sum(1) > 4).numpy()
    assert loses.mean() < 0.05
    people = [made_motion(frame=frame), made_motion(frame=frame, seed=1)]
    write_motion_glb(dict(enumerate(people)), BODY, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    for i, motion in enumerate(people):
        for row in FRAMES:
            vertices, joints = skinned(file, f"person_{i}", motion.times[row])
            points = np.array([joints[name] for name in SMPL_24])
            assert worst(points, true_joints(motion)[row]) < 1e-5
            true = true_vertices(motion, row)
            assert worst(vertices[~loses], true[~loses]) < 1e-5
            off = np.linalg.norm(vertices - true, axis=1)
            assert np.mean(off < MILLIMETRE) > 0.99
            assert off.max() < 0.012
        standing, _ = skinned(file, f"person_{i}", None)
        keyed, _ = skinned(file, f"person_{i}", motion.times[0])
        assert worst(standing, keyed) < 1e-5


def test_glb_is_a_valid_scene_for_a_second_reader(tmp_path: Path) -> None:
    write_motion_glb({0: made_motion(), 1: made_motion(seed=1)}, BODY, tmp_path / "a.glb")
    scene = trimesh.load_scene(tmp_path / "a.glb", process=False)
    assert sorted(scene.graph.nodes_geometry) == ["person_0", "person_1"]
    mesh = scene.geometry["person_0"]
    assert np.array_equal(mesh.faces, BODY.faces.numpy())
    assert mesh.volume > 0.03  # cubic metres; inside out it would be negative
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    assert file.accessors[0].componentType == pygltflib.UNSIGNED_BYTE
    assert all(view.byteOffset % 4 == 0 for view in file.bufferViews)
    assert file.buffers[0].byteLength == len(file.binary_blob())


def test_glb_keys_the_frames_with_a_body_at_their_times(tmp_path: Path) -> None:
    motion = with_gap(made_motion(frames=6, fps=10.0), 0, 3)
    write_motion_glb({0: replace(motion, times=motion.times + 7)}, BODY, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    times = array_of(file, file.animations[0].samplers[0].input)[:, 0]
    np.testing.assert_allclose(times, [0.1, 0.2, 0.4, 0.5], atol=1e-6)
    vertices, _ = skinned(file, "person_0", times[2])
    off = np.linalg.norm(vertices - true_vertices(motion, 4), axis=1)
    assert np.mean(off < MILLIMETRE) > 0.99


def test_quaternions_of_a_glb_keep_to_one_side(tmp_path: Path) -> None:
    """Two whole turns about x: the sign of each quaternion is the one before's."""
    angles = np.linspace(0, 4 * np.pi, 40)
    turns = roma.rotvec_to_rotmat(torch.tensor([[a, 0.0, 0.0] for a in angles])).numpy()
    motion = replace(made_motion(frames=40, frame="world"), global_orient=turns)
    write_motion_glb({0: motion}, BODY, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    for sampler in file.animations[0].samplers[1:]:
        values = array_of(file, sampler.output)
        assert ((values[1:] * values[:-1]).sum(1) > 0).all()


def corrected_body() -> Body:
    """The open body with made-up pose correctives of centimetres."""
    posedirs = torch.randn(len(BODY.v_template), 3, 9 * (len(SMPL_24) - 1)) * 0.01
    names = ("v_template", "shapedirs", "joints_template", "joints_shapedirs", "skinning_weights")
    arrays = {name: getattr(BODY, name) for name in (*names, "faces")}
    return Body(
        BodyArrays(**arrays, posedirs=posedirs, parents=SMPL_24_PARENTS, regressors={}), name="made"
    )


def test_pose_correctives_are_exact_in_a_still_glb(tmp_path: Path) -> None:
    body, motion = corrected_body(), made_motion(frames=1, frame="world")
    write_motion_glb({0: motion}, body, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    assert not file.animations
    vertices, _ = skinned(file, "person_0", None)
    true = vertices_at(motion, body, 0)
    assert worst(true, true_vertices(motion, 0)) > 0.01
    assert worst(vertices, true) < 1e-5


def test_a_glb_leaves_out_who_has_no_body(tmp_path: Path) -> None:
    gone = with_gap(made_motion(frames=2), 0, 1)
    write_motion_glb({0: gone, 3: made_motion(frames=2)}, BODY, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    assert [node.name for node in file.nodes if node.mesh is not None] == ["person_3"]
    for nobody in ({}, {0: gone}):
        with pytest.raises(ValueError, match="nobody has a body"):
            write_motion_glb(nobody, BODY, tmp_path / "b.glb")
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


# AMASS


@pytest.mark.parametrize("frame", FRAMES_OF_WHICH)
def test_amass_poses_a_body_with_z_up(tmp_path: Path, frame) -> None:
    """Without the last two joints, which SMPL+H has not: fingers are at rest."""
    motion = made_motion(frame=frame, fps=60.0)
    write_amass(motion, BODY, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        data = dict(file)
    assert data["poses"].shape == (12, 156)
    assert data["betas"].shape == (16,)
    assert data["mocap_framerate"] == 60.0
    assert data["gender"] == "neutral"
    assert data["body"] == "open"
    rotmats = roma.rotvec_to_rotmat(torch.from_numpy(data["poses"][:, :66]).reshape(12, 22, 3))
    hands = torch.eye(3).expand(12, 2, 3, 3)
    params = BodyParams(
        rotmats[:, 0].float(),
        torch.cat([rotmats[:, 1:].float(), hands], dim=1),
        torch.from_numpy(data["betas"][: BODY.num_betas]).float().expand(12, -1),
        torch.from_numpy(data["trans"]).float(),
    )
    y_up_joints = true_joints(motion)
    z_up = np.stack([y_up_joints[..., 0], -y_up_joints[..., 2], y_up_joints[..., 1]], axis=-1)
    assert worst(BODY(params).joints.numpy(), z_up) < MILLIMETRE
    if frame == "world":
        head, pelvis = SMPL_24.index("head"), SMPL_24.index("pelvis")
        assert (z_up[:, head, 2] > z_up[:, pelvis, 2]).all()


# tables


def test_trc_is_what_opensim_reads(tmp_path: Path) -> None:
    motion = with_gap(made_motion(), 4)
    write_trc(motion, BODY, tmp_path / "a.trc")
    lines = [line.split("\t") for line in (tmp_path / "a.trc").read_text().splitlines()]
    assert lines[0] == ["PathFileType", "4", "(X/Y/Z)", "a.trc"]
    settings = dict(zip(lines[1], lines[2], strict=True))
    assert settings == {
        "DataRate": "24", "CameraRate": "24", "NumFrames": "12", "NumMarkers": "24", "Units": "m",
        "OrigDataRate": "24", "OrigDataStartFrame": "1", "OrigNumFrames": "12",
    }  # fmt: skip
    assert lines[3][:2] == ["Frame#", "Time"]
    assert tuple(lines[3][2::3]) == SMPL_24
    assert lines[4][2:5] == ["X1", "Y1", "Z1"]
    assert lines[4][-1] == "Z24"
    assert lines[5] == [""]
    rows = lines[6:]
    assert {len(row) for row in rows} == {2 + 3 * 24} == {len(lines[3])}
    assert [row[0] for row in rows] == [str(i + 1) for i in range(12)]
    np.testing.assert_allclose([float(row[1]) for row in rows], motion.times, atol=1e-6)
    assert set(rows[4][2:]) == {""}
    del rows[4]
    points = np.array([row[2:] for row in rows], float).reshape(11, 24, 3)
    assert worst(points, np.delete(true_joints(motion), 4, axis=0)) < 1e-5


def test_csv_has_a_row_for_each_person_and_frame(tmp_path: Path) -> None:
    people = [made_motion(), with_gap(made_motion(seed=1), 2)]
    write_csv(dict(enumerate(people)), BODY, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    for row in rows:
        motion, frame = people[int(row["person"])], int(row["frame"])
        assert row["status"] == motion.status[frame]
        assert float(row["time"]) == pytest.approx(motion.times[frame], abs=1e-6)
        if row["status"] == MISSING:
            assert row["pelvis_x"] == ""
            continue
        points = np.array([[float(row[f"{name}_{axis}"]) for axis in "xyz"] for name in SMPL_24])
        assert worst(points, true_joints(motion)[frame]) < 1e-5
    assert [row["status"] for row in rows].count(MISSING) == 1


# meshes


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_meshes_are_the_bodies(tmp_path: Path, suffix: str) -> None:
    motion = made_motion()
    write_mesh(y_up(motion, BODY), BODY, 5, tmp_path / f"a.{suffix}")
    mesh = trimesh.load_mesh(tmp_path / f"a.{suffix}", process=False)
    assert worst(np.asarray(mesh.vertices), true_vertices(motion, 5)) < 1e-5
    assert np.array_equal(mesh.faces, BODY.faces.numpy())
