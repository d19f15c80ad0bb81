"""What the written camera makes of fits: how far off it sees the joints, how far people are.

    python -m benchmarks.cameras --photos ../shared/photos --work W --output RESULTS.json

The sequences of `multiview` and `twoperson`, each camera a clip of its own, and the photographs
beside them; with `--focal 1500`, as EFT's program assumes a focal length, and by default. A fit is
a weak camera's; the written camera is a perspective one. What is left (px of the picture) is the
perspective that a weak camera cannot have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from exemplar.data.calibration import read_cameras
from exemplar.scene import FitOptions, Fitter
from exemplar.scene.clip import ClipFitter
from exemplar.scene.clip_options import ClipOptions

FOCALS: Mapping[str, float | None] = {"focal 1500": 1500.0, "default": None}


@dataclass(frozen=True)
class Config:
    """Settings."""

    photos: Path
    """Folder with `multiview`, `twoperson` and photographs."""
    work: Path
    """Where what the networks read of the clips is kept."""
    regressor: str = "large"
    """Whose fits."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Seen:
    """Fits of one clip, or of the photographs."""

    misfit_px: np.ndarray
    distance_m: np.ndarray
    extent_px: np.ndarray
    """Of the fitted people: 1 % of somebody 600 px tall is 6 px."""


def main(config: Config) -> None:
    """Fit, print, write."""
    torch.set_flush_denormal(True)
    clips = sorted(config.photos.glob("*/cam*.mp4"))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name, focal in FOCALS.items():
        sets = {f"{c.parent.name} {c.stem}": of_clip(config, c, focal) for c in clips}
        sets["photographs"] = of_photos(config, focal)
        sets["all clips"] = joined([found for kind, found in sets.items() if " " in kind])
        for kind, found in sets.items():
            numbers = told(found)
            table.setdefault(kind, {})[name] = numbers
            print(f"{kind:18s} {name:10s}", numbers, flush=True)
    write_results(config.output, config, {"sets": table, "calibrated": calibrated(clips)})


def of_clip(config: Config, clip: Path, focal: float | None) -> Seen:
    """Everybody in a clip."""
    fitter = ClipFitter(config.regressor, ClipOptions(focal=focal))
    people = fitter.fit(clip, config.work / f"{clip.parent.name}-{clip.stem}").people
    return joined(
        [
            Seen(
                person.misfit_px,
                person.motion.translation[person.motion.seen, 2],
                extents(person.motion.keypoints_2d[person.motion.seen]),
            )
            for person in people
            if person.motion.keypoints_2d is not None
        ]
    )


def of_photos(config: Config, focal: float | None) -> Seen:
    """Everybody in the photographs."""
    fitter = Fitter(config.regressor, FitOptions(focal=focal))
    misfits, away, sizes = [], [], []
    for photo in sorted(config.photos.glob("*.jpg")):
        try:
            result = fitter.fit(photo)
        except ValueError as error:
            print(error)
            continue
        for person in result.people:
            misfits.append(result.camera_misfit_px(person))
            away.append(person.after.translation[2])
            sizes.append(np.ptp(person.after.joints_2d, axis=0).max())
    return Seen(np.array(misfits), np.array(away), np.array(sizes))


def calibrated(clips: Sequence[Path]) -> dict[str, float]:
    """The sequences' true focal lengths, px."""
    out = {}
    for folder in sorted({clip.parent for clip in clips}):
        for camera in read_cameras(folder / "Calib.qca.txt"):
            out[f"{folder.name} {camera.name}"] = round(camera.focal, 1)
    return out


def extents(keypoints: np.ndarray) -> np.ndarray:
    """Longer side of the seen keypoints of each frame, px."""
    points = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
    return (np.nanmax(points, axis=1) - np.nanmin(points, axis=1)).max(1)


def joined(each: Sequence[Seen]) -> Seen:
    """Several sets as one."""
    return Seen(*(np.concatenate([getattr(s, name) for s in each]) for name in vars(each[0])))


def told(seen: Seen) -> dict[str, float]:
    """Medians and ends."""
    share = 100 * seen.misfit_px / seen.extent_px
    numbers = {
        "fits": len(seen.misfit_px),
        "misfit_px_median": np.median(seen.misfit_px),
        "misfit_px_worst": seen.misfit_px.max(),
        "misfit_share_median_percent": np.median(share),
        "within_2_px_percent": 100 * (seen.misfit_px <= 2).mean(),
        "distance_m_least": seen.distance_m.min(),
        "distance_m_median": np.median(seen.distance_m),
        "distance_m_most": seen.distance_m.max(),
    }
    return {name: round(float(value), 2) for name, value in numbers.items()}


if __name__ == "__main__":
    main(tyro.cli(Config))
