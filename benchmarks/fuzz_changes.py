"""Damage to files, by seed: to their bytes, to what zips hold, and to what they say."""

import io
import random
import struct
import zipfile
from typing import Any

import numpy as np
import torch

_ODD: tuple[Any, ...] = (
    None, "a\nb", True, -1, 0, 1, 3, 2**31, -(2**63), 2**63, 10**30, 1.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "x", "nan", "1", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800",
    "é" * 300, [], {}, (), [[]], [None], {"a": 1}, [1, "a"], [1e300] * 5, b"", b"\xff\x00",
    np.zeros(0), np.zeros((0, 3)), np.ones((2, 2)), np.array("x"), np.array([None, 1], object),
    np.array(["a", "b"]), np.full((3, 3), np.nan), np.int64(3), np.ones((3, 1), np.uint8),
    torch.zeros(0), torch.ones(3), torch.full((2, 2), float("nan")),
)  # fmt: skip
"""What stands where something else should."""

_NUMBERS = (0, 1, -1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**62, 2**63 - 1)


def changed_content(content: Any, rng: random.Random) -> Any:
    """What a file says, with one or a few of its parts replaced, left out, repeated or nested."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = _changed(content, rng, 0)
    return content


def _changed(value: Any, rng: random.Random, depth: int) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9 - 0.1 * depth:
        made, key = dict(value), rng.choice(list(value))
        what = rng.random()
        if what < 0.15:
            del made[key]
        elif what < 0.2:
            made[rng.choice(("x", "", 3, None, "a\nb"))] = made.pop(key)
        else:
            made[key] = _changed(made[key], rng, depth + 1)
        return made
    if isinstance(value, list | tuple) and len(value) and rng.random() < 0.9 - 0.1 * depth:
        made_list, place = list(value), rng.randrange(len(value))
        what = rng.random()
        if what < 0.1:
            del made_list[place]
        elif what < 0.2:
            made_list.insert(place, made_list[place])
        elif what < 0.22:
            made_list = made_list * 20
        else:
            made_list[place] = _changed(made_list[place], rng, depth + 1)
        return type(value)(made_list) if type(value) in (list, tuple) else made_list
    if isinstance(value, np.ndarray) and rng.random() < 0.7:
        return _changed_array(value, rng)
    if isinstance(value, torch.Tensor) and rng.random() < 0.7:
        if value.is_floating_point() and value.dim():
            return torch.from_numpy(
                np.array(_changed_array(value.detach().numpy(), rng), np.float32)
            )
        return value.reshape(-1)[:1].expand(rng.choice((0, 1, 5, 1000)))
    return rng.choice((*_ODD, [value], {"a": value}, str(value)))


def _changed_array(value: np.ndarray, rng: random.Random) -> Any:
    what = rng.randrange(8)
    if what == 0:
        return value[:-1] if value.ndim else value.reshape(1)
    if what == 1:
        return value[..., None] if rng.random() < 0.5 else value.reshape(-1)
    if what == 2:
        kind = rng.choice(("f2", "i1", "?", "S3", "U2", "O", "c16", ">f8"))
        try:
            return value.astype(kind)
        except (ValueError, TypeError):
            return value
    if what == 3:
        return np.concatenate([value, value]) if value.ndim else value
    if what == 4 and value.ndim:
        return value.T
    if value.dtype.kind not in "fiu" and value.dtype != object:
        return value
    made = value.copy()
    if made.size:
        odd = (-1, 0, 200) if made.dtype.kind in "iu" else (np.nan, np.inf, -1e300, 1e300, -1, 0)
        choice = rng.choice(_ODD if made.dtype == object else odd)
        with np.errstate(all="ignore"):
            try:
                made.reshape(-1)[rng.randrange(made.size)] = choice
            except (ValueError, TypeError, OverflowError):
                return value
    return made


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes with damage; of a zip, often of what is in it, under a checksum that is right."""
    if data[:2] == b"PK" and rng.random() < 0.8:
        try:
            return _changed_zip(data, rng)
        except (zipfile.BadZipFile, ValueError, OSError):
            pass
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        _damage(made, rng)
    return bytes(made)


def _changed_zip(data: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place, stream = rng.randrange(len(members)), io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    what = rng.random()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for number, (name, content) in enumerate(members):
            if number == place and what < 0.1:
                continue
            if number == place and what < 0.15:
                name = rng.choice(("../x", "/x", "x", name * 3))
            elif number == place:
                made = bytearray(content)
                for _ in range(rng.choice((1, 1, 2, 4, 16))):
                    _damage(made, rng, near_start=rng.random() < 0.6)
                content = bytes(made)
            archive.writestr(name, content)
    return stream.getvalue()


def _damage(data: bytearray, rng: random.Random, *, near_start: bool = False) -> None:
    if not data:
        data.extend(rng.randbytes(rng.randrange(20)))
        return
    end = min(len(data), 200) if near_start else len(data)
    place, what = rng.randrange(end), rng.randrange(9)
    length = min(rng.choice((1, 2, 4, 8, 64, 1000)), len(data) - place)
    if what == 0:
        data[place] ^= 1 << rng.randrange(8)
    elif what == 1:
        data[place] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    elif what == 2:
        del data[place : place + length]
    elif what == 3:
        data[place:place] = data[place : place + length] * rng.choice((1, 1, 2, 50))
    elif what == 4:
        data[place : place + length] = bytes(length)
    elif what == 5:
        packed = struct.pack("<Q", rng.choice(_NUMBERS) % 2**64)[: rng.choice((2, 4, 8))]
        data[place : place + len(packed)] = packed if rng.random() < 0.7 else packed[::-1]
    elif what == 6:
        other = rng.randrange(len(data))
        data[place : place + length] = data[other : other + length]
    elif what == 7:
        del data[place:]
    else:
        digit = next((i for i in range(place, len(data)) if 48 <= data[i] <= 57), place)
        data[digit : digit + 1] = rng.choice((b"9999999999999", b"-1", b"0", b"1e400", b"2"))
