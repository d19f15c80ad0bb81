"""Samples and results as rows of the ledger's tables, and back."""

import io
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.data.records import size_of
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import one_line
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, SMPL_24, SMPL_49

CHECKSUM = "checksum"
"""Last column of rows that have one."""


def checksum(values: Iterable[Any]) -> int:
    """A number that tells a row's values, as SQLite gives them back, from others."""
    total = 0
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode(errors="replace")
        total = zlib.crc32(b"%d:" % len(data) + data, total)
    return total


def _checked(*values: Any) -> tuple[Any, ...]:
    """A row with its checksum."""
    kept = [None if value != value else value for value in values]  # SQLite keeps NaN as NULL
    return (*kept, checksum(kept))


def _blob(values: np.ndarray | None) -> bytes | None:
    return None if values is None else np.ascontiguousarray(values, "<f8").tobytes()


def _array(blob: bytes | None, *shape: int) -> np.ndarray | None:
    return None if blob is None else np.frombuffer(blob, "<f8").reshape(shape).astype(np.float64)


def _pack(arrays: Mapping[str, np.ndarray]) -> bytes | None:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue() if arrays else None


def _unpack(blob: bytes | None) -> dict[str, np.ndarray]:
    if blob is None:
        return {}
    return read_npz(blob)


def row_of_sample(number: int, sample: Sample) -> tuple[Any, ...]:
    """The row of `samples` with this number."""
    points = sample.keypoints_2d
    width, height = sample.image_size or (None, None)
    return _checked(
        number,
        sample.image,
        sample.annotation_id,
        sample.subject,
        float(sample.box_centre[0]),
        float(sample.box_centre[1]),
        float(sample.box_scale),
        int((points[:, 2] > 0).sum()),
        _blob(points),
        _blob(sample.joints_3d),
        _blob(sample.intrinsics),
        _pack(sample.extra),
        sample.problem,
        width,
        height,
    )


def sample_of_row(row: sqlite3.Row) -> Sample:
    """ValueError, in one line, if the row makes no sense."""
    with _one_line("samples", row):
        return _sample(row)


def truth_of_row(row: sqlite3.Row) -> PseudoTruth:
    """A row of `samples`, `results` and the decision (`decided`).

    ValueError, in one line, if it makes no sense.
    """
    with _one_line("results", row):
        return _truth(row)


@contextmanager
def _one_line(table: str, row: sqlite3.Row) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = one_line(error)
        raise ValueError(f"damaged ledger: row {row['id']} of {table}: {reason}") from error


def _sample(row: sqlite3.Row) -> Sample:
    keypoints = _array(row["points"], len(SMPL_49), 3)
    if keypoints is None:
        raise ValueError("no keypoints")
    return Sample(
        image=_of(str, row, "image"),
        box_centre=np.array([_number(row, "x"), _number(row, "y")]),
        box_scale=_number(row, "scale"),
        keypoints_2d=keypoints,
        annotation_id=_of(int | None, row, "annotation_id"),
        subject=_of(str, row, "subject"),
        joints_3d=_array(row["joints_3d"], len(GT_24), 4),
        intrinsics=_array(row["intrinsics"], 3, 3),
        extra=_unpack(_of(bytes | None, row, "extra")),
        problem=_of(str, row, "problem"),
        image_size=size_of(row["image_width"], row["image_height"]),
    )


def row_of_truth(number: int, truth: PseudoTruth) -> tuple[Any, ...]:
    """The row of `results` of the sample with this number."""
    body = truth.sample.body
    made_by = [truth.regressor, truth.body_model, truth.recipe, truth.version]
    return _checked(
        number,
        truth.status,
        truth.message,
        float(truth.error_px_before),
        float(truth.error_px_after),
        float(truth.loss_2d),
        truth.iterations,
        truth.kept_iteration,
        *(_blob(x) for x in _numbers(body)),
        json.dumps(made_by),
    )


def _numbers(body: BodyTruth | None) -> tuple[np.ndarray | None, ...]:
    if body is None:
        return (None,) * 4
    return body.pose, body.betas, body.weak_camera, body.translation


def _truth(row: sqlite3.Row) -> PseudoTruth:
    pose, betas = _array(row["pose"], len(SMPL_24), 3, 3), _array(row["betas"], -1)
    body = None
    if pose is not None and betas is not None:
        body = BodyTruth(pose, betas, _array(row["weak_camera"], 3), _array(row["translation"], 3))
    regressor, body_model, recipe, version = (str(text) for text in json.loads(row["made_by"]))
    return PseudoTruth(
        sample=replace(_sample(row), body=body),
        status=_of(str, row, "status"),
        message=_of(str, row, "message"),
        error_px_before=_number(row, "error_px_before"),
        error_px_after=_number(row, "error_px_after"),
        loss_2d=_number(row, "loss_2d"),
        iterations=_of(int, row, "iterations"),
        kept_iteration=_of(int, row, "kept_iteration"),
        regressor=regressor,
        body_model=body_model,
        recipe=recipe,
        version=version,
        decision=row["decided"],
    )


def _number(row: sqlite3.Row, name: str) -> float:
    """SQLite keeps NaN as NULL."""
    value = _of(float | None, row, name)
    return float("nan") if value is None else value


def _of(kind: Any, row: sqlite3.Row, name: str) -> Any:
    """A row's value; ValueError if it is of another kind, as only damage leaves it."""
    if not isinstance(row[name], kind):
        raise ValueError(f"{str(row[name])[:40]!r} as its {name}")
    return row[name]
