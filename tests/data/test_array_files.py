"""Arrays of scientific files: what a file states or expands to is held against its budget."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from exemplar.data.array_files import read_array
from exemplar.data.mat_files import read_mat
from exemplar.files.file_budget import VARIABLE

h5py = pytest.importorskip("h5py")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files may expand to a MB."""
    monkeypatch.setenv(VARIABLE, str(1 / 1024))


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], *rest: bytes) -> bytes:
    """A variable `x` of MATLAB's class `kind`, with the elements `rest` after its name."""
    axes = struct.pack(f"<{len(shape)}i", *shape)
    head = element(6, struct.pack("<II", kind, 0)) + element(5, axes) + element(1, b"x")
    return element(14, head + b"".join(rest))


def mat(path: Path, *variables: bytes) -> Path:
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(variables))
    return path


DOUBLES = element(9, np.arange(6.0).tobytes())
CELL, STRUCT, CHAR, DOUBLE = 1, 2, 4, 6


def test_matlab_files_of_these_elements_are_read(tmp_path: Path) -> None:
    plain = matrix(DOUBLE, (2, 3), DOUBLES)
    packed = struct.pack("<II", 15, len(zlib.compress(plain))) + zlib.compress(plain)
    cell = matrix(CELL, (1, 2), plain, plain)
    for variable in (plain, packed):
        assert read_mat(mat(tmp_path / "a.mat", variable), "x").tolist() == [[0, 2, 4], [1, 3, 5]]
    assert read_mat(mat(tmp_path / "a.mat", cell), "x").shape == (2,)


@pytest.mark.parametrize("kind", [CELL, STRUCT, CHAR, DOUBLE])
@pytest.mark.parametrize("shape", [(1 << 30, 1), (1 << 20, 1 << 20), (-1, 4), (1,) * 8 + (9999,)])
def test_sizes_that_a_matlab_file_states_are_not_believed(
    tmp_path: Path, kind: int, shape: tuple[int, ...]
) -> None:
    for variable in (matrix(kind, shape), matrix(CELL, (1, 1), matrix(kind, shape))):
        with pytest.raises(ValueError, match=r"a.mat is not a MATLAB file.* items in \d+ bytes"):
            read_mat(mat(tmp_path / "a.mat", variable), "x")


@pytest.mark.usefixtures("small")
def test_what_a_matlab_file_expands_to_is_bounded(tmp_path: Path) -> None:
    zeros = matrix(DOUBLE, (1 << 20, 1), element(9, bytes(8 << 20)))
    packed = zlib.compress(zeros)
    path = mat(tmp_path / "a.mat", struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(ValueError, match="would take more than 1 MB"):
        read_mat(path, "x")


def test_matlab_variables_may_not_be_nested_without_end(tmp_path: Path) -> None:
    inner = matrix(DOUBLE, (1, 1), element(9, bytes(8)))
    for _ in range(40):
        inner = matrix(CELL, (1, 1), inner)
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        read_mat(mat(tmp_path / "a.mat", inner), "x")


def test_old_matlab_files_are_read(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.eye(3)}, format="4")
    assert read_mat(tmp_path / "a.mat", "x").tolist() == np.eye(3).tolist()


@pytest.mark.usefixtures("small")
def test_hdf5_arrays_are_held_against_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["small"] = np.arange(4)
        file.create_dataset("large", (1 << 20,), "f8", compression="gzip", fillvalue=0)
    assert read_array(path, ["small"]).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"a.h5 is not an HDF5 file.*more than 1 MB"):
        read_array(path, ["large"])


def test_hdf5_arrays_lie_in_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(bytes(64))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file.create_dataset("raw", (8,), "f8", external=[(str(tmp_path / "secret.txt"), 0, 64)])
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
        file.create_virtual_dataset("virtual", layout)
        file.create_group("group")
    for name in ("link", "raw", "virtual", "group"):
        with pytest.raises(ValueError, match=f"{name} is no array of this file"):
            read_array(tmp_path / "a.h5", [name])
