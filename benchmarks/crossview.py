"""Real 3D check without labels: a person seen by several cameras, each view fitted alone.

    python -m benchmarks.crossview --videos ../shared/photos/multiview

Two numbers, in mm over the 14 joints, before and after EFT: how far the views' 3D joints are from
one another after Procrustes alignment (every ordered pair of cameras, the same frame), and how far
each view's joints are from the 3D points triangulated from all cameras' 2D keypoints (12 limb
joints; the keypoints are the built-in network's, so this truth is approximate).
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from exemplar.metrics import pa_mpjpe
from exemplar.photo import FitOptions, Fitter
from exemplar.results import BodyState, PersonFit
from exemplar.skeletons import GT_24, LIMBS_12, LSP_14, OPENPOSE_25, SMPL_49

ANNOTATED = len(OPENPOSE_25)
FOURTEEN = [ANNOTATED + GT_24.index(name) for name in LSP_14]
TWELVE = [SMPL_49.index(name, ANNOTATED) for name in LIMBS_12]


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


def main(config: Config) -> None:
    """Fit, compare, print."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor, FitOptions(person="largest"))
    if config.learning_rate is not None:
        fitter.config = replace(fitter.config, learning_rate=config.learning_rate)
    views: dict[int, dict[int, PersonFit]] = {}
    paths = sorted(config.videos.glob("*.mp4"))
    for camera, path in enumerate(paths):
        for number, picture in frames(path, config.every):
            try:
                views.setdefault(number, {})[camera] = fitter.fit(picture).people[0]
            except ValueError as error:
                print(f"{path.name} frame {number}: {error}")
    calibration = read_calibration(next(config.videos.glob("*.qca.txt")))
    results: dict[str, float] = {"fits": sum(len(v) for v in views.values())}
    for stage in ("before", "after"):
        between, against = [], []
        for people in views.values():
            states: dict[int, BodyState] = {c: getattr(p, stage) for c, p in people.items()}
            for a, b in permutations(states, 2):
                between.append(
                    aligned(states[a].joints_3d[FOURTEEN], states[b].joints_3d[FOURTEEN])
                )
            truth = triangulate({c: p.keypoints_2d[TWELVE] for c, p in people.items()}, calibration)
            seen = np.isfinite(truth).all(1)
            if seen.sum() >= 8:
                against += [
                    aligned(s.joints_3d[TWELVE][seen], truth[seen]) for s in states.values()
                ]
        errors = [getattr(p, stage).error_px for v in views.values() for p in v.values()]
        results[f"between_views_mm_{stage}"] = float(np.mean(between))
        results[f"against_triangulated_mm_{stage}"] = float(np.mean(against))
        results[f"error_px_{stage}"] = float(np.mean(errors))
    for key, value in results.items():
        print(f"{key:32s} {value:8.2f}")
    write_results(config.output, config, results)


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
