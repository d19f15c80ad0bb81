"""Biovision hierarchies: a person's skeleton and its motion as text, for animation programs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from exemplar.bodies import Body, BodyOutput
from exemplar.files.atomic_files import replacing
from exemplar.geometry.rotations import rotmat_to_euler_zxy
from exemplar.motion import Motion, kinematic_joints, rest_pose, rotmats_of, steady, y_up
from exemplar.skeletons import SMPL_24

CENTIMETRES = 100.0
"""Of a metre: BVH has no unit, and MotionBuilder and mocap libraries take it to be centimetres."""

ORDER = "ZXY"
"""Channels of a rotation: R = Rz Rx Ry."""

_PELVIS = SMPL_24.index("pelvis")


def write_bvh(motion: Motion, body: Body, path: str | Path) -> None:
    """Write a person's motion as BVH: centimetres, y up, degrees.

    The rest pose is the body's T-pose, facing +z, with the pelvis at the origin; joints are named
    as in `SMPL_24`. The pelvis has a position and all joints a rotation, ZXY. Frames are those of
    `steady`. ValueError if no frame has a body, OSError when the file cannot be written.
    """
    moving = steady(y_up(motion, body))
    rest = rest_pose(body, motion.betas)
    rotmats = rotmats_of(moving)
    order = list(_depth_first(_PELVIS, body.parents))
    values = np.concatenate(
        [
            kinematic_joints(moving, body)[:, _PELVIS] * CENTIMETRES,
            _euler_degrees(rotmats[:, order]).reshape(len(rotmats), -1),
        ],
        axis=1,
    )
    lines = ["HIERARCHY", *_hierarchy(_PELVIS, body, rest, 0), "MOTION", f"Frames: {len(values)}"]
    lines.append(f"Frame Time: {1 / moving.fps:.9f}")
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def _depth_first(joint: int, parents: tuple[int, ...]) -> Iterator[int]:
    yield joint
    for child in _children(joint, parents):
        yield from _depth_first(child, parents)


def _children(joint: int, parents: tuple[int, ...]) -> list[int]:
    return [child for child, parent in enumerate(parents) if parent == joint]


def _hierarchy(joint: int, body: Body, rest: BodyOutput, depth: int) -> list[str]:
    """The lines of a joint and those below it."""
    positions = rest.joints.numpy()
    parent, children = body.parents[joint], _children(joint, body.parents)
    bone = positions[joint] - positions[parent] if parent >= 0 else np.zeros(3)
    position = "" if parent >= 0 else "Xposition Yposition Zposition "
    rotation = " ".join(f"{axis}rotation" for axis in ORDER)
    inside = [_offset(bone), f"CHANNELS {6 if position else 3} {position}{rotation}"]
    for child in children:
        inside += _hierarchy(child, body, rest, depth + 1)
    if not children:
        tip = bone / np.linalg.norm(bone) * _reach(joint, bone, body, rest)
        inside += ["End Site", "{", "\t" + _offset(tip), "}"]
    title = f"{'JOINT' if parent >= 0 else 'ROOT'} {SMPL_24[joint]}"
    return [title, "{", *("\t" + line for line in inside), "}"]


def _offset(metres: Float[np.ndarray, "3"]) -> str:
    return "OFFSET " + " ".join(f"{value:.6f}" for value in metres * CENTIMETRES)


def _reach(joint: int, bone: Float[np.ndarray, "3"], body: Body, rest: BodyOutput) -> float:
    """How far the mesh that a joint moves goes on along the bone before it, metres."""
    own = (body.skinning_weights[:, joint] > 0.5).numpy()
    ahead = (rest.vertices.numpy()[own] - rest.joints.numpy()[joint]) @ bone
    return float(ahead.max(initial=0.0) / np.linalg.norm(bone))


def _euler_degrees(
    rotmats: Float[np.ndarray, "t joints 3 3"],
) -> Float[np.ndarray, "t joints 3"]:
    """Angles in `ORDER` about the turning axes, without jumps of a whole turn between frames."""
    angles = rotmat_to_euler_zxy(torch.from_numpy(rotmats).double())
    return np.unwrap(np.degrees(angles.numpy()), period=360.0, axis=0)
