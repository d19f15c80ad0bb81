"""Arrays of numbers in CDF files: NASA's Common Data Format, versions 2.6 to 3.

As its "Internal Format Description" has them: records, each with its size and type, that name one
another by their place. Files and blocks of records may be gzipped. Places, counts and sizes come
from the file, so no more records are visited than fit in it, and what they expand to has a budget.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exemplar.files.file_budget import Budget

_WIDTHS = {b"\xcd\xf3\x00\x01": 8, b"\xcd\xf2\x60\x02": 4}
"""Bytes of a place, by a file's first four."""

_PLAIN, _PACKED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
"""The next four."""

_NAMES = {8: 256, 4: 64}
"""Bytes of a name, by those of a place."""

_CDR, _GDR, _R_VARIABLE, _INDEX, _BLOCK, _Z_VARIABLE, _PACKED_FILE, _PACKED_BLOCK = (
    1, 2, 3, 6, 7, 8, 10, 13,
)  # fmt: skip
"""Types of records."""

_NUMBERS = {
    1: "i1", 2: "i2", 4: "i4", 8: "i8", 11: "u1", 12: "u2", 14: "u4", 21: "f4", 22: "f8",
    31: "f8", 33: "i8", 41: "i1", 44: "f4", 45: "f8",
}  # fmt: skip
"""NumPy's names of CDF's types of numbers."""

_ORDERS = dict.fromkeys((1, 2, 5, 7, 9, 11, 12, 18), ">") | dict.fromkeys((4, 6, 13, 16, 17), "<")
"""Order of a number's bytes by encoding; those of the others are not IEEE's."""


def read_cdf(path: Path, names: Sequence[str]) -> np.ndarray:
    """The first of `names` that a CDF file holds, as (records, ...), or as (...) if it is the same
    in all records.

    ValueError, in one line, if it has none of them or they are no numbers, and for other files.
    """
    data = path.read_bytes()
    try:
        variables, records = _variables(data)
        name = next((name for name in names if name in variables), None)
        values = None if name is None else records.values(variables[name])
    except Exception as error:  # a damaged or hostile file can lead to anything
        raise ValueError(f"{path} is not a CDF file, or is cut short: {error}") from error
    if values is None:
        there = " ".join(", ".join(variables).split())[:80]
        raise ValueError(f"{path}: expected {' or '.join(names)}, got {there}")
    return values


@dataclass(frozen=True)
class _Variable:
    name: str
    data_type: int
    """What its values are."""
    elements: int
    """How many numbers or letters are one value."""
    records: int
    """How many it has."""
    index: int
    """Place of the first index of its blocks; 0 without records."""
    varies: bool
    """Whether its records differ."""
    shape: tuple[int, ...]
    """Of a record."""


def _variables(data: bytes) -> tuple[dict[str, _Variable], "_Records"]:
    """The variables of a file by name, and the records where their values are."""
    if data[:4] not in _WIDTHS or data[4:8] not in (_PLAIN, _PACKED):
        raise ValueError("it does not begin like one of version 2.6 or later")
    width, budget = _WIDTHS[data[:4]], Budget(len(data))
    if data[4:8] == _PACKED:
        data = data[:8] + _Records(data, width, budget).packed_file()
    records = _Records(data, width, budget)
    return {one.name: one for one in records.variables()}, records


class _Records:
    """The records of a file that is not packed."""

    def __init__(self, data: bytes, width: int, budget: Budget) -> None:
        self._data, self._width, self._budget = memoryview(data), width, budget
        self._unvisited = len(data)
        self._order, self._row_major = "", True

    def packed_file(self) -> bytes:
        """What follows a packed file's first 8 bytes once it is unpacked."""
        _, about = self._record(8, _PACKED_FILE)
        about.take(2 * self._width + 4)
        return self._expanded(about.rest())

    def variables(self) -> Iterator[_Variable]:
        """All variables; from here on `values` knows how numbers are kept."""
        _, head = self._record(8, _CDR)
        _, about = self._record(head.place(), _GDR)
        head.take(8)
        encoding, flags = head.numbers(2)
        if encoding not in _ORDERS or not flags & 2:
            raise ValueError(f"it is of encoding {encoding}, or of several files")
        self._order, self._row_major = _ORDERS[encoding], bool(flags & 1)
        heads = about.place(), about.place()
        about.take(2 * self._width + 12)
        (axes,) = about.numbers(1)
        about.take(self._width + 16)
        shape = about.numbers(axes)
        for place in heads:
            yield from self._chain(place, shape)

    def _chain(self, place: int, r_shape: Sequence[int]) -> Iterator[_Variable]:
        """Variables that name one another; `r_shape` is that of all of the older kind."""
        while place:
            kind, about = self._record(place, _R_VARIABLE, _Z_VARIABLE)
            place = about.place()
            data_type, last = about.numbers(2)
            index, _ = about.place(), about.place()
            flags, _, _, _, _, elements, _ = about.numbers(7)
            about.take(self._width + 4)
            name = bytes(about.take(_NAMES[self._width])).rstrip(b"\0 ")
            shape = r_shape if kind == _R_VARIABLE else about.numbers(about.numbers(1)[0])
            varying = about.numbers(len(shape))
            yield _Variable(
                name.decode("utf-8", "replace"),
                data_type,
                elements,
                records=(last + 1) % 2**32,  # the last is -1 where there is none
                index=index,
                varies=bool(flags & 1),
                shape=tuple(size for size, vary in zip(shape, varying, strict=True) if vary),
            )

    def values(self, about: _Variable) -> np.ndarray:
        """A variable's values; ValueError if they are no numbers, or some are not there."""
        if about.data_type not in _NUMBERS or about.elements != 1:
            raise ValueError(f"{about.name} has no numbers, but values of type {about.data_type}")
        kind = np.dtype(self._order + _NUMBERS[about.data_type])
        shape = about.shape if self._row_major else about.shape[::-1]
        data = self._blocks(about, kind.itemsize * math.prod(shape))
        values = np.frombuffer(data, kind).astype(kind.newbyteorder("="))
        values = values.reshape(about.records, *shape)
        if not self._row_major:
            values = values.transpose(0, *range(len(shape), 0, -1))
        return values if about.varies else values[0]

    def _blocks(self, about: _Variable, size: int) -> bytes:
        """A variable's records of `size` bytes, one after the other."""
        self._budget.take(about.records * size)
        blocks, count = list[bytes | memoryview](), 0
        for first, last, place in sorted(self._entries(about.index)):
            records = min(last + 1, about.records) - first
            if records < 1 or first != count:
                break
            blocks.append(self._block(place)[: records * size])
            count += records
        data = b"".join(blocks)
        if len(data) != about.records * size:
            raise ValueError(f"{about.name} lacks some of its {about.records} records")
        return data

    def _entries(self, index: int) -> Iterator[tuple[int, int, int]]:
        """First record, last record and place of each block; an index may hold others."""
        waiting = [index] if index else []
        while waiting:
            _, about = self._record(waiting.pop(), _INDEX)
            after = about.place()
            waiting += [after] if after else []
            room, used = about.numbers(2)
            firsts, lasts = about.numbers(room)[:used], about.numbers(room)[:used]
            for first, last in zip(firsts, lasts, strict=True):
                place = about.place()
                if self._kind(place) == _INDEX:
                    waiting.append(place)
                else:
                    yield first, last, place

    def _block(self, place: int) -> bytes | memoryview:
        kind, about = self._record(place, _BLOCK, _PACKED_BLOCK)
        if kind == _BLOCK:
            return about.rest()
        about.take(4)
        return self._expanded(about.take(about.place()))

    def _record(self, place: int, *kinds: int) -> tuple[int, "_Fields"]:
        """Type and fields of the record at a place.

        ValueError if it is of no such type, or if all that were visited are more than the file has.
        """
        size = int.from_bytes(self._data[place : place + self._width], "big")
        kind, head = self._kind(place), self._width + 4
        if kind not in kinds or not head <= size <= self._unvisited:
            raise ValueError(f"it has no record of type {kinds[0]} at {place}, or one too often")
        self._unvisited -= size
        return kind, _Fields(self._data[place + head : place + size], self._width)

    def _kind(self, place: int) -> int:
        """Type of the record at a place."""
        start = place + self._width
        return int.from_bytes(self._data[start : start + 4], "big")

    def _expanded(self, packed: memoryview) -> bytes:
        """What a gzip stream holds."""
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = stream.decompress(packed, self._budget.left + 1)
        self._budget.take(len(data))
        return data


class _Fields:
    """The fields of a record, one after the other; ValueError if it has no more."""

    def __init__(self, data: memoryview, width: int) -> None:
        self._data, self._width, self._at = data, width, 0

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        data = self._data[self._at : self._at + count]
        if len(data) < count:
            raise ValueError("a record is cut short")
        self._at += count
        return data

    def rest(self) -> memoryview:
        """The bytes that are left."""
        return self._data[self._at :]

    def place(self) -> int:
        """A place or a size."""
        return int.from_bytes(self.take(self._width), "big")

    def numbers(self, count: int) -> list[int]:
        """Whole numbers of four bytes, none below 0."""
        return np.frombuffer(self.take(4 * count), ">u4").tolist()
