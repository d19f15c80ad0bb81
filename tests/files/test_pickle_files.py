"""Pickles of plain data: what is built, and what is refused before it runs."""

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from exemplar.files.file_budget import Budget
from exemplar.files.pickle_files import as_array, read_pickle, unpickle

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


def pickled(state: object, dtype: bytes = b"O8") -> bytes:
    """An array as numpy pickles it, with a dtype and a state of our own."""
    begin = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    middle = b"(I1\n(I1\ntcnumpy\ndtype\n(S'" + dtype + b"'\nI0\nI1\ntRI00\n"
    return begin + middle + pickle.dumps(state, protocol=0)[:-1] + b"tb."


def test_an_array_of_objects_is_never_made_of_bytes() -> None:
    with pytest.raises(ValueError, match=r"an array \(1,\) of objects has no list of as many"):
        unpickle(pickled("\x10\x20\x30\x40\x50\x60\x70\x00"))
    assert unpickle(pickled(["a"])).tolist() == ["a"]


@pytest.mark.parametrize("state", [[], ["a", "b"], "", ("a",), {"a": 1}, None])
def test_a_list_of_objects_that_does_not_fit_the_shape_is_refused(state: object) -> None:
    with pytest.raises(ValueError, match="has no list of as many"):
        unpickle(pickled(state))


@pytest.mark.parametrize("text", ["", "1234567", "123456789"])
def test_numbers_that_do_not_fit_the_shape_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"an array \(1,\) of float64 has \d bytes"):
        unpickle(pickled(text, b"f8"))
    assert unpickle(pickled("\0" * 8, b"f8")).tolist() == [0.0]


@pytest.mark.parametrize("dtype", [b"V8", b"f8,f8", b"M8[s]", b"i4, O", b"(2,)f4", b"x", b"f3"])
def test_other_dtypes_are_refused(dtype: bytes) -> None:
    with pytest.raises(ValueError, match="expected numbers, texts or objects"):
        unpickle(pickled("\0" * 16, dtype))


def test_a_dtype_whose_state_has_fields_is_refused() -> None:
    state = b"(I3\nS'<'\nN(S'a'\nt(dS'a'\n(NI99\ntsI8\nI1\nI0\ntb"
    made = pickled("\0" * 8, b"f8").replace(b"I0\nI1\ntR", b"I0\nI1\ntR" + state)
    with pytest.raises(ValueError, match="an array of records"):
        unpickle(made)


@pytest.mark.parametrize(
    "payload",
    [
        b"cnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'12345678'\ntR.",
        b"cnumpy.core.numeric\n_frombuffer\n(S'12345678'\ncnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I1\ntS'C'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'12345678'\ntR.",
    ],
)
def test_no_other_way_leads_to_objects_of_bytes(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a pickle of plain arrays"):
        unpickle(payload)


@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html>", pickle.dumps([1, 2])[:-1], b"\x80\x04."])
def test_other_files_are_said_to_be_no_pickles(data: bytes) -> None:
    with pytest.raises(ValueError, match="arrays: it is damaged, cut short, or something else"):
        unpickle(data)


def test_what_a_pickle_builds_cannot_change_the_reader() -> None:
    for payload in (
        b"c_codecs\nencode\n}S'__name__'\nS'x'\nsb.",
        b"cnumpy\nndarray\n(dS'a'\nI1\nsb.",
    ):
        with pytest.raises(ValueError, match="in place of a Node"):
            unpickle(payload)


def test_a_list_that_holds_itself_is_refused_at_once() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested more than 32 deep, or holds itself"):
        unpickle(pickle.dumps(endless))
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        unpickle(b"(" * 100_000 + b"t" * 100_000 + b".")


def test_a_deep_key_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(ValueError, match="a dict has a tuple for a key"):
        unpickle(b"}" + b")" + b"\x85" * 300_000 + b"Ns.")


PRIME = 2**61 - 1
"""Python's hash of a whole number is its remainder."""


@pytest.mark.parametrize(
    "payload",
    [
        b"}("
        + b"".join(b"\x8a\x10%bN" % (i * PRIME).to_bytes(16, "little") for i in range(9))
        + b"u.",
        b"}(" + b"".join(b"L%dL\nN" % (i * PRIME) for i in range(9)) + b"u.",
        b"N" + b"".join(b"p%d\n" % (i * PRIME) for i in range(9)) + b".",
    ],
    ids=["keys", "keys as text", "places"],
)
def test_numbers_of_one_hash_are_refused(payload: bytes) -> None:
    """60,000 of them in a dict take minutes."""
    with pytest.raises(ValueError, match=r"an? int for a key|under no number"):
        unpickle(b"\x80\x02" + payload)


def test_what_a_message_shows_is_within_the_budget() -> None:
    laughs: list[object] = ["ha" * 50]
    for _ in range(9):
        laughs = [laughs] * 10
    shape = pickle.dumps(laughs, protocol=0)[:-1]
    with pytest.raises(ValueError, match="would take more than 64 MB"):
        unpickle(pickled("", b"f8").replace(b"(I1\n(I1\nt", b"(I1\n" + shape))


def test_a_small_pickle_cannot_take_much() -> None:
    laughs: list[object] = ["ha" * 50]
    for _ in range(9):
        laughs = [laughs] * 10
    with pytest.raises(ValueError, match="would take more than 64 MB"):
        unpickle(pickle.dumps(laughs))
    with pytest.raises(ValueError, match="would take more than 64 MB"):
        unpickle(pickled("", b"f8").replace(b"(I1\n(I1\nt", b"(I1\n(I1000000000000\nt"))
    with pytest.raises(ValueError, match="would take more than 0 MB"):
        unpickle(pickle.dumps(list(range(1000))), Budget(100, largest_gb=1e-6))


def test_a_sparse_matrix_whose_starts_lie_is_refused() -> None:
    made = sparse.csc_matrix(np.eye(3))
    made.indptr = np.array([0, 1, 10**9, 10**9 + 1])
    with pytest.raises(ValueError, match="do not fit its shape"):
        unpickle(pickle.dumps(made))
