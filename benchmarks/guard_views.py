"""The guard on real video: do a person's views agree better in the iterates that it keeps?

python -m benchmarks.guard_views --videos ../shared/photos/multiview

The two numbers of `benchmarks.crossview` for the regressor, EFT and EFT with the guard. The views'
agreement uses no keypoints; the triangulated points do, those that the guard holds out among them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from benchmarks.crossview import FOURTEEN, TWELVE, aligned, frames, read_calibration, triangulate
from exemplar.bodies import Body
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.geometry.crops import Box, image_to_crop
from exemplar.photo import FitOptions, Fitter
from exemplar.priors import load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.results import PersonFit

Views = dict[int, dict[int, PersonFit]]
"""Fits by frame and camera."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    videos: Path
    """Folder of the cameras' videos and Qualisys' calibration."""
    every: int = 10
    """Take every n-th frame."""
    learning_rate: float | None = None
    """EFT's step; None takes the regressor's own."""
    output: Path | None = None
    """JSON file to write."""


def guarded(body: Body, person: PersonFit, guard: GuardConfig) -> int:
    """The iterate that the guard keeps, judged in the person's unturned crop."""

    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in person.steps])).float()[None]

    iterates = Prediction(
        stack("global_orient"), stack("body_pose"), stack("betas"), stack("weak_camera")
    )
    centre = torch.from_numpy(person.box_centre).float()
    box = Box(centre, torch.tensor(person.box_size), torch.tensor(0.0))
    keypoints = torch.from_numpy(person.keypoints_2d).float()
    keypoints = torch.cat((image_to_crop(keypoints[:, :2], box), keypoints[:, 2:]), 1)
    fitted = torch.from_numpy(person.fitted).float()
    return int(choose(body, iterates, keypoints[None], fitted[None], guard, load_pose_prior())[0])


def compare(
    views: Views, calibration: list[np.ndarray], keep: Callable[[PersonFit], int]
) -> dict[str, float]:
    """How far the kept iterates are from one another and from triangulated points, mm."""
    between, against, worse, kept = [], [], [], []
    for people in views.values():
        chosen = {c: keep(p) for c, p in people.items()}
        states = {c: p.steps[chosen[c]] for c, p in people.items()}
        kept += [(chosen[c], states[c].error_px) for c in people]
        for a, b in permutations(states, 2):
            between.append(aligned(states[a].joints_3d[FOURTEEN], states[b].joints_3d[FOURTEEN]))
        truth = triangulate({c: p.keypoints_2d[TWELVE] for c, p in people.items()}, calibration)
        seen = np.isfinite(truth).all(1)
        if seen.sum() < 8:
            continue
        for camera, person in people.items():
            errors = [
                aligned(s.joints_3d[TWELVE][seen], truth[seen])
                for s in (person.before, states[camera])
            ]
            against.append(errors[1])
            worse.append(errors[1] > errors[0])
    return {
        "between_views_mm": float(np.mean(between)),
        "against_triangulated_mm": float(np.mean(against)),
        "worse_percent": 100 * float(np.mean(worse)),
        "updates": float(np.mean([k for k, _ in kept])),
        "error_px": float(np.mean([px for _, px in kept])),
    }


def main(config: Config) -> None:
    """Fit every view, compare, print."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(options=FitOptions(person="largest"))
    if config.learning_rate is not None:
        fitter.config = replace(fitter.config, learning_rate=config.learning_rate)
    views: Views = {}
    for camera, path in enumerate(sorted(config.videos.glob("*.mp4"))):
        for number, picture in frames(path, config.every):
            try:
                views.setdefault(number, {})[camera] = fitter.fit(picture).people[0]
            except ValueError as error:
                print(f"{path.name} frame {number}: {error}")
    calibration = read_calibration(next(config.videos.glob("*.qca.txt")))
    guard = GuardConfig()
    keeps: dict[str, Callable[[PersonFit], int]] = {
        "regressor": lambda person: 0,
        "EFT": lambda person: len(person.steps) - 1,
        "EFT + guard": lambda person: guarded(fitter.body, person, guard),
    }
    rows = {name: compare(views, calibration, keep) for name, keep in keeps.items()}
    for name, row in rows.items():
        print(f"{name:12s}", "  ".join(f"{key} {value:.1f}" for key, value in row.items()))
    fits = sum(len(people) for people in views.values())
    write_results(config.output, config, {"fits": fits, "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Config))
