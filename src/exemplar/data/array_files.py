"""Arrays by their name from CDF, HDF5 and MATLAB files."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exemplar.data.cdf_files import read_cdf
from exemplar.data.contents import Contents
from exemplar.data.mat_files import read_mat
from exemplar.files.file_budget import Budget

SUFFIXES = (".cdf", ".mat", ".h5", ".hdf5")
"""Endings of the files that `read_array` knows."""


def read_array(path: Path, names: Sequence[str]) -> np.ndarray:
    """The first of `names` that the file holds.

    MATLAB files before version 7.3 keep MATLAB's order of axes; HDF5 files, and so MATLAB's of
    version 7.3, have them reversed. ValueError, in one line, for other files and if all are
    missing.
    """
    if path.suffix.lower() == ".cdf":
        return read_cdf(path, names)
    if _is_hdf5(path):
        return next(iter(read_h5(path, names).values()))
    problem = f"{path}: expected a file that ends in one of {', '.join(SUFFIXES)}"
    for name in names if path.suffix.lower() == ".mat" else ():
        try:
            return np.asarray(read_mat(path, name))
        except ValueError as error:
            problem = str(error)
    raise ValueError(problem)


def read_h5(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of `names` that an HDF5 file holds; ValueError if that is none, or it is no such
    file."""
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            budget = Budget(path.stat().st_size)
            found = {name: _of_h5(file, name, budget) for name in names if name in file}
            there = sorted(file)
    except FileNotFoundError:
        raise
    except Exception as error:  # h5py raises whatever a damaged file leads to
        raise ValueError(f"{path} is not an HDF5 file, or is cut short: {error}") from error
    if not found:
        raise ValueError(f"{path}: expected {' or '.join(names)}, got {', '.join(there)[:80]}")
    return found


def _of_h5(file: Any, name: str, budget: Budget) -> np.ndarray:
    """A data set of an HDF5 file; ValueError if it is too large, or lies in another file."""
    is_elsewhere = hasattr(file.get(name, getlink=True), "filename")
    found: Any = None if is_elsewhere else file[name]
    if not hasattr(found, "nbytes") or found.external or found.is_virtual:
        raise ValueError(f"{name} is no array of this file")
    budget.take(found.nbytes)
    return np.asarray(found)


def array_names(contents: Contents) -> frozenset[str]:
    """Names of what an HDF5 file holds; empty for anything else."""
    with contextlib.suppress(Exception):
        if contents.path.is_file() and _is_hdf5(contents.path):
            with _h5py().File(contents.path, "r") as file:
                return frozenset(file)
    return frozenset()


def _is_hdf5(path: Path) -> bool:
    """Whether the file has HDF5's mark, which MATLAB puts after 512 bytes of its own."""
    mark = b"\x89HDF\r\n\x1a\n"
    with path.open("rb") as file:
        head = file.read(512 + len(mark))
    return head.startswith(mark) or head.endswith(mark)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading HDF5 files needs h5py: pip install 'exemplar-hmr[data]'"
        ) from error
    return h5py
