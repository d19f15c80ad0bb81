"""Panoptic Studio, as its toolbox downloads it: a sequence's folder with `hdPose3d_stage1_coco19`.

See github.com/CMU-Perceptual-Computing-Lab/panoptic-toolbox. `body3DScene_{frame}.json` has
`bodies` with `id` and `joints19`: x, y, z in centimetres of the studio and score of `PANOPTIC_19`,
-1 where a joint is missing. `calibration_{sequence}.json` has `cameras` with `name` ("00_05"), `K`
(3, 3), `R` (3, 3), `t` (3, 1), `distCoef` (5) and `resolution`. Pictures are
{sequence}/hdImgs/00_{camera}/00_{camera}_{frame}.jpg.

Every person is a sample in each camera, with `joints_3d` in the camera's frame, as in `panoptic`;
people behind a camera or wholly beside its picture are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.formats.panoptic import CAMERAS, CENTIMETRE, clipped, project
from exemplar.data.records import box_of_points, joints24, joints49, numbers, sample_or_problem
from exemplar.data.sequences import each_file
from exemplar.files.reading_files import read_json, reading
from exemplar.samples import Sample
from exemplar.skeletons import PANOPTIC_19

TITLE = "Panoptic Studio (hdPose3d_stage1_coco19)"
JOINTS = PANOPTIC_19
FOLDER = "hdPose3d_stage1_coco19"

_SEEN = 0.1
"""Joints with a lower score were seen by too few cameras (the toolbox draws those above it)."""


def matches(contents: Contents) -> bool:
    """A sequence's folder, or a folder of such."""
    return contents.path.is_dir() and bool(_sequences(contents.path))


def _sequences(path: Path) -> list[Path]:
    folders = [path, *sorted(each for each in path.iterdir() if each.is_dir())]
    return [each for each in folders if (each / FOLDER).is_dir() and _calibration(each)]


def _calibration(sequence: Path) -> Path | None:
    return next(iter(sorted(sequence.glob("calibration_*.json"))), None)


def read(
    source: str | Path | Contents, *, cameras: Sequence[int] = CAMERAS, every: int = 10
) -> Iterator[Sample]:
    """People by sequence, frame and camera. `cameras` are HD cameras' numbers; of the frames each
    `every`-th is taken. ValueError, in one line, if it is no such folder."""
    path = Contents(source).path
    sequences = _sequences(path) if path.is_dir() else []
    if not sequences or every < 1:
        raise ValueError(f"{path}: expected a folder with {FOLDER} and calibration_*.json")
    for sequence in sequences:
        _cameras(sequence, cameras)
    return (
        sample
        for sequence in sequences
        for sample in each_file(
            sorted((sequence / FOLDER).glob("body3DScene_*.json"))[::every],
            partial(_frame, sequence, _cameras(sequence, cameras)),
            root=path,
        )
    )


def _cameras(sequence: Path, wanted: Sequence[int]) -> list[Mapping[str, Any]]:
    """The wanted cameras that there are, their numbers checked; ValueError for a broken file."""
    file = _calibration(sequence)
    assert file is not None
    with reading(file, "a calibration that can be read"):
        found = {each["name"]: each for each in read_json(file)["cameras"]}
        names = [f"00_{number:02d}" for number in wanted]
        return [_camera(found[name]) for name in names if name in found]


def _camera(each: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "name": each["name"],
        "K": numbers(each["K"], (3, 3), "K"),
        "R": numbers(each["R"], (3, 3), "R"),
        "t": numbers(np.ravel(each["t"]), (3,), "t"),
        "lens": numbers(np.ravel(each["distCoef"]), (5,), "distCoef"),
        "size": tuple(int(side) for side in each["resolution"]),
    }


def _frame(sequence: Path, cameras: Sequence[Mapping[str, Any]], file: Path) -> Iterator[Sample]:
    content = Contents(file).json
    bodies = content.get("bodies") if isinstance(content, dict) else None
    if not isinstance(bodies, list):
        raise ValueError(f"{file} has no list of bodies")
    frame = file.stem.rpartition("_")[2]
    for camera in cameras:
        name = camera["name"]
        image = f"{sequence.name}/hdImgs/{name}/{name}_{frame}.jpg"
        for body in bodies:
            make = partial(_sample, body, camera, image, sequence.name)
            yield from sample_or_problem(make, image=image)


def _sample(body: Any, camera: Mapping[str, Any], image: str, sequence: str) -> Sample | None:
    joints = numbers(body["joints19"], (4 * len(JOINTS),), "joints19").reshape(-1, 4)
    points = joints[:, :3] @ camera["R"].T + camera["t"]
    known = (joints[:, -1] > _SEEN).astype(float)[:, None]
    if not known.any() or not (points[known[:, 0] > 0, 2] > 0).all():
        return None
    in_front = np.where(known > 0, points, [0.0, 0.0, 1.0])
    pixels = np.hstack([project(in_front, camera["K"], camera["lens"]), known])
    centre, scale = box_of_points(clipped(pixels[known[:, 0] > 0], camera["size"]))
    if scale <= 0:
        return None
    return Sample(
        image=image,
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=joints49(JOINTS, pixels),
        subject=f"{sequence}-id{int(body['id']):03d}",
        joints_3d=joints24(JOINTS, np.hstack([in_front * CENTIMETRE * known, known])),
        intrinsics=camera["K"],
        image_size=camera["size"],
    )
