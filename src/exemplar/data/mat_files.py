"""MATLAB's `.mat` files, of versions before 7.3 (those are HDF5)."""

import contextlib
from pathlib import Path
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.mat_sizes import check_mat_sizes


def _scipy_io() -> Any:
    try:
        import scipy.io
    except ImportError as error:
        raise ImportError(
            "reading .mat files needs scipy: pip install 'exemplar-hmr[data]'"
        ) from error
    return scipy.io


def mat_shapes(contents: Contents) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the variables of a `.mat` file, unread; empty for anything else."""
    if contents.suffix != ".mat" or contents.path.is_dir():
        return {}
    with contextlib.suppress(Exception):  # scipy raises whatever a broken header leads to
        return {name: tuple(shape) for name, shape, _ in _scipy_io().whosmat(contents.path)}
    return {}


def read_mat(path: Path, variable: str) -> Any:
    """One variable as scipy gives it: structs as objects with their fields, unit sizes dropped.

    ValueError if the file is not a `.mat` file with that variable.
    """
    io = _scipy_io()
    with path.open("rb") as file:
        try:
            check_mat_sizes(path)
            read = io.loadmat(
                file, variable_names=[variable], struct_as_record=False, squeeze_me=True
            )
        except Exception as error:  # as above
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} is not a MATLAB file, or is cut short: {reason}") from error
    if variable not in read:
        raise ValueError(f"expected the variable {variable!r} in {path}, and it is not there")
    return read[variable]
