"""Teachers: from a crop to 3D joints that a fit is told, where nobody measured any.

BlazePose's networks learned metric landmarks from photographs of real people. A fit that takes
theirs as `Batch.joints_3d` (EFT, Eq. 4) keeps to their depth while it meets the 2D keypoints.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from exemplar.fitting.names import TeacherName, checked_teacher
from exemplar.regressors.blazepose import RESOLUTION, Size
from exemplar.regressors.checkpoints import load_trunk
from exemplar.regressors.landmark_reader import LandmarkReader, Landmarks, mean_of
from exemplar.skeletons import BLAZEPOSE_33, GT_24, indices

TEACHERS: Mapping[TeacherName, tuple[Size, ...]] = {
    "landmarks": ("full",),
    "landmarks-heavy": ("heavy",),
    "landmarks-both": ("full", "heavy"),
}
"""Teachers by name: the trunks whose readings they average."""

SPREAD_SCALE = 0.08
"""Spread between readings of a landmark that lowers its confidence to 1/e, metres. The median on
LSPet's people is 0.05 with the full trunk; where one reading takes the left leg for the right one
it is 0.1 and more."""

_TAUGHT = tuple(name for name in GT_24 if name in BLAZEPOSE_33)
_ROWS, _LANDMARKS = indices(_TAUGHT, GT_24), indices(_TAUGHT, BLAZEPOSE_33)


class Taught(NamedTuple):
    """What a teacher says of a batch of crops: the joints of `skeletons.GT_24`."""

    joints_3d: Float[Tensor, "b 24 4"]
    """x, y, z in metres along the crop's axes (right, down, away), about any origin, and
    confidence: 0 for joints that the teacher does not know."""
    points: Float[Tensor, "b 24 3"]
    """The same joints in the picture: x, y in units of the square crop, which spans [-1, 1], and
    the probability that the joint is in the crop and not hidden."""


Teacher = Callable[[Float[Tensor, "b 3 256 256"]], Taught]
"""Joints of RGB crops in 0..1. Made for crops in which the torso points up."""

Reader = Callable[[Float[Tensor, "b 3 256 256"]], Landmarks]
"""Landmarks of such crops: a `LandmarkReader`."""


def teacher_sizes(name: str) -> tuple[Size, ...]:
    """The trunks of one of `TEACHERS`; ValueError for another name."""
    return TEACHERS[checked_teacher(name)]


def landmark_teacher(sizes: Sequence[Size], device: torch.device | str = "cpu") -> Teacher:
    """The mean of what the trunks of these sizes read in a crop and in its mirror image."""
    return teacher_of([LandmarkReader(load_trunk(size)).to(device).eval() for size in sizes])


def teacher_of(readers: Sequence[Reader]) -> Teacher:
    """The mean of several readers, by joint name.

    Confidence is visibility times exp(-(spread / `SPREAD_SCALE`)^2), the spread that of all
    readings; joints that no landmark stands for have 0.
    """
    if not readers:
        raise ValueError("a teacher needs a reader, got none")

    @torch.no_grad()
    def teach(image: Float[Tensor, "b 3 256 256"]) -> Taught:
        return taught_by([read(image) for read in readers])

    return teach


def taught_by(readings: Sequence[Landmarks]) -> Taught:
    """What `teacher_of` the readers says whose readings these are."""
    mean = mean_of(list(readings))
    within = torch.stack([reading.spread.square() for reading in readings]).mean(0)
    # readers read equally often, so the variance of all is that within and that between them
    sure = torch.exp(-(within + mean.spread.square()) / SPREAD_SCALE**2)
    world = torch.cat((mean.world, (mean.visibility * sure)[..., None]), dim=-1)
    points = torch.cat((mean.points, mean.visibility[..., None]), dim=-1)
    return Taught(_by_name(world), _by_name(points))


def teach(teacher: Teacher, crops: Float[Tensor, "b 3 height width"]) -> Taught:
    """What a teacher says of any network's crops.

    Crops narrower than high get the sides back that the network does not see, in black, and other
    sizes are resampled. Crops of networks that do not ask for upright people are shown as they are,
    though a teacher sees people who lie or stand on their hands less well then.
    """
    height, width = crops.shape[-2:]
    left = (height - width) // 2
    square = functional.pad(crops, (left, height - width - left, 0, 0))
    if height != RESOLUTION:
        square = functional.interpolate(
            square, size=(RESOLUTION, RESOLUTION), mode="bilinear", antialias=True
        )
    return teacher(square)


def _by_name(landmarks: Float[Tensor, "b 33 n"]) -> Float[Tensor, "b 24 n"]:
    """`BLAZEPOSE_33` as `GT_24`, zeros for what it lacks."""
    joints = landmarks.new_zeros(len(landmarks), len(GT_24), landmarks.shape[-1])
    joints[:, _ROWS] = landmarks[:, _LANDMARKS]
    return joints
