"""Files of pose priors: the one that ships with the package, and SMPLify's."""

from pathlib import Path

import numpy as np

from exemplar.assets import asset_path
from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.files.reading_files import reading

POSE_PRIOR_ASSET = "pose_prior.npz"
"""Made by `scripts/fit_pose_prior.py`."""

GMM_KEYS = ("means", "covars", "weights")
"""What SMPLify's pose prior file holds."""


def read_pose_prior() -> dict[str, np.ndarray]:
    """The arrays of the shipped pose prior.

    M components over D coordinates: `means` (M, D), `cholesky_rows` (M, D (D + 1) / 2), the lower
    triangles row by row, `weights` (M,), `lower` and `upper` (D,), all radians, and `source`.
    """
    with asset_path(POSE_PRIOR_ASSET) as path, np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def read_gmm(path: str | Path) -> dict[str, np.ndarray]:
    """SMPLify's pose prior (`gmm_08.pkl`) as float64 arrays, without running code from the file.

    M components over D coordinates: `means` (M, D) radians, `covars` (M, D, D), `weights` (M,).
    FileNotFoundError if there is no such file; ValueError if it is anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no pose prior at {path}: gmm_08.pkl comes with SMPLify (smplify.is.tue.mpg.de)"
        )
    with reading(path, "a pose prior"):
        return _gmm(path)


def _gmm(path: Path) -> dict[str, np.ndarray]:
    raw = read_pickle(path)
    missing = [key for key in GMM_KEYS if key not in raw]
    if missing:
        raise ValueError(f"{path} is not a pose prior: it lacks {', '.join(missing)}")
    try:
        arrays = {key: as_array(raw[key]).astype(np.float64) for key in GMM_KEYS}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a pose prior: {error}") from error
    shapes = [arrays[key].shape for key in GMM_KEYS]
    count, size = shapes[0] if len(shapes[0]) == 2 else (-1, -1)
    wanted = [(count, size), (count, size, size), (count,)]
    if count < 1 or shapes != wanted:
        raise ValueError(f"{path}: expected shapes (M, D), (M, D, D), (M,), got {shapes}")
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise ValueError(f"{path}: expected finite numbers, got NaN or infinity")
    return arrays
