"""`exemplar eval`: score a regressor and what can be done after it on a data set."""

import json
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from exemplar.cli.lift import LINE_SECONDS
from exemplar.cli.options.evaluate import EvalCommand
from exemplar.counting import counted
from exemplar.environment import device_name, stopped_by_signals, usable_device
from exemplar.evaluation.records import Row
from exemplar.evaluation.report.page import write_report
from exemplar.evaluation.run import evaluate
from exemplar.evaluation.run_files import SAMPLES, SUMMARY
from exemplar.evaluation.tables import table_of


def run(command: EvalCommand) -> None:
    """Score a regressor, and what can be done after it, on people whose bodies are known."""
    quiet = command.quiet or command.json
    console = Console(quiet=quiet, soft_wrap=True, highlight=False)
    device = usable_device(command.device, float64=True)
    console.print(f"device {device_name(device)}", markup=False)
    shown = Progress(console=console, transient=True, disable=not console.is_terminal)
    with stopped_by_signals(), shown as bar:
        task = bar.add_task("fits")
        spoke = time.monotonic()

        def told(done: int, total: int, rows: Sequence[Row]) -> None:
            nonlocal spoke
            bar.update(task, total=total, completed=done)
            if not console.is_terminal and time.monotonic() - spoke > LINE_SECONDS:
                spoke = time.monotonic()
                console.print(f"{done}/{total} fits")

        summary = evaluate(
            command.config, command.output, command.method, device=str(device), told=told
        )
    for line in summary["differences"]:
        console.print(line, markup=False)
    if command.json:
        print(json.dumps(summary, indent=1))
    else:
        console.print(
            f"{summary['set']}, {summary['keypoints']} keypoints, {counted(summary['people'])}, "
            f"protocol {summary['protocol']}, regressor {summary['regressor']}",
            markup=False,
        )
        Console(width=max(console.width, 120), quiet=quiet).print(table_of(summary))
    lines = [command.output / SAMPLES, command.output / SUMMARY]
    if command.page:
        lines.append(write_report(command.output))
    for path in lines:
        console.print(f"wrote {path}", markup=False)
