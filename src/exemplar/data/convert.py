"""From any annotation format that can be read to those that can be written."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.formats import (
    FORMATS,
    cliff_npz,
    coco,
    eft_json,
    read_truths,
    recognise,
    spin_npz,
    table,
)
from exemplar.data.pseudo_gt import IMPORTED, PseudoTruth
from exemplar.files.image_store_files import ImageStore, open_images
from exemplar.results import BAD_INPUT
from exemplar.samples import BodyTruth, Sample

TARGETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "spin_npz": (".npz",),
        "eft_json": (".json",),
        "table": (".parquet", ".pq"),
        "cliff_npz": (".npz",),
        "coco": (".json",),
    }
)
"""Formats that can be written and their suffixes; of two with one suffix the first is meant."""

Placed = Callable[[Sample], Sample | str]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did."""

    source: str
    """Format that was read."""
    target: str
    """Format that was written."""
    written: int
    """People in the new file."""
    left_out: Mapping[str, int]
    """How many people were left out, by reason."""


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str | None = None,
    format: str | None = None,
    images: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Conversion:
    """Write the people of an annotation file in another format.

    From a table only the rows that are usable go into JSON and `.npz`; a table takes all rows,
    broken ones with their reason. Formats that need a camera that a person lacks (EFT's weak one,
    CLIFF's full one) get it from the other camera and, where needed, the size of the image.

    Args:
        source: file or folder of any known format.
        target: the new file; its suffix tells the format (`TARGETS`) unless `to` names it.
        to: name of the new format.
        format: name of the format of `source`; recognised if not given.
        images: folder of the images, for their sizes.
        options: of the reader.

    ValueError, in one line, if nothing can be written; an existing file then stays as it is.
    """
    contents, path = Contents(source), Path(target)
    if path.exists() and path.resolve() == contents.path.resolve():
        raise ValueError(f"{path} would replace what it is made from")
    name = target_format(path, to)
    kind = recognise(contents) if format is None else format
    rows = read_truths(contents, kind, **(options or {}))
    header = eft_json.EftHeader(meta={"dbname": contents.path.stem, "rawname": contents.path.name})
    if kind == name == "eft_json":
        header = eft_json.read_header(contents.path)
    made = {"source": contents.path.name, "format": kind}
    return replace(
        write_rows(rows, path, to=name, images=images, header=header, made=made), source=kind
    )


def write_rows(
    rows: Iterable[PseudoTruth],
    path: str | Path,
    *,
    to: str | None = None,
    images: str | Path | None = None,
    header: eft_json.EftHeader | None = None,
    made: Mapping[str, Any] | None = None,
) -> Conversion:
    """Write pseudo ground truth; see `convert`.

    `header` is an EFT JSON's, `made` what a table says of how it was made.
    """
    name = target_format(path, to)
    if name == "table":
        count = table.write((_with_reason(row) for row in rows), path, made=made)
        return Conversion("", name, count, {})
    left_out: Counter[str] = Counter()
    store = None if images is None else open_images(images)
    samples = _writable(rows, _PLACED.get(name, _anyone)(store), left_out, name)
    if name == "eft_json":
        count = eft_json.write(samples, path, header=header)
    elif name == "coco":
        count = coco.write(samples, path)
    else:
        count = (spin_npz if name == "spin_npz" else cliff_npz).write(samples, path)
    return Conversion("", name, count, dict(left_out))


def target_format(path: str | Path, to: str | None = None) -> str:
    """Name of the format to write: `to`, else what the suffix says; ValueError if they disagree."""
    path = Path(path)
    if to is None:
        for name, suffixes in TARGETS.items():
            if path.suffix.lower() in suffixes:
                return name
        known = ", ".join(dict.fromkeys(s for suffixes in TARGETS.values() for s in suffixes))
        raise ValueError(f"cannot tell a format from {path.name!r}, expected one of {known}")
    if to not in TARGETS:
        what = "cannot be written" if to in FORMATS else "is unknown"
        raise ValueError(f"format {to!r} {what}, expected one of {', '.join(TARGETS)}")
    if path.suffix.lower() not in TARGETS[to]:
        raise ValueError(f"{path.name!r} is to be {to}: expected the suffix {TARGETS[to][0]}")
    return to


def _with_reason(row: PseudoTruth) -> PseudoTruth:
    """A row whose broken annotation is its status, too."""
    if row.status == IMPORTED and row.sample.problem:
        return replace(row, status=BAD_INPUT, message=row.sample.problem)
    return row


def _writable(
    rows: Iterable[PseudoTruth], placed: Placed, left_out: Counter[str], name: str
) -> Iterator[Sample]:
    """The samples that the target takes; the others are counted. ValueError if there is none."""
    count = 0
    for row in rows:
        found = _why_not(row) or placed(row.sample)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            count += 1
            yield found
    if left_out and not count:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        raise ValueError(f"nobody can be written as {name}: {reasons}")


def _why_not(row: PseudoTruth) -> str:
    """Why a row goes into no file but a table; "" if it does."""
    if row.sample.problem:
        return "broken annotation"
    imported = row.status == IMPORTED and not row.decision
    if imported or row.usable:
        return ""
    if row.decision == "rejected":
        return "rejected by hand"
    return "without a body" if row.sample.body is None else row.status


def _anyone(images: ImageStore | None) -> Placed:
    return lambda sample: sample


def _weakly(images: ImageStore | None) -> Placed:
    """Samples whose body has a weak camera."""

    def place(sample: Sample) -> Sample | str:
        body = sample.body
        if body is None:
            return "without a body"
        if body.weak_camera is not None:
            return sample
        camera = weak_camera(sample, body)
        if camera is None:
            return "without a camera"
        return replace(sample, body=replace(body, weak_camera=camera))

    return place


def _fully(images: ImageStore | None) -> Placed:
    """Samples with a full camera, whose body has a translation in it."""

    def place(sample: Sample) -> Sample | str:
        body = sample.body
        if cliff_npz.focal_of(sample) is None:
            intrinsics = None if images is None else _diagonal_camera(images, sample.image)
            if intrinsics is None:
                return "without a focal length (images tell it)"
            sample = replace(sample, intrinsics=intrinsics)
        if body is None or body.translation is not None:
            return sample
        moved = full_translation(sample, body)
        if moved is None:
            return "without a camera"
        return replace(sample, body=replace(body, translation=moved))

    return place


_PLACED: Mapping[str, Callable[[ImageStore | None], Placed]] = {
    "eft_json": _weakly,
    "cliff_npz": _fully,
}


def _diagonal_camera(images: ImageStore, name: str) -> Float[np.ndarray, "3 3"] | None:
    """CLIFF's guess: a camera whose focal length is the image's diagonal."""
    try:
        width, height = images.size(name)
    except (OSError, ValueError):
        return None
    return cliff_npz.middle_camera(math.hypot(width, height), (width, height))


def weak_camera(sample: Sample, body: BodyTruth) -> Float[np.ndarray, "3"] | None:
    """(s, tx, ty) in the sample's box that shows the body where and as large as its full camera
    does, but for perspective: s = 2 f / (b z), t from the pixel under the body's origin.

    None without a translation in front of a camera, or without a box.
    """
    moved, matrix, size = body.translation, sample.intrinsics, sample.box_size
    if moved is None or matrix is None or not moved[2] > 0 or not size > 0:
        return None
    origin = (matrix @ (moved / moved[2]))[:2]
    scale = 2 * matrix[0, 0] / (size * moved[2])
    return np.array([scale, *((origin - sample.box_centre) * (2 / size))])


def full_translation(sample: Sample, body: BodyTruth) -> Float[np.ndarray, "3"] | None:
    """The translation (metres) in the sample's full camera that `weak_camera` is the way back of.

    None without a weak camera, intrinsics or a box.
    """
    camera, matrix, size = body.weak_camera, sample.intrinsics, sample.box_size
    if camera is None or matrix is None or not camera[0] > 0 or not size > 0:
        return None
    depth = 2 * matrix[0, 0] / (size * camera[0])
    origin = sample.box_centre + camera[1:] * (size / 2)
    return np.linalg.solve(matrix, np.array([*origin, 1.0])) * depth
