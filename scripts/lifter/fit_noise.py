"""Fit the noise model to readings of lifted people.

    python -m scripts.lifter.fit_noise --readings W/full/lspet W/full/coco \
        --lifted W/lifted/lspet W/lifted/coco --out W/noise.npz

Lifted people err with the trunk in depth, where no annotation tells. So the errors' depth is scaled
until simulated landmarks are as far from the truth as the trunk's are from measured people
(`--target-mm`, PA-MPJPE over 12 joints; `benchmarks.real` prints it as `landmarks`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from exemplar.bodies import BodyParams, load_open_body
from exemplar.geometry.cameras import project_weak
from exemplar.metrics import pa_mpjpe
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, indices
from scripts.lifter.noise import NoiseModel, fitted, with_levels
from scripts.lifter.readings import landmarks_of, load_columns

LIMBS = indices(LIMBS_12, BLAZEPOSE_33)
DEPTHS = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
BINS = 11


@dataclass(frozen=True)
class FitNoise:
    """Settings."""

    readings: tuple[Path, ...]
    """Folders of readings of real people."""
    lifted: tuple[Path, ...]
    """Folders of their bodies."""
    out: Path
    """The model, .npz."""
    levels: tuple[float, float, float, float] | None = (0.25, 1.2, 1.6, 1.4)
    """Factors on the fitted errors, from the calibrated sequences: 2D, metric, depth, tilt."""
    target_mm: float = 85.0
    """How far the trunk's metric landmarks are from measured people."""


def main(config: FitNoise) -> None:
    """Fit, calibrate, print what was found."""
    torch.manual_seed(0)
    body = load_open_body()
    readings, points, worlds = [], [], []
    for folder, bodies in zip(config.readings, config.lifted, strict=True):
        columns, found = load_columns(folder), load_columns(bodies)
        kept = found["weight"] > 0
        params = BodyParams(
            *(
                torch.from_numpy(found[name][kept]).float()
                for name in ("global_orient", "body_pose", "betas")
            )
        )
        marks = body.keypoints(params, "blazepose33")
        camera = torch.from_numpy(found["camera"][kept]).float()
        read = landmarks_of({name: columns[name][kept] for name in Landmarks._fields[:-1]})
        readings.append(read)
        points.append(project_weak(marks, camera))
        worlds.append(marks)
    read = Landmarks(*(torch.cat(x) for x in zip(*readings, strict=True)))
    seen, world = torch.cat(points), torch.cat(worlds)
    hidden = by_visibility(read, seen)
    best: tuple[float, NoiseModel] | None = None
    for depth in DEPTHS:
        model = fitted(read, seen, world, hidden, depth=depth)
        error = simulated_mm(model, seen, world)
        print(f"depth x {depth}: simulated landmarks {error:.1f} mm from the truth")
        if best is None or abs(error - config.target_mm) < abs(best[0] - config.target_mm):
            best = (error, model)
    assert best is not None
    model = best[1]
    print(f"{len(world)} people; errors by visibility {[round(float(x), 2) for x in hidden]}")
    print("scale across, in depth, tilt:", model.align_mean, model.align_cholesky.diagonal())
    print("mirrored chains:", model.flips)
    sd = model.cholesky.square().sum(1).sqrt()
    print("2D sd of the limbs, of the extent:", sd[: 2 * 33].view(33, 2)[LIMBS].mean(1))
    print("3D sd of the limbs, m:", sd[2 * 33 :].view(33, 3)[LIMBS])
    if config.levels is not None:
        flat, metric, depth, tilt = config.levels
        model = with_levels(model, flat=flat, metric=metric, depth=depth, tilt=tilt)
    model.save(config.out)


def by_visibility(read: Landmarks, points: Tensor) -> Tensor:
    """The 2D error at each visibility over the usual one (`NoiseModel.hidden`)."""
    middle = points[:, LIMBS].mean(1, keepdim=True)
    extent = (points[:, LIMBS] - middle).norm(dim=-1).amax(1)
    error = (read.points - points).norm(dim=-1) / extent[:, None]
    error = error / error.median(0).values
    place = (read.visibility * (BINS - 1)).round().long()
    values = [error[place == b] for b in range(BINS)]
    usual = [float(v.median()) if len(v) > 30 else float("nan") for v in values]
    known = np.isfinite(usual)
    filled = np.interp(np.arange(BINS), np.flatnonzero(known), np.array(usual)[known])
    return torch.from_numpy(filled).float()


def simulated_mm(model: NoiseModel, points: Tensor, world: Tensor) -> float:
    """PA-MPJPE of simulated landmarks over the limb joints, mm."""
    draws = torch.Generator().manual_seed(1)
    read = model.read(points, world, draws)
    return float(pa_mpjpe(read.world[:, LIMBS], world[:, LIMBS]).mean())


if __name__ == "__main__":
    main(tyro.cli(FitNoise))
