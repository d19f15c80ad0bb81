"""Pickles of plain data, read without running code from them.

Human-body files are often pickles, many written by Python 2. The unpickler here knows numbers,
strings, lists, dicts, numpy and scipy.sparse arrays, and stand-ins for chumpy's arrays; a file that
names anything else is refused before it is built.
"""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch


class _StandIn:
    """Takes the place of a foreign array class in a pickle and keeps its state as a dict."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})


class _ChumpyArray(_StandIn):
    """chumpy.ch.Ch: the numbers are in `x`."""


class _ChumpySelect(_StandIn):
    """chumpy.reordering.Select: `a.ravel()[idxs]` reshaped to `preferred_shape`."""


class _SparseColumns(_StandIn):
    """scipy.sparse.csc_matrix: data, indices, indptr and _shape."""


class _SparseRows(_StandIn):
    """scipy.sparse.csr_matrix: as the columns, of the transpose."""


class _SparsePlaces(_StandIn):
    """scipy.sparse.coo_matrix: data, its places as `coords` or `row` and `col`, and _shape."""


def _rebuild_stand_in(cls: type, base: type, state: Any) -> Any:
    """What copyreg._reconstructor does, for the stand-ins only."""
    if not (isinstance(cls, type) and issubclass(cls, _StandIn)):
        raise pickle.UnpicklingError("only arrays may be rebuilt")
    return cls.__new__(cls)


def _encode_latin1(text: str, encoding: str) -> bytes:
    """How pickle protocol 2 spells bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("only latin1 bytes may be decoded")
    return text.encode("latin1")


def _array_of_bytes(data: Any, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    """How numpy spells an array in pickle protocol 5."""
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _storage_of_bytes(data: bytes) -> Any:
    """How torch spells the numbers of its tensors: as a file of its own."""
    return torch.load(io.BytesIO(data), weights_only=True)


def _array_of_storage(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """How torch spells a tensor; torch checks that the storage has as many numbers."""
    numbers = getattr(storage, "_untyped_storage")  # noqa: B009 - public names warn
    if math.prod(size) * storage.dtype.itemsize > len(numbers):
        raise pickle.UnpicklingError("a tensor has more numbers than are there")
    return torch.empty(0, dtype=storage.dtype).set_(numbers, offset, size, stride).numpy()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("copy_reg", "_reconstructor"): _rebuild_stand_in,
    ("copyreg", "_reconstructor"): _rebuild_stand_in,
    ("_codecs", "encode"): _encode_latin1,
    ("chumpy.ch", "Ch"): _ChumpyArray,
    ("chumpy.reordering", "Select"): _ChumpySelect,
    **{
        (f"scipy.sparse.{underscore}{kind}", f"{kind}_{name}"): stand_in
        for kind, stand_in in (
            ("csc", _SparseColumns),
            ("csr", _SparseRows),
            ("coo", _SparsePlaces),
        )
        for underscore in ("", "_")
        for name in ("matrix", "array")
    },
    ("torch.storage", "_load_from_bytes"): _storage_of_bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _array_of_storage,
    ("collections", "OrderedDict"): dict,
    ("numpy", "matrix"): np.ndarray,
    ("numpy.matrixlib.defmatrix", "matrix"): np.ndarray,
    **{
        (f"numpy.{core}.multiarray", name): getattr(np._core.multiarray, name)  # pyright: ignore
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _array_of_bytes for core in ("core", "_core")},
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, sparse matrices and stand-ins for chumpy arrays; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def unpickle(data: bytes) -> Any:
    """What a pickle of plain data holds, without running any code from it.

    ValueError if it is damaged or asks for anything else.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise ValueError(f"not a pickle of plain arrays: {error}") from error


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict in a pickle of arrays, without running any code from it.

    ValueError if the file is damaged or asks for anything that is not an array.
    """
    try:
        content = unpickle(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dict of arrays, got {type(content).__name__}")
    return content


def as_array(value: Any) -> np.ndarray:
    """A dense numpy array from an array or one of the stand-ins.

    ValueError for anything else, and for object arrays.
    """
    if isinstance(value, _SparseColumns | _SparseRows | _SparsePlaces):
        return _dense(value)
    if isinstance(value, _ChumpySelect):
        picked = as_array(value.__dict__["a"]).ravel()[as_array(value.__dict__["idxs"])]
        return picked.reshape(value.__dict__["preferred_shape"])
    if isinstance(value, _ChumpyArray):
        return as_array(value.__dict__["x"])
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    raise ValueError(f"expected an array of numbers, got {type(value).__name__}")


def _dense(sparse: _SparseColumns | _SparseRows | _SparsePlaces) -> np.ndarray:
    state = sparse.__dict__
    shape = state.get("_shape") or state["shape"]
    if isinstance(sparse, _SparsePlaces):
        out = np.zeros(shape)
        places = state["coords"] if "coords" in state else (state["row"], state["col"])
        np.add.at(out, tuple(map(np.asarray, places)), np.asarray(state["data"]))
        return out
    by_rows = isinstance(sparse, _SparseRows)
    out = np.zeros(shape if by_rows else shape[::-1])
    line = np.repeat(np.arange(len(out)), np.diff(np.asarray(state["indptr"], np.int64)))
    np.add.at(out, (line, np.asarray(state["indices"])), np.asarray(state["data"]))
    return out if by_rows else out.T
