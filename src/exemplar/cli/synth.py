"""`exemplar synth`: data sets of synthetic photographs, with truth."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from exemplar.cli.options.synth import SynthCommand
from exemplar.counting import counted
from exemplar.environment import stopped_by_signals
from exemplar.synth.domains import DOMAINS
from exemplar.synth.folders import DatasetPlan, write_dataset

LINE_SECONDS = 30
"""Where there is no terminal, a line of progress is printed this often."""


def run(command: SynthCommand) -> None:
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
                console.print(f"{counted(drawn)} drawn, {drawn / (now - began):.1f}/s")

        people = write_dataset(plan, workers=command.workers, report=report)
    seconds = time.monotonic() - began
    title = DOMAINS[command.domain].title
    done = f"drew {counted(drawn)} in {seconds:.0f} s; {command.out} has {people:,} ({title})"
    console.print(done, markup=False)
