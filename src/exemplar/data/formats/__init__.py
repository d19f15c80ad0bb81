"""Annotation formats: a reader a file, and which of them a file is for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.formats import (
    alphapose,
    cliff_npz,
    coco,
    coco_named,
    coco_results,
    coco_wholebody,
    crowdpose,
    deeplabcut_csv,
    eft_json,
    h36m,
    h36m_train,
    hd_pose3d,
    human_data,
    keypoints_npz,
    lsp,
    mediapipe_json,
    mmpose_json,
    mpi_inf_3dhp,
    mpii,
    ochuman,
    openpose,
    panoptic,
    posetrack,
    sleap_csv,
    spin_npz,
    table,
    threedpw,
    ultralytics_json,
    yolo_txt,
)
from exemplar.data.options import check_options, options_of, parse_options
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.reading_files import reading
from exemplar.samples import Sample

__all__ = [
    "FORMATS",
    "Format",
    "format_named",
    "read",
    "read_truths",
    "reader_options",
    "recognise",
]


@runtime_checkable
class Format(Protocol):
    """A module that reads one kind of annotation."""

    @property
    def TITLE(self) -> str:
        """What a person calls the data set."""
        ...

    @property
    def JOINTS(self) -> tuple[str, ...]:
        """The annotated joints."""
        ...

    @property
    def matches(self) -> Callable[[Contents], bool]:
        """Whether a file or folder is of this format."""
        ...

    @property
    def read(self) -> Callable[..., Iterator[Sample] | Iterator[PseudoTruth]]:
        """Its people: `read(source, *, options...)`."""
        ...


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "coco": coco,
        "coco_wholebody": coco_wholebody,
        "crowdpose": crowdpose,
        "ochuman": ochuman,
        "posetrack": posetrack,
        "coco_named": coco_named,
        "mpii": mpii,
        "lsp": lsp,
        "h36m": h36m,
        "h36m_train": h36m_train,
        "mpi_inf_3dhp": mpi_inf_3dhp,
        "panoptic": panoptic,
        "hd_pose3d": hd_pose3d,
        "threedpw": threedpw,
        "human_data": human_data,
        "openpose": openpose,
        "alphapose": alphapose,
        "coco_results": coco_results,
        "mmpose_json": mmpose_json,
        "ultralytics_json": ultralytics_json,
        "yolo_txt": yolo_txt,
        "mediapipe_json": mediapipe_json,
        "sleap_csv": sleap_csv,
        "deeplabcut_csv": deeplabcut_csv,
        "keypoints_npz": keypoints_npz,
        "spin_npz": spin_npz,
        "cliff_npz": cliff_npz,
        "eft_json": eft_json,
        "table": table,
    }
)
"""Every format by name."""

_SEEN_AT_ONCE = ("eft_json", "table", "spin_npz", "cliff_npz")
"""Formats that a file's beginning tells: the others parse whole files, so they are asked later."""


def format_named(name: str) -> Format:
    """A format by name; ValueError lists those that there are."""
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def chosen_reader(
    contents: Contents, format: str | None, texts: Sequence[str], images: Path | None
) -> tuple[str, dict[str, Any]]:
    """The format, recognised if it is None, and the options of its reader (`reader_options`)."""
    name = recognise(contents) if format is None else format
    return name, reader_options(name, texts, images)


def reader_options(
    name: str, texts: Sequence[str], images: str | Path | None = None
) -> dict[str, Any]:
    """Options of a format's reader from `name=value` texts, and the folder of images where the
    reader takes one and the texts do not say. ValueError, in one line, for what does not fit."""
    reader = format_named(name).read
    given = parse_options(reader, texts, f"format {name}")
    if images is not None and "images" in options_of(reader):
        given.setdefault("images", images)
    return given


def recognise(contents: Contents) -> str:
    """Name of the format of a file or folder.

    ValueError, with the formats that there are, if none or several fit; FileNotFoundError for a
    folder with nothing in it.
    """
    if contents.path.is_dir() and not any(contents.path.iterdir()):
        raise FileNotFoundError(f"{contents.path}: there is nothing in this folder")
    with reading(contents.path, "an annotation"):
        for name in _SEEN_AT_ONCE:
            if FORMATS[name].matches(contents):
                return name
        rest = (name for name in FORMATS if name not in _SEEN_AT_ONCE)
        found = [name for name in rest if FORMATS[name].matches(contents)]
    if len(found) == 1:
        return found[0]
    if not found and contents.suffix == ".json" and contents.path.is_file():
        _ = contents.json  # which says what is wrong with it, if anything
    known = ", ".join(FORMATS)
    if found:
        raise ValueError(f"{contents.path} may be {' or '.join(found)}: name its format")
    what = "this folder" if contents.path.is_dir() else "this file"
    raise ValueError(f"{contents.path}: {what} is of none of the known formats ({known})")


def read(
    path: str | Path | Contents, format: str | None = None, **options: Any
) -> Iterator[Sample]:
    """The people of an annotation file or folder, lazily, in its own order.

    Args:
        path: the file or folder.
        format: name of its format in `FORMATS`; recognised if not given.
        options: of that format's reader.

    FileNotFoundError if there is nothing at `path`; ValueError, in one line, if it is not of the
    format or an option is unknown.
    """
    return (row.sample for row in read_truths(path, format, **options))


def read_truths(
    path: str | Path | Contents, format: str | None = None, **options: Any
) -> Iterator[PseudoTruth]:
    """Like `read`, with what a table knows of each fit; samples of other formats are imported."""
    contents = Contents(path)
    name = recognise(contents) if format is None else format
    reader = format_named(name)
    check_options(reader.read, options, f"format {name}")
    with reading(contents.path, reader.TITLE):
        rows = reader.read(contents, **options)
    return _truths(rows, contents.path, reader.TITLE)


def _truths(
    rows: Iterator[Sample] | Iterator[PseudoTruth], path: Path, title: str
) -> Iterator[PseudoTruth]:
    with reading(path, title):
        for row in rows:
            truth = row if isinstance(row, PseudoTruth) else PseudoTruth(row)
            yield replace(truth, sample=_of_letters(truth.sample))


def _of_letters(sample: Sample) -> Sample:
    """The sample; a broken one if its texts hold halves of characters, as JSON can: no ledger and
    no table keeps them."""
    texts = {name: getattr(sample, name) for name in ("image", "subject", "problem")}
    try:
        "".join(texts.values()).encode()
    except UnicodeEncodeError:
        texts = {name: text.encode(errors="replace").decode() for name, text in texts.items()}
        problem = texts.pop("problem") or f"broken annotation: half a character in {texts}"
        nothing = np.zeros_like(sample.keypoints_2d)
        return replace(sample, **texts, problem=problem, keypoints_2d=nothing)
    return sample
