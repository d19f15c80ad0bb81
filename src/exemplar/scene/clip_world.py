"""The world that a camera at rest stands in, told by the people in front of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from exemplar.bodies import Body, BodyParams
from exemplar.geometry.rigs import LensCamera
from exemplar.motion import Motion, kinematic_joints, turned
from exemplar.skeletons import OPENPOSE_PREFIX, SMPL_24, SMPL_49

SOLES = tuple(
    SMPL_49.index(f"{OPENPOSE_PREFIX}{side}_{part}")
    for side in ("left", "right")
    for part in ("big_toe", "small_toe", "heel")
)
"""Rows of the 49 joints that touch the ground."""

LOWEST_SHARE = 0.1
"""Share of a person's frames whose lowest point may lie below the ground: a lower one is noise."""

_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class World:
    """A world of y up, metres, the camera above its origin, looking towards -z."""

    rotation: Float[np.ndarray, "3 3"]
    """Camera's axes to the world's."""
    camera_height: float
    """Of the camera above the ground, metres: by the person who is seen most."""
    lifts: tuple[float, ...]
    """By how much each person is moved up beyond that, metres, so that their feet touch the
    ground: nothing tells it better than them where the sizes of people are not known."""

    def camera(self, motion: Motion, name: str) -> LensCamera:
        """The camera of a motion of the camera's frame, in the world."""
        assert motion.camera is not None
        intrinsics = np.diag([motion.camera.focal, motion.camera.focal, 1.0])
        intrinsics[:2, 2] = motion.camera.principal_point
        away = -self.rotation.T @ np.array([0.0, self.camera_height, 0.0])
        size = motion.camera.image_size
        return LensCamera(name, intrinsics, self.rotation.T, away, np.zeros(0), size)

    def motions(self, motions: Sequence[Motion], body: Body) -> tuple[Motion, ...]:
        """Motions of the camera's frame in the world."""
        out = []
        for motion, lift in zip(motions, self.lifts, strict=True):
            global_orient, translation = turned(motion, body, self.rotation)
            raised = translation + np.array([0.0, self.camera_height + lift, 0.0])
            out.append(
                replace(motion, global_orient=global_orient, translation=raised, frame="world")
            )
        return tuple(out)


def world_of(motions: Sequence[Motion], body: Body) -> World | None:
    """The world of a clip's people (camera's frame); None if there are none.

    Up is the direction to which their trunks and legs point most: the spatial median (Weiszfeld
    1937) over people and frames of the way from the middle of the ankles to the neck. The ground
    is where the lowest point of their feet mostly is.
    """
    seen = [motion for motion in motions if motion.seen.any()]
    if not seen:
        return None
    up = spatial_median(np.concatenate([_standing(motion, body) for motion in seen]))
    # the camera keeps its heading: the world's x axis is the picture's, made level
    across = np.array([1.0, 0.0, 0.0]) - up * up[0]
    across = across / np.linalg.norm(across)
    rotation = np.stack((across, up, np.cross(across, up)))
    heights = [_ground(motion, body, rotation) for motion in motions]
    return World(rotation, -heights[0], tuple(heights[0] - height for height in heights))


def spatial_median(directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"]:
    """The unit vector to which the sum of distances is least."""
    found = directions.mean(0)
    for _ in range(50):
        weights = 1 / np.maximum(np.linalg.norm(directions - found, axis=1), 1e-3)
        found = (weights[:, None] * directions).sum(0) / weights.sum()
    length = float(np.linalg.norm(found))
    return found / length if length > 0.1 else _UP


def _standing(motion: Motion, body: Body) -> Float[np.ndarray, "t 3"]:
    joints = kinematic_joints(motion, body)[motion.seen]
    ankles = [SMPL_24.index("left_ankle"), SMPL_24.index("right_ankle")]
    way = joints[:, SMPL_24.index("neck")] - joints[:, ankles].mean(1)
    return way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)


def _ground(motion: Motion, body: Body, rotation: Float[np.ndarray, "3 3"]) -> float:
    """Height of the ground under a person, metres above the camera."""
    rows = motion.seen
    tensors = [
        torch.from_numpy(values).to(body.v_template)
        for values in (
            motion.global_orient[rows],
            motion.body_pose[rows],
            np.broadcast_to(motion.betas, (int(rows.sum()), len(motion.betas))).copy(),
            motion.translation[rows],
        )
    ]
    if not len(tensors[0]):
        return 0.0
    joints = body.keypoints(BodyParams(*tensors), "smpl49")
    known = [row for row in SOLES if body.available("smpl49")[row] > 0]
    heights = joints[:, known].double().cpu().numpy() @ rotation[1]
    return float(np.quantile(heights.min(1), LOWEST_SHARE))
