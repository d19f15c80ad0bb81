"""glTF scenes: every person's mesh on its skeleton, moving, as 3D tools open them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from exemplar.bodies import Body, load_body
from exemplar.bodies.lbs import apply
from exemplar.export.gltf import Gltf
from exemplar.files.atomic_files import replacing
from exemplar.geometry.meshes import vertex_normals
from exemplar.geometry.rotations import rotmat_to_unitquat
from exemplar.motion import (
    Motion,
    joint_transforms,
    motions_of,
    rest_pose,
    rotmats_of,
    vertices_at,
    y_up,
)
from exemplar.results import FitResult
from exemplar.skeletons import SMPL_24

COLOURS = (
    (142, 184, 242), (247, 161, 135), (148, 212, 153), (250, 207, 117), (196, 166, 235),
    (120, 209, 209), (245, 171, 204), (212, 194, 166),
)  # fmt: skip
"""Base colours of the people's materials, RGB; people beyond the last start again."""

INFLUENCES = 4
"""Joints that move a vertex, as all programs read them; the open body has up to five."""

BINDING_FRAMES = 64
"""Frames, spread over the clip, for which the mesh at rest is made to fit."""

TO_REST = 1e-5
"""Weight of the body's own rest mesh, of a frame's: where frames leave a vertex free."""

_PELVIS = SMPL_24.index("pelvis")


def write_glb(result: FitResult, path: str | Path) -> None:
    """Write a photo's fitted bodies as `write_motion_glb` does, each in its pose.

    The frame is glTF's camera frame: the photo's camera at the origin, x right, y up, looking along
    -z. ValueError for a result without people, OSError when the file cannot be written.
    """
    if not result.people:
        raise ValueError("the result has no people, and a scene needs at least one")
    write_motion_glb(dict(enumerate(motions_of(result))), load_body(result.body), path)


def write_motion_glb(people: Mapping[int, Motion], body: Body, path: str | Path) -> None:
    """Write the people of a clip as a binary glTF scene of skinned, animated meshes.

    Metres, y up, time from the clip's first frame. Nodes are `person_0`, `person_1`, ... by the
    people's numbers, each with a skin of `SMPL_24`'s joints, which stand as in the first frame with
    a body; people without such a frame are left out. Poses are keyed in the frames with a body;
    players interpolate between them. A vertex keeps its `INFLUENCES` largest weights, and glTF has
    no pose correctives; the mesh at rest makes up for both as far as it can (`_bound_vertices`), in
    a photo altogether.

    ValueError if nobody is left; OSError when the file cannot be written.
    """
    shown = {number: motion for number, motion in people.items() if motion.seen.any()}
    if not shown:
        raise ValueError("nobody has a body in any frame, and a scene needs at least one")
    gltf = Gltf()
    joints, weights = _influences(body)
    shared = {
        "JOINTS_0": gltf.accessor(joints, "vertices"),
        "WEIGHTS_0": gltf.accessor(weights, "vertices"),
    }
    indices = gltf.accessor(body.faces.flatten().numpy().astype(np.uint32), "indices")
    roots, channels, samplers = [], [], []
    for number, motion in shown.items():
        moving = y_up(motion, body)
        vertices = _bound_vertices(moving, body, joints, weights)
        mesh = {
            "POSITION": gltf.accessor(vertices.numpy(), "vertices"),
            "NORMAL": gltf.accessor(vertex_normals(vertices, body.faces).numpy(), "vertices"),
        }
        rest = rest_pose(body, motion.betas).joints.float().numpy()
        roots += _person(
            gltf, number, body, rest, {"attributes": mesh | shared, "indices": indices}
        )
        _animate(gltf, roots[-1], moving, body, channels, samplers)
    if channels:
        gltf.add("animations", {"name": "motion", "channels": channels, "samplers": samplers})
    gltf.asset["scene"] = gltf.add("scenes", {"nodes": roots})
    with replacing(path) as temporary:
        temporary.write_bytes(gltf.to_bytes())


def _influences(
    body: Body,
) -> tuple[UInt8[np.ndarray, "v 4"], Float[np.ndarray, "v 4"]]:
    """Joints and weights of each vertex, the largest first, summing to 1; unused ones are 0."""
    weights, joints = body.skinning_weights.float().topk(INFLUENCES, dim=1)
    joints = torch.where(weights > 0, joints, 0)
    weights = weights / weights.sum(1, keepdim=True)
    return joints.numpy().astype(np.uint8), weights.numpy()


def _bound_vertices(
    motion: Motion,
    body: Body,
    joints: UInt8[np.ndarray, "v 4"],
    weights: Float[np.ndarray, "v 4"],
) -> Float[Tensor, "v 3"]:
    """The mesh at rest that comes closest to the body's in all frames, when four joints move it.

    It is the body's own where vertices have no more joints and the body has no pose correctives.
    What else there is to move goes into the rest positions, by least squares: for a photo exactly.
    """
    rest = rest_pose(body, motion.betas)
    normal = TO_REST * torch.eye(3, dtype=torch.float64).repeat(len(weights), 1, 1)
    right = TO_REST * rest.vertices.double()
    chosen, shares = torch.from_numpy(joints).long(), torch.from_numpy(weights).double()
    world, places = (values.double() for values in joint_transforms(motion, body))
    seen = np.flatnonzero(motion.seen)
    for row in seen[np.unique(np.linspace(0, len(seen) - 1, BINDING_FRAMES).astype(int))].tolist():
        offsets = places[row] - apply(world[row], rest.joints.double())
        turn = torch.einsum("vk,vkij->vij", shares, world[row, chosen])
        offset = torch.einsum("vk,vki->vi", shares, offsets[chosen])
        normal += turn.mT @ turn
        right += apply(turn.mT, torch.from_numpy(vertices_at(motion, body, row)) - offset)
    return torch.linalg.solve(normal, right).float()


def _person(
    gltf: Gltf,
    number: int,
    body: Body,
    rest: Float[np.ndarray, "24 3"],
    primitive: dict[str, Any],
) -> tuple[int, int]:
    """The nodes of a person's mesh and pelvis; the joints' nodes follow the pelvis in order."""
    name = f"person_{number}"
    colour = np.array(COLOURS[number % len(COLOURS)]) / 255
    primitive["material"] = gltf.add(
        "materials",
        {
            "name": name,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*np.round(colour, 4).tolist(), 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": 0.75,
            },
        },
    )
    mesh = gltf.add("meshes", {"name": name, "primitives": [primitive]})
    node = gltf.add("nodes", {"name": name, "mesh": mesh})
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse_bind[:, 3, :3] = -rest  # transposed: glTF's matrices lie in columns
    nodes = [node + 1 + joint for joint in range(len(rest))]
    skin = {
        "name": f"{name}_skeleton",
        "joints": nodes,
        "skeleton": nodes[_PELVIS],
        "inverseBindMatrices": gltf.accessor(inverse_bind.reshape(-1, 16)),
    }
    gltf.asset["nodes"][node]["skin"] = gltf.add("skins", skin)
    for joint, (joint_name, parent) in enumerate(zip(SMPL_24, body.parents, strict=True)):
        bone = rest[joint] - (rest[parent] if parent >= 0 else 0)
        entry: dict[str, Any] = {"name": joint_name, "translation": bone.tolist()}
        children = [nodes[c] for c, above in enumerate(body.parents) if above == joint]
        if children:
            entry["children"] = children
        gltf.add("nodes", entry)
    return node, nodes[_PELVIS]


def _animate(
    gltf: Gltf,
    pelvis: int,
    motion: Motion,
    body: Body,
    channels: list[dict[str, Any]],
    samplers: list[dict[str, Any]],
) -> None:
    """Put a person's joints into the first pose, and key all of them if there are several."""
    seen = motion.seen
    turns = _smooth_quaternions(rotmats_of(motion)[seen])
    places = joint_transforms(motion, body)[1].float().numpy()[seen, _PELVIS]
    nodes = gltf.asset["nodes"]
    nodes[pelvis]["translation"] = places[0].tolist()
    for joint in range(len(SMPL_24)):
        nodes[pelvis + joint]["rotation"] = turns[0, joint].tolist()
    if len(places) == 1:
        return
    times = gltf.accessor((motion.times[seen] - motion.times[0]).astype(np.float32))
    keyed = [("translation", pelvis, places)]
    keyed += [("rotation", pelvis + j, turns[:, j]) for j in range(len(SMPL_24))]
    for path, node, values in keyed:
        target = {"node": node, "path": path}
        channels.append({"sampler": len(samplers), "target": target})
        samplers.append(
            {"input": times, "output": gltf.accessor(values), "interpolation": "LINEAR"}
        )


def _smooth_quaternions(
    rotmats: Float[np.ndarray, "t joints 3 3"],
) -> Float[np.ndarray, "t joints 4"]:
    """Unit quaternions (x, y, z, w), of the two signs the one near the frame before."""
    quaternions = rotmat_to_unitquat(torch.from_numpy(rotmats).double()).numpy()
    turned_over = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True) < 0
    quaternions[1:] *= np.cumprod(np.where(turned_over, -1.0, 1.0), axis=0)
    return quaternions.astype(np.float32)
