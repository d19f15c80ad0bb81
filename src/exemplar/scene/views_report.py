"""What is told and drawn of footage of several cameras that was fitted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from exemplar.bodies import Body
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import write_image
from exemplar.files.video_files import video_writer
from exemplar.geometry.rigs import misses
from exemplar.motion import Motion, vertices_at
from exemplar.render.views_picture import SeenBody, side_by_side
from exemplar.scene.association import Person, Pictures
from exemplar.scene.moments import Report
from exemplar.scene.views import ClipOfViews, errors_px

SHOWN = 3
"""Moments of the overlay picture."""


@dataclass(frozen=True)
class PersonSummary:
    """How one person's fit went."""

    moments: int
    """In how many the person has a body."""
    carried: int
    """In how many of them it is made of the moments around, as too few cameras saw the person."""
    rejected: int
    """In how many of them it is not to be trusted."""
    error_px: tuple[float | None, ...]
    """Mean 2D error of the body's limb joints by camera, image px; None for one without views."""


@dataclass(frozen=True)
class Summary:
    """How a fit of several cameras' footage went."""

    cameras: tuple[str, ...]
    moments: int
    fps: float
    unit: str
    """Of the calibration."""
    up: str
    """Of the calibration: an axis, or a direction."""
    offsets_s: tuple[float, ...]
    """How late each camera shows a moment, which was allowed for, seconds."""
    camera_fps: tuple[float, ...]
    """Frames a second of each camera."""
    triangulation_px: float
    """Median distance of the keypoints from the points they are triangulated to, image px."""
    people: tuple[PersonSummary, ...]
    warnings: tuple[str, ...]


def summary_of(found: ClipOfViews, body: Body) -> Summary:
    """Errors and numbers of a fit."""
    cameras = found.world.cameras
    errors = errors_px(found, body)
    gaps = [
        misses(seen.joints, seen.points, cameras)
        for person in found.people
        for seen in person.values()
    ]
    people = tuple(
        PersonSummary(
            int(motion.seen.sum()),
            int((motion.seen & ~_seen(person, motion)).sum()),
            sum(status == "rejected" for status in motion.status),
            tuple(_mean(own[:, camera]) for camera in range(len(cameras))),
        )
        for person, motion, own in zip(found.people, found.motions, errors, strict=True)
    )
    return Summary(
        tuple(camera.name for camera in cameras),
        len(found.clip.moments),
        found.motions[0].fps,
        found.world.unit,
        _axis(found.world.up),
        tuple(round(lag, 4) for lag in found.clip.lags),
        tuple(footage.fps for footage in found.clip.footage),
        float(np.nanmedian(gaps)),
        people,
        found.warnings,
    )


def write_summary(summary: Summary, path: Path) -> None:
    """Write it as JSON; `exemplar view` reads `offsets_s` and `camera_fps` of it."""
    with replacing(path) as half:
        half.write_text(json.dumps(asdict(summary), indent=1) + "\n", "utf-8")


def overlay(found: ClipOfViews, body: Body, summary: Summary, path: Path) -> None:
    """A picture of all cameras at the first, the middle and the last moment with everybody."""
    most = max(sum(k in p for p in found.people) for k in range(len(found.clip.moments)))
    whole = [
        k
        for k in range(len(found.clip.moments))
        if sum(k in person for person in found.people) == most
    ]
    chosen = sorted({whole[round(i)] for i in np.linspace(0, len(whole) - 1, SHOWN)})
    rows = [moment_picture(found, body, k, pictures) for k, pictures in found.clip.pictures(chosen)]
    write_image(np.concatenate(rows), path)


def overlay_video(found: ClipOfViews, body: Body, path: Path, report: Report) -> None:
    """All cameras side by side with the bodies in them, moment after moment: an `.mp4`."""
    count = len(found.clip.moments)
    with video_writer(path, found.motions[0].fps) as write:
        for k, pictures in found.clip.pictures(range(count)):
            report("drawing", k, count)
            write(moment_picture(found, body, k, pictures, keypoints=False))


def moment_picture(
    found: ClipOfViews, body: Body, moment: int, pictures: Pictures, *, keypoints: bool = True
) -> np.ndarray:
    """All cameras at one moment, with everybody who has a body there."""
    seen: list[list[SeenBody]] = [[] for _ in pictures]
    titles = []
    for number, (person, motion) in enumerate(zip(found.people, found.motions, strict=True)):
        if not motion.seen[moment]:
            continue
        vertices = vertices_at(motion, body, moment).astype(np.float64)
        for view, camera in enumerate(found.world.cameras):
            given = person[moment].points[view] if moment in person else np.zeros((49, 3))
            depth = camera.in_camera(vertices)[:, 2]
            seen[view].append(
                SeenBody(number, camera.project(vertices), depth, camera.focal, given)
            )
    time = found.clip.moments[moment].time
    titles = [f"{camera.name}  {time:.2f} s" for camera in found.world.cameras]
    return side_by_side(pictures, seen, titles, body.faces.numpy(), keypoints=keypoints)


def _seen(person: Mapping[int, Person], motion: Motion) -> np.ndarray:
    """At which moments the person was found."""
    return np.isin(np.arange(len(motion.times)), list(person))


def _mean(errors: np.ndarray) -> float | None:
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if len(known) else None


def _axis(up: Sequence[float]) -> str:
    largest = int(np.abs(up).argmax())
    if abs(up[largest]) < 1 - 1e-9:
        return " ".join(f"{value:.3f}" for value in up)
    return ("-" if up[largest] < 0 else "") + "xyz"[largest]
