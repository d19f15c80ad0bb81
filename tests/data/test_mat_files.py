"""MATLAB files: variables by name, and one line for what is none."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from exemplar.data.contents import Contents
from exemplar.data.mat_files import mat_shapes, read_mat


def test_variables_are_told_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.arange(6.0).reshape(1, 2, 3), "person": {"name": "b.jpg"}})
    assert mat_shapes(Contents(path)) == {"x": (1, 2, 3), "person": (1, 1)}
    assert read_mat(path, "x").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_mat(path, "person").name == "b.jpg"


def test_what_is_no_matlab_file_is_refused_in_one_line(tmp_path: Path) -> None:
    good = tmp_path / "good.mat"
    scipy.io.savemat(good, {"x": np.random.default_rng(0).normal(size=(40, 40))})
    with pytest.raises(ValueError, match=r"variable 'y' in .*good.mat"):
        read_mat(good, "y")
    broken = {
        "short.mat": good.read_bytes()[:300],
        "empty.mat": b"",
        "text.mat": b"x = 3\n" * 50,
        "picture.mat": b"\xff\xd8\xff\xe0" * 200,
        "hdf5.mat": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600),
    }
    for name, content in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert mat_shapes(Contents(path)).keys() <= {"x"}
        with pytest.raises(ValueError, match=name) as caught:
            read_mat(path, "x")
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_mat(tmp_path / "missing.mat", "x")
    assert mat_shapes(Contents(tmp_path)) == {}


def test_an_absent_package_names_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    path = tmp_path / "a.mat"
    path.touch()
    assert mat_shapes(Contents(path)) == {}
    with pytest.raises(ImportError, match=r"exemplar-hmr\[data\]"):
        read_mat(path, "x")
