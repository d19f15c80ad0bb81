"""A cheap check that a body does not run through itself: capsules around bones."""

from functools import cache

import numpy as np

from exemplar.skeletons import SMPL_24, SMPL_24_PARENTS, indices

_CAPSULES = {
    "trunk": ("pelvis", "neck", 0.085),
    "head": ("neck", "head", 0.075),
    "left_upper_arm": ("left_shoulder", "left_elbow", 0.035),
    "right_upper_arm": ("right_shoulder", "right_elbow", 0.035),
    "left_forearm": ("left_elbow", "left_hand", 0.03),
    "right_forearm": ("right_elbow", "right_hand", 0.03),
    "left_thigh": ("left_hip", "left_knee", 0.055),
    "right_thigh": ("right_hip", "right_knee", 0.055),
    "left_shin": ("left_knee", "left_foot", 0.04),
    "right_shin": ("right_knee", "right_foot", 0.04),
}
"""Ends and radius in metres; radii are two thirds of the flesh, since flesh gives way."""

_PAIRS = (
    ("left_forearm", "trunk"), ("right_forearm", "trunk"), ("left_forearm", "head"),
    ("right_forearm", "head"), ("left_forearm", "right_forearm"), ("left_forearm", "left_thigh"),
    ("left_forearm", "right_thigh"), ("right_forearm", "left_thigh"),
    ("right_forearm", "right_thigh"), ("left_upper_arm", "right_forearm"),
    ("right_upper_arm", "left_forearm"), ("left_shin", "right_shin"),
    ("left_shin", "right_thigh"), ("right_shin", "left_thigh"), ("left_shin", "trunk"),
    ("right_shin", "trunk"), ("left_forearm", "left_shin"), ("left_forearm", "right_shin"),
    ("right_forearm", "left_shin"), ("right_forearm", "right_shin"), ("left_shin", "head"),
    ("right_shin", "head"), ("left_upper_arm", "head"), ("right_upper_arm", "head"),
)  # fmt: skip

_STEPS = np.linspace(0.0, 1.0, 6)


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    names = list(_CAPSULES)
    ends = np.array([indices(_CAPSULES[name][:2], SMPL_24) for name in names])
    radii = np.array([_CAPSULES[name][2] for name in names])
    pairs = np.array([[names.index(a), names.index(b)] for a, b in _PAIRS])
    return ends, radii, pairs[:, 0], pairs[:, 1]


def joint_frames(rotmats: np.ndarray, rest_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (24, 3, 3) and positions (24, 3) of the joints; the root stays in place.

    Args:
        rotmats: (24, 3, 3) relative to the parent, the root's first.
        rest_joints: (24, 3), metres.
    """
    world, position = np.empty_like(rotmats), np.empty_like(rest_joints)
    world[0], position[0] = rotmats[0], rest_joints[0]
    for joint, parent in enumerate(SMPL_24_PARENTS[1:], start=1):
        bone = rest_joints[joint] - rest_joints[parent]
        position[joint] = position[parent] + world[parent] @ bone
        world[joint] = world[parent] @ rotmats[joint]
    return world, position


def penetration(body_pose: np.ndarray, rest_joints: np.ndarray) -> float:
    """How deep the worst pair of limbs overlaps in body_pose (23, 3, 3), metres; <= 0 for none."""
    ends, radii, first, second = _tables()
    rotmats = np.concatenate([np.eye(3)[None], body_pose])
    _, joints = joint_frames(rotmats, rest_joints)
    start, stop = joints[ends[:, 0]], joints[ends[:, 1]]
    points = start[:, None] + (stop - start)[:, None] * _STEPS[:, None]
    apart = points[first][:, :, None] - points[second][:, None, :]
    nearest = np.sqrt((apart**2).sum(-1).min((1, 2)))
    return float((radii[first] + radii[second] - nearest).max())
