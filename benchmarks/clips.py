"""Clips of people whose 3D motion is known: each frame alone, warm starts, shared windows, filters.

    python -m benchmarks.clips SHARED_PHOTOS --work FOLDER [--drawn 10] [--output RESULTS.json]

Errors are PA-MPJPE (mm) over the limb joints, and jitter, the mean error of the joints'
acceleration about the middle of the hips (mm/frame^2). Real clips: `multiview`'s four cameras
against `pose3d.trc`. Drawn ones: `benchmarks.drawn_clips`. What the networks read is kept in
FOLDER, so that a run can be stopped.

The error after alignment is also split, in the body's own frame: what is the same in every frame,
what changes slowly (a mean over `SLOW` seconds), and the rest. Filters and neighbours can take away
the rest alone. `depth_signs` tells of the limbs' bones which point towards the camera in place of
away from it, and of how many of those a vote of the frames around them would say the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.common import write_results
from benchmarks.drawn_clips import draw_clip, project
from benchmarks.real_cameras import read_markers
from benchmarks.real_sequences import FOURTEEN, LIMBS
from exemplar.bodies import Body, BodyParams
from exemplar.data.calibration import read_cameras
from exemplar.files.atomic_files import replacing
from exemplar.fitting.alignment import aligned_fits
from exemplar.fitting.clip import ClipConfig, fit_clip
from exemplar.fitting.names import Smoothing
from exemplar.fitting.trace import Iterate
from exemplar.fitting.weights import Inputs, RegressorWeights
from exemplar.geometry.align import similarity_align
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import rot6d_to_rotmat, rotation_about_z, rotmat_to_rot6d
from exemplar.metrics import pa_mpjpe
from exemplar.motion import Motion
from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.scene.clip import ClipFitter
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.smoothing import smoothed
from exemplar.skeletons import LIMBS_12, LSP_14, OPENPOSE_25, SMPL_49

ALL_HIPS = [LSP_14.index(f"{side}_hip") for side in ("left", "right")]
SEEN_HIPS = [SMPL_49.index(f"{side}_hip", len(OPENPOSE_25)) for side in ("left", "right")]
"""The same among `LSP_14` and the 49 joints."""

SLOW = 1.0
"""Seconds over which the error is averaged to tell what changes slowly."""

LEAST_DEPTH = 0.1
"""Metres that a bone points away from or towards the camera, for its sign to count."""

TURNS = (-0.35, 0.0, 0.35)
"""Angles (radians) by which landmarks are turned in the picture, for answers that are averaged."""

_ROWS = [name for name in LSP_14 if name in LIMBS_12]
HIPS = [_ROWS.index(f"{side}_hip") for side in ("left", "right")]
"""Rows of the hips among the limb joints."""

ANKLES = [_ROWS.index(f"{side}_ankle") for side in ("left", "right")]
SEEN_ANKLES = [SMPL_49.index(f"{side}_ankle", len(OPENPOSE_25)) for side in ("left", "right")]
"""Rows of the ankles among the limb joints, and among the 49."""

BONES = [
    (_ROWS.index(f"{side}_{start}"), _ROWS.index(f"{side}_{end}"))
    for side in ("left", "right")
    for start, end in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"),
    )
]  # fmt: skip
"""The limbs' bones, as rows of the limb joints."""


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
    turns: bool = False
    """Whether the network's answers to turned landmarks are averaged (`TURNS`)."""
    aligned: bool = False
    """Whether feet, hands and head of each frame are put onto the picture, as photos' are."""


_RAW = ClipOptions(steady_hz=None, window=1, perspective=False)

VARIANTS: Mapping[str, Variant] = {
    "network, each frame": Variant(replace(_RAW, iterations=0, window=32)),
    "each frame alone": Variant(_RAW),
    "each frame alone, in perspective": Variant(replace(_RAW, perspective=True)),
    "warm start": Variant(_RAW, warm=True),
    "window of 32": Variant(replace(_RAW, window=32)),
    "window of 32, temporal term": Variant(replace(_RAW, window=32), joints_weight=1e-4),
    "steady 3 Hz": Variant(ClipOptions(steady_hz=3.0)),
    "steady 5 Hz": Variant(ClipOptions(steady_hz=5.0)),
    "steady 5 Hz, no perspective": Variant(ClipOptions(perspective=False)),
    "steady 8 Hz": Variant(ClipOptions(steady_hz=8.0)),
    "steady 5 Hz, temporal term": Variant(ClipOptions(steady_hz=5.0), joints_weight=1e-4),
    "steady 1 Hz": Variant(ClipOptions(steady_hz=1.0)),
    "steady 5 Hz, whole clip": Variant(ClipOptions(window=10_000)),
    "steady 5 Hz, turned copies": Variant(ClipOptions(), turns=True),
    "steady 5 Hz, network": Variant(ClipOptions(iterations=0)),
    "steady 5 Hz, aligned": Variant(ClipOptions(), aligned=True),
}
"""What is compared; windows are of 32 where nothing else is said. Raw ones know no perspective."""


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


_PLAIN = LifterHead.forward


def turned_mean(
    head: LifterHead, landmarks: Landmarks | tuple[Tensor, ...], box: Box
) -> Prediction:
    """The mean of the head's answers to landmarks turned by `TURNS`, each turned back."""
    seen = Landmarks(*landmarks)
    answers = []
    for angle in TURNS:
        turn = rotation_about_z(torch.tensor(angle)).to(seen.points)
        points, world = seen.points @ turn[:2, :2].mT, seen.world @ turn.mT
        turned = seen._replace(points=points, world=world)
        answer = _PLAIN(head, turned, box)
        answers.append(replace(answer, global_orient=turn.mT @ answer.global_orient))
    plain = answers[TURNS.index(0.0)]

    def mean(name: str) -> Tensor:
        each = [rotmat_to_rot6d(getattr(answer, name)) for answer in answers]
        return rot6d_to_rotmat(torch.stack(each).mean(0))

    betas = torch.stack([answer.betas for answer in answers]).mean(0)
    return replace(
        plain, global_orient=mean("global_orient"), body_pose=mean("body_pose"), betas=betas
    )


@dataclass(frozen=True)
class AlignedFits:
    """Of `Fits` what clips take."""

    after: Iterate
    status: tuple[str, ...]

    def cpu(self) -> "AlignedFits":
        """The fits, which are on the CPU."""
        return self


def aligned_clip(
    regressor: nn.Module,
    body: Body,
    inputs: Inputs,
    box: Box,
    keypoints_2d: Float[Tensor, "t 49 3"],
    times: Float[Tensor, " t"],
    config: ClipConfig,
) -> AlignedFits:
    """`fit_clip`, and each frame aligned."""
    fits = fit_clip(regressor, body, inputs, box, keypoints_2d, times, config)
    landmarks = Landmarks(*inputs) if isinstance(inputs, tuple) else None
    return AlignedFits(aligned_fits(body, fits, keypoints_2d, landmarks), fits.status)


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


def error_parts(
    found: Float[Tensor, "t 12 3"],
    truth: Float[Tensor, "t 12 3"],
    seen: np.ndarray,
    motion: Motion,
) -> dict[str, float]:
    """Shares (%) of the squared error after alignment that are the same in all frames, change
    slowly, and are left, in the body's frame; and the mean error (mm) if the last, and if the last
    two, were gone. Of frames in which every joint is known."""
    rows = torch.isfinite(truth).all(-1).all(-1) & torch.from_numpy(seen)
    away = similarity_align(found[rows], truth[rows]) - truth[rows]
    away = (away @ torch.from_numpy(motion.global_orient)[rows].double()).numpy() * 1000
    times = motion.times[rows.numpy()]
    same = away.mean(0, keepdims=True)
    near = np.abs(times[:, None] - times) <= SLOW / 2
    slow = np.einsum("st,tjc->sjc", near / near.sum(1, keepdims=True), away)
    whole = np.square(away).sum()
    return {
        "same_percent": float(100 * len(away) * np.square(same).sum() / whole),
        "slow_percent": float(100 * np.square(slow - same).sum() / whole),
        "rest_percent": float(100 * np.square(away - slow).sum() / whole),
        "mm": float(np.linalg.norm(away, axis=-1).mean()),
        "mm_of_slow": float(np.linalg.norm(slow, axis=-1).mean()),
        "mm_of_same": float(np.linalg.norm(same, axis=-1).mean()),
    }


def depth_signs(
    found: Float[Tensor, "t 12 3"],
    truth: Float[Tensor, "t 12 3"],
    seen: np.ndarray,
    times: np.ndarray,
) -> dict[str, float]:
    """How many bones point clearly towards the camera or away from it, how many (%) of them the
    other way than the truth, and how many of these stay so by the sign of the mean depth over the
    frames within `SLOW` / 2."""
    start, end = zip(*BONES, strict=True)
    rows = torch.isfinite(truth).all(-1).all(-1) & torch.from_numpy(seen)
    given, true = ((x[:, end, 2] - x[:, start, 2])[rows].numpy() for x in (found, truth))
    clear = (np.abs(true) > LEAST_DEPTH) & (np.abs(given) > LEAST_DEPTH)
    wrong = clear & (given * true < 0)
    near = np.abs(times[rows.numpy(), None] - times[rows.numpy()]) <= SLOW / 2
    voted = near @ given * true < 0
    return {
        "bones": int(clear.sum()),
        "wrong_percent": float(100 * wrong.sum() / max(clear.sum(), 1)),
        "wrong_after_vote_percent": float(100 * (wrong & voted).sum() / max(wrong.sum(), 1)),
    }


def ankles_px(joints: Float[Tensor, "t 12 3"], motion: Motion) -> float:
    """Mean distance (px) of the ankles, as the written camera sees them, from their keypoints."""
    assert motion.camera is not None
    assert motion.keypoints_2d is not None
    found = joints[:, ANKLES].numpy()
    shown = motion.camera.focal * found[..., :2] / found[..., 2:] + motion.camera.principal_point
    given = motion.keypoints_2d[:, SEEN_ANKLES]
    known = (given[..., 2] > 0) & motion.seen[:, None]
    return float(np.linalg.norm(shown - given[..., :2], axis=-1)[known].mean())


def fitted(fitter: VariantFitter, clip: Known, work: Path, variant: Variant) -> Motion:
    """The person whose truth is known, in the camera's frame."""
    fitter.variant, fitter.options = variant, variant.options
    weights = WarmWeights if variant.warm else RegressorWeights
    forward = turned_mean if variant.turns else _PLAIN
    with (
        patch("exemplar.fitting.clip.RegressorWeights", weights),
        patch.object(LifterHead, "forward", forward),
        patch("exemplar.scene.clip_people.fit_clip", aligned_clip if variant.aligned else fit_clip),
    ):
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
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for clip in clips:
        for name in command.variants or VARIANTS:
            variant = VARIANTS[name]
            motion = fitted(fitter, clip, command.work, variant)
            truth = torch.from_numpy(clip.truth[: len(motion.times)])[:, LIMBS]
            for kind in get_args(Smoothing) if name in FILTERED else ("none",):
                shown = name if kind == "none" else f"{name}, {kind}"
                joints = joints_of(smoothed(motion, kind), fitter.body)
                found: dict[str, Any] = errors(joints, truth, motion.seen)
                if kind == "none":
                    found["ankles_px"] = ankles_px(joints, motion)
                    found["parts"] = error_parts(joints, truth, motion.seen, motion)
                    found["depth_signs"] = depth_signs(joints, truth, motion.seen, motion.times)
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
