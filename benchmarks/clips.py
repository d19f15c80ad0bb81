"""Clips of people whose 3D motion is known: each frame alone, warm starts, shared windows, filters.

    python -m benchmarks.clips SHARED_PHOTOS --work FOLDER [-o RESULTS.json]

Errors are PA-MPJPE (mm) over the limb joints, and jitter, the mean error of the joints' acceleration
about the middle of the hips (mm/frame^2). Real clips: `multiview`'s four cameras against
`pose3d.trc`. Drawn ones: a body that walks by its parameters through a pose prior's draws.
What the networks read is kept in FOLDER, so that a run can be stopped.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from benchmarks.real_cameras import read_cameras, read_markers
from benchmarks.real_sequences import FOURTEEN, LIMBS
from exemplar.atomic_files import replacing
from exemplar.bodies import Body, BodyParams
from exemplar.environment import one_torch_thread
from exemplar.metrics import pa_mpjpe
from exemplar.motion import Motion
from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR
from exemplar.scene.clip import ClipFitter
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.clip_people import ClipPerson
from exemplar.skeletons import LIMBS_12, LSP_14

HIPS = [[n for n in LSP_14 if n in LIMBS_12].index(f"{side}_hip") for side in ("left", "right")]
"""Rows of the hips among the limb joints."""


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


VARIANTS: Mapping[str, ClipOptions] = {
    "network alone, each frame": ClipOptions(steady_hz=None, window=1, iterations=0),
    "each frame alone": ClipOptions(steady_hz=None, window=1),
    "each frame alone, savitzky-golay": ClipOptions(
        steady_hz=None, window=1, smoothing="savitzky-golay"
    ),
    "each frame alone, one-euro": ClipOptions(steady_hz=None, window=1, smoothing="one-euro"),
    "window of 8": ClipOptions(steady_hz=None, window=8),
    "window of 32": ClipOptions(steady_hz=None, window=32),
    "steady 3 Hz, window of 32": ClipOptions(steady_hz=3.0),
    "steady 5 Hz, window of 32": ClipOptions(steady_hz=5.0),
    "steady 8 Hz, window of 32": ClipOptions(steady_hz=8.0),
    "steady 5 Hz, each frame alone": ClipOptions(window=1),
    "steady 5 Hz, savitzky-golay": ClipOptions(smoothing="savitzky-golay"),
}
"""What is compared."""


@dataclass(frozen=True)
class Known:
    """A clip with its truth."""

    path: Path
    truth: Float[np.ndarray, "t 14 3"]
    """`LSP_14` by frame, metres in the camera's frame; NaN where not known."""


def multiview(folder: Path, names: tuple[str, ...]) -> list[Known]:
    """The real clips."""
    cameras = {camera.name: camera for camera in read_cameras(folder / "Calib.qca.txt")}
    markers = read_markers(folder / "pose3d.trc")
    order = range(max(markers) + 1)
    nothing = np.full((len(LSP_14), 3), np.nan)
    return [
        Known(
            folder / f"{name}.mp4",
            np.stack([cameras[name].in_camera(markers.get(frame, nothing)) for frame in order]),
        )
        for name in names
    ]


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


def fitted(fitter: ClipFitter, clip: Path, work: Path, options: ClipOptions) -> ClipPerson:
    """The person who is seen most, by these options."""
    fitter.options = options
    return fitter.fit(clip, work / f"{clip.parent.name}-{clip.stem}").people[0]


def main(command: ClipsCommand) -> None:
    """Read the clips, fit them in every way, and print a table."""
    fitter = ClipFitter(command.regressor)
    clips = multiview(command.photos / "multiview", command.cameras)
    table: dict[str, dict[str, dict[str, float]]] = {}
    for clip in clips:
        for name, options in VARIANTS.items():
            person = fitted(fitter, clip.path, command.work, options)
            truth = torch.from_numpy(clip.truth[: len(person.motion.times)])[:, LIMBS]
            found = errors(joints_of(person.motion, fitter.body), truth, person.motion.seen)
            table.setdefault(name, {})[clip.path.stem] = found
            print(f"{clip.path.stem} {name:36s} {found['pa_mpjpe']:6.1f} {found['jitter']:6.2f}", flush=True)
    for name, by_clip in table.items():
        means = [np.mean([f[key] for f in by_clip.values()]) for key in ("pa_mpjpe", "jitter")]
        print(f"mean {name:36s} {means[0]:6.1f} {means[1]:6.2f}")
    if command.output is not None:
        with replacing(command.output) as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(ClipsCommand))
