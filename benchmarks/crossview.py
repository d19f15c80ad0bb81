"""Real 3D check without labels: a person seen by several cameras, each view fitted alone.

    python -m benchmarks.crossview --videos ../shared/photos/multiview

Two numbers, in mm over the 14 joints, for the regressor, EFT, EFT with the guard, and SMPLify: how
far the views' 3D joints are from one another after Procrustes alignment (every ordered pair of
cameras, the same frame), and how far each view's joints are from the 3D points triangulated from
all cameras' 2D keypoints (12 limb joints; the keypoints are the built-in network's, so this truth
is approximate, and the guard holds some of them out).
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from exemplar.bodies import Body
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box, image_to_crop
from exemplar.metrics import pa_mpjpe
from exemplar.objectives import mean_error_px
from exemplar.photo import FitOptions, Fitter
from exemplar.priors import load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.results import PersonFit
from exemplar.skeletons import GT_24, LIMBS_12, LSP_14, OPENPOSE_25, SMPL_49

ANNOTATED = len(OPENPOSE_25)
FOURTEEN = [ANNOTATED + GT_24.index(name) for name in LSP_14]
TWELVE = [SMPL_49.index(name, ANNOTATED) for name in LIMBS_12]

Views = dict[int, dict[int, PersonFit]]
"""Fits by frame and camera."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    videos: Path
    """Folder of the cameras' videos and Qualisys' calibration."""
    every: int = 10
    """Take every n-th frame."""
    regressor: str = "mobile"
    """Regressor to start from."""
    learning_rate: float | None = None
    """EFT's step; None takes the regressor's own."""
    adapt: str | None = None
    """Which weights EFT moves; None takes the regressor's own."""
    output: Path | None = None
    """JSON file to write."""


def read_calibration(path: Path) -> list[np.ndarray]:
    """Each camera's 3x4 world-to-pixel matrix (metres); lens distortion is left out."""
    cameras = []
    for camera in ElementTree.parse(path).getroot().iter("camera"):
        transform, intrinsic = camera.find("transform"), camera.find("intrinsic")
        if transform is None or intrinsic is None:
            raise ValueError(f"{path} lacks a camera's transform or intrinsic")
        world = np.array(
            [[float(transform.attrib[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)]
        )
        position = np.array([float(transform.attrib[axis]) for axis in "xyz"]) / 1000
        number = {key: float(value) for key, value in intrinsic.attrib.items()}
        matrix = np.array(
            [
                [number["focalLengthU"] / 64, 0, number["centerPointU"] / 64],
                [0, number["focalLengthV"] / 64, number["centerPointV"] / 64],
                [0, 0, 1],
            ]
        )
        # Qualisys' cameras look along -z with y up; ours along z with y down
        rotation = np.diag([1.0, -1.0, -1.0]) @ world
        cameras.append(matrix @ np.column_stack((rotation, -rotation @ position)))
    return cameras


def frames(path: Path, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number, RGB picture) of every n-th frame of a video."""
    video = cv2.VideoCapture(str(path))
    number = 0
    while True:
        ok, picture = video.read()
        if not ok:
            return
        if number % every == 0:
            yield number, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        number += 1


@dataclass(frozen=True)
class Answer:
    """What a recipe says of a person."""

    joints: np.ndarray
    """(49, 3), metres."""
    error_px: float
    """Mean 2D error over the keypoints that EFT fits."""
    updates: int
    """Updates behind it."""


def in_crop(person: PersonFit) -> tuple[Prediction, torch.Tensor, torch.Tensor]:
    """Iterates (1, k, ...), keypoints (1, 49, 3) and fitted weights in the unturned crop."""

    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in person.steps])).float()[None]

    iterates = Prediction(
        stack("global_orient"), stack("body_pose"), stack("betas"), stack("weak_camera")
    )
    centre = torch.from_numpy(person.box_centre).float()
    box = Box(centre, torch.tensor(person.box_size), torch.tensor(0.0))
    points = torch.from_numpy(person.keypoints_2d).float()
    points = torch.cat((image_to_crop(points[:, :2], box), points[:, 2:]), 1)
    return iterates, points[None], torch.from_numpy(person.fitted).float()[None]


def step_of(person: PersonFit, step: int) -> Answer:
    """An iterate of EFT."""
    state = person.steps[step]
    return Answer(state.joints_3d, state.error_px, step)


def guarded(body: Body, person: PersonFit) -> Answer:
    """The iterate that the guard keeps."""
    iterates, points, fitted = in_crop(person)
    best = choose(body, iterates, points, fitted, GuardConfig(), load_pose_prior())
    return step_of(person, int(best[0]))


def smplified(body: Body, person: PersonFit, config: SmplifyConfig) -> Answer:
    """SMPLify from the regressor's answer, with the shipped prior."""
    iterates, points, fitted = in_crop(person)
    start = Prediction(*(x[:, 0] for x in vars(iterates).values()))
    fits = fit_smplify(start, points, body, config)
    found = fits.after.prediction
    joints = body.keypoints(found.body_params())
    error = mean_error_px(project_weak(joints, found.camera), points[..., :2], fitted)
    return Answer(joints[0].numpy(), float(error[0]), int(fits.trace.updates[0]))


def compare(
    views: Views, calibration: list[np.ndarray], answer: Callable[[PersonFit], Answer]
) -> dict[str, float]:
    """How far the answers are from one another and from triangulated points, mm."""
    between, against, worse, kept = [], [], [], []
    for people in views.values():
        answers = {c: answer(p) for c, p in people.items()}
        kept += list(answers.values())
        for a, b in permutations(answers, 2):
            between.append(aligned(answers[a].joints[FOURTEEN], answers[b].joints[FOURTEEN]))
        truth = triangulate({c: p.keypoints_2d[TWELVE] for c, p in people.items()}, calibration)
        seen = np.isfinite(truth).all(1)
        if seen.sum() < 8:
            continue
        for camera, person in people.items():
            first, last = (
                aligned(joints[TWELVE][seen], truth[seen])
                for joints in (person.before.joints_3d, answers[camera].joints)
            )
            against.append(last)
            worse.append(last > first)
    return {
        "between_views_mm": float(np.mean(between)),
        "against_triangulated_mm": float(np.mean(against)),
        "worse_percent": 100 * float(np.mean(worse)),
        "updates": float(np.mean([x.updates for x in kept])),
        "error_px": float(np.mean([x.error_px for x in kept])),
    }


def main(config: Config) -> None:
    """Fit every view, compare, print."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor, FitOptions(person="largest"))
    if config.learning_rate is not None:
        fitter.config = replace(fitter.config, learning_rate=config.learning_rate)
    if config.adapt is not None:
        fitter.config = replace(fitter.config, adapt=config.adapt)
    views: Views = {}
    for camera, path in enumerate(sorted(config.videos.glob("*.mp4"))):
        for number, picture in frames(path, config.every):
            try:
                views.setdefault(number, {})[camera] = fitter.fit(picture).people[0]
            except ValueError as error:
                print(f"{path.name} frame {number}: {error}")
    calibration = read_calibration(next(config.videos.glob("*.qca.txt")))
    body = fitter.body
    recipes: dict[str, Callable[[PersonFit], Answer]] = {
        "regressor": lambda person: step_of(person, 0),
        "EFT": lambda person: step_of(person, len(person.steps) - 1),
        "EFT + guard": lambda person: guarded(body, person),
        "SMPLify": lambda person: smplified(body, person, SmplifyConfig()),
        "SMPLify, released": lambda person: smplified(body, person, SmplifyConfig.released()),
    }
    rows = {name: compare(views, calibration, recipe) for name, recipe in recipes.items()}
    for name, row in rows.items():
        print(f"{name:18s}", "  ".join(f"{key} {value:.1f}" for key, value in row.items()))
    fits = sum(len(people) for people in views.values())
    write_results(config.output, config, {"fits": fits, "rows": rows})


def aligned(joints: np.ndarray, truth: np.ndarray) -> float:
    """PA-MPJPE of two joint sets, mm."""
    return float(pa_mpjpe(torch.from_numpy(joints).double(), torch.from_numpy(truth).double()))


def triangulate(points: dict[int, np.ndarray], calibration: list[np.ndarray]) -> np.ndarray:
    """(K, 3) metres from (K, 3) keypoints of each camera, by least squares; NaN if < 3 see it."""
    count = len(next(iter(points.values())))
    out = np.full((count, 3), np.nan)
    for k in range(count):
        rows = []
        for camera, keypoints in points.items():
            x, y, confidence = keypoints[k]
            if confidence > 0.5:
                matrix = calibration[camera]
                rows += [x * matrix[2] - matrix[0], y * matrix[2] - matrix[1]]
        if len(rows) >= 6:
            system = np.stack([row / np.linalg.norm(row[:3]) for row in rows])
            _, _, vt = np.linalg.svd(system)
            out[k] = vt[-1, :3] / vt[-1, 3]
    return out


if __name__ == "__main__":
    main(tyro.cli(Config))
