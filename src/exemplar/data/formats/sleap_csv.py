"""SLEAP's CSV: a line an animal and frame, or a line a frame.

Columns `track`, `frame_idx`, `instance.score`, and `NAME.x`, `NAME.y`, `NAME.score` for each joint
(https://sleap.ai, "Export Analysis CSV", and sleap-io's "instances"); in sleap-io's "frames" all
but `frame_idx` begin with `inst0.`, `inst1.`, ... What is missing is empty. Joints go by their
names. The image is the frame's number.
"""

import csv
import re
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader
from exemplar.skeletons import SMPL_49, our_names

TITLE = "SLEAP analysis (CSV)"
JOINTS = SMPL_49

_FRAME = "frame_idx"
_INSTANCE = re.compile(r"inst\d+\.")


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


def with_known_scores(rows: list[list[float]]) -> Float[np.ndarray, "k 3"]:
    """Rows of x, y and score; of somebody who has no score at all, as people who were marked by
    hand, they are 1."""
    points = np.array(rows, np.float64).reshape(-1, 3)
    if not np.isfinite(points[:, 2]).any():
        points[:, 2] = 1.0
    return points


def _records(contents: Contents) -> Iterator[Record]:
    if not matches(contents):
        raise ValueError(f"{contents.path} is not {TITLE}: expected the column {_FRAME}")
    head, *rows = csv_rows(contents)
    if not any(column.endswith(".x") for column in head):
        raise ValueError(f"{contents.path} is not {TITLE}: expected columns such as nose.x")
    found = (_INSTANCE.match(column) for column in head)
    instances = list(dict.fromkeys(mark[0] for mark in found if mark)) or [""]
    for row in rows:
        cells = dict(zip(head, row, strict=False))
        image = cells.get(_FRAME, "").partition(".")[0]
        for start in instances:
            own = {k.removeprefix(start): v for k, v in cells.items() if k.startswith(start)}
            yield Record(own, image)


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
    return Detection(with_known_scores(points), our_names(names), cells.get("track", ""))


read = detector_reader(_records, _person, ".csv")
