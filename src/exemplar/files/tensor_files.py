"""Torch checkpoints as plain data: tensors in dicts and lists, checked against the file's bytes.

`torch.load(weights_only=True)` believes what a file says of sizes and strides, and raises whatever
damage leads to. This reads the same files, `torch.save`'s zips and the older plain pickles, by the
restricted unpickler.
"""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exemplar.files.file_budget import Budget
from exemplar.files.npy_files import zip_member
from exemplar.files.pickle_files import NAMES, OTHERS, STORAGE, Builder, Name, Names, Node, follow
from exemplar.files.reading_files import one_line, unless_not_there

_OLD_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What files of torch before 1.6 begin with: the pickle of a number."""

_KINDS: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip


def read_tensors(path: Path, *, repeated: bool = False, others: bool = False) -> Any:
    """What a checkpoint holds, on the CPU, without running code from it.

    `repeated`: tensors may show the same numbers again and again (stride 0) at no cost, which is
    for readers that hold shapes against something before they copy. `others`: objects of other
    kinds are passed over, and None stands for each, instead of an error.

    ValueError, in one line, if it is damaged, larger than its budget, or holds anything but
    tensors, arrays, numbers and texts in dicts and lists.
    """
    try:
        budget = Budget(path.stat().st_size)
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        names = {**TENSORS, **(_REPEATED if repeated else {}), **({OTHERS: None} if others else {})}
        if zipped:
            return _read_zip(path, budget, names)
        return _read_old(path.read_bytes(), budget, names)
    except Exception as error:  # a damaged file can raise anything
        unless_not_there(error)
        reason = one_line(error)
        raise ValueError(f"{path} cannot be read as tensors alone: {reason}") from error


def _read_zip(path: Path, budget: Budget, names: Names) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.partition("/")[2]: info for info in archive.infolist()}

        def member(name: str) -> bytearray:
            if name not in members:
                raise ValueError(f"it lacks {name}")
            with zip_member(archive, members[name], budget) as stream:
                return bytearray(stream.read())

        if "byteorder" in members and member("byteorder") != b"little":
            raise ValueError("its numbers are not in little-endian order")
        content = follow(io.BytesIO(member("data.pkl")), budget, names)
        return _built(content, budget, names, lambda key: member(f"data/{key}"))


def _read_old(data: bytes, budget: Budget, names: Names) -> Any:
    """Torch's format before 1.6: pickles of a mark, a version, the machine, the contents and the
    keys of the storages; then, for each key, how many numbers it has, and the numbers."""
    if not data.startswith(_OLD_START):
        raise ValueError("it is not a file that torch.save has written")
    stream = io.BytesIO(data)
    stream.seek(len(_OLD_START))
    version, machine, content, keys = (follow(stream, budget, names) for _ in range(4))
    if version != 1001 or not machine.get("little_endian"):
        raise ValueError("its numbers are not in little-endian order, or in another version's")
    sizes = _storage_sizes(content)
    storages = {}
    for key in keys:
        if not isinstance(key, str):
            raise ValueError("a storage's key is no text")
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = bytearray(stream.read(count * sizes[key]))
    return _built(content, budget, names, storages.__getitem__)


def _storage_sizes(content: Any) -> dict[str, int]:
    """Bytes of a number of each storage that is asked for."""
    sizes, seen, left = dict[str, int](), set[int](), [content]
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Node):
            if value.key == STORAGE:
                sizes[value.args[2]] = _kind(value).itemsize
            left += [value.args, value.state]
        elif isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            left += value
    return sizes


def _kind(storage: Node) -> torch.dtype:
    tag, kind = storage.args[:2]
    if tag != "storage" or not isinstance(kind, Name) or kind.key[1] not in _KINDS:
        raise ValueError("a tensor's numbers are of no known kind")
    return _KINDS[kind.key[1]]


def _built(content: Any, budget: Budget, names: Names, bytes_of: Callable[[str], bytearray]) -> Any:
    read = cache(bytes_of)

    def storage(build: Builder, node: Node) -> Tensor:
        """All numbers of a storage as a row; tensors may share it."""
        dtype, data, count = _kind(node), read(node.args[2]), node.args[4]
        if type(count) is not int or not 0 <= count * dtype.itemsize <= len(data):
            raise ValueError(f"a storage has {len(data)} bytes, too few for its numbers")
        if count == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype, count=count)

    return Builder(budget, {**NAMES, **names, STORAGE: storage})(content)


def _tensor(build: Builder, node: Node, *, counted: bool = True) -> Tensor:
    """torch's `_rebuild_tensor_v2`: a storage, an offset into it, a size and strides."""
    storage, offset, size, stride = node.args[:4]
    flat, size, stride = build(storage), build(size), build(stride)
    sides = (offset, *size, *stride)
    if not isinstance(flat, Tensor) or len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
        raise ValueError("a tensor has no numbers, or not as many strides as sides")
    if any(type(side) is not int or not 0 <= side < 2**48 for side in sides):
        raise ValueError(f"a tensor has the size {str(size)[:40]} and strides {str(stride)[:40]}")
    if counted:
        build.budget.take(math.prod(max(side, 1) for side in size) * flat.element_size())
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if 0 not in size and last >= len(flat):
        raise ValueError(f"a tensor of size {size} has {len(flat)} numbers")
    return torch.as_strided(flat, size, stride, offset)


def _parameter(build: Builder, node: Node) -> Any:
    return build(node.args[0])


def _pickled_storage(build: Builder, node: Node) -> Tensor:
    """How a pickle that torch has not written itself holds a storage: as a file of torch."""
    return _read_old(build(node.args[0]), build.budget, TENSORS)


_MOST_DIMENSIONS = 64

_REBUILD = (("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"))

TENSORS: Names = {
    STORAGE: None,
    **dict.fromkeys(_REBUILD, _tensor),
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _parameter,
    ("torch", "device"): _parameter,
    ("torch.storage", "_load_from_bytes"): _pickled_storage,
    **{("torch", kind): None for kind in _KINDS},
}
"""Names in pickles that hold tensors."""

_REPEATED: Names = dict.fromkeys(_REBUILD, partial(_tensor, counted=False))
