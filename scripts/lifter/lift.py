"""Lift stored readings of real people by EFT of the head. The teacher, the mean of the trunks'
metric landmarks, finds exchanged sides and wrong clicks, and may be the 3D term (Eq. 4). It is
`exemplar lift --teacher` without the trunks, which have read everybody already. Resumable, block by
block.

    python -m scripts.lifter.lift --head R/r0/head.pt --readings W/full/lspet \
        --also W/heavy/lspet --out W/lifted/lspet

Held-out people (`benchmarks.real_people.is_held_out`) get weight 0, as do rejected ones.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.real_people import is_held_out_name
from exemplar.bodies import Body, load_open_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.teachers import Taught, taught_by
from exemplar.geometry.cameras import project_weak
from exemplar.lift.teacher_check import TeacherCheck, compare
from exemplar.objectives import mean_error_px
from exemplar.regressors.on_landmarks import OnLandmarks
from exemplar.regressors.prediction import Prediction
from exemplar.results import OK
from exemplar.skeletons import GT_24, OPENPOSE_25
from scripts.lifter.fits import batch_of, load_head
from scripts.lifter.readings import Columns, landmarks_of
from scripts.lifter.refine import Refine, refine

MARKS = len(OPENPOSE_25)


@dataclass(frozen=True)
class Lift:
    """Settings."""

    head: Path
    """Checkpoint of `scripts.lifter.train`."""
    readings: Path
    """Folder of `scripts.lifter.readings`: what the head sees."""
    out: Path
    """Folder of the results, a block for each block of the readings."""
    also: Path | None = None
    """Another trunk's readings of the same people, for the teacher."""
    method: Literal["eft", "refine"] = "eft"
    """EFT, or the batched fit that made the shipped heads' people (`scripts.lifter.refine`)."""
    learning_rate: float = 3e-5
    """EFT's step."""
    joints_weight: float = 0.0
    """Weight of the teacher's term."""
    most_px: float = 12.0
    """People whose fitted joints are farther off in the mean are rejected, px of a 224 crop."""


def main(config: Lift) -> None:
    """Lift the blocks that are missing, and count."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config.out.mkdir(parents=True, exist_ok=True)
    network, body = OnLandmarks(load_head(config.head)).eval(), load_open_body()
    seen: Counter[str] = Counter()
    for path in sorted(config.readings.glob("[0-9]*[0-9].npz")):
        target = config.out / path.name
        if target.exists():
            continue
        columns = dict(np.load(path))
        other = None if config.also is None else dict(np.load(config.also / path.name))
        reasons, lifted = lift(network, body, columns, other, config)
        seen.update(reason.split(":")[0] for reason in reasons)
        part = target.with_suffix(".part.npz")
        np.savez(part, **lifted)
        part.rename(target)
        print(target.name, dict(seen.most_common()), flush=True)


def lift(
    network: OnLandmarks, body: Body, columns: Columns, other: Columns | None, config: Lift
) -> tuple[list[str], Columns]:
    """Why people are left out ("ok" if they are not), and their bodies with weights."""
    readings = [landmarks_of(columns)] + ([] if other is None else [landmarks_of(other)])
    taught: Taught = taught_by(readings)
    reasons, points = checked(columns["keypoints_2d"], taught)
    batch = replace(
        batch_of({**columns, "keypoints_2d": points}), joints_3d=taught.joints_3d.float()
    )
    if config.method == "eft":
        eft = EftConfig(
            learning_rate=config.learning_rate,
            joints_weight=config.joints_weight,
            joints_about="mean",
        )
        fits = fit_exemplars(network, body, batch, eft, workers=1)
        found, status = fits.after.prediction, fits.status
    else:
        with torch.no_grad():
            start = network(batch.image, batch.box)
        found = refine(body, start, batch, Refine())
        status = (OK,) * len(batch)
    error = fitted_px(body, found, points)
    for row, name in enumerate(columns["image"]):
        if is_held_out_name(str(name)):
            reasons[row] = "held out"
        elif reasons[row] == "ok" and status[row] != OK:
            reasons[row] = status[row]
        elif reasons[row] == "ok" and float(error[row]) > config.most_px:
            reasons[row] = "2D error"
    weight = np.array([reason == "ok" for reason in reasons], np.float32)
    arrays = {name: value.numpy() for name, value in vars(found).items()}
    return reasons, arrays | {"weight": weight, "error_px": error.numpy()}


def fitted_px(body: Body, found: Prediction, keypoints_2d: np.ndarray) -> Tensor:
    """Mean 2D error (b,) of the annotated joints, px of a 224 crop."""
    points = torch.from_numpy(keypoints_2d).float()
    weights = points[..., 2].clone()
    weights[:, :MARKS] = 0.0
    with torch.no_grad():
        flat = project_weak(body.keypoints(found.body_params()), found.camera)
    return mean_error_px(flat, points[..., :2], weights)


def checked(keypoints_2d: np.ndarray, taught: Taught) -> tuple[list[str], np.ndarray]:
    """What the teacher makes of the annotations, and these without wrong clicks."""
    points, reasons, check = keypoints_2d.copy(), [], TeacherCheck()
    for row in range(len(points)):
        annotated = torch.from_numpy(points[row, MARKS:]).float()
        confidence = taught.joints_3d[row, :, -1]
        verdict = compare(annotated, taught.points[row], confidence, check)
        reasons.append(verdict.reason or "ok")
        for name in verdict.wrong_clicks:
            points[row, MARKS + GT_24.index(name), 2] = 0.0
    return reasons, points


if __name__ == "__main__":
    main(tyro.cli(Lift))
