"""CDF files: read as cdflib reads them, and nothing that they state is believed."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.array_files import read_array
from exemplar.files.file_budget import VARIABLE

cdflib = pytest.importorskip("cdflib")
cdfwrite = pytest.importorskip("cdflib.cdfwrite")

VALUES = np.random.default_rng(0).normal(size=(5, 4, 3))
FLOAT, DOUBLE, INT, UNSIGNED, TEXT = 44, 45, 4, 12, 51


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files may expand to a MB."""
    monkeypatch.setenv(VARIABLE, str(1 / 1024))


def write_cdf(
    path: Path,
    values: np.ndarray = VALUES,
    kind: int = DOUBLE,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A file with a variable `Pose` between two others; `spec` is the file's, `more` its own."""
    file = cdfwrite.CDF(str(path), cdf_spec=spec, delete=True)
    for name in ("before", "Pose", "after"):
        about = {
            "Variable": name, "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True,
            "Var_Type": "zVariable", "Dim_Sizes": list(values.shape[1:]), **more,
        }  # fmt: skip
        file.write_var(about, var_attrs={}, var_data=values if name == "Pose" else values[::-1])
    file.close()
    return path


def same_as_cdflib(path: Path, name: str = "Pose") -> np.ndarray:
    """The array, once it is the same as cdflib's."""
    found, expected = read_array(path, ["x", name]), np.asarray(cdflib.CDF(path).varget(name))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return found


@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize("encoding", [1, 6, 17])
@pytest.mark.parametrize("packed", [0, 6])
def test_arrays_are_read_in_every_layout(
    tmp_path: Path, majority: str, encoding: int, packed: int
) -> None:
    for number, compress in enumerate((0, 6)):
        spec = {"Majority": majority, "Encoding": encoding, "Compressed": packed}
        path = write_cdf(tmp_path / f"{number}.cdf", VALUES, DOUBLE, spec, Compress=compress)
        found = same_as_cdflib(path)
        assert found.shape == VALUES.shape
        if majority == "row_major":
            np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("kind", "dtype"), [(FLOAT, "f4"), (DOUBLE, "f8"), (INT, "i4"), (UNSIGNED, "u2")]
)
@pytest.mark.parametrize("shape", [(5,), (5, 4), (1, 5, 4), (5, 1, 2, 3)])
def test_numbers_of_every_type_and_shape_are_read(
    tmp_path: Path, kind: int, dtype: str, shape: tuple[int, ...]
) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = same_as_cdflib(write_cdf(tmp_path / "a.cdf", values, kind))
    np.testing.assert_array_equal(found.reshape(shape), values)


def test_old_variables_and_those_that_are_the_same_in_all_records_are_read(tmp_path: Path) -> None:
    spec = {"rDim_sizes": [4, 3]}
    old = {"Var_Type": "rVariable", "Dim_Vary": [True, True]}
    same_as_cdflib(write_cdf(tmp_path / "a.cdf", VALUES, DOUBLE, spec, **old))
    one = write_cdf(tmp_path / "b.cdf", VALUES[0], DOUBLE, Rec_Vary=False, Dim_Sizes=[4, 3])
    assert same_as_cdflib(one).shape == (4, 3)


def test_many_blocks_are_read(tmp_path: Path) -> None:
    values = np.arange(9000.0).reshape(3000, 3)
    for number, compress in enumerate((0, 6)):
        path = write_cdf(tmp_path / f"{number}.cdf", values, Compress=compress, Block_Factor=7)
        np.testing.assert_array_equal(same_as_cdflib(path), values)


def version_2(path: Path, values: np.ndarray) -> Path:
    """A file of version 2.6, whose places have four bytes, with one variable."""

    def record(kind: int, *fields: int | bytes) -> bytes:
        data = b"".join(f if isinstance(f, bytes) else struct.pack(">i", f) for f in fields)
        return struct.pack(">ii", 8 + len(data), kind) + data

    def all_of(gdr: int, variable: int, index: int, block: int, end: int) -> list[bytes]:
        name, count = b"Pose".ljust(64, b"\0"), len(values)
        about = (0, DOUBLE, count - 1, index, index, 1, 0, 0, 0, 0, 1, 0, -1, 0)
        return [
            record(1, gdr, 2, 6, 6, 3, 0, 0, 0, -1, -1, bytes(256)),
            record(2, 0, variable, 0, end, 0, 0, -1, 0, 1, 0, 0, -1, -1),
            record(8, *about, name, 1, values.shape[1], -1),
            record(6, 0, 1, 1, 0, count - 1, block),
            record(7, values.astype("<f8").tobytes()),
        ]

    sizes = [len(one) for one in all_of(0, 0, 0, 0, 0)]
    places = [8 + sum(sizes[:count]) for count in range(1, 6)]
    path.write_bytes(b"\xcd\xf2\x60\x02\x00\x00\xff\xff" + b"".join(all_of(*places)))
    return path


def test_version_2_is_read(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(same_as_cdflib(version_2(tmp_path / "a.cdf", values)), values)


def test_what_is_not_there_or_no_number_is_told(tmp_path: Path) -> None:
    path = write_cdf(tmp_path / "a.cdf")
    with pytest.raises(ValueError, match=r"a\.cdf: expected x or y, got before, Pose, after"):
        read_array(path, ["x", "y"])
    lines = path.read_bytes().replace(b"before", b"be\nore")
    (tmp_path / "c.cdf").write_bytes(lines)
    with pytest.raises(ValueError, match=r"got be ore, Pose, after"):
        read_array(tmp_path / "c.cdf", ["x"])
    text = write_cdf(tmp_path / "b.cdf", np.array(["a", "b"]), TEXT, Dim_Sizes=[])
    with pytest.raises(ValueError, match=r"b\.cdf is not a CDF file.* Pose has no numbers"):
        read_array(text, ["Pose"])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("whole", [False, True], ids=["block", "file"])
def test_what_a_file_expands_to_is_held_against_the_budget(tmp_path: Path, whole: bool) -> None:
    spec, own = ({"Compressed": 6}, {}) if whole else ({}, {"Compress": 6})
    values = np.zeros((1000, 400), np.float32)
    path = write_cdf(tmp_path / "a.cdf", values, FLOAT, spec, **own)
    assert path.stat().st_size < 2**15
    with pytest.raises(ValueError, match=r"a\.cdf is not a CDF file.*more than 1 MB"):
        read_array(path, ["Pose"])


def places_of(data: bytes, kind: int) -> list[int]:
    """Where the records of a type are, one after the other from the first."""
    found, place = [], 8
    while place < len(data):
        found += [place] if int.from_bytes(data[place + 8 : place + 12], "big") == kind else []
        place += int.from_bytes(data[place : place + 8], "big")
    return found


def packed(data: bytes) -> bytes:
    """A whole file as a gzipped one."""
    inner = gzip.compress(data[8:])
    head = struct.pack(">qiqqi", 32 + len(inner), 10, 0, len(data) - 8, 0)
    return data[:4] + b"\xcc\xcc\x00\x01" + head + inner


def hostile(path: Path, kind: int, offset: int, what: str, whole: bool) -> Path:
    """A file whose records of a type state "a count" or "a place" that is not there, or "itself"
    for a place."""
    data = bytearray(write_cdf(path, VALUES[:, :, 0]).read_bytes())
    for place in places_of(bytes(data), kind):
        start = place + offset
        if what == "a count":
            data[start : start + 4] = struct.pack(">i", 2**31 - 1)
        else:
            target = place if what == "itself" else len(data) - 4
            data[start : start + 8] = struct.pack(">q", target)
    path.write_bytes(packed(bytes(data)) if whole else data)
    return path


CDR, GDR, INDEX, Z_VARIABLE = 1, 2, 6, 8


@pytest.mark.parametrize("whole", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize(
    ("kind", "offset", "what"),
    [
        (CDR, 12, "a place"), (CDR, 12, "itself"), (GDR, 20, "a place"), (GDR, 56, "a count"),
        (Z_VARIABLE, 12, "a place"), (Z_VARIABLE, 12, "itself"), (Z_VARIABLE, 24, "a count"),
        (Z_VARIABLE, 28, "a place"), (Z_VARIABLE, 28, "itself"), (Z_VARIABLE, 340, "a count"),
        (Z_VARIABLE, 344, "a count"), (INDEX, 12, "a place"), (INDEX, 12, "itself"),
        (INDEX, 20, "a count"), (INDEX, 84, "a place"), (INDEX, 84, "itself"),
    ],
)  # fmt: skip
def test_places_and_counts_are_not_believed(
    tmp_path: Path, kind: int, offset: int, what: str, whole: bool
) -> None:
    path = hostile(tmp_path / "a.cdf", kind, offset, what, whole)
    with pytest.raises(ValueError, match=r"a\.cdf is not a CDF file, or is cut short: .") as caught:
        read_array(path, ["Pose"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "offset"), [(GDR, 44), (GDR, 48), (GDR, 60), (INDEX, 24)])
def test_counts_of_what_is_listed_are_not_needed(tmp_path: Path, kind: int, offset: int) -> None:
    path = hostile(tmp_path / "a.cdf", kind, offset, "a count", False)
    np.testing.assert_array_equal(read_array(path, ["Pose"]), VALUES[:, :, 0])


def test_an_index_that_grows_by_every_layer_comes_to_an_end(tmp_path: Path) -> None:
    """Indices that name the next one seven times over would be 7^40 entries."""
    path = write_cdf(tmp_path / "a.cdf", VALUES[:, :, 0])
    data = bytearray(path.read_bytes())
    first = len(data)
    (variable,) = places_of(bytes(data), Z_VARIABLE)[1:2]
    data[variable + 28 : variable + 36] = struct.pack(">q", first)
    size = 28 + 7 * 16
    for layer in range(40):
        after = first + size * (layer + 1)
        data += struct.pack(">qiqii", size, INDEX, 0, 7, 7) + bytes(7 * 8)
        data += struct.pack(">7q", *[after] * 7)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"no record of type 6 at .*, or one too often"):
        read_array(path, ["Pose"])
