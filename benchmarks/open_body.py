"""How far the shipped open body is from `anny`, the model it was made from.

Adults that the shape space has not seen are posed by anny's own skinning of 104 bones and by the
open body with its 24 joints and 10 betas; errors are distances between corresponding points, in
millimetres. Run from the repository root, after `scripts.export_open_body` with the same cache:

    python -m benchmarks.open_body --poses poses.npz
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
import tyro

from benchmarks.common import write_results
from exemplar.bodies.body import Body, BodyParams
from exemplar.bodies.open_body import load_open_body
from exemplar.skeletons import SMPL_24, SMPL_24_PARENTS, indices
from scripts import anny_bodies
from scripts.anny_bodies import Array
from scripts.export_open_body import (
    Correspondence,
    closest_on_mesh,
    drop_tongue,
    load_correspondence,
)

EXTREMITIES = ("left_hand", "right_hand", "left_foot", "right_foot")


@dataclass(frozen=True)
class ComparisonConfig:
    """What is compared."""

    cache_dir: Path = Path(tempfile.gettempdir()) / "open_body_cache"
    """The export's cache: anny's files and where the vertices lie on anny's surface."""
    poses: Path | None = None
    """npz with `poses` (N, 24, 3) axis-angle in SMPL's joints; without it, random poses only."""
    bodies: int = 200
    """Held-out adults, half in poses of the file and half in random ones."""
    random_angle: float = 0.3
    """Standard deviation of each component of a random pose, radians."""
    seed: int = 1
    """Seed of bodies and poses; the export's is 0."""
    output: Path | None = None
    """JSON file written."""


@dataclass(frozen=True)
class HeldOut:
    """Adults that the shape space has not seen."""

    phenotypes: dict[str, Array]
    """(N,) each."""
    rest_rotmat: Array
    """(N, 24, 3, 3) from anny's A-pose to the T-pose."""
    full: Array
    """(N, P, 3) T-posed, on anny's own vertices."""
    vertices: Array
    """(N, V, 3) T-posed, on the open body's vertices."""
    joints: Array
    """(N, 24, 3) T-posed."""
    betas: Array
    """(N, B) that come closest on the vertices."""


def hold_out(
    model: Any, body: Body, corresponding: Correspondence, config: ComparisonConfig
) -> HeldOut:
    """Sample adults and find their betas."""
    rng = np.random.default_rng(config.seed)
    phenotypes = anny_bodies.sample_phenotypes(model, config.bodies, rng)
    rest_vertices, rest_joints = anny_bodies.rest_bodies(model, phenotypes)
    rest_rotmat = anny_bodies.t_pose_rotations(rest_joints)
    joints, transforms = anny_bodies.forward_kinematics(rest_rotmat, rest_joints)
    full = anny_bodies.skin(rest_vertices, transforms, anny_bodies.joint_weights(model))
    vertices = corresponding.transfer(full)
    offsets = (vertices - body.v_template.numpy()).reshape(config.bodies, -1)
    directions = body.shapedirs.numpy().reshape(-1, body.num_betas)
    betas = np.linalg.lstsq(directions, offsets.T, rcond=None)[0].T
    return HeldOut(phenotypes, rest_rotmat, full, vertices, joints, betas)


def pose_sets(config: ComparisonConfig) -> dict[str, tuple[slice, Array]]:
    """By name, which bodies take which axis-angle poses (N, 24, 3).

    Random poses are also run with hands and feet at rest, which anny turns finger by finger.
    """
    rng = np.random.default_rng(config.seed)
    count = config.bodies if config.poses is None else config.bodies // 2
    poses = config.random_angle * rng.standard_normal((count, len(SMPL_24), 3))
    still = poses.copy()
    still[:, indices(EXTREMITIES, SMPL_24)] = 0.0
    out = {
        "random poses": (slice(count), poses),
        "random poses, fingers and toes still": (slice(count), still),
    }
    if config.poses is not None:
        with np.load(config.poses, allow_pickle=False) as file:
            known = file["poses"].astype(np.float64)
        chosen = known[rng.choice(len(known), config.bodies - count, replace=False)]
        out["poses of the file"] = (slice(count, config.bodies), chosen)
    return out


def world_rotations(rotmat: Array) -> Array:
    """Chain (N, 24, 3, 3) rotations relative to the parents into world rotations."""
    world = rotmat.copy()
    for joint, parent in enumerate(SMPL_24_PARENTS):
        if parent >= 0:
            world[:, joint] = world[:, parent] @ rotmat[:, joint]
    return world


def posing_errors(
    model: Any,
    body: Body,
    held_out: HeldOut,
    corresponding: Correspondence,
    rows: slice,
    pose: Array,
) -> dict[str, float]:
    """Errors (mm) of some of the bodies in poses (N, 24, 3), and their part due to skinning."""
    rotmat = roma.rotvec_to_rotmat(torch.as_tensor(pose))
    phenotypes = {name: values[rows] for name, values in held_out.phenotypes.items()}
    world = world_rotations(rotmat.numpy())
    full, joints = anny_bodies.pose_anny(model, phenotypes, held_out.rest_rotmat[rows], world)
    target = corresponding.transfer(full)

    betas = torch.as_tensor(held_out.betas[rows], dtype=torch.float32)
    rotmat = rotmat.float()
    posed = body(BodyParams(rotmat[:, 0], rotmat[:, 1:], betas))
    _, transforms = anny_bodies.forward_kinematics(world, held_out.joints[rows].astype(float))
    exact = anny_bodies.skin(held_out.vertices[rows], transforms, body.skinning_weights.numpy())
    vertex = 1000 * np.linalg.norm(posed.vertices.numpy() - target, axis=-1)
    return {
        **summary("vertices", vertex),
        "vertices_worst_body": float(vertex.mean(1).max()),
        "joints_mean": float(1000 * np.linalg.norm(posed.joints.numpy() - joints, axis=-1).mean()),
        **summary("skinning", 1000 * np.linalg.norm(exact - target, axis=-1)),
    }


def shape_errors(body: Body, held_out: HeldOut) -> dict[str, float]:
    """Errors (mm) of the T-pose that 10 betas and linear joints leave."""
    betas = torch.as_tensor(held_out.betas, dtype=torch.float32)
    vertices = body.v_template + torch.einsum("vcb,nb->nvc", body.shapedirs, betas)
    joints = body.joints_template + torch.einsum("jcb,nb->njc", body.joints_shapedirs, betas)
    return {
        **summary("vertices", 1000 * np.linalg.norm(vertices.numpy() - held_out.vertices, axis=-1)),
        "joints_mean": float(
            1000 * np.linalg.norm(joints.numpy() - held_out.joints, axis=-1).mean()
        ),
    }


def decimation_errors(
    model: Any, body: Body, held_out: HeldOut, *, count: int = 5
) -> dict[str, float]:
    """Distances (mm) from anny's T-posed vertices to the surface of the decimated body."""
    faces = body.faces.numpy()
    anny_faces = drop_tongue(held_out.full[0], model.get_triangular_faces().numpy())
    used = np.unique(anny_faces)
    distances = [
        closest_on_mesh(held_out.full[i, used], held_out.vertices[i], faces)[2]
        for i in range(count)
    ]
    return summary("surface", 1000 * np.concatenate(distances))


def summary(name: str, errors: Array) -> dict[str, float]:
    """Mean, 95th and 99th percentile and maximum."""
    return {
        f"{name}_mean": float(errors.mean()),
        f"{name}_p95": float(np.percentile(errors, 95)),
        f"{name}_p99": float(np.percentile(errors, 99)),
        f"{name}_max": float(errors.max()),
    }


def compare(config: ComparisonConfig) -> dict[str, dict[str, float]]:
    """All errors, millimetres."""
    body = load_open_body()
    model = anny_bodies.load_anny(config.cache_dir)
    corresponding = load_correspondence(config.cache_dir)
    held_out = hold_out(model, body, corresponding, config)
    errors = {"decimation": decimation_errors(model, body, held_out)}
    errors["shape"] = shape_errors(body, held_out)
    for name, (rows, poses) in pose_sets(config).items():
        errors[name] = posing_errors(model, body, held_out, corresponding, rows, poses)
    return errors


def main(config: ComparisonConfig) -> None:
    """Print the table and write the JSON."""
    torch.set_num_threads(1)
    with torch.no_grad():
        errors = compare(config)
    for name, values in errors.items():
        print(name)
        for key, value in values.items():
            print(f"  {key:20s} {value:7.2f} mm")
    rounded = {k: {n: round(v, 3) for n, v in e.items()} for k, e in errors.items()}
    results = {"unit": "mm", "anny": anny_bodies.anny_version(), "errors": rounded}
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(ComparisonConfig, description=__doc__))
