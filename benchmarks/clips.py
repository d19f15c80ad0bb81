"""Clips of people whose 3D motion is known: each frame alone, warm starts, shared windows, filters.

    python -m benchmarks.clips SHARED_PHOTOS --work FOLDER [--drawn 10] [--output RESULTS.json]

Errors are PA-MPJPE (mm) over the limb joints, and jitter, the mean error of the joints'
acceleration about the middle of the hips (mm/frame^2). Real clips: `multiview`'s four cameras
against `pose3d.trc`. Drawn ones: `benchmarks.drawn_clips`. What the networks read is kept in
FOLDER, so that a run can be stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from benchmarks.common import write_results
from benchmarks.drawn_clips import draw_clip, project
from benchmarks.real_cameras import read_markers
from benchmarks.real_sequences import FOURTEEN, LIMBS
from exemplar.bodies import Body, BodyParams
from exemplar.data.calibration import read_cameras
from exemplar.files.atomic_files import replacing
from exemplar.fitting.clip import ClipConfig
from exemplar.fitting.names import Smoothing
from exemplar.fitting.weights import RegressorWeights
from exemplar.metrics import pa_mpjpe
from exemplar.motion import Motion
from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR
from exemplar.regressors.prediction import Prediction
from exemplar.scene.clip import ClipFitter
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.smoothing import smoothed
from exemplar.skeletons import LIMBS_12, LSP_14, OPENPOSE_25, SMPL_49

HIPS = [[n for n in LSP_14 if n in LIMBS_12].index(f"{side}_hip") for side in ("left", "right")]
"""Rows of the hips among the limb joints."""

ALL_HIPS = [LSP_14.index(f"{side}_hip") for side in ("left", "right")]
SEEN_HIPS = [SMPL_49.index(f"{side}_hip", len(OPENPOSE_25)) for side in ("left", "right")]
"""The same among `LSP_14` and the 49 joints."""


@dataclass(frozen=True)
class ClipsCommand:
    """Which clips, and where results go."""

    photos: tyro.conf.Positional[Path]
    """Folder with `multiview`."""
    work: Path
    """Where what the networks read is kept."""
    output: Path | None = None
    """A JSON file."""
    regressor: str = DEFAULT_REGRESSOR
    """Whose fits."""
    cameras: tuple[str, ...] = ("cam01", "cam02", "cam03", "cam04")
    """Of `multiview`."""
    variants: tuple[str, ...] = ()
    """Ways to fit (`VARIANTS`); none means all."""
    drawn: int = 0
    """Number of drawn clips."""
    frames: int = 60
    """Of each of them."""


@dataclass(frozen=True)
class Variant:
    """A way to fit a clip."""

    options: ClipOptions
    joints_weight: float = 0.0
    """Of the temporal term, with which the fit makes all its updates."""
    warm: bool = False
    """Whether each frame's weights begin as those of the frame before ended."""


_RAW = ClipOptions(steady_hz=None, window=1)

VARIANTS: Mapping[str, Variant] = {
    "network, each frame": Variant(replace(_RAW, iterations=0, window=32)),
    "each frame alone": Variant(_RAW),
    "warm start": Variant(_RAW, warm=True),
    "window of 32": Variant(replace(_RAW, window=32)),
    "window of 32, temporal term": Variant(replace(_RAW, window=32), joints_weight=1e-4),
    "steady 3 Hz": Variant(ClipOptions(steady_hz=3.0)),
    "steady 5 Hz": Variant(ClipOptions(steady_hz=5.0)),
    "steady 8 Hz": Variant(ClipOptions(steady_hz=8.0)),
    "steady 5 Hz, temporal term": Variant(ClipOptions(steady_hz=5.0), joints_weight=1e-4),
}
"""What is compared; windows are of 32 where nothing else is said."""


FILTERED = ("each frame alone", "steady 5 Hz")
"""What is also shown with each filter on top."""


class VariantFitter(ClipFitter):
    """A fitter of clips whose ways change."""

    variant = Variant(ClipOptions())

    @property
    def config(self) -> ClipConfig:
        """Without a stop where there is a temporal term, which the stop does not see."""
        weight, config = self.variant.joints_weight, super().config
        if not weight:
            return config
        return replace(config, joints_weight=weight, eft=replace(config.eft, stop_px=None))


class WarmWeights(RegressorWeights):
    """Weights that begin where the last fit's ended."""

    last: dict[str, Tensor] | None = None

    def start(self, rows: Tensor, groups: int) -> dict[str, Tensor]:
        """As the last prediction saw them."""
        if self.last is None:
            return super().start(rows, groups)
        return {name: value.clone() for name, value in self.last.items()}

    def predict(self, params: dict[str, Tensor], rows: Tensor) -> Prediction:
        """As every network's weights."""
        self.last = {name: value.detach() for name, value in params.items()}
        return super().predict(params, rows)


@dataclass(frozen=True)
class Known:
    """A clip with its truth."""

    path: Path
    truth: Float[np.ndarray, "t 14 3"]
    """`LSP_14` by frame, metres in the camera's frame; NaN where not known."""
    places: Float[np.ndarray, "t 2"]
    """Middle of the hips, px: who of those in the picture is meant."""


def multiview(folder: Path, names: tuple[str, ...]) -> list[Known]:
    """The real clips."""
    cameras = {camera.name: camera for camera in read_cameras(folder / "Calib.qca.txt")}
    markers = read_markers(folder / "pose3d.trc")
    order = range(max(markers) + 1)
    nothing = np.full((len(LSP_14), 3), np.nan)
    world = np.stack([markers.get(frame, nothing) for frame in order])
    return [
        Known(
            folder / f"{name}.mp4",
            cameras[name].in_camera(world),
            cameras[name].project(world[:, ALL_HIPS].mean(1)),
        )
        for name in names
    ]


def drawn(path: Path, frames: int, seed: int) -> Known:
    """A drawn clip of one person, and beside it its truth: drawn once."""
    kept = path.with_suffix(".npy")
    if not kept.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        truth = draw_clip(path, frames, seed).truth[0]
        with replacing(kept) as half, half.open("wb") as file:
            np.save(file, truth, allow_pickle=False)
    truth = np.load(kept)
    return Known(path, truth, project(truth[:, ALL_HIPS].mean(1)))


def joints_of(motion: Motion, body: Body) -> Float[Tensor, "t 12 3"]:
    """The limb joints of each frame, metres."""
    rows = len(motion.times)
    params = BodyParams(
        torch.from_numpy(motion.global_orient).float(),
        torch.from_numpy(motion.body_pose).float(),
        torch.from_numpy(np.tile(motion.betas, (rows, 1))).float(),
        torch.from_numpy(motion.translation).float(),
    )
    with torch.no_grad():
        return body.keypoints(params, "smpl49")[:, FOURTEEN][:, LIMBS].double()


def errors(
    found: Float[Tensor, "t 12 3"], truth: Float[Tensor, "t 12 3"], seen: np.ndarray
) -> dict[str, float]:
    """PA-MPJPE (mm) and the mean error of accelerations (mm/frame^2)."""
    valid = torch.isfinite(truth).all(-1) & torch.from_numpy(seen)[:, None]
    rows = valid.sum(1) > 3
    pa = pa_mpjpe(found[rows], truth[rows].nan_to_num(), valid[rows])
    apart = [x - x[:, HIPS].mean(1, keepdim=True) for x in (found, truth)]
    found_acc, true_acc = (x[2:] - 2 * x[1:-1] + x[:-2] for x in apart)
    together = (valid[2:] & valid[1:-1] & valid[:-2]).all(1)
    gaps = (found_acc - true_acc)[together].norm(dim=-1) * 1000
    return {"pa_mpjpe": float(pa.mean()), "jitter": float(gaps.mean()), "frames": int(rows.sum())}


def fitted(fitter: VariantFitter, clip: Known, work: Path, variant: Variant) -> Motion:
    """The person whose truth is known, in the camera's frame."""
    fitter.variant, fitter.options = variant, variant.options
    weights = WarmWeights if variant.warm else RegressorWeights
    with patch("exemplar.fitting.clip.RegressorWeights", weights):
        people = fitter.fit(clip.path, work / f"{clip.path.parent.name}-{clip.path.stem}").people
    return min((person.motion for person in people), key=lambda motion: away_px(motion, clip))


def away_px(motion: Motion, clip: Known) -> float:
    """How far a person's hips are from where the truth has them, px; infinity for somebody who is
    there for less than half of the time."""
    assert motion.keypoints_2d is not None
    hips = motion.keypoints_2d[:, SEEN_HIPS].mean(1)[:, :2]
    away = np.linalg.norm(hips - clip.places[: len(hips)], axis=1)[motion.seen]
    return float(np.nanmedian(away)) if 2 * len(away) > len(hips) else np.inf


def main(command: ClipsCommand) -> None:
    """Read the clips, fit them in every way, and print a table."""
    fitter = VariantFitter(command.regressor)
    clips = multiview(command.photos / "multiview", command.cameras)
    for seed in range(command.drawn):
        clips.append(
            drawn(command.work / f"drawn{seed}-{command.frames}.mp4", command.frames, seed)
        )
    table: dict[str, dict[str, dict[str, float]]] = {}
    for clip in clips:
        for name in command.variants or VARIANTS:
            variant = VARIANTS[name]
            motion = fitted(fitter, clip, command.work, variant)
            truth = torch.from_numpy(clip.truth[: len(motion.times)])[:, LIMBS]
            for kind in get_args(Smoothing) if name in FILTERED else ("none",):
                shown = name if kind == "none" else f"{name}, {kind}"
                joints = joints_of(smoothed(motion, kind), fitter.body)
                found = errors(joints, truth, motion.seen)
                table.setdefault(shown, {})[clip.path.stem] = found
                numbers = f"{found['pa_mpjpe']:6.1f} {found['jitter']:6.2f}"
                print(f"{clip.path.stem} {shown:34s} {numbers}", flush=True)
    for kind in ("cam", "drawn"):
        for name, by_clip in table.items():
            some = [found for clip, found in by_clip.items() if clip.startswith(kind)]
            if some:
                means = [np.mean([found[key] for found in some]) for key in ("pa_mpjpe", "jitter")]
                print(f"mean {kind:5s} {name:34s} {means[0]:6.1f} {means[1]:6.2f}")
    write_results(command.output, command, table)


if __name__ == "__main__":
    main(tyro.cli(ClipsCommand))
