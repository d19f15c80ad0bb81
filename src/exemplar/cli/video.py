"""`exemplar video`: bodies that move, for the people of a clip, with a video and files."""

import json
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

from exemplar.bodies import Body
from exemplar.cli.fit import (
    LARGE_MISFIT_PX,
    check_writable,
    genders_of,
    numbers_of,
)
from exemplar.cli.options.video import VideoCommand
from exemplar.counting import counted
from exemplar.data.calibration import CAMERAS_FILE, write_cameras
from exemplar.export import write_amass, write_bvh, write_csv, write_motion_glb, write_trc
from exemplar.files.atomic_files import replacing
from exemplar.files.video_files import Selection, read_frames, video_writer
from exemplar.motion import kinematic_joints, rest_pose, vertices_at, y_up
from exemplar.motion_files import MOTION_FILE, write_motions
from exemplar.render.clip_picture import SideView, clip_picture
from exemplar.results import OK
from exemplar.scene.clip import ClipFitter, ClipResult
from exemplar.scene.clip import Progress as ClipProgress
from exemplar.scene.clip_options import ClipOptions
from exemplar.skeletons import SMPL_24

SUMMARY, OVERLAY, WORK = "summary.json", "overlay.mp4", "work"


def run(command: VideoCommand) -> None:
    """Fit bodies that move to the people of a video."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
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
        age=numbers_of("--age", command.age),
        gender=genders_of(command.gender),
        height=numbers_of("--height", command.height),
        device=command.device,
    )
    check_writable(command.output)
    fitter = ClipFitter(command.regressor, options)
    with warnings.catch_warnings(record=True) as caught, _progress(console) as report:
        warnings.simplefilter("always", UserWarning)
        result = fitter.fit(command.clip, command.output / WORK, report)
        body = fitter.body
        written = _write_files(result, body, command.output)
        if result.world is not None:
            camera = result.world.camera(result.people[0].motion, command.clip.stem)
            write_cameras([camera], command.output / CAMERAS_FILE)
            written.append(command.output / CAMERAS_FILE)
        if command.overlay:
            _write_overlay(result, body, command.clip, selection, command.output / OVERLAY, report)
            written.append(command.output / OVERLAY)
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        console.print(f"[yellow]warning[/yellow] {escape(text)}")
    console.print(_table(result, command.clip))
    console.print("wrote " + "  ".join(str(path) for path in written), markup=False)
    line = f"look at it in 3D: exemplar view {command.output} --photo {command.clip}"
    console.print(line, markup=False)


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


def _write_files(result: ClipResult, body: Body, folder: Path) -> list[Path]:
    """The motions' files and the summary."""
    motions = result.motions
    people = dict(enumerate(motions))
    shared = {
        MOTION_FILE: lambda path: write_motions(motions, path),
        "motion.glb": lambda path: write_motion_glb(people, body, path),
        "motion.csv": lambda path: write_csv(people, body, path),
    }
    for name, write in shared.items():
        write(folder / name)
    written = [folder / name for name in shared]
    for number, motion in people.items():
        ending = f"_person{number}" if len(people) > 1 else ""
        for stem, suffix, write in (
            ("motion", ".bvh", write_bvh),
            ("motion", ".trc", write_trc),
            ("motion_amass", ".npz", write_amass),
        ):
            written.append(folder / f"{stem}{ending}{suffix}")
            write(motion, body, written[-1])
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(_summary(result, body), indent=1) + "\n")
    return [*written, folder / SUMMARY]


def _summary(result: ClipResult, body: Body) -> dict[str, object]:
    first = result.people[0].motion
    assert first.camera is not None
    world = result.world
    people = []
    for number, person in enumerate(result.people):
        motion = person.motion
        seen = motion.seen
        people.append(
            {
                "person": number,
                "frames": int(seen.sum()),
                "first_s": round(float(motion.times[seen][0]), 4),
                "last_s": round(float(motion.times[seen][-1]), 4),
                "ok": sum(status == OK for status in motion.status),
                "error_px": round(float(person.error_px.mean()), 3),
                "camera_misfit_px": {
                    "median": round(float(np.median(person.misfit_px)), 2),
                    "worst": round(float(person.misfit_px.max()), 2),
                },
                "distance_m": [
                    round(float(end), 3)
                    for end in np.quantile(motion.translation[seen, 2], [0.0, 0.5, 1.0])
                ],
                "given": person.traits.said,
                "height_m": round(float(np.ptp(rest_pose(body, motion.betas).vertices[:, 1])), 3),
                "betas": [round(float(beta), 4) for beta in motion.betas],
            }
        )
    return {
        "frames": len(first.times),
        "fps": first.fps,
        "frame": result.motions[0].frame,
        "camera": {
            "focal_px": round(first.camera.focal, 3),
            "focal_from": result.focal_source,
            "principal_point_px": [float(x) for x in first.camera.principal_point],
            "image_size_px": list(first.camera.image_size),
        },
        "world": None
        if world is None
        else {
            "rotation_world_camera": np.round(world.rotation, 6).tolist(),
            "camera_height_m": round(world.camera_height, 4),
            "person_lift_m": [round(lift, 4) for lift in world.lifts],
        },
        "people": people,
    }


def _write_overlay(
    result: ClipResult,
    body: Body,
    clip: Path,
    selection: Selection,
    path: Path,
    report: ClipProgress,
) -> None:
    """The video of what was fitted."""
    motions = [person.motion for person in result.people]
    upright = [y_up(motion, body) for motion in result.motions]
    first = motions[0]
    assert first.camera is not None
    root = SMPL_24.index("pelvis")
    places = np.concatenate([kinematic_joints(m, body)[m.seen, root] for m in upright])
    side = SideView.of(places, None if result.world is None else 0.0)
    count = len(first.times)
    with video_writer(path, first.fps) as write:
        for row, frame in zip(range(count), read_frames(clip, selection), strict=False):
            report("drawing", row, count)
            there = [i for i, motion in enumerate(motions) if motion.seen[row]]
            write(
                clip_picture(
                    frame.pixels,
                    {i: vertices_at(motions[i], body, row) for i in there},
                    {i: vertices_at(upright[i], body, row) for i in there},
                    result.faces,
                    first.camera,
                    side,
                    f"{clip.name}   frame {frame.number}   {frame.time:.2f} s",
                )
            )
    report("drawing", count, count)


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
                f"with it the joints of person {number} are seen {misfit:.1f} image px off the fit"
                " (median)"
            )
    if result.world is not None:
        caption.append(f"camera {result.world.camera_height:.2f} m above the ground")
    table.caption = "\n".join(caption)
    return table
