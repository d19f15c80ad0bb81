"""`exemplar reproduce`: the papers' tables and figures, ours beside theirs."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exemplar.cli.options.reproduce import ReproduceCommand
from exemplar.environment import device_name, stopped_by_signals, usable_device
from exemplar.evaluation.reproduce.all_tables import PAGE, reproduce, tables_of, write_page
from exemplar.evaluation.reproduce.findings import Finding, shown
from exemplar.evaluation.reproduce.workbench import Workbench


def run(command: ReproduceCommand) -> None:
    """Make tables and figures of both papers on drawn people, and print ours beside the papers'."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    device = usable_device(command.device, float64=True)
    console.print(f"device {device_name(device)}", markup=False)
    names = list(tables_of(command.scale)) if command.name == "all" else [command.name]
    bench = Workbench(
        command.output,
        command.scale,
        open_folder=command.open_folder,
        people_bank=command.people,
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
