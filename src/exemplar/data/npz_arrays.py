"""Arrays of an `.npz` file by name; those of Python objects without running code from them."""

import io
import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from exemplar.pickle_files import unpickle

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
)


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Those of `names` that the file has.

    Arrays of objects (old data sets keep file names so) are built by a restricted unpickler.
    ValueError, in one line, if the file is damaged or holds anything but plain data.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy") for name in archive.namelist()}
            return {name: _array(archive.read(f"{name}.npy")) for name in names if name in members}
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not an .npz file that can be read: {reason}") from error


def _array(data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    array = np.asarray(unpickle(stream.read()), dtype=object)
    if array.size != math.prod(shape):
        raise ValueError(f"an array of {array.size} objects, expected {math.prod(shape)}")
    return array.reshape(shape)


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
