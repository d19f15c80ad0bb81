"""All tables and figures by name, and how they are made and written."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from exemplar.environment import code_commit, machine
from exemplar.evaluation.reproduce import dual_tables, eft_fitting, eft_training, long_tables
from exemplar.evaluation.reproduce.findings import Finding, page_of, read_finding, write_finding
from exemplar.evaluation.reproduce.workbench import ScaleName, Workbench
from exemplar.files.atomic_files import replacing

TABLES: Mapping[str, Callable[[Workbench], Finding]] = {
    "eft-table-1": eft_training.table_1,
    "eft-table-2": eft_training.table_2,
    "eft-table-4": eft_training.table_4,
    "eft-table-3": eft_fitting.table_3,
    "eft-fig-4": eft_fitting.figure_4,
    "eft-appendix-d": eft_fitting.appendix_d,
    "eft-appendix-g": eft_fitting.appendix_g,
    "eft-preference": eft_fitting.preference,
    "dual-table-3": dual_tables.table_3,
    "dual-table-2": dual_tables.table_2,
    "dual-fig-5": dual_tables.figure_5,
    "dual-fig-6": dual_tables.figure_6,
    "dual-fig-7": dual_tables.figure_7,
    "guard": eft_fitting.guard_table,
}
"""In an order in which each finds what the ones before it made."""

LONG: Mapping[str, Callable[[Workbench], Finding]] = {"dual-table-3": long_tables.table_3}
"""What there is of the scale long."""

_NOTE = """\
The two papers make claims with tables and figures. Here each is made again, beside the paper's
numbers, and each claim gets a verdict.

- **On whom.** *Drawn people*, which are pictures that `exemplar synth` makes of known bodies, stand
  for the papers' photographs: `lab` is one room, `wild` many places, `wild-crop` has people who are
  cut off, `odd` has acrobatic and lying ones. Small networks stand for theirs. So compare
  directions and sizes, not numbers.
- **Words.** *MPJPE* is the mean error of the joints in mm when the pelvises meet, *PA-MPJPE* (or
  *PA*) when the bodies are laid on each other as well as they can be, and *PVE* that of the mesh.
  *px* are pixels of the person's crop, scaled to 224 x 224. *None* is the network's guess,
  *SMPLify* the classic fit. *Oracle* is each person's best update, which only the truth can tell.
  The *guard* chooses an update without the truth.
- **Numbers.** "Lower by +4.6 mm, 95 % +1.4 to +7.9" is the mean difference over the same people and
  its 95 % interval. With a minus it is the other way round.
- **Verdicts.** A claim that one thing is better than another counts as reproduced if the whole
  interval says so. All rules are in `docs/evaluation.md`.

Fifteen claims were tried again on real people or with longer training:
`docs/reproduced/real.md`."""
_SMOKE = "So few people and updates show that everything runs; numbers and verdicts mean nothing."

PAGE = "README.md"
"""The page of all results."""


def tables_of(scale: ScaleName) -> Mapping[str, Callable[[Workbench], Finding]]:
    """The tables of a scale, by name."""
    return LONG if scale == "long" else TABLES


def reproduce(bench: Workbench, name: str, command: str) -> Finding:
    """Make a table or figure, and write it.

    ValueError for an unknown name, or a folder that another scale's things are in.
    """
    tables = tables_of(bench.name)
    if name not in tables:
        raise ValueError(f"unknown table {name!r}: expected all, {', '.join(tables)}")
    bench.begin()
    before = bench.seconds()
    began = time.monotonic()
    finding = tables[name](bench)
    made = {
        "command": command,
        "commit": code_commit(),
        "machine": machine(),
        "seconds": time.monotonic() - began,
        "parts": {k: v for k, v in bench.seconds().items() if v != before.get(k)},
    }
    write_finding(finding, bench.results, made)
    return finding


def write_page(bench: Workbench) -> Path:
    """Join everything that was made so far on one page."""
    names = ["long-dual-table-3"] if bench.name == "long" else TABLES
    known = [bench.results / f"{name}.json" for name in names]
    found = [read_finding(path) for path in known if path.exists()]
    path = bench.results / PAGE
    with replacing(path) as temporary:
        title = f"The papers' tables, scale {bench.name}"
        temporary.write_text(page_of(found, title, _SMOKE if bench.name == "smoke" else _NOTE))
    return path
