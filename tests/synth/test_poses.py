"""Pose families: within the limits, not through themselves, and what their names say."""

import numpy as np
import pytest

from exemplar.bodies.open_body import load_open_body
from exemplar.skeletons import SMPL_24, indices
from exemplar.synth.config import PoseConfig
from exemplar.synth.contact import joint_frames, penetration
from exemplar.synth.poses import (
    FAMILIES,
    JOINTS,
    PoseDraw,
    axis_angle_to_rotmat,
    draw_pose,
    mirror_pose,
    pose_limits,
    rotmat_to_axis_angle,
    turn,
)

REST = load_open_body().joints_template.double().numpy()


def draws(family: str, count: int = 40) -> list[PoseDraw]:
    config = PoseConfig(families={family: 1.0})
    return [draw_pose(np.random.default_rng([7, i]), REST, config) for i in range(count)]


def world_joints(draw: PoseDraw) -> np.ndarray:
    rotmats = np.concatenate([draw.world_orient[None], axis_angle_to_rotmat(draw.body_pose)])
    return joint_frames(rotmats, REST)[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_poses_respect_the_joint_limits(family: str) -> None:
    lower, upper = pose_limits()
    for draw in draws(family, 20):
        assert (draw.body_pose >= lower - 1e-9).all()
        assert (draw.body_pose <= upper + 1e-9).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_few_bodies_run_through_themselves(family: str) -> None:
    depth = [penetration(axis_angle_to_rotmat(draw.body_pose), REST) for draw in draws(family)]
    assert np.mean(np.array(depth) > 0.02) < 0.1


def test_the_limits_are_symmetric() -> None:
    """The mirrored lower limit is the upper one where the axis flips its sign."""
    lower, upper = pose_limits()
    a, b = mirror_pose(lower), mirror_pose(upper)
    assert np.allclose(np.minimum(a, b), lower, atol=1e-5)
    assert np.allclose(np.maximum(a, b), upper, atol=1e-5)


def test_families_look_like_their_names() -> None:
    """Median heights (metres, y up) of joints tell the families apart."""

    def height(family: str, joint: str, above: str) -> float:
        rows = indices([joint, above], SMPL_24)
        return float(np.median([np.subtract(*world_joints(d)[rows, 1]) for d in draws(family)]))

    assert height("standing", "pelvis", "left_ankle") > 0.6
    assert height("sitting_chair", "pelvis", "left_knee") < 0.15
    assert height("crouching", "pelvis", "left_ankle") < 0.55
    assert abs(height("lying", "head", "pelvis")) < 0.35
    assert height("inverted", "head", "pelvis") < -0.3
    assert height("arms_overhead", "left_wrist", "head") > 0.1
    assert abs(height("all_fours", "neck", "pelvis")) < 0.3


def test_an_arm_through_the_trunk_is_penetration() -> None:
    pose = np.zeros((len(JOINTS), 3))
    assert penetration(axis_angle_to_rotmat(pose), REST) < 0
    pose[JOINTS.index("left_shoulder")] = (0, 0, -1.4)
    pose[JOINTS.index("left_elbow")] = (0, 0, -1.6)
    assert penetration(axis_angle_to_rotmat(pose), REST) > 0


def test_rotations_go_there_and_back() -> None:
    rng = np.random.default_rng(0)
    for vector in [
        *rng.normal(0, 0.9, (20, 3)),
        np.zeros(3),
        np.array([np.pi - 1e-6, 0, 0]),
        np.array([1.0, -1.0, 0.0]) * np.pi / np.sqrt(2),
    ]:
        back = rotmat_to_axis_angle(axis_angle_to_rotmat(vector))
        assert np.allclose(axis_angle_to_rotmat(back), axis_angle_to_rotmat(vector), atol=1e-6)
    for axis, unit in zip("xyz", np.eye(3), strict=True):
        assert np.allclose(turn(axis, 0.7), axis_angle_to_rotmat(0.7 * unit))
