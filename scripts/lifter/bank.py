"""A bank of people for `exemplar reproduce --scale long`: what a trunk reads of them, and bodies.

    python -m scripts.lifter.bank --poses POSES.npz --noise W/noise.npz \
        --real W/heavy/lspet W/heavy/coco --lifted W/lifted/lspet W/lifted/coco \
        --sequences W/heavy/multiview-true.npz --drawn wild=W/heavy/wild --out bank

`people.npz`: simulated people, then lifted real ones, in units in which a person's farthest limb
joint is 0.8 from the hips. `tests/NAME.npz`: measured people of `scripts.lifter.moments`, drawn
ones, and held-out people of the first real set (`benchmarks.real_people.is_held_out_name`), half of
whose annotated limb joints are given.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.real_people import is_held_out_name
from exemplar.bodies import Body, BodyParams, load_open_body
from exemplar.geometry.rotations import rotation_about_z
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.skeletons import LIMBS_IN_49, OPENPOSE_25
from scripts.lifter.inner import annotated
from scripts.lifter.noise import NoiseModel
from scripts.lifter.people import People, simulated, together
from scripts.lifter.poses import PosePool, families, lifted, motion_capture
from scripts.lifter.readings import Columns, load_columns
from scripts.lifter.train import real_people

EXTENT = 0.8
"""Of a person in crop units."""
BLOCK = 1000


@dataclass(frozen=True)
class Bank:
    """Settings."""

    poses: Path
    """Motion capture, .npz; every tenth pose is left out."""
    noise: Path
    """The trunk's errors (`scripts.lifter.fit_noise`)."""
    out: Path
    """Folder to fill."""
    real: tuple[Path, ...] = ()
    """Folders of readings of real people."""
    lifted: tuple[Path, ...] = ()
    """Folders of their bodies."""
    sequences: tuple[Path, ...] = ()
    """Measured people."""
    drawn: tuple[str, ...] = ()
    """NAME=FOLDER of drawn people's readings, to test on."""
    count: int = 40_000
    """Simulated people."""
    families: int = 20_000
    """Poses of joint-limited families."""
    tested: int = 200
    """Most people of a drawn or held-out test."""
    seed: int = 0
    """Seed of everything random."""


def main(config: Bank) -> None:
    """Write people and tests."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    body = load_open_body()
    (config.out / "tests").mkdir(parents=True, exist_ok=True)
    real = [
        real_people(load_columns(readings), load_columns(bodies), 1.0)
        for readings, bodies in zip(config.real, config.lifted, strict=True)
    ]
    generator = torch.Generator().manual_seed(config.seed)
    captured = np.load(config.poses)["poses"]
    sources = [
        motion_capture(captured[np.arange(len(captured)) % 10 != 0]),
        families(config.families, 1 + config.seed, body),
    ]
    if real:
        orient, pose = (torch.cat([getattr(p, n) for p in real]) for n in _POSES)
        sources.append(lifted(orient, pose))
    pool = PosePool(sources, [0.35, 0.4, 0.25][: len(sources)])
    noise = NoiseModel.load(config.noise)
    made = [
        annotated(simulated(BLOCK, pool, noise, body, generator), generator)
        for _ in range(config.count // BLOCK)
    ]
    people = columns_of(together([*made, *real]), body)
    _save(config.out / "people.npz", people | {"simulated": np.array(BLOCK * len(made))})
    for path in config.sequences:
        _save(config.out / "tests" / path.name, measured(dict(np.load(path))))
    for text in config.drawn:
        name, folder = text.split("=")
        found = drawn(load_columns(Path(folder)), body)
        found = {key: value[: config.tested] for key, value in found.items()}
        _save(config.out / "tests" / f"{name}.npz", found)
    if config.real:
        held = held_out(load_columns(config.real[0]), config)
        _save(config.out / "tests" / f"{config.real[0].name}.npz", held)


_POSES = ("global_orient", "body_pose")


def columns_of(people: People, body: Body) -> Columns:
    """Everything about people of whom the body is known, in crop units."""
    marks = body.keypoints(people.params())[:, len(OPENPOSE_25) :]
    read = people.landmarks._replace(points=EXTENT * people.landmarks.points)
    points = people.points * torch.tensor([EXTENT, EXTENT, 1.0])
    arrays = {name: value.numpy() for name, value in read._asdict().items()}
    arrays |= {name: getattr(people, name).numpy() for name in (*_POSES, "betas")}
    return arrays | {"keypoints_2d": points.numpy(), "joints": marks.numpy()}


def measured(columns: Columns) -> Columns:
    """A sequence's people, the truth turned into the frames of their crops."""
    turned = rotation_about_z(-torch.from_numpy(columns["box"][:, 3]).float()).numpy()
    truth = np.einsum("nij,nkj->nki", turned, columns["truth"])
    kept = ("points", "world", "visibility", "spread", "keypoints_2d", "keys")
    return {name: columns[name] for name in kept} | {"truth": truth}


def drawn(columns: Columns, body: Body) -> Columns:
    """Drawn people with their limb joints as truth."""
    params = BodyParams(*(torch.from_numpy(columns[name]).float() for name in (*_POSES, "betas")))
    kept = ("points", "world", "visibility", "spread", "keypoints_2d")
    truth = body.keypoints(params)[:, LIMBS_IN_49].numpy()
    return {name: columns[name] for name in kept} | {"truth": truth}


def held_out(columns: Columns, config: Bank) -> Columns:
    """People whom nobody trained on; `left_out` are the annotated limb joints that are not
    given."""
    chosen = np.array([is_held_out_name(str(name)) for name in columns["image"]])
    chosen &= (columns["keypoints_2d"][:, LIMBS_IN_49, 2] > 0).sum(1) >= 10
    rows = np.flatnonzero(chosen)[: config.tested]
    points = columns["keypoints_2d"][rows].copy()
    rng = np.random.default_rng(config.seed)
    given = np.zeros(points.shape[:2], bool)
    for row in given:
        row[rng.permutation(LIMBS_IN_49)[: len(LIMBS_IN_49) // 2]] = True
    left_out = np.zeros_like(given)
    left_out[:, LIMBS_IN_49] = ~given[:, LIMBS_IN_49]
    kept = {name: columns[name][rows] for name in Landmarks._fields}
    return kept | {
        "keypoints_2d": points * np.stack([np.ones_like(given)] * 2 + [given], -1),
        "left_out": points * np.stack([np.ones_like(given)] * 2 + [left_out], -1),
    }


def _save(path: Path, columns: Columns) -> None:
    columns = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in columns.items()}
    np.savez(path, allow_pickle=False, **columns)
    print(path, len(next(iter(columns.values()))), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Bank))
