"""What the folder of an evaluation says, as its page needs it: all scalars, bodies of a few.

`samples.parquet` has one row a person and method, `summary.json` the means, `config.json` the
settings. The arrays of a row (pose, keypoints) are read for the rows that are drawn alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from exemplar.data.formats import table
from exemplar.evaluation.columns import BASELINE
from exemplar.evaluation.records import check_known, row_schema
from exemplar.evaluation.run_files import CONFIG, SAMPLES, SUMMARY
from exemplar.files.reading_files import read_json, reading
from exemplar.results import BAD_INPUT
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.skeletons import SMPL_24, SMPL_49

METHODS = (BASELINE, "smplify", "eft", "eft+guard", "dual")
"""Order in which methods are shown; others follow by name."""

ERRORS = ("pa_mpjpe", "mpjpe", "px")
"""Errors by which people are compared, the preferred first; the others if it is not known."""

LEFT_OUT = (BAD_INPUT,)
"""Statuses of people who do not count, as in `tables.summary_of`. A fit that went wrong is still
what the method answers: leaving it out would make the method look better than it is."""

_SCALARS = (
    "mpjpe", "pa_mpjpe", "pve", "px", "px_fitted", "pck", "seconds", "updates", "kept",
)  # fmt: skip
_OPTIONAL = ("pck_150", "auc")
_TEXTS = ("image", "subject", "status", "message")
_LISTS = ("pa_mpjpe_by_update", "mpjpe_by_update", "px_by_update")
_ARRAYS = ("pose", "betas", "weak_camera", "box_centre", "box_size", "keypoints_2d")


@dataclass(frozen=True)
class MethodRows:
    """What one method made of the people of a run, by their number."""

    number: Int[np.ndarray, " people"]
    """A person's number in the set, ascending."""
    row: Int[np.ndarray, " people"]
    """Their row in the file."""
    texts: Mapping[str, tuple[str, ...]]
    """image, subject, status, message."""
    annotation_id: tuple[int | None, ...]
    """The set's own number of the person."""
    values: Mapping[str, Float[np.ndarray, " people"]]
    """Errors and the other scalars by column (mm, px of a 224 crop, s); NaN where unknown."""
    by_update: Mapping[str, Float[np.ndarray, "people _"]] = field(default_factory=dict)
    """Errors after 0, 1, ... updates by name; who has stopped keeps the last. Only what is known of
    somebody."""

    @property
    def counted(self) -> Bool[np.ndarray, " people"]:
        """Whose numbers go into means: everybody with an answer."""
        return np.array([status not in LEFT_OUT for status in self.texts["status"]], bool)

    def errors(self, name: str) -> Float[np.ndarray, " people"]:
        """A column, NaN for those who do not count."""
        return np.where(self.counted, self.values[name], np.nan)

    def curves(self, name: str) -> Float[np.ndarray, "people _"]:
        """Errors by update, NaN for those who do not count."""
        return np.where(self.counted[:, None], self.by_update[name], np.nan)


@dataclass(frozen=True)
class RunData:
    """A run's folder, read."""

    folder: Path
    """Where it is."""
    config: Mapping[str, Any]
    """Settings; empty if the file is missing."""
    summary: Mapping[str, Any]
    """Means and what was evaluated."""
    methods: Mapping[str, MethodRows]
    """People by method, in the order of `METHODS`."""

    @property
    def error(self) -> str:
        """The error by which people are compared: the first of `ERRORS` known of anybody."""
        known = (
            name
            for name in ERRORS
            if any(np.isfinite(rows.errors(name)).any() for rows in self.methods.values())
        )
        return next(known, ERRORS[-1])

    def before(self, method: str, name: str) -> Float[np.ndarray, " people"]:
        """The regressor's error of a method's people; NaN where it is unknown.

        From the rows of `BASELINE`; in a run without them, the method's own before any update.
        """
        rows = self.methods[method]
        if BASELINE in self.methods:
            return aligned(self.methods[BASELINE], self.methods[BASELINE].errors(name), rows.number)
        if name in rows.by_update:
            return rows.curves(name)[:, 0]
        return np.full(len(rows.number), np.nan)


def aligned(
    rows: MethodRows, values: Float[np.ndarray, " people"], numbers: Int[np.ndarray, " wanted"]
) -> Float[np.ndarray, " wanted"]:
    """Values of the people with these numbers; NaN for those that `rows` does not have."""
    found = dict(zip(rows.number.tolist(), values.tolist(), strict=True))
    return np.array([found.get(number, np.nan) for number in numbers.tolist()], np.float64)


def read_run(folder: str | Path) -> RunData:
    """What the page needs of a run's folder.

    FileNotFoundError or ValueError, in one line, if `samples.parquet` or `summary.json` is missing
    or broken. `config.json` may be missing.
    """
    with reading(folder, "an evaluation's folder"):
        return _read_run(Path(folder))


_SETTINGS: Mapping[str, type] = {"images": str, "annotations": str, "config": dict}
_MEANS: Mapping[str, type] = {"body": str, "methods": dict, "differences": list}
"""What is read of a run's settings and of its means, where they tell it."""


def _read_run(folder: Path) -> RunData:
    summary = _json(folder / SUMMARY)
    config = _json(folder / CONFIG) if (folder / CONFIG).exists() else {}
    _check(folder / SUMMARY, summary, _MEANS)
    methods = summary.get("methods") or {}
    _check(folder / SUMMARY, methods, dict.fromkeys(methods, dict))
    _check(folder / CONFIG, config, _SETTINGS)
    wanted = ("method", "number", "annotation_id", *_TEXTS, *_SCALARS, *_LISTS)
    columns = _columns(folder, wanted, optional=_OPTIONAL)
    names = columns["method"]
    known = [name for name in METHODS if name in names]
    known += sorted(set(names) - set(METHODS))
    return RunData(folder, config, summary, {name: _method(columns, name) for name in known})


def _check(path: Path, values: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(values.get(name) or kind(), kind):
            got = str(values[name])[:40]
            raise ValueError(f"{path}: {name} is {got}, expected {kind.__name__} or null")


def read_samples(folder: str | Path, rows: Sequence[int]) -> list[Sample]:
    """Some rows of `samples.parquet` as people with the method's body and the fitted keypoints.

    `body` is None where the row has none. Errors are those of `read_run`.
    """
    names = ("image", "annotation_id", "subject", *_ARRAYS)
    with reading(Path(folder) / SAMPLES, "an evaluation's people"):
        columns = _columns(Path(folder), names, rows)
        return [_sample({name: columns[name][i] for name in names}) for i in range(len(rows))]


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: not a finished run")
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected an object, got {type(value).__name__}")
    return value


def _columns(
    folder: Path,
    names: Sequence[str],
    rows: Sequence[int] | None = None,
    *,
    optional: Sequence[str] = (),
) -> dict[str, list[Any]]:
    """Columns of the file of samples as lists; of some rows, if they are given."""
    table.require()
    import pyarrow

    path = folder / SAMPLES
    if not path.is_file():
        raise FileNotFoundError(f"no {SAMPLES} in {folder}: not a finished run")
    with table.opened(path, "a table of an evaluation") as file:
        there = set(file.schema_arrow.names)
        missing = set(names) - there
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        names = [*names, *(name for name in optional if name in there)]
        schema = row_schema("float64")  # other programs may have written the table again
        kinds = pyarrow.schema([schema.field(name) for name in names])
        read = file.read(columns=names).select(names).cast(kinds)
        check_known(read)
        if rows is not None:
            read = read.take(pyarrow.array(rows, pyarrow.int64()))
        return {name: read.column(name).to_pylist() for name in names}


def _method(columns: Mapping[str, list[Any]], name: str) -> MethodRows:
    rows = [i for i, method in enumerate(columns["method"]) if method == name]
    rows.sort(key=lambda row: columns["number"][row])
    curves = {
        column.removesuffix("_by_update"): carried([columns[column][row] for row in rows])
        for column in _LISTS
    }
    return MethodRows(
        number=np.array([columns["number"][row] for row in rows], np.int64),
        row=np.array(rows, np.int64),
        texts={text: tuple(str(columns[text][row] or "") for row in rows) for text in _TEXTS},
        annotation_id=tuple(columns["annotation_id"][row] for row in rows),
        values={
            value: _numbers([columns[value][row] for row in rows])
            for value in (*_SCALARS, *_OPTIONAL)
            if value in columns
        },
        by_update={key: curve for key, curve in curves.items() if np.isfinite(curve).any()},
    )


def _numbers(values: Sequence[int | float | None]) -> Float[np.ndarray, " people"]:
    """NaN for what is unknown, infinities included: no mean should be lost to one person."""
    array = np.array([np.nan if value is None else value for value in values], np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def carried(lists: Sequence[Sequence[int | float | None] | None]) -> Float[np.ndarray, "people _"]:
    """Ragged lists as rows of one length, the shorter ones continued with their last value."""
    longest = max((len(values) for values in lists if values), default=0)
    rows = np.full((len(lists), longest), np.nan)
    for row, values in zip(rows, lists, strict=True):
        if values:
            row[: len(values)] = _numbers(values)
            row[len(values) :] = row[len(values) - 1]
    return rows


def _sample(values: Mapping[str, Any]) -> Sample:
    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        found = values[name]
        if found is None or len(found) != np.prod(shape):
            return np.full(shape, np.nan)
        return np.array([np.nan if x is None else x for x in found], np.float64).reshape(shape)

    pose, camera = array("pose", (len(SMPL_24), 3, 3)), array("weak_camera", (3,))
    betas = np.array(values["betas"] or [], np.float64)
    whole = all(np.isfinite(part).all() for part in (pose, betas)) and len(betas) > 0
    keypoints = array("keypoints_2d", (len(SMPL_49), 3))
    return Sample(
        image=values["image"] or "",
        box_centre=array("box_centre", (2,)),
        box_scale=float("nan") if values["box_size"] is None else values["box_size"] / SCALE_UNIT,
        keypoints_2d=np.where(np.isfinite(keypoints).all(1, keepdims=True), keypoints, 0.0),
        annotation_id=values["annotation_id"],
        subject=values["subject"] or "",
        body=BodyTruth(pose, betas, camera if np.isfinite(camera).all() else None)
        if whole
        else None,
    )
