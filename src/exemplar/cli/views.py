"""`exemplar views`: bodies that move in one world, from several calibrated cameras."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from exemplar.cli.export import write_motions_as
from exemplar.cli.fit import check_writable
from exemplar.cli.options.views import ViewsCommand
from exemplar.data.calibration import CAMERAS_FILE, read_cameras, write_cameras
from exemplar.environment import code_version
from exemplar.geometry.rigs import LensCamera
from exemplar.motion_files import MOTION_FILE, write_motions
from exemplar.scene.footage import Footage, open_footage
from exemplar.scene.views import ViewsFitter
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
    cameras = read_cameras(command.calibration)
    footage = [open_footage(path, command.fps) for path in command.footage]
    cameras = of_footage(cameras, [f.path for f in footage], command.calibration)
    for line in _about(footage):
        console.print(line, markup=False)
    check_writable(command.output)
    fitter = ViewsFitter(options)
    work = command.output / WORK
    claim(work, command, footage)
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
    films = [path for path in command.footage if path.is_file()]
    shown = " ".join(["", "--photo", *map(str, films)]) if films else ""
    console.print(f"look at it in 3D: exemplar view {command.output}{shown}", markup=False)
    if not command.keep:
        shutil.rmtree(work, ignore_errors=True)


def of_footage(
    cameras: Sequence[LensCamera], paths: Sequence[Path], calibration: Path
) -> list[LensCamera]:
    """The camera of each path: the one it is named after, or those of the calibration in order.

    ValueError if there are fewer than two, or neither names nor numbers go together.
    """
    if len(paths) < 2:
        raise ValueError(f"expected the footage of 2 or more cameras, got {len(paths)}")
    names = [_plain(camera.name) for camera in cameras]
    owners = [[n for n, name in enumerate(names) if name == _plain(path.stem)] for path in paths]
    if all(len(own) == 1 for own in owners) and len({own[0] for own in owners}) == len(paths):
        return [cameras[own[0]] for own in owners]
    if len(paths) == len(cameras):
        return list(cameras)
    raise ValueError(
        f"{calibration} has {len(cameras)} cameras ({', '.join(c.name for c in cameras)}), got"
        f" {len(paths)} files: name them after their cameras, or give one for each"
    )


def _plain(name: str) -> str:
    """A name without what is written differently: cam_01 is cam01."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _about(footage: Sequence[Footage]) -> list[str]:
    """What to say of cameras that do not go together; ValueError if they cannot."""
    kinds = {f.kind == "photo" for f in footage}
    if len(kinds) > 1:
        raise ValueError("expected photos of all cameras or footage of all, got both")
    rates = [f.fps for f in footage]
    lines = []
    if max(rates) / min(rates) > 1.01:
        shown = ", ".join(f"{rate:g}" for rate in rates)
        lines.append(f"cameras of {shown} frames a second: the nearest frames are taken")
    lengths = [f.count / f.fps for f in footage]
    if max(lengths) - min(lengths) > 1.5 / min(rates):
        shown = ", ".join(f"{length:.2f}" for length in lengths)
        lines.append(
            f"cameras of different lengths ({shown} s): the first {min(lengths):.2f} s are taken"
        )
    return lines


def claim(work: Path, command: ViewsCommand, footage: Sequence[Footage]) -> None:
    """Make the folder of what is done, or go on in it; ValueError if it is of another job."""
    files = [command.calibration, *(f.path for f in footage)]
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    asked = {
        **vars(command),
        "output": None,
        "to": None,
        "overlay": None,
        "training": None,
        "keep": None,
        "quiet": None,
    }
    about = f"{code_version()}\n{asked}\n{stats}\n"
    note = work / "job.txt"
    if note.is_file() and note.read_text("utf-8") != about:
        raise ValueError(
            f"{work} holds what was done for other files or settings: remove it, or write elsewhere"
            " (-o)"
        )
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(about, "utf-8")


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
