"""Panoptic Studio, as released with Monocular Total Capture
(domedb.perception.cs.cmu.edu/mtc.html).

A folder holds `annotation.pkl` and `camera_data.pkl` (by themselves or in `annotation/`). The
first is a dict of `training_data` and `testing_data`, lists of dicts with `seqName`, `frame_str`,
and `body`, `left_hand` and `right_hand` where they were captured, each with `landmarks`: 19 joints
(`PANOPTIC_19`) or 21 of a hand in centimetres of the studio. The second maps a sequence and a
camera's number to `K` (3, 3), `R` (3, 3), `t` (3) and `distCoef` (k1, k2, p1, p2, k3), so that R X
+ t is in the camera's frame. Pictures are hdImgs/{sequence}/{frame}/00_{camera:02}_{frame}.jpg,
1920 x 1080.

Every person is a sample in each camera: the pixels are projected with the lens's distortion,
`joints_3d` is in metres in the camera's frame, `intrinsics` is K (which leaves the distortion
out), and `extra` has the hands as lhand_2d, rhand_2d (21, 3) px and lhand_3d, rhand_3d (21, 4)
metres. All joints count as seen. The box is 1.2 times the extent of the joints cut off at the edge
of the picture.

Deviations from the published reader (EFT):
- Its tangential distortion multiplies the squares of x and y where the product of x and y is meant.
- People behind a camera, or wholly beside its picture, are left out.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.records import (
    box_of_points,
    image_path,
    joints24,
    joints49,
    numbers,
    sample_or_problem,
)
from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.samples import Sample
from exemplar.skeletons import PANOPTIC_19

TITLE = "Panoptic Studio (Monocular Total Capture)"
JOINTS = PANOPTIC_19
PEOPLE_FILE, CAMERA_FILE = "annotation.pkl", "camera_data.pkl"
CAMERAS = tuple(i for i in range(30) if i not in (1, 2, 4, 6, 7, 13, 17, 19, 28))
"""The HD cameras that EFT uses."""
PICTURE = (1920, 1080)
"""Width and height, px."""

CENTIMETRE = 0.01
"""Metres."""
_HAND_JOINTS = 21
_HANDS = {"left_hand": "lhand", "right_hand": "rhand"}


def matches(contents: Contents) -> bool:
    """A folder with the two pickles, or the first of them."""
    return _people_file(contents.path) is not None


def read(
    source: str | Path | Contents,
    *,
    split: Literal["train", "test"] = "train",
    cameras: Sequence[int] = CAMERAS,
    hands: Literal["both", "any"] = "both",
    image_folder: str = "hdImgs",
) -> Iterator[Sample]:
    """People in the order of the file, each in every camera in turn.

    `hands`: only frames with both hands captured, as EFT does, or all. `image_folder` is put before
    the images' names.
    """
    path = _people_file(Contents(source).path)
    if path is None:
        found = Contents(source).path
        raise ValueError(f"{found}: expected {PEOPLE_FILE} with {CAMERA_FILE} beside it")
    people = read_pickle(path).get(f"{split}ing_data")
    if not isinstance(people, list):
        raise ValueError(f"{path}: expected a list {split}ing_data, got {type(people).__name__}")
    studio = read_pickle(path.with_name(CAMERA_FILE))
    return _samples(people, studio, cameras, hands, image_folder)


def project(
    points: Float[np.ndarray, "n 3"], matrix: Float[np.ndarray, "3 3"], lens: Float[np.ndarray, "5"]
) -> Float[np.ndarray, "n 2"]:
    """Pixels of points in the camera's frame, in front of it.

    `lens` is k1, k2, p1, p2, k3 of the model of Brown and Conrady: with x, y on the plane at depth
    1 and r2 = x^2 + y^2, x' = x (1 + k1 r2 + k2 r2^2 + k3 r2^3) + 2 p1 x y + p2 (r2 + 2 x^2), and
    y' = y (1 + ...) + p1 (r2 + 2 y^2) + 2 p2 x y.
    """
    k1, k2, p1, p2, k3 = (float(value) for value in lens)
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return (np.stack([bent_x, bent_y, np.ones_like(x)], axis=-1) @ matrix.T)[:, :2]


def _samples(
    people: Sequence[Any],
    studio: Mapping[Any, Any],
    cameras: Sequence[int],
    hands: str,
    image_folder: str,
) -> Iterator[Sample]:
    for person in people:
        captured = person if isinstance(person, dict) else {}
        if hands == "both" and captured and not _HANDS.keys() <= captured.keys():
            continue
        for camera in cameras:
            image = ""
            with contextlib.suppress(KeyError, ValueError):
                sequence, frame = captured["seqName"], captured["frame_str"]
                name = f"{sequence}/{frame}/00_{camera:02d}_{frame}.jpg"
                image = image_path(image_folder, name)
            make = partial(_sample, person, studio, camera, image)
            yield from sample_or_problem(make, image=image)


def _sample(person: Any, studio: Any, camera: int, image: str) -> Sample | None:
    sequence = str(person["seqName"])
    found = studio[sequence][camera]
    matrix = numbers(as_array(found["K"]), (3, 3), "K")
    turn = numbers(as_array(found["R"]), (3, 3), "R")
    move = numbers(np.ravel(as_array(found["t"])), (3,), "t")
    lens = numbers(np.ravel(as_array(found["distCoef"])), (5,), "distCoef")

    def seen(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(count, 3) px and (count, 4) metres, with confidence."""
        landmarks = np.ravel(np.asarray(person[part]["landmarks"]))
        studio_points = numbers(landmarks, (3 * count,), f"{part} landmarks").reshape(count, 3)
        points = studio_points @ turn.T + move
        ones = np.ones((count, 1))
        return np.hstack([project(points, matrix, lens), ones]), np.hstack(
            [points * CENTIMETRE, ones]
        )

    pixels, points = seen("body", len(JOINTS))
    centre, scale = box_of_points(clipped(pixels))
    if not (points[:, 2] > 0).all() or scale <= 0:
        return None
    extra = {}
    for part, name in _HANDS.items():
        if part in person:
            extra[f"{name}_2d"], extra[f"{name}_3d"] = seen(part, _HAND_JOINTS)
    return Sample(
        image=image,
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=joints49(JOINTS, pixels),
        subject=sequence,
        joints_3d=joints24(JOINTS, points),
        intrinsics=matrix,
        extra=extra,
        image_size=PICTURE,
    )


def clipped(
    pixels: Float[np.ndarray, "k 3"], picture: Sequence[int] = PICTURE
) -> Float[np.ndarray, "2 3"]:
    """The corners of what is in the picture of the points' extent; without confidence if nothing
    is."""
    low, high = pixels[:, :2].min(0), pixels[:, :2].max(0)
    inside = bool((high > 0).all() and (low < picture).all())
    corners = np.clip(np.array([low, high]), 0, picture)
    return np.hstack([corners, np.full((2, 1), float(inside))])


def _people_file(path: Path) -> Path | None:
    names = ("", PEOPLE_FILE, f"annotation/{PEOPLE_FILE}") if path.is_dir() else ("",)
    for name in names:
        file = path / name if name else path
        if file.name == PEOPLE_FILE and file.is_file() and file.with_name(CAMERA_FILE).is_file():
            return file
    return None
