"""What an evaluation keeps of each person and method, and the table it lies in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import Body, BodyParams
from exemplar.data.crops import CroppedPerson
from exemplar.data.formats import table
from exemplar.evaluation.config import Method
from exemplar.evaluation.judge import Judge, Truth
from exemplar.evaluation.keypoint_sources import EXACT
from exemplar.evaluation.methods import Answers
from exemplar.files.atomic_files import replacing
from exemplar.geometry.cameras import CameraModel, move_weak_camera, weak_equivalent
from exemplar.geometry.crops import Box, crop_to_image, crop_units_to_pixels, image_to_crop
from exemplar.geometry.rotations import rotation_about_z
from exemplar.lift.prepare import Prepared, annotated_box
from exemplar.metrics import pck_2d
from exemplar.objectives import mean_error_px
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch, Sample
from exemplar.skeletons import OPENPOSE_25

PCK_SHARE = 0.1
"""A keypoint is right within this share of the box's side."""

_NUMBERS = ("mpjpe", "pa_mpjpe", "pve", "pck_150", "auc", "px", "px_fitted", "pck")
_CURVES = ("mpjpe", "pa_mpjpe", "px")
"""Errors that are recorded after each update, too."""

_NEVER_NULL = ("method", "number")
"""Columns that no row lacks."""

Row = dict[str, Any]
"""One person's row of one method, by column."""


@dataclass(frozen=True)
class Shown:
    """People as the network sees them, with what they are judged by."""

    samples: Sequence[Sample]
    """As the set has them."""
    numbers: Sequence[int]
    """Their numbers in the set."""
    box: Box
    """Their crops."""
    fitted: Float[Tensor, "b 49 3"]
    """The keypoints that are fitted, crop units."""
    annotated: Float[Tensor, "b 49 3"]
    """Those that 2D errors are about, in the same crops: the set's own, at their exact places where
    these are known."""


def shown_of(samples: Sequence[Sample], people: Sequence[Prepared], batch: Batch) -> Shown:
    """People who were prepared (with keypoints of any source) as a batch, beside the samples of the
    set."""
    annotated = [
        _in_crop(sample, one.person)
        for sample, one in zip(samples, people, strict=True)
        if one.person is not None
    ]
    return Shown(
        samples,
        [one.number for one in people],
        batch.box,
        batch.keypoints_2d,
        torch.stack(annotated).to(batch.image.device),
    )


def _in_crop(sample: Sample, person: CroppedPerson) -> Tensor:
    """The keypoints that 2D errors are about: exact ones, of the annotated joints, where known."""
    own = sample.keypoints_2d
    if EXACT in sample.extra:
        own = np.where(own[:, 2:] > 0, sample.extra[EXACT], 0.0)
    points = torch.from_numpy(own).float()
    known = torch.isfinite(points).all(-1, keepdim=True) & (points[:, 2:] > 0)
    points = torch.where(known, points, 0.0)
    return torch.cat((image_to_crop(points[:, :2], person.box), points[:, 2:]), dim=1)


def seen_weights(keypoints: Float[Tensor, "b 49 3"], body: Body) -> Float[Tensor, "b 49"]:
    """1 for the keypoints that 2D errors are about: the annotated ones, or OpenPose's where there
    are no others."""
    known = (keypoints[..., 2] > 0) & (body.available("smpl49") > 0).to(keypoints.device)
    split = len(OPENPOSE_25)
    only = known.clone()
    only[:, :split] &= ~known[:, split:].any(1, keepdim=True)
    return only.to(keypoints.dtype)


@torch.no_grad()
def rows_of(
    judge: Judge, truth: Truth, shown: Shown, method: Method, answers: Answers, model: CameraModel
) -> list[Row]:
    """The rows of a method. `model` is the camera of its bodies."""
    found = turned_back(answers.prediction, shown.box)
    scores: dict[str, Tensor] = dict(judge.scores(found.body_params(), truth, vertices=True))
    scores |= _flat_errors(judge.body, answers.prediction, shown, answers)
    curves: dict[str, Tensor] = {}
    if answers.iterates is not None:
        bodies = turned_back(answers.iterates, shown.box).body_params()
        curves |= judge.scores(bodies, truth, vertices=False)
        curves |= _flat_errors(judge.body, answers.iterates, shown, answers)
    cameras = weak_equivalent(found.camera, model)
    rows = []
    for i, sample in enumerate(shown.samples):
        row: Row = {
            "method": method,
            "number": shown.numbers[i],
            **identity(sample),
            "status": answers.status[i],
            "message": "",
            "seconds": answers.seconds,
            "updates": int(answers.updates[i]),
            "kept": int(answers.kept[i]),
        }
        row |= {name: _number(scores, name, i) for name in _NUMBERS}
        row |= {f"{name}_by_update": _curve(curves, name, i) for name in _CURVES}
        row |= body_columns(found, cameras, shown, i)
        rows.append(row)
    return rows


def failed_row(method: Method, one: Prepared, status: str) -> Row:
    """The row of a person whom nothing could be done with."""
    return {
        "method": method,
        "number": one.number,
        **identity(one.sample),
        "status": status,
        "message": one.message,
        "updates": 0,
        "kept": 0,
    }


def identity(sample: Sample) -> Row:
    """Who a sample is."""
    return {
        "image": sample.image,
        "annotation_id": sample.annotation_id,
        "subject": sample.subject,
    }


def turned_back(found: Prediction, box: Box) -> Prediction:
    """Bodies, axes (b, ...) or (b, k, ...), in the frame of the unturned image."""
    if found.camera.ndim == 2:
        return found.turned_back(box)
    back = rotation_about_z(box.angle)[:, None]
    return replace(found, global_orient=back @ found.global_orient)


def _flat_errors(
    body: Body, found: Prediction, shown: Shown, answers: Answers
) -> dict[str, Tensor]:
    """2D errors, px of a 224 crop, and the share of keypoints in place."""
    steps = found.camera.shape[1:-1]
    rows = torch.arange(len(shown.samples)).repeat_interleave(steps.numel())
    flat = Prediction(*(x.flatten(0, len(steps)) for x in vars(found).values()))
    joints = body.keypoints(flat.body_params(), "smpl49")
    seen = answers.projection(joints, flat.camera, rows)
    own, fitted = shown.annotated[rows], shown.fitted[rows]
    weights = seen_weights(shown.annotated, body)[rows]
    distance = (seen - own[..., :2]).norm(dim=-1)
    sides = torch.full_like(distance[:, 0], 2.0)
    values = {
        "px": crop_units_to_pixels() * (distance * weights).sum(-1) / weights.sum(-1),
        "px_fitted": mean_error_px(seen, fitted[..., :2], answers.weights[rows]),
        "pck": pck_2d(distance, sides, PCK_SHARE, weights > 0),
    }
    return {name: x.unflatten(0, (-1, *steps)) if steps else x for name, x in values.items()}


def _number(scores: Mapping[str, Tensor], name: str, row: int) -> float | None:
    value = float(scores[name][row]) if name in scores else float("nan")
    return value if np.isfinite(value) else None


def _curve(curves: Mapping[str, Tensor], name: str, row: int) -> list[float] | None:
    if name not in curves or not bool(torch.isfinite(curves[name][row]).all()):
        return None
    return [float(x) for x in curves[name][row]]


def body_columns(found: Prediction, cameras: Tensor, shown: Shown, row: int) -> Row:
    """A body as the table has it, its camera in units of the annotated box."""
    annotated = annotated_box(shown.samples[row])
    box, points, camera = shown.box[row].to("cpu"), shown.fitted[row].cpu(), cameras[row].cpu()
    camera = move_weak_camera(camera, box.centre, box.size, annotated.centre, annotated.size)
    in_image = torch.cat((crop_to_image(points[:, :2], box), points[:, 2:]), dim=1)
    pose = torch.cat((found.global_orient[row][None], found.body_pose[row]))
    return {
        "pose": pose.flatten().tolist(),
        "betas": found.betas[row].tolist(),
        "weak_camera": camera.tolist(),
        "box_centre": annotated.centre.tolist(),
        "box_size": float(annotated.size),
        "keypoints_2d": in_image.flatten().tolist(),
    }


def params_of(row: Mapping[str, Any]) -> BodyParams:
    """The body of a row of the table, without a batch axis."""
    pose = torch.tensor(row["pose"]).reshape(-1, 3, 3)
    return BodyParams(pose[0], pose[1:], torch.tensor(row["betas"]))


def row_schema(kind: str = "float32") -> Any:
    """The columns of the table (pyarrow's schema), with numbers of a kind."""
    import pyarrow as pa

    number = pa.type_for_alias(kind)
    numbers = pa.list_(number)
    return pa.schema(
        [
            ("method", pa.string()),
            ("number", pa.int64()),
            ("image", pa.string()),
            ("annotation_id", pa.int64()),
            ("subject", pa.string()),
            ("status", pa.string()),
            ("message", pa.string()),
            *((name, number) for name in _NUMBERS),
            ("seconds", number),
            ("updates", pa.int32()),
            ("kept", pa.int32()),
            *((f"{name}_by_update", numbers) for name in _CURVES),
            ("pose", numbers),
            ("betas", numbers),
            ("weak_camera", numbers),
            ("box_centre", numbers),
            ("box_size", number),
            ("keypoints_2d", numbers),
        ]
    )


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write rows as a Parquet file, which appears whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=row_schema()), temporary)


def read_rows(path: Path) -> list[Row]:
    """The rows of a Parquet file of `write_rows`; ValueError if it is none."""
    if not path.is_file():
        raise ValueError(f"{path}: it is not there: not a table of an evaluation")
    with table.opened(path, "a table of an evaluation") as file:
        known = {column.name: column.type for column in file.schema_arrow}
        missing = [column for column in row_schema() if known.get(column.name) != column.type]
        if missing:
            what = f"no column {missing[0].name} of type {missing[0].type}"
            raise ValueError(f"{path}: {what}: not a table of an evaluation")
        rows = file.read()
        check_known(rows)
        return rows.to_pylist()


def check_known(rows: Any) -> None:
    """ValueError if some rows of a table (pyarrow's) do not say whose they are."""
    for name in _NEVER_NULL:
        if name in rows.column_names and rows.column(name).null_count:
            raise ValueError(f"{name} is missing in a row")
