"""SLEAP's analysis CSV: a line an animal and frame.

Columns `track`, `frame_idx`, `instance.score`, and `NAME.x`, `NAME.y`, `NAME.score` for each joint
(https://sleap.ai, "Export Analysis CSV"); what is missing is empty. Joints go by their names. The
image is the frame's number.
"""

import csv
from collections.abc import Iterator, Mapping

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader
from exemplar.skeletons import SMPL_49, our_names

TITLE = "SLEAP analysis (CSV)"
JOINTS = SMPL_49

_FRAME = "frame_idx"


def matches(contents: Contents) -> bool:
    """Whether it is a CSV file with SLEAP's columns."""
    return contents.suffix == ".csv" and _FRAME in next(iter(csv_rows(contents)), [])


def csv_rows(contents: Contents) -> list[list[str]]:
    """The cells of a CSV file, [] for what is no text."""
    try:
        text = contents.path.read_text(encoding="utf-8-sig")
        return list(csv.reader(text.splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def number_or_nan(text: str) -> float:
    """A cell's number, NaN for an empty one; ValueError for anything else."""
    return float(text) if text.strip() else float("nan")


def _records(contents: Contents) -> Iterator[Record]:
    if not matches(contents):
        raise ValueError(f"{contents.path} is not {TITLE}: expected the column {_FRAME}")
    head, *rows = csv_rows(contents)
    for row in rows:
        cells = dict(zip(head, row, strict=False))
        yield Record(cells, cells.get(_FRAME, "").partition(".")[0])


def _person(cells: Mapping[str, str]) -> Detection:
    names = [column.removesuffix(".x") for column in cells if column.endswith(".x")]
    points = [
        [
            number_or_nan(cells[f"{name}.x"]),
            number_or_nan(cells[f"{name}.y"]),
            number_or_nan(cells.get(f"{name}.score", "1")),
        ]
        for name in names
    ]
    return Detection(np.array(points).reshape(-1, 3), our_names(names), cells.get("track", ""))


read = detector_reader(_records, _person, ".csv")
