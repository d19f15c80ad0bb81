"""SMPLify's time per person, a batch against one by one, and the 3D error of its presets.

    python -m benchmarks.smplify_speed

Rounds alternate between the two, since machines drift; medians are reported. Synthetic people:
poses of the shipped prior on the open body, exact keypoints, starts some way off.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body, load_open_body
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.priors import SmplifyPrior, load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import SMPL_49, indices

PRESETS = {
    "default": SmplifyConfig(),
    "paper": SmplifyConfig.paper(),
    "released": SmplifyConfig.released(),
}
LEGS = ("hip", "knee", "ankle", "pelvis")
MISSING = (-1.9, -2.3, 0.0)
"""Where a joint at pixel (0, 0) may land in a crop; no confidence."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    batch: int = 64
    """People fitted at once."""
    single: int = 3
    """People fitted one by one in each round."""
    rounds: int = 5
    """Rounds that alternate between the two, after one to warm up."""
    threads: tuple[int, ...] = (1, 2)
    """Torch threads to try."""
    accuracy: int = 48
    """People over whom 3D errors are averaged."""
    noise: float = 0.01
    """Standard deviation of their keypoints' noise, crop units."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Time both ways, print, write."""
    body = load_open_body()
    _, start, keypoints = people(config.batch, body)
    prior = SmplifyPrior.from_pose_prior(load_pose_prior())
    settings = SmplifyConfig()

    def fit(rows: slice) -> None:
        fit_smplify(picked(start, rows), keypoints[rows], body, settings, prior=prior)

    def batch() -> None:
        fit(slice(None))

    def one_by_one() -> None:
        for i in range(config.single):
            fit(slice(i, i + 1))

    results = errors(config, body, prior)
    for threads in config.threads:
        torch.set_num_threads(threads)
        together, alone = [], []
        for _ in range(config.rounds + 1):
            alone.append(seconds(one_by_one) / config.single)
            together.append(seconds(batch) / config.batch)
        apart, side_by_side = median(alone[1:]), median(together[1:])
        ratio = median(a / b for a, b in zip(alone[1:], together[1:], strict=True))
        results[f"one by one, ms a person, {threads} threads"] = 1000 * apart
        results[f"batch of {config.batch}, ms a person, {threads} threads"] = 1000 * side_by_side
        results[f"times faster, {threads} threads"] = ratio
    for key, value in results.items():
        print(f"{key:45s} {value:8.2f}")
    write_results(config.output, config, results)


def seconds(work: Callable[[], None]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def errors(config: Config, body: Body, prior: SmplifyPrior) -> dict[str, float]:
    """Mean error of the presets over `h36m17`, mm about the pelvis, seen whole or without legs."""
    truth, start, keypoints = people(config.accuracy, body)
    generator = torch.Generator().manual_seed(3)
    keypoints[..., :2] += config.noise * torch.randn(keypoints[..., :2].shape, generator=generator)
    upper = keypoints.clone()
    hidden = [name for name in SMPL_49 if any(part in name for part in LEGS)]
    upper[:, indices(hidden, SMPL_49)] = torch.tensor(MISSING)
    wanted = about_pelvis(truth, body)

    def error(found: Prediction) -> float:
        return 1000 * float((about_pelvis(found, body) - wanted).norm(dim=-1).mean())

    out = {"start, mm": error(start)}
    for name, settings in PRESETS.items():
        for seen, points in (("whole", keypoints), ("without legs", upper)):
            trace = fit_smplify(start, points, body, settings, prior=prior)
            out[f"{name}, {seen}, mm"] = error(trace.after.prediction)
            out[f"{name}, {seen}, px"] = float(trace.after.evaluation.error_px.mean())
    return out


def about_pelvis(bodies: Prediction, body: Body) -> Tensor:
    """Joints of Human3.6M relative to the first, metres."""
    joints = body.keypoints(bodies.body_params(), "h36m17")
    return joints - joints[:, :1]


def people(count: int, body: Body) -> tuple[Prediction, Prediction, Tensor]:
    """True bodies, starting bodies, and the keypoints (count, 49, 3) of the true ones."""
    generator = torch.Generator().manual_seed(0)

    def noise(size: float, *shape: int) -> Tensor:
        return size * torch.randn(count, *shape, generator=generator)

    prior = load_pose_prior()
    pose, root = prior.sample(count, generator), torch.tensor([3.0, 0.1, 0.0]) + noise(0.1, 3)
    camera = torch.tensor([0.85, 0.05, 0.1]).repeat(count, 1)
    truth = prediction(root, pose, noise(0.7, 10), camera)
    start = prediction(
        root + noise(0.15, 3),
        pose + noise(0.2, *pose.shape[1:]),
        torch.zeros(count, 10),
        camera + noise(0.03, 3),
    )
    points = project_weak(body.keypoints(truth.body_params()), truth.camera)
    return truth, start, torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)


def prediction(root: Tensor, pose: Tensor, betas: Tensor, camera: Tensor) -> Prediction:
    """A prediction from axis-angle."""
    return Prediction(axis_angle_to_rotmat(root), axis_angle_to_rotmat(pose), betas, camera)


def picked(start: Prediction, rows: slice) -> Prediction:
    """Some of the bodies."""
    return Prediction(
        start.global_orient[rows], start.body_pose[rows], start.betas[rows], start.camera[rows]
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
