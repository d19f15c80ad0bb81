"""`exemplar synth`: data sets of synthetic photographs, with truth."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from exemplar.cli.lift import stopped_by_signals
from exemplar.synth.domains import DOMAINS
from exemplar.synth.folders import DatasetPlan, Truth, write_dataset

LINE_SECONDS = 30
"""Where there is no terminal, a line of progress is printed this often."""


@dataclass(frozen=True)
class SynthCommand:
    """Draw a data set of synthetic photographs of the open body, with annotations and truth.

    Run again, it goes on where it was stopped; with --start, several machines share the work.
    """

    domain: Annotated[str, tyro.conf.Positional]
    """wild, or another domain."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the data set: images/, annotations.npz and truth.npz (SPIN's layout)."""
    count: int
    """How many people to draw."""
    seed: int = 0
    """Another seed, other people."""
    start: int = 0
    """Number of the first person."""
    workers: int = 1
    """Processes."""
    truth: Truth = "hide"
    """give: annotations.npz has bodies and 3D joints, too; hide: 2D only."""
    quiet: bool = False
    """Print nothing but errors."""


def run(command: tyro.conf.OmitArgPrefixes[SynthCommand]) -> None:
    """Draw a data set of synthetic photographs of the open body, with annotations and truth."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    plan = DatasetPlan(
        command.domain, command.out, command.count, command.seed, command.start, command.truth
    )
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = spoke = time.monotonic()
    drawn = 0
    quiet = not console.is_terminal
    shown = Progress(*columns, console=console, transient=True, disable=quiet)
    with stopped_by_signals(), shown as bar:
        task = bar.add_task("", total=command.count)

        def report(more: int) -> None:
            nonlocal drawn, spoke
            drawn += more
            bar.update(task, completed=drawn)
            now = time.monotonic()
            if not console.is_terminal and now - spoke > LINE_SECONDS:
                spoke = now
                console.print(f"{drawn} people drawn, {drawn / (now - began):.1f}/s")

        people = write_dataset(plan, workers=command.workers, report=report)
    seconds = time.monotonic() - began
    title = DOMAINS[command.domain].title
    done = f"drew {drawn:,} people in {seconds:.0f} s; {command.out} has {people:,} ({title})"
    console.print(done, markup=False)
