"""`exemplar views`: bodies that move in one world, from several calibrated cameras."""

import shutil

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from exemplar.cli.options.views import ViewsCommand
from exemplar.data.calibration import CAMERAS_FILE, read_cameras, write_cameras
from exemplar.data.footage import cameras_of, differences, open_footage
from exemplar.export.targets import write_motions_as
from exemplar.files.given_photos import check_writable
from exemplar.motion_files import MOTION_FILE, write_motions
from exemplar.scene.kept import claim
from exemplar.scene.views import ViewsFitter, job_of
from exemplar.scene.views_options import ViewsOptions
from exemplar.scene.views_report import (
    Summary,
    overlay,
    overlay_video,
    summary_of,
    write_summary,
)
from exemplar.scene.views_table import write_training

WORK = "work"
"""Folder of the output in which what is done is kept until all is."""


def run(command: ViewsCommand) -> None:
    """Fit the people whom several calibrated cameras film, in one world."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    options = ViewsOptions(
        command.every,
        command.start,
        command.end,
        command.unit,
        command.up,
        command.offsets,
        command.people,
        command.regressor,
        command.body,
        command.iterations,
    )
    footage = [open_footage(path, command.fps) for path in command.footage]
    cameras = cameras_of(footage, read_cameras(command.calibration), command.calibration)
    for line in differences(footage):
        console.print(line, markup=False)
    check_writable(command.output)
    fitter = ViewsFitter(options)
    work = command.output / WORK
    claim(work, job_of(options, footage, command.calibration))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=command.quiet) as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int, count: int) -> None:
            bar.update(task, description=what, completed=done, total=count)

        found = fitter.fit(cameras, footage, work=work, report=report)
        bar.update(task, description="writing", total=None)
        summary = summary_of(found, fitter.body)
        write_motions(found.motions, command.output / MOTION_FILE)
        write_cameras(found.world.cameras, command.output / CAMERAS_FILE)
        written = [command.output / MOTION_FILE, command.output / CAMERAS_FILE]
        for target in command.to:
            written += write_motions_as(target, found.motions, fitter.body, command.output)
        overlay(found, fitter.body, summary, command.output / "overlay.png")
        write_summary(summary, command.output / "summary.json")
        written += [command.output / "overlay.png", command.output / "summary.json"]
        if command.overlay and footage[0].kind != "photo":
            written.append(command.output / "overlay.mp4")
            overlay_video(found, fitter.body, written[-1], report)
        if command.training:
            folder = command.output / "training"
            written.append(write_training(found, fitter.body, folder, command.regressor))
    for warning in found.warnings:
        console.print(f"[yellow]warning[/yellow] {escape(warning)}")
    console.print(_table(summary))
    console.print("wrote " + "  ".join(str(path) for path in written), markup=False)
    shown = " ".join(map(str, command.footage))
    line = f"look at it in 3D: exemplar view {command.output} --photo {shown}"
    console.print(line, markup=False)
    if not command.keep:
        shutil.rmtree(work, ignore_errors=True)


def _table(summary: Summary) -> Table:
    """One line a person."""
    table = Table(title="2D error, px of the picture", title_justify="left")
    table.add_column("person", justify="right")
    table.add_column("moments", justify="right")
    for name in summary.cameras:
        table.add_column(name, justify="right")
    for number, person in enumerate(summary.people):
        errors = ["-" if e is None else f"{e:.1f}" for e in person.error_px]
        table.add_row(str(number), f"{person.moments} of {summary.moments}", *errors)
    late = [
        f"{name} {1000 * lag:+.0f} ms"
        for name, lag in zip(summary.cameras, summary.offsets_s, strict=True)
        if lag
    ]
    offsets = f"\nlate, and allowed for: {', '.join(late)}" if late else ""
    table.caption = (
        f"calibration in {summary.unit}, {summary.up} up; keypoints are"
        f" {summary.triangulation_px:.1f} px off the points that they are triangulated to (median)"
        f"{offsets}"
    )
    return table
