"""Arrays from `.npy` and `.npz` files, in place of `np.load`: what a header says is checked first.

A header gives a dtype of numbers, texts or objects, and a shape; an array is made when as many
bytes are there and the budget of the file has room for it. Arrays of objects (old data sets keep
file names so) are built by the restricted unpickler.
"""

import math
import re
import zipfile
from collections.abc import Collection
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Literal, cast

import numpy as np

from exemplar.files.file_budget import Budget
from exemplar.files.pickle_files import checked_shape, checked_texts, dtype_named, unpickle
from exemplar.files.reading_files import one_line, unless_not_there

_MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000

_HEADER = {
    key: re.compile(rf"""['"]{key}['"]\s*:\s*{value}\s*[,}}]""")
    for key, value in {
        "descr": r"""['"]([^'"]*)['"]""",
        "fortran_order": "(True|False)",
        "shape": r"\(([\dL,\s]*)\)",
    }.items()
}

_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file; ValueError, in one line, if it is none or damaged."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _array(file, Budget(size))
    except Exception as error:  # a damaged file can raise anything
        unless_not_there(error)
        raise ValueError(f"{path} is not a readable .npy file: {one_line(error)}") from error


def npy_from_bytes(data: bytes) -> np.ndarray:
    """The array that an `.npy` file of these bytes would have; ValueError if it has none."""
    return _array(BytesIO(data), Budget(len(data)))


def read_npz(path: Path | bytes, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file (or its bytes), or those of `names` that it has.

    ValueError, in one line, if the file is damaged, holds more than its budget, or anything but
    plain data.
    """
    source = "it" if isinstance(path, bytes) else str(path)
    try:
        size = len(path) if isinstance(path, bytes) else path.stat().st_size
        budget = Budget(size)
        with zipfile.ZipFile(BytesIO(path) if isinstance(path, bytes) else path) as archive:
            return {
                name: _member(archive, info, budget)
                for name, info in _members(archive).items()
                if names is None or name in names
            }
    except Exception as error:  # as above
        unless_not_there(error)
        raise ValueError(f"{source} is not a readable .npz file: {one_line(error)}") from error


def npz_names(path: Path) -> frozenset[str]:
    """Names of the arrays of an `.npz` file; empty for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(_members(archive))
    except Exception:  # as above
        return frozenset()


def zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> BufferedIOBase:
    """A member of a zip, open; what it says to expand to is taken from the budget first."""
    if info.compress_type not in _PACKED or info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted, or packed in a way that is not read")
    budget.take(info.file_size)
    return cast(BufferedIOBase, archive.open(info))


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> np.ndarray:
    try:
        with zip_member(archive, info, budget) as stream:
            return _array(stream, budget)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{info.filename}: {one_line(error)}") from error


def map_npy(path: Path) -> np.ndarray:
    """The numbers of an `.npy` file, read from the disk when they are looked at.

    ValueError, in one line, if it is none or damaged.
    """
    try:
        with path.open("rb") as file:
            dtype, shape, order = _header(file)
            if dtype.kind not in "biufc":
                raise ValueError(f"it holds {dtype}, expected numbers")
            return np.memmap(path, dtype, "r", file.tell(), shape, order)
    except Exception as error:  # as above
        unless_not_there(error)
        raise ValueError(f"{path} is not a readable .npy file: {one_line(error)}") from error


def _header(stream: BufferedIOBase) -> tuple[np.dtype, tuple[int, ...], Literal["C", "F"]]:
    """dtype, shape and order; the stream then stands at the numbers."""
    start = stream.read(8)
    if start[:6] != _MAGIC or start[6] not in (1, 2, 3):
        raise ValueError("it is not an .npy array")
    length = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header has {length} bytes, expected {_LONGEST_HEADER} at most")
    header = stream.read(length).decode("latin1")
    found = [wanted.search(header) for wanted in _HEADER.values()]
    if not all(found):
        raise ValueError(f"its header is {header[:60].strip()!r}, expected a dtype and a shape")
    descr, fortran, sides = (match[1] for match in found if match)
    shape = tuple(int(side.rstrip("L")) for side in sides.replace(" ", "").split(",") if side)
    return dtype_named(descr), shape, "F" if fortran == "True" else "C"


def _array(stream: BufferedIOBase, budget: Budget) -> np.ndarray:
    dtype, shape, order = _header(stream)
    checked_shape(shape, dtype, budget)
    if dtype.hasobject:
        return _objects(stream.read(), shape, budget)
    array = np.empty(math.prod(shape), dtype)
    _fill(array, stream)
    return checked_texts(array).reshape(shape, order=order)


def _fill(array: np.ndarray, stream: BufferedIOBase) -> None:
    view, done = array.view(np.uint8).data if array.size else memoryview(b""), 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            raise ValueError(f"it ends after {done} of {len(view)} bytes")
        done += count


def _objects(data: bytes, shape: tuple[int, ...], budget: Budget) -> np.ndarray:
    array = unpickle(data, budget)
    if not isinstance(array, np.ndarray) or array.size != math.prod(shape):
        raise ValueError(f"expected an array of {math.prod(shape)} objects")
    return array.reshape(shape)
