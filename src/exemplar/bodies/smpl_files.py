"""SMPL model files: `.npz`, and `.pkl` through an unpickler that builds arrays and nothing else."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exemplar.bodies.body import Body, BodyArrays
from exemplar.skeletons import (
    COCO_17,
    H36M_17,
    SMPL_24_PARENTS,
    SMPL_49,
    SMPL_EXTRA_9,
    SMPL_KEY_VERTICES,
    smpl49_sources,
)

EXTRA_REGRESSOR = "J_regressor_extra.npy"
"""SPIN's (9, V) regressor of annotated joints; looked for beside the model file."""

H36M_REGRESSOR = "J_regressor_h36m.npy"
"""The (17, V) Human3.6M joint regressor; looked for beside the model file."""

_NEEDED = ("v_template", "f", "weights", "shapedirs", "posedirs", "J_regressor", "kintree_table")


def load_smpl(path: str | Path, *, num_betas: int = 10, dtype: torch.dtype = torch.float32) -> Body:
    """A body from an SMPL file (`.npz` or `.pkl`, as distributed by its authors).

    Its buffers are of `dtype`, rounded once; `body.double()` would keep float32's rounding.

    Keypoints that need `J_regressor_extra.npy` or `J_regressor_h36m.npy` (facts of SPIN) are
    defined when those files lie beside it, else marked unavailable. FileNotFoundError if there is
    no such file; ValueError if it is not an SMPL model or holds anything but arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no SMPL file at {path}")
    raw = _read_npz(path) if path.suffix == ".npz" else read_pickle(path)
    missing = [key for key in _NEEDED if key not in raw]
    if missing:
        raise ValueError(f"{path} is not an SMPL model: it lacks {', '.join(missing)}")
    try:
        return Body(_body_arrays(raw, path.parent, num_betas, dtype), name=str(path))
    except (TypeError, IndexError, RuntimeError) as error:
        raise ValueError(f"{path} is not an SMPL model: {error}") from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is not a readable .npz file: {error}") from error


def _body_arrays(
    raw: Mapping[str, Any], folder: Path, num_betas: int, dtype: torch.dtype
) -> BodyArrays:
    def floats(key: str) -> Tensor:
        return torch.from_numpy(as_array(raw[key]).astype(np.float64)).to(dtype)

    template, shapedirs = floats("v_template"), floats("shapedirs")[..., :num_betas]
    regressor, weights = floats("J_regressor"), floats("weights")
    parents = np.asarray(as_array(raw["kintree_table"])[0]).astype(np.int64)
    parents = (-1, *(int(p) for p in parents[1:]))
    count = len(template)
    if regressor.shape != (len(parents), count) or weights.shape != (count, len(parents)):
        raise ValueError(
            f"expected J_regressor ({len(parents)}, {count}) and weights ({count}, {len(parents)}),"
            f" got {tuple(regressor.shape)} and {tuple(weights.shape)}"
        )
    exact = regressor.double()
    return BodyArrays(
        v_template=template,
        shapedirs=shapedirs,
        posedirs=floats("posedirs"),
        joints_template=(exact @ template.double()).to(dtype),
        joints_shapedirs=torch.einsum("jv,vcb->jcb", exact, shapedirs.double()).to(dtype),
        skinning_weights=weights,
        parents=parents,
        faces=torch.from_numpy(as_array(raw["f"]).astype(np.int64)),
        regressors=_regressors(folder, count, parents, dtype),
    )


def _regressors(
    folder: Path, vertices: int, parents: tuple[int, ...], dtype: torch.dtype
) -> dict[str, Tensor]:
    if parents != SMPL_24_PARENTS:
        return {}
    joints = len(parents)
    extra = _optional_regressor(folder / EXTRA_REGRESSOR, len(SMPL_EXTRA_9), vertices, dtype)
    h36m = _optional_regressor(folder / H36M_REGRESSOR, len(H36M_17), vertices, dtype)
    smpl49 = torch.zeros(len(SMPL_49), joints + vertices, dtype=dtype)
    for row, (kind, index) in enumerate(smpl49_sources()):
        if kind == "joint":
            smpl49[row, index] = 1.0
        elif kind == "extra":
            smpl49[row, joints:] = extra[index]
        elif max(SMPL_KEY_VERTICES.values()) < vertices:
            smpl49[row, joints + index] = 1.0
    rows = [SMPL_49.index(name) for name in COCO_17]
    on_vertices = torch.cat((h36m.new_zeros(len(h36m), joints), h36m), dim=1)
    return {"smpl49": smpl49, "h36m17": on_vertices, "coco17": smpl49[rows]}


def _optional_regressor(path: Path, rows: int, vertices: int, dtype: torch.dtype) -> Tensor:
    if not path.is_file():
        return torch.zeros(rows, vertices, dtype=dtype)
    matrix = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float64)).to(dtype)
    if matrix.shape != (rows, vertices):
        raise ValueError(f"{path}: expected ({rows}, {vertices}), got {tuple(matrix.shape)}")
    return matrix


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
    ("scipy.sparse.csc", "csc_matrix"): _SparseColumns,
    ("scipy.sparse._csc", "csc_matrix"): _SparseColumns,
    **{
        (f"numpy.{core}.multiarray", name): getattr(np._core.multiarray, name)  # pyright: ignore
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, sparse matrices and stand-ins for chumpy arrays; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict in a pickle of arrays, without running any code from it.

    ValueError if the file is damaged or asks for anything that is not an array.
    """
    data = path.read_bytes()
    try:
        content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise ValueError(f"{path} is not a pickle of plain arrays: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dict of arrays, got {type(content).__name__}")
    return content


def as_array(value: Any) -> np.ndarray:
    """A dense numpy array from an array or one of the stand-ins.

    ValueError for anything else, and for object arrays.
    """
    if isinstance(value, _SparseColumns):
        return _dense(value)
    if isinstance(value, _ChumpySelect):
        picked = as_array(value.__dict__["a"]).ravel()[as_array(value.__dict__["idxs"])]
        return picked.reshape(value.__dict__["preferred_shape"])
    if isinstance(value, _ChumpyArray):
        return as_array(value.__dict__["x"])
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    raise ValueError(f"expected an array of numbers, got {type(value).__name__}")


def _dense(columns: _SparseColumns) -> np.ndarray:
    state = columns.__dict__
    shape = state.get("_shape") or state["shape"]
    out = np.zeros(shape)
    pointers = np.asarray(state["indptr"])
    column = np.repeat(np.arange(shape[1]), np.diff(pointers))
    np.add.at(out, (np.asarray(state["indices"]), column), np.asarray(state["data"]))
    return out
