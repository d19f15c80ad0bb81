"""How large a MATLAB file's variables are, before anything is made of them.

A file of versions 5 to 7 (MathWorks, "MAT-File Format") is a header of 128 bytes and elements: a
tag of type and size, then data padded to 8 bytes. A matrix has elements for its class, its axes,
its name, and its numbers or the matrices in it. Compressed elements hold others.
"""

import math
import struct
import zlib
from pathlib import Path

from exemplar.files.file_budget import Budget

_MATRIX, _COMPRESSED = 14, 15
_HEADER, _TAG = 128, 8
_SPARSE = 5
_DEEPEST = 32
"""Matrices within matrices, at most."""
_BYTES = 16
"""Memory of an item: a complex number, an object's name and place."""


def check_mat_sizes(path: Path) -> None:
    """ValueError if what the file states or expands to is more than it may be."""
    data = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[_HEADER - 2 : _HEADER]))
    if order is not None:  # else of version 4, whose sizes scipy holds against the file's
        _walk(data[_HEADER:], order, Budget(len(data)), 0)


def _walk(data: memoryview, order: str, budget: Budget, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"its variables are nested more than {_DEEPEST} deep")
    at = 0
    while at + _TAG <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        at += _TAG
        if kind >> 16:  # a small element: its data are in the tag
            continue
        content = data[at : at + size]
        if kind == _COMPRESSED:
            _walk(memoryview(_inflated(content, budget)), order, budget, depth + 1)
        elif kind == _MATRIX:
            _matrix(content, order, budget, depth)
        at += size if kind == _COMPRESSED else size + -size % _TAG


def _matrix(content: memoryview, order: str, budget: Budget, depth: int) -> None:
    if len(content) < 4 * _TAG:
        return
    is_sparse = bytes(content[_TAG : _TAG + 4])[0 if order == "<" else 3] == _SPARSE
    size = struct.unpack_from(order + "I", content, 2 * _TAG + 4)[0]
    first = 3 * _TAG
    shape = struct.unpack_from(f"{order}{min(size, len(content) - first) // 4}i", content, first)
    count = max(shape) if is_sparse else math.prod(shape)
    if min(shape, default=0) < 0 or count > len(content):
        raise ValueError(f"it states {shape} items in {len(content)} bytes")
    budget.take(_BYTES * count)
    _walk(content[first + size + -size % _TAG :], order, budget, depth + 1)


def _inflated(content: memoryview, budget: Budget) -> bytes:
    whole = zlib.decompressobj()
    found = whole.decompress(content, budget.left + 1)
    budget.take(len(found))
    return found
