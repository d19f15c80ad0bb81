"""`exemplar reproduce`: the papers' tables and figures, ours beside theirs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exemplar.cli.lift import stopped_by_signals
from exemplar.environment import device_name, usable_device
from exemplar.evaluation.reproduce.all_tables import PAGE, TABLES, reproduce, write_page
from exemplar.evaluation.reproduce.findings import Finding, shown
from exemplar.evaluation.reproduce.workbench import ScaleName, Workbench


@dataclass(frozen=True)
class ReproduceCommand:
    """Make tables and figures of both papers on drawn people, and print ours beside the papers'.

    What they share (people, lifted bodies, networks, scores) is made once and kept: stop at any
    moment and run the same command again.
    """

    name: Annotated[str, tyro.conf.Positional]
    """all, or one of: eft-table-1, eft-table-2, eft-table-4, eft-table-3, eft-fig-4,
    eft-appendix-d, eft-appendix-g, eft-preference, dual-table-3, dual-table-2, dual-fig-5,
    dual-fig-6, dual-fig-7, guard."""
    scale: ScaleName = "cpu"
    """smoke: whether it runs at all, minutes. cpu: under 3 hours on 2 cores. gpu: with whole
    networks, on more people; a day."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("reproduced")
    """Folder of everything; results/ of the scale holds the tables."""
    open_folder: Path = Path("open")
    """Where the open sets are, or are drawn."""
    device: str = "auto"
    """Torch device: cpu, cuda, mps, or auto (CUDA, else the CPU)."""
    quiet: bool = False
    """Print nothing but errors."""


def run(command: tyro.conf.OmitArgPrefixes[ReproduceCommand]) -> None:
    """Make tables and figures of both papers on drawn people, and print ours beside the papers'."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    device = usable_device(command.device, float64=True)
    console.print(f"device {device_name(device)}", markup=False)
    names = list(TABLES) if command.name == "all" else [command.name]
    bench = Workbench(
        command.output,
        command.scale,
        open_folder=command.open_folder,
        device=str(device),
        console=console,
    )
    line = f"exemplar reproduce {command.name} --scale {command.scale}"
    with stopped_by_signals():
        for name in names:
            _tell(reproduce(bench, name, line), console)
            write_page(bench)
    console.print(f"wrote {bench.results / PAGE}", markup=False)


def _tell(finding: Finding, console: Console) -> None:
    wide = Console(width=max(console.width, 150), quiet=console.quiet, highlight=False)
    wide.print(finding.source, style="bold", markup=False)
    wide.print(finding.stands_in, markup=False)
    for numbers in finding.tables:
        head = (escape(name) for name in numbers.columns)
        table = Table(*head, title=escape(numbers.title), title_justify="left")
        for row in numbers.rows:
            table.add_row(*(escape(shown(cell)) for cell in row))
        wide.print(table)
    for claim in finding.claims:
        wide.print(f"{claim.verdict}: {claim.text} ({claim.numbers})", markup=False)
    wide.print()
