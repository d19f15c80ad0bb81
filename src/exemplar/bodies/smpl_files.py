"""SMPL model files: `.npz`, and `.pkl` without running code from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exemplar.bodies.body import Body, BodyArrays
from exemplar.npy_files import read_npy, read_npz
from exemplar.pickle_files import as_array, read_pickle
from exemplar.reading_files import reading
from exemplar.skeletons import (
    COCO_17,
    H36M_17,
    SMPL_24_PARENTS,
    SMPL_49,
    SMPL_EXTRA_9,
    SMPL_KEY_VERTICES,
    smpl49_sources,
)
from exemplar.tensor_files import TENSORS

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
    with reading(path, "an SMPL model"):
        return _read(path, num_betas, dtype)


def _read(path: Path, num_betas: int, dtype: torch.dtype) -> Body:
    raw = read_npz(path, _NEEDED) if path.suffix == ".npz" else read_pickle(path, TENSORS)
    missing = [key for key in _NEEDED if key not in raw]
    if missing:
        raise ValueError(f"{path} is not an SMPL model: it lacks {', '.join(missing)}")
    try:
        return Body(_body_arrays(raw, path.parent, num_betas, dtype), name=str(path))
    except (TypeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not an SMPL model: {reason}") from error


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
    arrays = BodyArrays(
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
    _check(arrays)
    return arrays


def _check(arrays: BodyArrays) -> None:
    """ValueError if the arrays do not fit together: whoever poses or draws a body trusts them."""
    vertices, joints = arrays.skinning_weights.shape
    shapes = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, arrays.shapedirs.shape[-1]),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "faces": (len(arrays.faces), 3),
    }
    for name, shape in shapes.items():
        array = getattr(arrays, name)
        if tuple(array.shape) != shape:
            raise ValueError(f"expected {name} {shape}, got {tuple(array.shape)}")
        if not array.isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if any(not 0 <= parent < joint for joint, parent in enumerate(arrays.parents) if joint):
        raise ValueError(f"kintree_table's parents are {arrays.parents}, expected those before")
    if len(arrays.faces) and not 0 <= arrays.faces.min() <= arrays.faces.max() < vertices:
        raise ValueError(f"f names vertices that are not there, of {vertices}")


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
    matrix = torch.from_numpy(read_npy(path).astype(np.float64)).to(dtype)
    if matrix.shape != (rows, vertices):
        raise ValueError(f"{path}: expected ({rows}, {vertices}), got {tuple(matrix.shape)}")
    return matrix
