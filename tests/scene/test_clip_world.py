"""The world of a clip: up, the ground, and feet on it."""

from dataclasses import replace

import numpy as np

from exemplar.bodies import load_body
from exemplar.motion import kinematic_joints
from exemplar.scene.clip_world import spatial_median, world_of
from exemplar.skeletons import SMPL_24
from exemplar.synth.poses import turn
from tests.fixtures.made_motions import made_motion

FEET = [SMPL_24.index("left_foot"), SMPL_24.index("right_foot")]


def test_upright_people_before_a_tilted_camera_stand_on_the_ground() -> None:
    body = load_body("open")
    standing = made_motion(12)
    still = np.broadcast_to(np.eye(3), standing.body_pose.shape).copy()
    # the camera looks down by 25 degrees and is rolled by 5
    camera = turn("z", np.radians(5)) @ turn("x", np.radians(25)) @ turn("x", np.pi)
    people = tuple(
        replace(
            standing,
            frame="camera",
            body_pose=still,
            global_orient=np.stack([camera @ turn("y", 0.3 * t) for t in range(12)]),
            translation=np.full((12, 3), place),
        )
        for place in (np.array([0.0, 0.0, 3.0]), np.array([0.5, 0.2, 4.0]))
    )
    world = world_of(people, body)
    assert world is not None
    # the middle of the ankles lies a little in front of the neck: about a degree
    assert np.degrees(np.arccos(world.rotation[1] @ camera[:, 1])) < 3
    for motion in world.motions(people, body):
        assert motion.frame == "world"
        feet = kinematic_joints(motion, body)[:, FEET, 1]
        assert (feet > -0.02).all()
        assert (feet < 0.1).all()
    # a camera that stands 3 m away and looks down is above the ground
    assert world.camera_height > 1


def test_the_median_leaves_out_who_lies_down() -> None:
    up = np.tile([0.0, -1.0, 0.0], (20, 1))
    up[:6] = [1.0, 0.0, 0.0]
    assert spatial_median(up) @ np.array([0.0, -1.0, 0.0]) > 0.999


def test_nobody_has_no_world() -> None:
    assert world_of((), load_body("open")) is None
