"""Joints over time as tables: OpenSim's `.trc`, and `.csv`. Metres, y up."""

import csv
from collections.abc import Mapping
from pathlib import Path

from exemplar.bodies import Body
from exemplar.files.atomic_files import replacing
from exemplar.motion import Motion, kinematic_joints, y_up
from exemplar.skeletons import SMPL_24


def write_trc(motion: Motion, body: Body, path: str | Path) -> None:
    """Write a person's joints as OpenSim and Pose2Sim read markers, named as in `SMPL_24`.

    All frames of the clip with their times; cells of frames without a body are empty. OSError when
    the file cannot be written.
    """
    count, rate = len(motion.times), f"{motion.fps:g}"
    header = [
        ["PathFileType", "4", "(X/Y/Z)", Path(path).name],
        ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"],
        [rate, rate, str(count), str(len(SMPL_24)), "m", rate, "1", str(count)],
        ["Frame#", "Time", *(cell for name in SMPL_24 for cell in (name, "", ""))],
        ["", "", *(f"{axis}{i + 1}" for i in range(len(SMPL_24)) for axis in "XYZ")],
        [],
    ]
    header[1] += ["OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]
    rows = [
        [str(i + 1), f"{time:.6f}", *cells]
        for i, (time, cells) in enumerate(zip(motion.times, _cells(motion, body), strict=True))
    ]
    with replacing(path) as temporary:
        lines = ("\t".join(row) for row in header + rows)
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_csv(people: Mapping[int, Motion], body: Body, path: str | Path) -> None:
    """Write everybody's joints, a row for each person and frame.

    Columns: `person`, the number; `frame`, from 0; `time` (s); `status`; then `pelvis_x`,
    `pelvis_y`, ... of `SMPL_24`, empty in frames without a body. OSError when the file cannot be
    written.
    """
    columns = [f"{name}_{axis}" for name in SMPL_24 for axis in "xyz"]
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["person", "frame", "time", "status", *columns])
        for person, motion in people.items():
            frames = zip(motion.times, motion.status, _cells(motion, body), strict=True)
            for frame, (time, status, cells) in enumerate(frames):
                table.writerow([person, frame, f"{time:.6f}", status, *cells])


def _cells(motion: Motion, body: Body) -> list[list[str]]:
    """The joints' coordinates of each frame."""
    joints = kinematic_joints(y_up(motion, body), body).reshape(len(motion.times), -1)
    return [
        [f"{value:.6f}" if seen else "" for value in row]
        for row, seen in zip(joints, motion.seen, strict=True)
    ]
