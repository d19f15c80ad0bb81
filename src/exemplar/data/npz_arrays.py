"""Arrays of an `.npz` file as rows of numbers and as texts."""

import math
from collections.abc import Mapping

import numpy as np


def rows_of(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], count: int
) -> dict[str, np.ndarray]:
    """The arrays of numbers named in `shapes`, as `count` rows of those shapes.

    ValueError that tells what does not fit.
    """
    return {
        name: _rows(name, arrays[name], shape, count)
        for name, shape in shapes.items()
        if name in arrays
    }


def _rows(name: str, array: np.ndarray, shape: tuple[int, ...], count: int) -> np.ndarray:
    if array.ndim == 0 or len(array) != count:
        rows = len(array) if array.ndim else "no"
        raise ValueError(f"'{name}' has {rows} rows, 'imgname' has {count}")
    if array.dtype == object:
        try:
            array = np.asarray(array.tolist(), np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(f"'{name}' is not an array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"'{name}' is {array.dtype}, expected numbers")
    if array.size != count * math.prod(shape):
        raise ValueError(f"'{name}' is {array.shape}, expected {(count, *shape)}")
    return array.reshape(count, *shape)


def texts_of(array: np.ndarray) -> list[str]:
    """Names from an array of strings, bytes or objects; ValueError for anything else."""
    return [_text(value) for value in array.reshape(-1).tolist()]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return _text(value.reshape(-1).tolist()[0])
    raise ValueError(f"expected a name, got {str(value)[:40]} ({type(value).__name__})")
