"""DeepLabCut's CSV: labels or predictions, of one animal or of several.

Rows of headings named in the first cell: `scorer`, perhaps `individuals`, `bodyparts`, `coords` (x,
y, and in predictions `likelihood`); then a row a frame, told by its number or by the image's path,
in one cell or in three. Joints go by their names.
"""

from collections.abc import Iterator
from itertools import takewhile

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader
from exemplar.data.formats.sleap_csv import csv_rows, number_or_nan, with_known_scores
from exemplar.skeletons import SMPL_49, our_names

TITLE = "DeepLabCut (CSV)"
JOINTS = SMPL_49

_HEADINGS = ("scorer", "individuals", "bodyparts", "coords")


def matches(contents: Contents) -> bool:
    """Whether it is a CSV file that begins with DeepLabCut's headings."""
    return contents.suffix == ".csv" and next(iter(csv_rows(contents)), [""])[0] == _HEADINGS[0]


def _records(contents: Contents) -> Iterator[Record]:
    rows = csv_rows(contents)
    heads = {row[0]: row for row in takewhile(lambda row: row and row[0] in _HEADINGS, rows)}
    if not heads.keys() >= {"bodyparts", "coords"}:
        raise ValueError(f"{contents.path} is not {TITLE}: expected rows 'bodyparts' and 'coords'")
    width = min(map(len, heads.values()))
    parts, coords = heads["bodyparts"][:width], heads["coords"]
    whose = heads.get("individuals", [""] * width)[:width]
    first = 1 + sum(1 for _ in takewhile(lambda cell: not cell, parts[1:]))
    for row in rows[len(heads) :]:
        row = [*row, *[""] * (width - len(row))]
        image = "/".join(cell for cell in row[:first] if cell)
        for individual in dict.fromkeys(whose[first:]):
            places = [i for i in range(first, len(parts)) if whose[i] == individual]
            yield Record(([(parts[i], coords[i], row[i]) for i in places], individual), image)


def _person(value: tuple[list[tuple[str, str, str]], str]) -> Detection:
    cells, individual = value
    known = {(part, coord): number_or_nan(text) for part, coord, text in cells}
    names = list(dict.fromkeys(part for part, _, _ in cells))
    points = [
        [known[name, "x"], known[name, "y"], known.get((name, "likelihood"), 1.0)] for name in names
    ]
    return Detection(with_known_scores(points), our_names(names), individual)


read = detector_reader(_records, _person, ".csv")
