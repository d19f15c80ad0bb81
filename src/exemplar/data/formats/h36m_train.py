"""Human3.6M's training frames with SMPL bodies: the package of `gt_poses_coco_smpl.pkl` files.

It was passed on among groups and is read here from EFT's description of it: 10 frames a second, a
folder a recording, and in it a pickle of a dict with `2d` (N, 17, 2) px, `3d` (N, 17, 3) mm in the
camera's frame, joints in the order of `H36M_TRAIN_17` (right leg first), and `smplParms`: a dict
of `poses_camCoord` (N, 72), axis-angle with the root turned into the camera, and `betas` (10) or
(N, 10), of MoSh.

3D joints are given in metres from the pelvis; the box is 1.2 times the extent of the 2D joints.
How the images are called is not recorded. If the folder of a pickle, or one folder below it, holds
as many images as there are poses, they are taken in the order of their names; else the names
follow `image_name`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.records import sample_or_problem
from exemplar.data.sequences import (
    body_truth,
    each_file,
    frame_sample,
    metres_about,
    relative_path,
)
from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.samples import Sample
from exemplar.skeletons import H36M_TRAIN_17

TITLE = "Human3.6M training poses with SMPL bodies"
JOINTS = H36M_TRAIN_17
FILE_NAME = "gt_poses_coco_smpl.pkl"
"""Of the pickle in each folder."""

_IMAGES = (".jpg", ".jpeg", ".png")


def matches(contents: Contents) -> bool:
    """Such a pickle, by its name, or a folder with some in it."""
    path, depths = contents.path, range(4)
    try:
        found = (next(path.glob("*/" * depth + FILE_NAME), None) for depth in depths)
        return path.name == FILE_NAME or any(found)
    except OSError:
        return False


def read(
    source: str | Path | Contents,
    *,
    subjects: Sequence[int] = (1, 5, 6, 7, 8),
    image_name: str = "{folder}/{number:06d}.jpg",
) -> Iterator[Sample]:
    """The frames of every pickle below a folder (in order of the folders), or of one pickle.

    `subjects`: of these only, where the path says S{n}. `image_name`: of images that are not
    there, from the pickle's `folder` relative to `source` and the pose's `number` from 1.
    """
    root = Contents(source).path
    files = [root] if root.is_file() else sorted(root.rglob(FILE_NAME))
    if not files:
        raise ValueError(f"{root}: expected {FILE_NAME} in some folder, got none")
    wanted = [path for path in files if (_subject(path) or subjects[0]) in subjects]
    return each_file(wanted, partial(_recording, root=root, image_name=image_name), root=root)


def _recording(path: Path, root: Path, image_name: str) -> Iterator[Sample]:
    content = read_pickle(path)
    parameters = content.get("smplParms")
    if not {"2d", "3d"} <= content.keys() or not isinstance(parameters, dict):
        raise ValueError(f"{path}: expected the keys 2d, 3d, smplParms, got {sorted(content)[:6]}")
    if not {"poses_camCoord", "betas"} <= parameters.keys():
        raise ValueError(f"{path}: expected poses_camCoord and betas, got {sorted(parameters)[:6]}")
    count = len(JOINTS)
    pixels, poses = (_rows(content[key], path, (count, d)) for key, d in (("2d", 2), ("3d", 3)))
    rotations, betas = as_array(parameters["poses_camCoord"]), as_array(parameters["betas"])
    if not len(pixels) == len(poses) == len(rotations):
        found = (len(pixels), len(poses), len(rotations))
        raise ValueError(f"{path}: expected as many 2D, 3D and SMPL poses, got {found}")
    shapes = np.broadcast_to(betas, (len(poses), betas.shape[-1]))
    number, images = _subject(path), _images(path, root, len(poses), image_name)
    subject = f"S{number}" if number else path.parent.name
    for image, *numbers in zip(images, pixels, poses, rotations, shapes, strict=True):
        yield from sample_or_problem(partial(_sample, image, subject, *numbers), image=image)


def _sample(
    image: str,
    subject: str,
    points: Float[np.ndarray, "k 2"],
    pose: Float[np.ndarray, "k 3"],
    rotations: np.ndarray,
    betas: np.ndarray,
) -> Sample:
    body = body_truth(rotations, betas)
    centred = metres_about(pose, JOINTS)
    return frame_sample(image, JOINTS, points, centred, subject=subject, body=body)


def _rows(value: Any, path: Path, shape: tuple[int, int]) -> Float[np.ndarray, "n k d"]:
    array = as_array(value)
    if array.shape[1:] != shape:
        raise ValueError(f"{path}: expected (N, {shape[0]}, {shape[1]}), got {array.shape}")
    return array.astype(np.float64)


def _images(path: Path, root: Path, count: int, image_name: str) -> list[str]:
    folder = path.parent
    for place in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        found = sorted(child for child in place.iterdir() if child.suffix.lower() in _IMAGES)
        if len(found) == count:
            return [relative_path(image, root) for image in found]
    name = relative_path(folder, root)
    names = (image_name.format(folder=name, number=number + 1) for number in range(count))
    return [name.removeprefix("./") for name in names]


def _subject(path: Path) -> int | None:
    """The n of the last S{n} in the path."""
    for part in reversed(path.parent.parts):
        if found := re.match(r"S(\d+)(?![0-9A-Za-z])", part):
            return int(found[1])
    return None
