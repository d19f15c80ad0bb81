"""Named keypoints of the open body, as weighted means of its joints and vertices.

Kinematic keypoints are the joint itself. Those on the skin are a small patch at the extreme of a
body part, or the point of the skin at given coordinates. Those inside the body are the centre of
a ring of skin around them: where a plane, or the line along which one part of the body hands over
to the next (a level of the skinning weights), cuts the skin. Left ones are built, right ones are
their mirror images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from exemplar.skeletons import JOINT_SETS, OPENPOSE_PREFIX, SMPL_24, flip_permutation, mirror_name

Array = np.ndarray

_LIMBS: Mapping[str, str] = MappingProxyType(
    {name: f"{name}_annotated" for name in ("left_wrist", "left_knee", "left_ankle")}
)

_MEANINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "smpl49": {
            **_LIMBS,
            "op_left_wrist": "left_wrist_annotated",
            "op_left_knee": "left_knee_annotated",
            "op_left_ankle": "left_ankle_annotated",
            "op_mid_hip": "pelvis",
            "left_hip": "left_hip_annotated",
            "neck": "neck_base",
            "pelvis": "hips_annotated",
            "spine": "torso",
            "head": "skull",
        },
        "h36m17": {
            **_LIMBS,
            "pelvis": "mid_hips",
            "spine": "torso",
            "neck": "thorax",
            "head": "skull",
        },
        "coco17": {**_LIMBS, "left_hip": "left_hip_annotated"},
        "blazepose33": {
            **_LIMBS,
            "left_hip": "left_hip_annotated",
            "mouth_left": "left_mouth",
            "left_foot_index": "left_big_toe",
        },
    }
)
"""Point of the body (see `body_points`) that a keypoint is, where it has another name."""

KEYPOINT_SETS = tuple(_MEANINGS)

_EYE_CORNERS = {"inner": (-0.015, -0.003), "outer": (0.0155, -0.003)}
"""Offset of the corners of the left eye from its centre, x and y, metres."""

_MOUTH_CORNER = (0.024, -0.031)
"""The left corner of the mouth: x, and y from the tip of the nose, metres."""

_BEYOND_JOINT = {
    "wrist": ("elbow", 0.07),
    "knee": ("hip", 0.03),
    "ankle": ("knee", -0.04),
}
"""Where people and networks see a joint: on the line from the joint before it through anny's own,
beyond it by this part of the limb.

Measured on 8,603 people of LSP-extended and 499 of COCO, in the frames of the bones
(`docs/models/mobile.md`)."""

_PATCH_DEPTH = 0.006
_SKULL_BELOW_TOP = 0.05
_PINNA_SHARE = 0.9
"""The pinna is what reaches at least this share of the head's half width, ears included."""


@dataclass(frozen=True)
class Template:
    """The mean body in the T-pose, metres, and what says which part of it a vertex belongs to."""

    vertices: Array
    """(V, 3)."""
    faces: Array
    """(F, 3)."""
    joints: Array
    """(24, 3) joints in the order of `SMPL_24`."""
    weights: Array
    """(V, 24) skinning weights on the joints."""
    bone_labels: tuple[str, ...]
    """Names of anny's bones."""
    bone_weights: Array
    """(V, bones) skinning weights on them."""
    mirror: Array
    """(V,) mirror image of each vertex."""

    def joint(self, name: str) -> Array:
        """(3,) position of a joint."""
        return self.joints[SMPL_24.index(name)]

    def moved_by(self, *joints: str) -> Array:
        """(V,) share of each vertex that follows these joints."""
        return self.weights[:, [SMPL_24.index(name) for name in joints]].sum(1)

    def moved_by_bones(self, *bones: str) -> Array:
        """(V,) share of each vertex that follows these bones of anny."""
        return self.bone_weights[:, [self.bone_labels.index(name) for name in bones]].sum(1)

    def position(self, row: Array) -> Array:
        """(3,) where a keypoint, a row (24 + V,) of weights, lies."""
        return row @ np.concatenate([self.joints, self.vertices])

    def reflect(self, row: Array) -> Array:
        """The row (24 + V,) of a keypoint's mirror image."""
        image = np.concatenate([flip_permutation(SMPL_24), len(SMPL_24) + self.mirror])
        return row[image]


def keypoint_regressors(template: Template) -> dict[str, Array]:
    """For each of `KEYPOINT_SETS`, a (K, 24 + V) matrix over posed joints, then posed vertices."""
    points = body_points(template)
    out = {}
    for name in KEYPOINT_SETS:
        meaning = dict(_MEANINGS[name])
        meaning |= {mirror_name(key): mirror_name(point) for key, point in meaning.items()}
        out[name] = np.stack(
            [
                points[meaning.get(keypoint, keypoint.removeprefix(OPENPOSE_PREFIX))]
                for keypoint in JOINT_SETS[name]
            ]
        )
    return out


def body_points(template: Template) -> dict[str, Array]:
    """Every point that a keypoint may be, as a row (24 + V,) that sums to one."""
    points = {name: _on_joint(template, name) for name in SMPL_24}
    points |= _face_points(template) | _limb_points(template) | _extremity_points(template)
    for name in [name for name in points if mirror_name(name) != name and name not in SMPL_24]:
        points[mirror_name(name)] = template.reflect(points[name])
    points |= _trunk_points(template, points)
    return points


# ---------------------------------------------------------------------------- parts of the body


def _face_points(template: Template) -> dict[str, Array]:
    head = template.moved_by("head")
    nose = _patch(template, head, (0.0, 0.0, 1.0), depth=0.002)
    nose_y = template.position(nose)[1]

    eyeball = template.vertices[template.moved_by_bones("eye.L") > 0.5]
    eye = 0.5 * (eyeball.min(0) + eyeball.max(0))[:2]

    lateral = np.where(head > 0.5, template.vertices[:, 0], 0.0)
    pinna = template.vertices[lateral > _PINNA_SHARE * lateral.max()].mean(0)
    points = {
        "nose": nose,
        "left_eye": _skin_point(template, 2, eye),
        "left_ear": _skin_point(template, 0, pinna[1:]),
        "left_mouth": _skin_point(template, 2, (_MOUTH_CORNER[0], nose_y + _MOUTH_CORNER[1])),
        "head_top": _patch(template, head, (0.0, 1.0, 0.0), depth=_PATCH_DEPTH),
    }
    for corner, offset in _EYE_CORNERS.items():
        points[f"left_eye_{corner}"] = _skin_point(template, 2, eye + offset)
    return points


def _limb_points(template: Template) -> dict[str, Array]:
    """Where wrist, knee and ankle are seen. They turn with the limb before the joint alone."""
    points = {}
    for name, (before, share) in _BEYOND_JOINT.items():
        joint, other = (_on_joint(template, f"left_{each}") for each in (name, before))
        points[f"left_{name}_annotated"] = joint + share * (joint - other)
    return points


def _extremity_points(template: Template) -> dict[str, Array]:
    forward = template.joint("left_foot") - template.joint("left_ankle")
    forward = forward * [1.0, 0.0, 1.0]

    def knuckle(*bones: str) -> Array:
        return _ring(template, template.moved_by_bones(*(f"finger{bone}.L" for bone in bones)))

    def foot_end(direction: Array, *bones: str) -> Array:
        part = template.moved_by_bones(*(f"{bone}.L" for bone in bones))
        return _patch(template, part, direction, depth=_PATCH_DEPTH)

    return {
        "left_big_toe": foot_end(forward, "toe1-2"),
        "left_small_toe": foot_end(forward, "toe5-2", "toe5-3"),
        "left_heel": foot_end(-forward, "foot"),
        "left_index": knuckle("2-1", "2-2", "2-3"),
        "left_pinky": knuckle("5-1", "5-2", "5-3"),
        "left_thumb": knuckle("1-3"),
    }


def _trunk_points(template: Template, points: Mapping[str, Array]) -> dict[str, Array]:
    """Points inside the trunk and the head, built to be their own mirror images.

    Annotators put the hip between the joint's centre and the middle of the hip crease.
    """
    height = template.vertices[:, 1]
    limbs = [f"{side}_{j}" for side in ("left", "right") for j in ("shoulder", "elbow", "wrist")]
    trunk = 1.0 - template.moved_by(*limbs)
    above_neck = template.moved_by("neck", "head")
    leg = template.moved_by("left_hip", "left_knee", "left_ankle", "left_foot")

    left_hip = 0.5 * (points["left_hip"] + _ring(template, leg))
    right_hip = template.reflect(left_hip)
    mid_hips = 0.5 * (points["left_hip"] + points["right_hip"])
    thorax = _ring(template, above_neck, level=0.2)
    waist = 0.5 * (template.position(mid_hips) + template.position(thorax))[1]
    skull = template.position(points["head_top"])[1] - _SKULL_BELOW_TOP
    mouth = 0.5 * (points["left_mouth"] + points["right_mouth"])
    middle = {
        "mid_hips": mid_hips,
        "hips_annotated": 0.5 * (left_hip + right_hip),
        "thorax": thorax,
        "neck_base": _ring(template, above_neck),
        "torso": _ring(template, height, level=waist, part=trunk),
        "jaw": 0.5 * (_ring(template, template.moved_by("head")) + mouth),
        "skull": _ring(template, height, level=skull, part=template.moved_by("head")),
        "nose": points["nose"],
        "head_top": points["head_top"],
    }
    middle = {name: 0.5 * (row + template.reflect(row)) for name, row in middle.items()}
    return middle | {"left_hip_annotated": left_hip, "right_hip_annotated": right_hip}


# ---------------------------------------------------------------------------- kinds of point


def _on_joint(template: Template, name: str) -> Array:
    """The kinematic joint itself."""
    row = np.zeros(len(SMPL_24) + len(template.vertices))
    row[SMPL_24.index(name)] = 1.0
    return row


def _on_vertices(vertex_weights: Array) -> Array:
    """Weights (V,) of vertices, scaled to sum to one."""
    return np.concatenate([np.zeros(len(SMPL_24)), vertex_weights / vertex_weights.sum()])


def _patch(template: Template, part: Array, direction: Sequence[float], *, depth: float) -> Array:
    """Mean of a body part's vertices within `depth` metres of its extreme along a direction.

    `part` is (V,): a vertex belongs to it where that is over one half.
    """
    unit = np.asarray(direction) / np.linalg.norm(direction)
    along = np.where(part > 0.5, template.vertices @ unit, -np.inf)
    return _on_vertices((along > along.max() - depth).astype(float))


def _skin_point(template: Template, axis: int, at: Sequence[float]) -> Array:
    """The outermost point of the skin along a positive axis, its other two coordinates given."""
    others = [c for c in range(3) if c != axis]
    corners = template.vertices[template.faces]
    flat = corners[..., others]
    first, second, offset = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0], at - flat[:, 0]
    area = _cross(first, second)
    area[np.abs(area) < 1e-12] = np.inf
    u, v = _cross(offset, second) / area, _cross(first, offset) / area
    barycentric = np.stack([1.0 - u - v, u, v], axis=1)
    inside = (barycentric.min(1) >= 0.0) & np.isfinite(area)
    depth = np.einsum("fk,fk->f", barycentric, corners[..., axis])
    face = np.where(inside, depth, -np.inf).argmax()
    assert inside[face], "no skin there"
    weights = np.zeros(len(template.vertices))
    weights[template.faces[face]] = barycentric[face]
    return _on_vertices(weights)


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _ring(
    template: Template, field: Array, *, level: float = 0.5, part: Array | None = None
) -> Array:
    """Centre of the curve on the skin where a field (V,) has a level, weighted by length.

    With `part` (V,), only over faces all of whose corners have it over one half.
    """
    faces, vertices = template.faces, template.vertices
    value = field - level
    if part is not None:
        faces = faces[(part[faces] > 0.5).all(1)]
    weights = np.zeros(len(vertices))
    above = (value[faces] > 0).sum(1)
    for face in faces[(above > 0) & (above < 3)]:
        crossed = [
            (a, b)
            for a, b in zip(face, np.roll(face, -1), strict=True)
            if (value[a] > 0) != (value[b] > 0)
        ]
        shares = [value[a] / (value[a] - value[b]) for a, b in crossed]
        start, end = (
            (1 - share) * vertices[a] + share * vertices[b]
            for (a, b), share in zip(crossed, shares, strict=True)
        )
        length = np.linalg.norm(end - start)
        for (a, b), share in zip(crossed, shares, strict=True):
            weights[a] += length * (1 - share)
            weights[b] += length * share
    return _on_vertices(weights)
