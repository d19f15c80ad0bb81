"""Our own table of pseudo ground truth: Parquet, one row a person, everything that is known.

Columns are named after the fields of `PseudoTruth` and `Sample`; those of the body are `pose`
(24 x 3 x 3), `betas`, `weak_camera`, `translation` and `gender`. Arrays are fixed-size lists of
float64 in the units of those classes (px, metres); what is unknown is null. `extra` maps a name to
the bytes of an `.npy`. The file's metadata (`metadata`) names the joints, the versions and how the
table was made. Rows are written and read in groups, so memory does not grow with the table.
"""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.data.records import size_of
from exemplar.files.atomic_files import replacing
from exemplar.files.file_budget import Budget
from exemplar.files.npy_files import npy_from_bytes
from exemplar.files.reading_files import reading
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, SMPL_24, SMPL_49

TITLE = "exemplar's table of pseudo ground truth (Parquet)"
JOINTS = SMPL_49

VERSION = 1
"""Version of the table's layout."""

_KEY = b"exemplar"
_GROUP = 1024
_ARRAYS: Mapping[str, tuple[int, ...]] = {
    "box_centre": (2,),
    "keypoints_2d": (len(SMPL_49), 3),
    "joints_3d": (len(GT_24), 4),
    "intrinsics": (3, 3),
    "pose": (len(SMPL_24), 3, 3),
    "weak_camera": (3,),
    "translation": (3,),
}
_OF_SAMPLE = (
    "image", "annotation_id", "subject", "box_centre", "box_scale", "keypoints_2d", "joints_3d",
    "intrinsics", "problem",
)  # fmt: skip
_NEEDED = ("image", "subject", "box_centre", "box_scale", "keypoints_2d", "problem")
_SIZE = "image_size"
"""A column that tables written before it lack."""

_OF_BODY = ("pose", "betas", "weak_camera", "translation", "gender")
_OF_FIT = tuple(f.name for f in fields(PseudoTruth) if f.name != "sample")


def matches(contents: Contents) -> bool:
    """Whether it is a Parquet file that was written here."""
    if contents.path.is_dir() or contents.suffix not in (".parquet", ".pq"):
        return False
    try:
        metadata(contents.path)
    except (ValueError, OSError, ImportError):
        return False
    return True


def read(source: str | Path | Contents) -> Iterator[PseudoTruth]:
    """The table's rows, as they were written.

    ValueError, in one line, if it is not such a table or is of a later version.
    """
    path = Contents(source).path
    about = metadata(path)
    if about.get("table_version", 0) > VERSION:
        raise ValueError(
            f"{path} is a table of version {about['table_version']}, expected at most {VERSION}:"
            " update exemplar"
        )
    with opened(path, TITLE) as file:
        names = set(file.schema_arrow.names)
    missing = [name for name in (*_OF_SAMPLE, *_OF_BODY, *_OF_FIT, "extra") if name not in names]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}")
    return _read_rows(path)


def metadata(path: str | Path) -> dict[str, Any]:
    """What the table says of itself: `joints`, `joints_3d`, `table_version` and how it was made."""
    with opened(path) as file:
        stored = file.schema_arrow.metadata or {}
    if _KEY not in stored:
        raise ValueError(f"{path} is a Parquet file, but not a table of pseudo ground truth")
    with reading(path, TITLE):
        about = json.loads(stored[_KEY])
        if not isinstance(about, dict) or not isinstance(about.get("table_version"), int):
            raise ValueError("what it says of itself is not a table's")
    return about


@contextmanager
def opened(path: str | Path, expected: str = "a Parquet file") -> Iterator[Any]:
    """An open Parquet file (pyarrow's `ParquetFile`) whose contents fit the budget of its size.

    ValueError or OSError, in one line, for any error of the block.
    """
    with reading(path, expected), _parquet().ParquetFile(path) as file:
        budget, about = Budget(Path(path).stat().st_size), file.metadata
        for group in range(about.num_row_groups):
            budget.take(max(about.row_group(group).total_byte_size, 0))
            budget.take(max(about.row_group(group).num_rows, 0) * about.num_columns)
        yield file


def write(
    rows: Iterable[PseudoTruth],
    path: str | Path,
    *,
    made: Mapping[str, Any] | None = None,
    group: int = _GROUP,
) -> int:
    """Write a table; how many rows it has.

    Args:
        rows: taken `group` at a time.
        path: where to; it appears whole or not at all.
        made: how the table was made (JSON values), for its metadata.
        group: rows that are in memory together.
    """
    arrow, parquet = _arrow(), _parquet()
    schema = _schema(json.dumps(dict(made or {})))
    count, rows = 0, iter(rows)
    with (
        replacing(path) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        while batch := list(itertools.islice(rows, group)):
            columns = _columns(batch)
            arrays = [columns[f.name](f.type) for f in schema]
            writer.write_batch(arrow.RecordBatch.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def require() -> None:
    """ImportError, naming the extra that brings it, if the package for tables is missing."""
    _parquet()


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("tables need pyarrow: pip install 'exemplar-hmr[data]'") from error
    return pyarrow


def _parquet() -> Any:
    _arrow()
    import pyarrow.parquet

    return pyarrow.parquet


@cache
def _schema(made: str) -> Any:
    arrow = _arrow()

    def nested(shape: tuple[int, ...]) -> Any:
        kind = arrow.float64()
        for size in reversed(shape):
            kind = arrow.list_(kind, size)
        return kind

    plain = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    kinds: dict[str, Any] = {name: arrow.string() for name in ("image", "subject", "problem")}
    kinds |= {"annotation_id": arrow.int64(), "box_scale": arrow.float64()}
    kinds |= {name: nested(shape) for name, shape in _ARRAYS.items()}
    kinds |= {"betas": arrow.list_(arrow.float64()), "gender": arrow.string()}
    kinds |= {f.name: plain.get(f.type, arrow.string()) for f in fields(PseudoTruth)}  # pyright: ignore
    kinds |= {_SIZE: arrow.list_(arrow.int64())}
    kinds |= {"extra": arrow.map_(arrow.string(), arrow.binary())}
    about = {
        "table_version": VERSION,
        "joints": SMPL_49,
        "joints_3d": GT_24,
        "made": json.loads(made),
    }
    names = (*_OF_SAMPLE, *_OF_BODY, *_OF_FIT, "extra", _SIZE)
    listed = [arrow.field(name, kinds[name]) for name in names]
    return arrow.schema(listed, metadata={_KEY: json.dumps(about).encode()})


def _columns(batch: list[PseudoTruth]) -> dict[str, Callable[[Any], Any]]:
    """For each column, what makes its array for a given type."""
    samples = [row.sample for row in batch]
    bodies = [sample.body for sample in samples]
    values: dict[str, list[Any]] = {
        **{name: [getattr(sample, name) for sample in samples] for name in (*_OF_SAMPLE, _SIZE)},
        **{
            name: [None if body is None else getattr(body, name) for body in bodies]
            for name in _OF_BODY
        },
        **{name: [getattr(row, name) for row in batch] for name in _OF_FIT},
        "extra": [[(k, _packed(v)) for k, v in sample.extra.items()] for sample in samples],
    }
    arrow = _arrow()

    def column(name: str) -> Callable[[Any], Any]:
        if name in _ARRAYS:
            return lambda _: _fixed(name, values[name])
        return lambda kind: arrow.array(values[name], kind)

    return {name: column(name) for name in values}


def _fixed(name: str, values: list[np.ndarray | None]) -> Any:
    """A column of arrays of one shape, null for None."""
    arrow, shape = _arrow(), _ARRAYS[name]
    rows = np.zeros((len(values), *shape))
    unknown = np.array([value is None for value in values])
    for row, value in enumerate(values):
        if value is not None:
            if value.shape != shape:
                raise ValueError(f"{name} is {value.shape} in row {row}, expected {shape}")
            rows[row] = value
    array = arrow.array(rows.reshape(-1))
    for size in reversed(shape[1:]):
        array = arrow.FixedSizeListArray.from_arrays(array, size)
    return arrow.FixedSizeListArray.from_arrays(array, shape[0], mask=arrow.array(unknown))


def _packed(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=False)
    return stream.getvalue()


def _read_rows(path: Path) -> Iterator[PseudoTruth]:
    number = 0
    with opened(path, TITLE) as file:
        here = {*file.schema_arrow.names, *(f.name for f in _schema("{}") if f.name != _SIZE)}
        schema = _arrow().schema(f for f in _schema("{}") if f.name in here)
        for read in file.iter_batches(batch_size=_GROUP):
            whole = _arrow().Table.from_batches([read]).select(schema.names).cast(schema)
            batch = whole.combine_chunks().to_batches()[0] if len(whole) else read
            arrays = {name: _arrays(batch.column(name), _ARRAYS[name]) for name in _ARRAYS}
            rest = batch.drop_columns(list(_ARRAYS)).to_pylist()
            for row, values in enumerate(rest):
                with reading(f"{path}, row {number}", "a person of a table"):
                    found = _row(values | {name: array[row] for name, array in arrays.items()})
                yield found
                number += 1


def _arrays(column: Any, shape: tuple[int, ...]) -> list[np.ndarray | None]:
    known = column.is_valid().to_numpy(zero_copy_only=False)
    for _ in shape:
        column = column.flatten()
    values = iter(column.to_numpy(zero_copy_only=False).reshape(-1, *shape))
    return [np.array(next(values)) if here else None for here in known]


def _row(values: Mapping[str, Any]) -> PseudoTruth:
    body = None
    if values["pose"] is not None:
        parts: dict[str, Any] = {name: values[name] for name in _OF_BODY}
        parts["betas"] = np.array(parts["betas"], np.float64)
        body = BodyTruth(**parts)
    extra = {name: npy_from_bytes(data) for name, data in values["extra"] or ()}
    lacking = [name for name in _NEEDED if values[name] is None]
    if lacking:
        raise ValueError(f"it has no {', '.join(lacking)}")
    size = size_of(*(values.get(_SIZE) or (None, None)))
    own = {name: values[name] for name in _OF_SAMPLE}
    sample = Sample(**own, body=body, extra=extra, image_size=size)
    known = {name: values[name] for name in _OF_FIT if values[name] is not None}
    return PseudoTruth(sample, **known)
