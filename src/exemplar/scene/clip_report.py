"""What is written, told and drawn of a clip that was fitted."""

import json
from pathlib import Path

import numpy as np

from exemplar.bodies import Body
from exemplar.data.calibration import CAMERAS_FILE, write_cameras
from exemplar.export.targets import SUFFIXES, files_of
from exemplar.files.atomic_files import replacing
from exemplar.files.video_files import Selection, read_frames, video_writer
from exemplar.motion import kinematic_joints, rest_pose, vertices_at, y_up
from exemplar.motion_files import MOTION_FILE, write_motions
from exemplar.render.clip_picture import SideView, clip_picture
from exemplar.results import OK
from exemplar.scene.clip import ClipResult, Progress
from exemplar.skeletons import SMPL_24

SUMMARY = "summary.json"

FORMATS = ("glb", "csv", "bvh", "trc", "amass")
"""Of `export.targets`, which are written of every clip."""


def write_clip(result: ClipResult, body: Body, clip: Path, folder: Path) -> list[Path]:
    """Write the motions, their files for other programs, the summary and the camera; the files.

    OSError when one cannot be written.
    """
    people = dict(enumerate(result.motions))
    write_motions(result.motions, folder / MOTION_FILE)
    written = [folder / MOTION_FILE]
    for to in FORMATS:
        name = f"motion{'_amass' if to == 'amass' else ''}{SUFFIXES[to]}"
        for path, write in files_of(to, folder / name, people, body):
            write(path)
            written.append(path)
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(clip_summary(result, body), indent=1) + "\n")
    written.append(folder / SUMMARY)
    if result.world is not None:
        camera = result.world.camera(result.people[0].motion, clip.stem)
        write_cameras([camera], folder / CAMERAS_FILE)
        written.append(folder / CAMERAS_FILE)
    return written


def clip_summary(result: ClipResult, body: Body) -> dict[str, object]:
    """Who is seen when, errors, the camera and the world, as values for JSON."""
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


def write_overlay(
    result: ClipResult,
    body: Body,
    clip: Path,
    selection: Selection,
    path: Path,
    report: Progress,
) -> None:
    """Write the clip with the bodies on it, and from the side: an `.mp4`."""
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
