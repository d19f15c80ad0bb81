"""SMPL, SMPL+H and SMPL-X model files: `.npz`, and `.pkl` without running code from them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exemplar.bodies.body import Body, BodyArrays
from exemplar.bodies.hands import with_kept_hands
from exemplar.bodies.key_vertices import key_vertices
from exemplar.files.npy_files import read_npy, read_npz
from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.files.reading_files import reading
from exemplar.files.tensor_files import TENSORS
from exemplar.skeletons import (
    COCO_17,
    H36M_17,
    SMPL_24,
    SMPL_24_PARENTS,
    SMPL_49,
    SMPL_EXTRA_9,
    SMPL_KEY_VERTICES,
    SMPLH_52,
    SMPLX_55,
    hand_parents,
    smpl49_sources,
)

EXTRA_REGRESSOR = "J_regressor_extra.npy"
"""SPIN's (9, V) regressor of annotated joints; looked for beside the model file."""

H36M_REGRESSOR = "J_regressor_h36m.npy"
"""The (17, V) Human3.6M joint regressor; looked for beside the model file."""

_NEEDED = ("v_template", "f", "weights", "shapedirs", "posedirs", "J_regressor", "kintree_table")

_HANDS = ("hands_meanl", "hands_meanr")
"""Rotations of the fingers at rest in SMPL+H and SMPL-X, axis-angle; flat hands without them."""

_SKELETONS: Mapping[tuple[int, ...], tuple[str, ...]] = {
    SMPL_24_PARENTS: SMPL_24,
    hand_parents(SMPLH_52): SMPLH_52,
    hand_parents(SMPLX_55): SMPLX_55,
}
"""Joints by kinematic tree."""


_LARGEST = 1e6
"""No number of a body is larger, whatever its unit."""

_LOOSE_WEIGHTS = 0.05
"""How far the weights of a vertex may be from a sum of 1."""


def load_smpl(path: str | Path, *, num_betas: int = 10, dtype: torch.dtype = torch.float32) -> Body:
    """A body from an SMPL, SMPL+H or SMPL-X file (`.npz` or `.pkl`, as their authors give them).

    Always of SMPL's 24 joints and `num_betas` shapes: of SMPL+H and SMPL-X the first 22 joints
    turn, and hands and face stay at rest (`hands.with_kept_hands`). Its buffers are of `dtype`,
    rounded once; `body.double()` would keep float32's rounding.

    Keypoints that need `J_regressor_extra.npy` or `J_regressor_h36m.npy` (facts of SPIN) are
    defined when those files lie beside it, else marked unavailable, as they are for SMPL-X, whose
    mesh is another. FileNotFoundError if there is no such file; ValueError if it is none of the
    three or holds anything but arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no SMPL file at {path}")
    with reading(path, "an SMPL model"):
        return _read(path, num_betas, dtype)


def _read(path: Path, num_betas: int, dtype: torch.dtype) -> Body:
    if path.suffix.lower() == ".npz":
        raw = read_npz(path, (*_NEEDED, *_HANDS))
    else:
        raw = read_pickle(path, TENSORS)
    missing = [key for key in _NEEDED if key not in raw]
    if missing:
        raise ValueError(f"{path} is not an SMPL model: it lacks {', '.join(missing)}")
    try:
        return Body(_body_arrays(raw, path.parent, num_betas, dtype), name=str(path))
    except (TypeError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not an SMPL model: {reason}") from error


def _body_arrays(
    raw: Mapping[str, Any], folder: Path, num_betas: int, dtype: torch.dtype
) -> BodyArrays:
    template, regressor = _numbers(raw, "v_template"), _numbers(raw, "J_regressor")
    weights, shapedirs = _numbers(raw, "weights"), _numbers(raw, "shapedirs", num_betas)
    parents = as_array(raw["kintree_table"])[0].astype(np.int64)
    names = _SKELETONS.get((-1, *(int(p) for p in parents[1:])))
    if names is None:
        raise ValueError(
            f"its {len(parents)} joints are not those of SMPL (24), SMPL+H (52) or SMPL-X (55)"
        )
    count, faces = len(template), as_array(raw["f"]).astype(np.int64)
    _check("v_template", template, (count, 3))
    _check("J_regressor", regressor, (len(names), count))
    _check("weights", weights, (count, len(names)))
    _check("f", faces, (len(faces), 3))
    if not count or not len(faces):
        raise ValueError(f"it has {count} vertices and {len(faces)} faces, expected some of both")
    if (weights.sum(1) - 1).abs().max() > _LOOSE_WEIGHTS:
        raise ValueError("expected each vertex's weights to sum to 1, and they do not")
    if shapedirs.ndim != 3 or shapedirs.shape[2] < num_betas:
        got = tuple(shapedirs.shape)
        raise ValueError(f"expected shapedirs ({count}, 3, {num_betas} or more), got {got}")
    _check("shapedirs", shapedirs, (count, 3, num_betas))
    if not 0 <= faces.min() <= faces.max() < count:
        raise ValueError(f"f names vertices from {faces.min()} to {faces.max()}, of {count}")
    arrays = BodyArrays(
        v_template=template,
        shapedirs=shapedirs,
        posedirs=_posedirs(_numbers(raw, "posedirs"), count, len(names)),
        joints_template=regressor @ template,
        joints_shapedirs=torch.einsum("jv,vcb->jcb", regressor, shapedirs),
        skinning_weights=weights,
        parents=(-1, *(int(p) for p in parents[1:])),
        faces=torch.from_numpy(faces),
        regressors={},
    )
    if names != SMPL_24:
        arrays = with_kept_hands(arrays, names, _hands(raw))
    matrices = (
        _smplx_keypoints(arrays, regressor) if names == SMPLX_55 else _smpl_keypoints(folder, count)
    )
    return _in_dtype(replace(arrays, regressors=matrices), dtype)


def _numbers(raw: Mapping[str, Any], key: str, most: int | None = None) -> Tensor:
    """An array in float64, of its last axis `most` entries."""
    array = raw[key]
    if isinstance(array, np.ndarray) and array.dtype == object and array.ndim == 0:
        array = array.item()  # how .npz files hold a sparse matrix
    try:
        array = as_array(array)[..., :most]
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{key}: {error}") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{key}: expected real numbers, got {array.dtype}")
    return torch.from_numpy(array.astype(np.float64))


def _check(name: str, array: Tensor | np.ndarray, shape: tuple[int, ...]) -> None:
    if tuple(array.shape) != shape:
        raise ValueError(f"expected {name} {shape}, got {tuple(array.shape)}")
    values = torch.as_tensor(array)
    if not values.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite")
    if values.is_floating_point() and values.numel() and values.abs().max() > _LARGEST:
        raise ValueError(f"{name} holds numbers over {_LARGEST:g}, which are no metres of a body")


def _posedirs(array: Tensor, vertices: int, joints: int) -> Tensor:
    """Pose correctives (V, 3, P), which some programs write as (P, 3 V)."""
    features = 9 * (joints - 1)
    if tuple(array.shape) == (features, 3 * vertices):
        array = array.T
    if tuple(array.shape) == (3 * vertices, features):
        array = array.reshape(vertices, 3, features)
    _check("posedirs", array, (vertices, 3, features))
    return array


def _hands(raw: Mapping[str, Any]) -> Tensor | None:
    if any(key not in raw for key in _HANDS):
        return None
    hands = torch.cat([_numbers(raw, key).reshape(-1, 3) for key in _HANDS])
    _check("hands_meanl and hands_meanr", hands, (30, 3))
    return hands


def _in_dtype(arrays: BodyArrays, dtype: torch.dtype) -> BodyArrays:
    """Everything but the faces, rounded to `dtype`."""
    values = {field.name: getattr(arrays, field.name) for field in fields(arrays)}
    rounded = {
        name: value.to(dtype)
        for name, value in values.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    regressors = {name: matrix.to(dtype) for name, matrix in arrays.regressors.items()}
    return replace(arrays, **rounded, regressors=regressors)


def _smpl_keypoints(folder: Path, vertices: int) -> dict[str, Tensor]:
    """Keypoint sets on SMPL's mesh, with what lies beside the file."""
    extra = _optional_regressor(folder / EXTRA_REGRESSOR, len(SMPL_EXTRA_9), vertices)
    h36m = _optional_regressor(folder / H36M_REGRESSOR, len(H36M_17), vertices)
    known = max(SMPL_KEY_VERTICES.values()) < vertices
    return _keypoint_sets(_one_hot(SMPL_KEY_VERTICES if known else {}, vertices), extra, h36m)


def _smplx_keypoints(arrays: BodyArrays, regressor: Tensor) -> dict[str, Tensor]:
    """Keypoint sets on SMPL-X's mesh: eyes where its joints are, the others told from its shape."""
    count = len(arrays.v_template)
    points = _one_hot(key_vertices(arrays.v_template, arrays.skinning_weights), count)
    for eye in ("left_eye", "right_eye"):
        points[eye] = regressor[SMPLX_55.index(f"{eye}_smplhf")]
    none = regressor.new_zeros(1, count)
    return _keypoint_sets(points, none.expand(len(SMPL_EXTRA_9), -1), none.expand(len(H36M_17), -1))


def _one_hot(vertices: Mapping[str, int], count: int) -> dict[str, Tensor]:
    return {
        name: torch.zeros(count, dtype=torch.float64).index_fill_(0, torch.tensor(vertex), 1.0)
        for name, vertex in vertices.items()
    }


def _keypoint_sets(points: Mapping[str, Tensor], extra: Tensor, h36m: Tensor) -> dict[str, Tensor]:
    """Keypoint sets from vertex regressors of `SMPL_KEY_VERTICES` by name, of the nine, and of
    Human3.6M's."""
    joints = len(SMPL_24)
    name_of = {vertex: name for name, vertex in SMPL_KEY_VERTICES.items()}
    smpl49 = extra.new_zeros(len(SMPL_49), joints + extra.shape[1])
    for row, (kind, index) in enumerate(smpl49_sources()):
        if kind == "joint":
            smpl49[row, index] = 1.0
        elif kind == "extra":
            smpl49[row, joints:] = extra[index]
        elif name_of[index] in points:
            smpl49[row, joints:] = points[name_of[index]]
    rows = [SMPL_49.index(name) for name in COCO_17]
    on_vertices = torch.cat((h36m.new_zeros(len(h36m), joints), h36m), dim=1)
    return {"smpl49": smpl49, "h36m17": on_vertices, "coco17": smpl49[rows]}


def _optional_regressor(path: Path, rows: int, vertices: int) -> Tensor:
    if not path.is_file():
        return torch.zeros(rows, vertices, dtype=torch.float64)
    matrix = torch.from_numpy(read_npy(path).astype(np.float64))
    if matrix.shape != (rows, vertices):
        raise ValueError(f"{path}: expected ({rows}, {vertices}), got {tuple(matrix.shape)}")
    return matrix
