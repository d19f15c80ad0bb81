"""Arrays of .npy and .npz files: what is read, and what a file cannot make the reader do."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from exemplar.files.file_budget import VARIABLE
from exemplar.files.npy_files import map_npy, npy_from_bytes, npz_names, read_npy, read_npz
from exemplar.files.pickle_files import unpickle

ARRAYS = {
    "floats": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i2"),
    "one": np.float32(3),
    "none": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "texts": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "names": np.array(["a.jpg", b"b.jpg", None], object),
    "numbers": np.array([1, 2.5, np.float32(3)], object),
}


def header(descr: str, shape: str, body: bytes = b"") -> bytes:
    """An `.npy` file with a header of our own."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_reads_as_numpy_would(tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", **ARRAYS)  # pyright: ignore[reportCallIssue]
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys() == npz_names(tmp_path / "a.npz")
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert read_npz((tmp_path / "a.npz").read_bytes(), ["one"]) == {"one": 3.0}


def test_arrays_are_one_s_own_to_change(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["fortran"])
    found = read_npy(tmp_path / "a.npy")
    found[0, 0] = 7
    assert map_npy(tmp_path / "a.npy").tolist() == ARRAYS["fortran"].tolist()


def test_headers_of_other_writers_are_read() -> None:
    spaced = header('"<f8"', "( 2L ,1L)", np.ones(2).tobytes())
    assert npy_from_bytes(spaced).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not an .npy array"),
        (header("'<f8'", "(3,)", b"1234"), "it ends after 4 of 24 bytes"),
        (header("'<f8'", "(-3,)"), "its header is"),
        (header("'<f8'", "(1000000000000,)"), "would take more than 64 MB"),
        (header("'<f8'", "(0, 1000000000000)"), "would take more than 64 MB"),
        (header("'S0'", "(1000000000000,)"), "would take more than 64 MB"),
        (header("[('a', '<f8')]", "(1,)", b"12345678"), "its header is"),
        (header("'V8'", "(1,)", b"12345678"), "expected numbers, texts or objects"),
        (header("'|O'", "(1,)", b"12345678"), "not a pickle of plain arrays"),
        (header("'|O'", "(1,)", pickle.dumps([1])), "expected an array of 1 objects"),
        (header("'|O'", "(2,)", pickle.dumps(np.array(["a"], object))), "an array of 2 objects"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "expected 10000 at most"),
    ],
)
def test_a_broken_array_is_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as caught:
        read_npy(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_small_archive_cannot_take_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, zeros=np.zeros(2**27, np.uint8))
    assert path.stat().st_size < 2**18
    with pytest.raises(ValueError, match="its contents would take more than 64 MB"):
        read_npz(path)
    assert read_npz(path, ["other"]) == {}
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(ValueError, match="is 'much', expected a number of GB above 0"):
        read_npz(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path: Path, packing: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", packing) as archive:
        stream = io.BytesIO()
        np.save(stream, np.ones(3))
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(ValueError, match="packed in a way that is not read"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("order", "<>")
def test_texts_of_no_characters_are_refused(tmp_path: Path, order: str) -> None:
    good = np.array(["a", "\U0010ffff"], f"{order}U1")
    np.save(tmp_path / "a.npy", good)
    assert read_npy(tmp_path / "a.npy").tolist() == good.tolist()
    bad = np.array([97, 0x110000], f"{order}u4").view(f"{order}U1")
    np.save(tmp_path / "a.npy", bad)
    with pytest.raises(ValueError, match=r"a\.npy .* no characters"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="no characters"):
        unpickle(pickle.dumps(bad))
    with pytest.raises(ValueError, match="expected numbers"):
        map_npy(tmp_path / "a.npy")
