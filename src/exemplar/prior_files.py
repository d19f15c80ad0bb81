"""The pose prior's file."""

import numpy as np

from exemplar.assets import asset_path

POSE_PRIOR_ASSET = "pose_prior.npz"
"""Made by `scripts/fit_pose_prior.py`."""


def read_pose_prior() -> dict[str, np.ndarray]:
    """The arrays of the shipped pose prior.

    M components over D coordinates: `means` (M, D), `cholesky_rows` (M, D (D + 1) / 2), the lower
    triangles row by row, `weights` (M,), `lower` and `upper` (D,), all radians, and `source`.
    """
    with asset_path(POSE_PRIOR_ASSET) as path, np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
