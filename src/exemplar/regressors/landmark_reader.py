"""What BlazePose's trunk reads from a crop and its mirror image: landmarks in 2D and in metres."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, TrunkOutput
from exemplar.skeletons import BLAZEPOSE_33, flip_permutation

_MIRRORED = flip_permutation(BLAZEPOSE_33)


class Landmarks(NamedTuple):
    """The 33 landmarks (`skeletons.BLAZEPOSE_33`) of a batch of crops."""

    points: Float[Tensor, "b 33 2"]
    """x, y in crop units: the crop spans [-1, 1]."""
    world: Float[Tensor, "b 33 3"]
    """Metres about the middle of the hips: x right, y down, z away."""
    visibility: Float[Tensor, "b 33"]
    """0..1: the probability that a landmark is in the crop and not hidden."""
    spread: Float[Tensor, "b 33"]
    """How far apart the readings of `world` are: their standard deviation, metres."""


class LandmarkReader(nn.Module):
    """The trunk on a crop and on its mirror image, the two readings averaged.

    A mirrored person must be the mirrored answer; the mean is, exactly, and errs less than one
    reading (`docs/models/mobile.md`).
    """

    def __init__(self, trunk: BlazePoseTrunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Float[Tensor, "b 3 256 256"]) -> Landmarks:
        """Landmarks of RGB crops in 0..1."""
        both = self.trunk(torch.cat((image, image.flip(-1))))
        plain = landmarks_of(TrunkOutput(*(x[: len(image)] for x in both)))
        mirrored = unmirrored(landmarks_of(TrunkOutput(*(x[len(image) :] for x in both))))
        return mean_of([plain, mirrored])


def landmarks_of(output: TrunkOutput) -> Landmarks:
    """One reading: the trunk's numbers in this module's units."""
    named = output.landmarks[:, : len(BLAZEPOSE_33)]
    return Landmarks(
        points=named[..., :2] * (2.0 / RESOLUTION) - 1.0,
        world=output.world[:, : len(BLAZEPOSE_33)],
        visibility=named[..., 3:5].sigmoid().prod(-1),
        spread=torch.zeros_like(named[..., 0]),
    )


def unmirrored(landmarks: Landmarks) -> Landmarks:
    """A reading of mirrored crops, in the frame of the crops."""
    across = landmarks.points.new_tensor([-1.0, 1.0, 1.0])
    return landmarks._replace(
        points=landmarks.points[:, _MIRRORED] * across[:2],
        world=landmarks.world[:, _MIRRORED] * across,
        visibility=landmarks.visibility[:, _MIRRORED],
        spread=landmarks.spread[:, _MIRRORED],
    )


def mean_of(readings: list[Landmarks]) -> Landmarks:
    """The mean of several readings in one frame, and their spread."""
    world = torch.stack([reading.world for reading in readings])
    away = (world - world.mean(0)).square().sum(-1).mean(0)
    return Landmarks(
        points=torch.stack([reading.points for reading in readings]).mean(0),
        world=world.mean(0),
        visibility=torch.stack([reading.visibility for reading in readings]).mean(0),
        # the root's slope is infinite at 0, and fits move the trunk
        spread=(away + 1e-8).sqrt(),
    )
