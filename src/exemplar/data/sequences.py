"""What readers of sequences share: many files as one set, a frame's sample, a body's numbers."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float

from exemplar.data.records import (
    box_of_points,
    image_path,
    joints24,
    joints49,
    numbers,
    sample_or_problem,
)
from exemplar.files.reading_files import reading
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.samples import BodyTruth, Gender, Sample
from exemplar.skeletons import SMPL_24

SHAPES = 10
"""Shape coefficients that are kept of a body."""


def each_file(
    files: Sequence[Path], samples: Callable[[Path], Iterator[Sample]], *, root: Path
) -> Iterator[Sample]:
    """The samples of each file; one that says so in place of a file that cannot be read.

    ValueError if `root` is that file itself, and if there are no files.
    """
    if not files:
        raise ValueError(f"{root}: expected files of poses, got none")
    for path in files:
        try:
            with reading(path, "a file of poses"):
                yield from samples(path)
        except (OSError, ValueError) as error:
            if path == root:
                raise
            yield from sample_or_problem(_raising(error), image=relative_path(path, root))


def relative_path(path: Path, root: Path) -> str:
    """Where `path` lies below `root` (a folder, or the file itself), with forward slashes."""
    folder = root if root.is_dir() else root.parent
    return Path(os.path.relpath(path, folder)).as_posix()


def frame_sample(
    image: str,
    names: Sequence[str],
    points_2d: Float[np.ndarray, "k 2"],
    points_3d: Float[np.ndarray, "k 3"],
    *,
    subject: str,
    body: BodyTruth | None = None,
    image_size: tuple[int, int] | None = None,
) -> Sample:
    """A frame in which every joint is known: px, and metres along the camera's axes.

    The box is about the points. ValueError if anything is not finite.
    """
    ones = np.ones((len(names), 1))
    points = numbers(points_2d, (len(names), 2), "2D joints")
    in_space = numbers(points_3d, (len(names), 3), "3D joints")
    centre, scale = box_of_points(np.hstack([points, ones]))
    return Sample(
        image=image_path("", image),
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=joints49(names, np.hstack([points, ones])),
        subject=subject,
        joints_3d=joints24(names, np.hstack([in_space, ones])),
        body=body,
        image_size=image_size,
    )


def metres_about(
    points: Float[np.ndarray, "k 3"], names: Sequence[str], origin: str = "pelvis"
) -> Float[np.ndarray, "k 3"]:
    """Points in millimetres as metres from one of them."""
    return (points - points[names.index(origin)]) / 1000.0


def body_truth(
    pose: object,
    betas: object,
    *,
    gender: Gender = "neutral",
    translation: Float[np.ndarray, "3"] | None = None,
) -> BodyTruth:
    """A body from 72 numbers of axis-angle (radians, root first) and its shape, of which the first
    `SHAPES` are kept. ValueError if they are not that many finite numbers."""
    flat = numbers(pose, (3 * len(SMPL_24),), "pose angles")
    shape = np.asarray(betas)
    kept = numbers(shape[:SHAPES] if shape.ndim else shape, (SHAPES,), "betas")
    rotmats = axis_angle_to_rotmat(torch.from_numpy(flat.reshape(len(SMPL_24), 3)))
    return BodyTruth(rotmats.numpy(), kept, translation=translation, gender=gender)


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def make() -> NoReturn:
        raise ValueError(str(error)) from error

    return make
