"""Where things are on a body at rest: what garments, hair and face paint are placed by.

Rest frame: the template in T-pose, y up, facing +z, left is +x; metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exemplar.bodies.body import Body
from exemplar.skeletons import SMPL_24, SMPL_49, indices

_ARM_PARTS = ("shoulder", "elbow", "wrist", "hand")
_LEG_PARTS = ("hip", "knee", "ankle", "foot")


@dataclass(frozen=True)
class Landmarks:
    """Heights and places on the template that garments end at, metres."""

    shoulder_x: float
    """Distance of the shoulder joint from the body's middle plane."""
    elbow_x: float
    """Distance of the elbow from the body's middle plane."""
    wrist_x: float
    """Distance of the wrist from the body's middle plane."""
    neck_y: float
    """Height of the neck joint."""
    chest_y: float
    """Height of the spine3 joint."""
    waist_y: float
    """Height of the narrowest part of the trunk."""
    hip_y: float
    """Height of the hip joints."""
    knee_y: float
    """Height of the knees."""
    ankle_y: float
    """Height of the ankles."""
    ball_z: float
    """How far in front the foot joints are."""
    sole_y: float
    """Height of the floor under the feet."""
    top_y: float
    """Height of the top of the head."""
    eye: np.ndarray
    """Left eye (3,)."""
    nose: np.ndarray
    """Tip of the nose (3,)."""
    ear: np.ndarray
    """Left ear (3,)."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Rest-pose fields over the V vertices, and the mesh's neighbourhoods."""

    rest: np.ndarray
    """float32 (V, 3), the template."""
    fabric: np.ndarray
    """float32 (V, 2): (across, along) the cloth; along runs down trunk, legs and sleeves."""
    arm: np.ndarray
    """float32 (V,), share of arm joints in the skinning."""
    leg: np.ndarray
    """float32 (V,), share of leg joints."""
    head: np.ndarray
    """float32 (V,), share of neck and head."""
    faces: np.ndarray
    """int32 (F, 3)."""
    neighbour_start: np.ndarray
    """int32 (V + 1,), where each vertex's neighbours begin."""
    neighbours: np.ndarray
    """int32, vertex indices."""
    girth: np.ndarray
    """float32 (L, 4): height, half width, half depth, middle z of the body without its arms,
    from the waist down."""
    marks: Landmarks
    """Named places."""


def body_regions(body: Body) -> Regions:
    """Compute the fields from the template and its skinning weights."""
    rest = body.v_template.numpy().astype(np.float32)
    weights = body.skinning_weights.numpy()
    faces = np.ascontiguousarray(body.faces.numpy(), dtype=np.int32)
    arm = weights[:, _sided(_ARM_PARTS)].sum(1).astype(np.float32)
    leg = weights[:, _sided(_LEG_PARTS)].sum(1).astype(np.float32)
    head = weights[:, indices(("neck", "head"), SMPL_24)].sum(1).astype(np.float32)
    marks = _landmarks(body, rest)
    reach = np.maximum(np.abs(rest[:, 0]) - marks.shoulder_x, 0) * (arm > 0.05)
    side = np.sign(rest[:, 0]) * np.minimum(np.abs(rest[:, 0]), marks.shoulder_x)
    fabric = np.stack([np.where(reach > 0, side + rest[:, 2], rest[:, 0]), rest[:, 1] - reach], 1)
    start, neighbours = _adjacency(faces, len(rest))
    return Regions(
        rest=rest,
        fabric=np.ascontiguousarray(fabric, dtype=np.float32),
        arm=arm,
        leg=leg,
        head=head,
        faces=faces,
        neighbour_start=start,
        neighbours=neighbours,
        girth=_girth(rest, arm, marks),
        marks=marks,
    )


def _sided(parts: Sequence[str]) -> list[int]:
    return indices([f"{side}_{part}" for side in ("left", "right") for part in parts], SMPL_24)


def _landmarks(body: Body, rest: np.ndarray) -> Landmarks:
    joints = dict(zip(SMPL_24, body.joints_template.numpy(), strict=True))
    names = ("nose", "left_eye", "left_ear")
    rows = indices([f"op_{name}" for name in names], SMPL_49)
    face = dict(zip(names, _rest_keypoints(body)[rows], strict=True))
    return Landmarks(
        shoulder_x=float(joints["left_shoulder"][0]),
        elbow_x=float(joints["left_elbow"][0]),
        wrist_x=float(joints["left_wrist"][0]),
        neck_y=float(joints["neck"][1]),
        chest_y=float(joints["spine3"][1]),
        waist_y=float(joints["spine1"][1]),
        hip_y=float(joints["left_hip"][1]),
        knee_y=float(joints["left_knee"][1]),
        ankle_y=float(joints["left_ankle"][1]),
        ball_z=float(joints["left_foot"][2]),
        sole_y=float(rest[:, 1].min()),
        top_y=float(rest[:, 1].max()),
        eye=face["left_eye"],
        nose=face["nose"],
        ear=face["left_ear"],
    )


def _rest_keypoints(body: Body) -> np.ndarray:
    import torch

    from exemplar.bodies.body import BodyParams

    eye = torch.eye(3)
    params = BodyParams(eye, eye.expand(len(SMPL_24) - 1, 3, 3), torch.zeros(body.num_betas))
    return body.keypoints(params, "smpl49").numpy()


def _adjacency(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    start = np.searchsorted(edges[:, 0], np.arange(count + 1))
    return start.astype(np.int32), np.ascontiguousarray(edges[:, 1], dtype=np.int32)


def _girth(rest: np.ndarray, arm: np.ndarray, marks: Landmarks) -> np.ndarray:
    heights = np.linspace(marks.waist_y + 0.05, marks.ankle_y, 32)
    rows = []
    for y in heights:
        near = rest[(np.abs(rest[:, 1] - y) < 0.025) & (arm < 0.3)]
        low, high = near[:, 2].min(), near[:, 2].max()
        rows.append((y, np.abs(near[:, 0]).max(), (high - low) / 2, (high + low) / 2))
    return np.array(rows, np.float32)
