"""Pickles of plain data: what is built, and what is refused before it runs."""

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from exemplar.pickle_files import as_array, read_pickle

PYTHON2 = (
    b"(dp0\nS'name'\np1\nS'caf\\xe9'\np2\nsS'numbers'\np3\n"
    b"cnumpy.core.multiarray\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\nRp9\n"
    b"(I1\n(I2\ntp10\ncnumpy\ndtype\np11\n(S'f8'\np12\nI0\nI1\ntp13\nRp14\n"
    b"(I3\nS'<'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x04\\xc0'\np17\ntp18\nbs"
    b"S'one'\np19\ncnumpy.core.multiarray\nscalar\np20\n"
    b"(g14\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?'\np21\ntp22\nRp23\ns."
)
"""Python 2's text for a latin1 name, numbers [1.5, -2.5] and one number 1.5."""


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "data.pkl"
    path.write_bytes(data)
    return path


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    content = read_pickle(saved(tmp_path, PYTHON2))
    assert content["name"] == "caf\xe9"
    assert as_array(content["numbers"]).tolist() == [1.5, -2.5]
    assert content["one"] == 1.5


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nested_lists_dicts_and_arrays_survive_every_protocol(
    tmp_path: Path, protocol: int
) -> None:
    content = {
        "poses": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)[:2])],
        "valid": np.array([True, False]),
        "people": np.array([np.zeros(2), None], dtype=object),
        3: {"names": ["m", "f"], "ordered": collections.OrderedDict(a=1)},
    }
    back = read_pickle(saved(tmp_path, pickle.dumps(content, protocol=protocol)))
    assert [as_array(pose).tolist() for pose in back["poses"]] == [
        [[0, 1, 2], [3, 4, 5]],
        [[1, 0, 0], [0, 1, 0]],
    ]
    assert as_array(back["valid"]).tolist() == [True, False]
    assert back["people"][1] is None
    assert back[3] == {"names": ["m", "f"], "ordered": {"a": 1}}


@pytest.mark.parametrize("module", ["numpy", "numpy.matrixlib.defmatrix"])
def test_a_numpy_matrix_becomes_an_array(tmp_path: Path, module: str) -> None:
    array = pickle.dumps({"K": np.array([[1.0, 2.0]])}, protocol=0)
    matrix = array.replace(b"cnumpy\nndarray\n", f"c{module}\nmatrix\n".encode())
    assert matrix != array
    read = as_array(read_pickle(saved(tmp_path, matrix))["K"])
    assert type(read) is np.ndarray
    assert read.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csr_matrix])
def test_sparse_matrices_become_dense(tmp_path: Path, kind: type) -> None:
    dense = [[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]
    data = pickle.dumps({"J": kind(np.array(dense))}, protocol=2)
    assert as_array(read_pickle(saved(tmp_path, data))["J"]).tolist() == dense


def test_an_object_array_is_not_an_array_of_numbers() -> None:
    with pytest.raises(ValueError, match="expected an array of numbers, got ndarray"):
        as_array(np.array([None, 1], dtype=object))


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"ccollections\ndefaultdict\n.", "collections.defaultdict"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "numpy.ndarray.tofile"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, payload: bytes, asked: str) -> None:
    with pytest.raises(ValueError, match=f"it asks for {asked}"):
        read_pickle(saved(tmp_path, payload))
