"""Strangers' photographs as a person saw them who looked at every fit, from the front and the side.

    python -m benchmarks.judged
    python -m benchmarks.judged --shared ../shared --sheets docs/images

`benchmarks/results/judged.csv` has a line for everybody of whom a photograph shows head or trunk,
and for every other body: its `number` among the fits, the longer side of the person in the
photograph, the verdict and what is wrong. Photographs that were chosen for one person have that
person alone. A fit is `right` if all that is seen of the person is
where it should be, from both sides, and if nothing of the rest is impossible; `mixed` if it has
parts of several people; `double` if somebody else is the same person; who is not found is
`missed`. Children's bodies are not asked to have a child's shape.

The first form counts. The second fits the photographs again, writes what the program says of each
fit into the table, and draws sheets without the photographs, which may not be copied.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console
from rich.table import Table

from exemplar.files.atomic_files import replacing
from exemplar.render.drawing import PAPER
from exemplar.render.overlay import overlay_picture
from exemplar.results import DOUBTFUL, OK, REJECTED
from exemplar.scene import Fitter

EIGHTH = "every eighth"
"""Kind of the photographs that nobody chose: 0, 8, 16, ... of `../shared/coco`."""

LEAST_PX = 60
"""Smaller people are not counted as missed or found."""

WIDTH, COLUMNS = 780, 2
"""Of a figure on a sheet, px, and how many stand side by side."""

GREY = 225
"""In place of the photograph."""

Row = dict[str, str]


@dataclass(frozen=True)
class Config:
    """Settings."""

    table: Path = Path("benchmarks/results/judged.csv")
    """The verdicts."""
    shared: Path | None = None
    """Folder of the photographs, to fit them again."""
    sheets: Path | None = None
    """Folder for the sheets."""


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many people were found, and what became of the fits."""
    people = [row for row in rows if float(row["size_px"] or 0) >= LEAST_PX]
    bodies = [row for row in rows if row["number"]]
    wrong = [row for row in bodies if row["verdict"] != "right"]
    return {
        "photographs": len({row["photo"] for row in rows}),
        f"people over {LEAST_PX} px": len(people),
        "found": sum(row["verdict"] != "missed" for row in people),
        "bodies": len(bodies),
        "double": sum(row["verdict"] == "double" for row in bodies),
        "mixed": sum(row["verdict"] == "mixed" for row in bodies),
        "right": len(bodies) - len(wrong),
        **{f"right, {s}": _with(bodies, s, right=True) for s in (OK, DOUBTFUL, REJECTED)},
        "wrong": len(wrong),
        **{f"wrong, {s}": _with(wrong, s, right=False) for s in (OK, DOUBTFUL, REJECTED)},
        f"mixed, {OK}": sum(r["verdict"] == "mixed" and r["status"] == OK for r in wrong),
    }


def _with(rows: Sequence[Row], status: str, *, right: bool) -> int:
    return sum(row["status"] == status and (row["verdict"] == "right") == right for row in rows)


def figures(
    rows: Sequence[Row], shared: Path
) -> Iterator[tuple[str, UInt8[np.ndarray, "height width 3"]]]:
    """Kind of each photograph with fits, and these on grey; `rows` take on what is said of them.

    ValueError where fits that were judged are no more there.
    """
    fitter = Fitter()
    for photo, group in groupby(rows, key=lambda row: row["photo"]):
        own = list(group)
        try:
            result = fitter.fit(shared / photo)
        except ValueError:  # nobody found
            people = ()
        else:
            people = result.people
            blank = replace(result, image=np.full_like(result.image, GREY))
            yield own[0]["kind"], overlay_picture(blank)
        for row in own:
            if row["number"]:
                if int(row["number"]) >= len(people):
                    raise ValueError(f"{photo}: fit {row['number']} is no more there: judge again")
                person = people[int(row["number"])]
                row |= {"status": person.status, "quality": f"{person.quality or 0:.2f}"}


def sheet(pictures: Sequence[UInt8[np.ndarray, "height width 3"]]) -> Image.Image:
    """All on one page."""
    small = []
    for picture in pictures:
        image = Image.fromarray(picture)
        small.append(image.resize((WIDTH, round(image.height * WIDTH / image.width))))
    lines = [small[i : i + COLUMNS] for i in range(0, len(small), COLUMNS)]
    heights = [max(image.height for image in line) for line in lines]
    page = Image.new("RGB", (WIDTH * COLUMNS, sum(heights)), PAPER)
    y = 0
    for line, height in zip(lines, heights, strict=True):
        for column, image in enumerate(line):
            page.paste(image, (column * WIDTH, y))
        y += height
    return page


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with replacing(path) as half, half.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(config: Config) -> None:
    """Count, and fit again if asked to."""
    with config.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if config.shared is not None:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        pictures: dict[bool, list[np.ndarray]] = {True: [], False: []}
        for kind, picture in figures(rows, config.shared):
            pictures[kind == EIGHTH].append(picture)
        _write(config.table, rows)
        if config.sheets is not None:
            for every, name in ((True, "judged_eighth"), (False, "judged_kinds")):
                sheet(pictures[every]).save(config.sheets / f"{name}.webp", quality=60, method=6)
    parts = {
        "every eighth photograph": [row for row in rows if row["kind"] == EIGHTH],
        "chosen kinds": [row for row in rows if row["kind"] != EIGHTH],
    }
    table = Table("", *parts)
    columns = [counts(part) for part in parts.values()]
    for name in columns[0]:
        table.add_row(name, *(str(column[name]) for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
