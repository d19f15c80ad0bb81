"""`exemplar video`: bodies that move, for the people of a clip, with a video and files."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from exemplar.assets import asset_path
from exemplar.cli.fit import LARGE_MISFIT_PX
from exemplar.cli.options.video import VideoCommand
from exemplar.cli.options.words import genders_of, numbers_of
from exemplar.counting import counted
from exemplar.files.given_photos import check_writable
from exemplar.files.video_files import Selection
from exemplar.results import OK
from exemplar.scene.clip import ClipFitter, ClipResult
from exemplar.scene.clip import Progress as ClipProgress
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.clip_report import write_clip, write_overlay

OVERLAY, WORK = "overlay.mp4", "work"
DEMO = "demo_clip.mp4"


def run(command: VideoCommand) -> None:
    """Fit bodies that move to the people of a video."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    clip = _clip(command)
    selection = Selection(command.start, command.end, command.every, command.fps)
    options = ClipOptions(
        selection=selection,
        person=command.person,
        body=command.body,
        focal=command.focal,
        moving=command.moving,
        steady_hz=command.steady_hz or None,
        stop_px=command.stop_px,
        iterations=command.iterations,
        smoothing=command.smoothing,
        perspective=command.perspective,
        age=numbers_of("--age", command.age),
        gender=genders_of(command.gender),
        height=numbers_of("--height", command.height),
        device=command.device,
    )
    check_writable(command.output)
    fitter = ClipFitter(command.regressor, options)
    with warnings.catch_warnings(record=True) as caught, _progress(console) as report:
        warnings.simplefilter("always", UserWarning)
        result = fitter.fit(clip, command.output / WORK, report)
        body = fitter.body
        written = write_clip(result, body, clip, command.output)
        if command.overlay:
            written.append(command.output / OVERLAY)
            write_overlay(result, body, clip, selection, written[-1], report)
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        console.print(f"[yellow]warning[/yellow] {escape(text)}")
    console.print(_table(result, clip))
    console.print("wrote " + "  ".join(str(path) for path in written), markup=False)
    line = f"look at it in 3D: exemplar view {command.output} --photo {clip}"
    console.print(line, markup=False)


def _clip(command: VideoCommand) -> Path:
    """The clip that is to be fitted."""
    if command.demo == (command.clip is not None):
        raise ValueError("expected one clip: exemplar video CLIP, or exemplar video --demo")
    if command.clip is not None:
        return command.clip
    with asset_path(DEMO) as path:
        return Path(path)


@contextmanager
def _progress(console: Console) -> Iterator[ClipProgress]:
    """A line that says what is done, how fast, and how long the rest will take."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("", told="")
        now, began, first = "", 0.0, 0

        def report(what: str, done: int, of: int) -> None:
            nonlocal now, began, first
            if what != now:
                now, began, first = what, time.monotonic(), done
                bar.reset(line, description=what, total=of or None)
            seconds = time.monotonic() - began
            told = f"{done}/{of or '?'}"
            if done > first and what != "fitting":
                rate = (done - first) / max(seconds, 1e-6)
                told += f"  {rate:.1f} frames/s"
                told += f"  {timedelta(seconds=int((of - done) / rate))} left" if of else ""
            bar.update(line, completed=done, told=told)

        yield report


def _table(result: ClipResult, clip: Path) -> Table:
    """One line a person."""
    first = result.people[0].motion
    assert first.camera is not None
    title = f"{escape(clip.name)}  {counted(len(first.times), 'frame')} at {first.fps:g}/s"
    table = Table(title=title, title_justify="left")
    for heading in ("person", "frames", "ok", "from s", "to s", "fit px", "distance m"):
        table.add_column(heading, justify="right")
    for number, person in enumerate(result.people):
        motion = person.motion
        times, ok = motion.times[motion.seen], sum(status == OK for status in motion.status)
        near, far = np.quantile(motion.translation[motion.seen, 2], [0.0, 1.0])
        table.add_row(
            str(number),
            str(len(times)),
            str(ok),
            f"{times[0]:.2f}",
            f"{times[-1]:.2f}",
            f"{person.error_px.mean():.1f}",
            f"{near:.1f} to {far:.1f}",
        )
    caption = [
        "mean 2D error over the fitted keypoints, px of a 224 px crop",
        f"focal length {first.camera.focal:.0f} px ({result.focal_source})",
    ]
    for number, person in enumerate(result.people):
        misfit = float(np.median(person.misfit_px))
        if misfit > LARGE_MISFIT_PX:
            caption.append(
                f"in a camera with perspective the joints of person {number} lie {misfit:.1f}"
                " image px off the fit (median)"
            )
    if result.world is not None:
        caption.append(f"camera {result.world.camera_height:.2f} m above the ground")
    table.caption = "\n".join(caption)
    return table
