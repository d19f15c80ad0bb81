"""Give the open body children and extreme builds, and a population to tell whom to expect.

What `scripts.export_open_body` wrote stays as it is, number for number: the networks predict its
ten shapes. Added to `src/exemplar/assets/open_body.npz` are

- `further_shapedirs` and `further_joints_shapedirs`, shapes after the ten. The first goes from the
  mean adult to the mean child; the others are principal directions of what that and the ten leave
  of people of all ages and builds;
- `people_age` (years), `people_gender` (0 male, 1 female), `people_height` (metres) and
  `people_betas`: a population of evenly spread ages, whose heights follow the World Health
  Organization's by way of `anny`.

Run from the repository root, after the export and with its cache:

    python -m scripts.extend_open_body
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from scripts import anny_bodies
from scripts.anny_bodies import Array
from scripts.export_open_body import Correspondence, load_correspondence

OLDEST = 90.0
"""Years."""

CHILDHOOD = 12.0
"""Years: whom the first added shape is the mean of."""

_ADDED = ("further_", "people_")


@dataclass(frozen=True)
class ExtensionConfig:
    """What is added, and to what."""

    file: Path = Path("src/exemplar/assets/open_body.npz")
    """File that is read and written."""
    cache_dir: Path = Path(tempfile.gettempdir()) / "open_body_cache"
    """The export's cache."""
    people: int = 3000
    """The population."""
    extremes: int = 1000
    """Bodies of builds at and beyond a population's edges, for the shapes alone."""
    shapes: int = 12
    """Shapes after the ten."""
    seed: int = 3
    """Seed of the sampling."""


@dataclass(frozen=True)
class People:
    """Bodies in the T-pose on the open body's mesh."""

    age: Array
    """(N,) years."""
    gender: Array
    """(N,) 0 male, 1 female."""
    vertices: Array
    """(N, V, 3) float32, metres."""
    joints: Array
    """(N, 24, 3)."""


def main(config: ExtensionConfig) -> None:
    """Read the file, add to it, and say how well the shapes do."""
    with np.load(config.file, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith(_ADDED)}
    rng = np.random.default_rng(config.seed)
    model = anny_bodies.load_anny(config.cache_dir)
    corresponding, mirror = load_correspondence(config.cache_dir), arrays["mirror"].astype(int)
    age = rng.random(config.people) * OLDEST
    gender = (rng.random(config.people) < 0.5).astype(float)
    drawn = anny_bodies.phenotypes_of(model, age, gender, rng)
    people = t_posed(model, age, gender, drawn, corresponding, mirror)
    age, gender = (rng.random(config.extremes) * high for high in (OLDEST, 1.0))
    drawn = anny_bodies.extreme_phenotypes(model, age, gender, rng)
    extremes = t_posed(model, age, gender, drawn, corresponding, mirror)

    shapes = further_shapes(arrays, people, extremes, config.shapes)
    people_betas = betas_of(arrays | shapes, people.vertices)
    extended = arrays | shapes
    extended |= {
        "people_age": people.age.astype(np.float16),
        "people_gender": people.gender.astype(np.uint8),
        "people_height": np.ptp(people.vertices[..., 1], axis=1).astype(np.float16),
        "people_betas": people_betas.astype(np.float16),
    }
    np.savez_compressed(config.file, **extended)
    print(f"{config.file}: {config.file.stat().st_size / 1e6:.3f} MB")
    report(extended, people)


def t_posed(
    model: Any,
    age: Array,
    gender: Array,
    phenotypes: dict[str, Array],
    corresponding: Correspondence,
    mirror: Array,
    *,
    batch: int = 100,
) -> People:
    """People of these phenotypes."""
    weights = anny_bodies.joint_weights(model)
    vertices, joints = [], []
    for start in range(0, len(age), batch):
        part = {name: values[start : start + batch] for name, values in phenotypes.items()}
        rest_vertices, rest_joints = anny_bodies.rest_bodies(model, part)
        rotmat = anny_bodies.t_pose_rotations(rest_joints)
        posed, transforms = anny_bodies.forward_kinematics(rotmat, rest_joints)
        full = anny_bodies.skin(rest_vertices, transforms, weights)
        vertices.append(anny_bodies.symmetrise(corresponding.transfer(full), mirror))
        joints.append(posed)
    return People(age, gender, np.concatenate(vertices), np.concatenate(joints))


def further_shapes(
    arrays: dict[str, Array], people: People, extremes: People, count: int
) -> dict[str, Array]:
    """`count` shapes after the ten, each scaled to a mean square of 1 over everybody."""
    template = arrays["v_template"]
    everybody = np.concatenate([people.vertices, extremes.vertices])
    offsets = (everybody - template).reshape(len(everybody), -1)
    child = offsets[: len(people.age)][people.age < CHILDHOOD].mean(0)
    own = np.concatenate([_flat(arrays["shapedirs"]), child[:, None]], axis=1)
    left = offsets - (_solve(own, offsets) @ own.T).astype(np.float32)
    _, vectors = np.linalg.eigh((left @ left.T).astype(np.float64))
    directions = left.T @ vectors[:, ::-1][:, : count - 1]
    directions *= np.sign(directions[np.abs(directions).argmax(0), np.arange(count - 1)])
    further = np.concatenate([child[:, None], directions], axis=1).astype(np.float64)

    scores = _solve(np.concatenate([own[:, :-1], further], axis=1), offsets)[:, own.shape[1] - 1 :]
    size = np.sqrt((scores**2).mean(0))
    further *= size
    found = {"further_shapedirs": further.reshape(*template.shape, count).astype(np.float16)}
    betas = betas_of(arrays | found, everybody)
    own_count = arrays["shapedirs"].shape[-1]
    joints = np.concatenate([people.joints, extremes.joints])
    left = joints - arrays["joints_template"]
    left = left - np.einsum("jcb,nb->njc", arrays["joints_shapedirs"], betas[:, :own_count])
    moved = _solve_rows(betas[:, own_count:], left.reshape(len(left), -1))
    moved = np.moveaxis(moved.reshape(count, *left.shape[1:]), 0, -1)
    return found | {"further_joints_shapedirs": moved.astype(np.float32)}


def betas_of(arrays: dict[str, Array], vertices: Array) -> Array:
    """(N, B) that come closest to T-posed bodies (N, V, 3) on the vertices."""
    directions = np.concatenate(
        [_flat(arrays["shapedirs"]), _flat(arrays["further_shapedirs"])], axis=1
    )
    return _solve(directions, (vertices - arrays["v_template"]).reshape(len(vertices), -1))


def report(arrays: dict[str, Array], people: People) -> None:
    """Print how far the shapes are from the people, and how large betas get."""
    betas = arrays["people_betas"].astype(np.float32)
    directions = np.concatenate([arrays["shapedirs"], arrays["further_shapedirs"]], -1)
    joint_directions = np.concatenate(
        [arrays["joints_shapedirs"], arrays["further_joints_shapedirs"]], -1
    )
    directions = directions.astype(np.float32)
    for low, high in ((0, 1), (1, 3), (3, 7), (7, 12), (12, 18), (18, 60), (60, 90)):
        rows = np.flatnonzero((people.age >= low) & (people.age < high))[:150]
        made = arrays["v_template"] + np.einsum("vcb,nb->nvc", directions, betas[rows])
        joints = arrays["joints_template"] + np.einsum("jcb,nb->njc", joint_directions, betas[rows])
        vertex = 1000 * np.linalg.norm(made - people.vertices[rows], axis=-1)
        joint = 1000 * np.linalg.norm(joints - people.joints[rows], axis=-1)
        stature = np.ptp(people.vertices[rows][..., 1], axis=1)
        print(
            f"{low:2d} to {high:2d} years: stature {stature.mean():.3f} +- {stature.std():.3f} m; "
            f"vertices {vertex.mean():.2f} mm, joints {joint.mean():.2f} mm; "
            f"largest |beta| median {np.median(np.abs(betas[rows]).max(1)):.1f}, "
            f"most {np.abs(betas[rows]).max():.1f}"
        )


def _flat(directions: Array) -> Array:
    return directions.reshape(-1, directions.shape[-1]).astype(np.float64)


def _solve(directions: Array, offsets: Array) -> Array:
    """(N, B) least squares of offsets (N, P) on directions (P, B)."""
    gram = directions.T @ directions
    return np.linalg.solve(gram, (offsets @ directions).astype(np.float64).T).T


def _solve_rows(design: Array, values: Array) -> Array:
    """(B, P) least squares of values (N, P) on a design (N, B)."""
    return np.linalg.lstsq(design, values, rcond=None)[0]


if __name__ == "__main__":
    main(tyro.cli(ExtensionConfig, description=__doc__))
