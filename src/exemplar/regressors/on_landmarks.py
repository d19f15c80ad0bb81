"""A lifter's head as a regressor of its own: what it is shown are landmarks that were read before.

The trunk need not run, so a head is trained and fitted in milliseconds.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.regressors.blazepose import RESOLUTION
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33

_COUNT = len(BLAZEPOSE_33)
_SHAPES = ((_COUNT, 2), (_COUNT, 3), (_COUNT,), (_COUNT,))
"""Of the fields of `Landmarks`."""


class Unpack(nn.Module):
    """Packed landmarks to landmarks."""

    def forward(self, packed: Float[Tensor, "b 3 1 n"]) -> Landmarks:
        """The inverse of `packed`."""
        parts = packed.flatten(1).split([math.prod(shape) for shape in _SHAPES], dim=-1)
        return Landmarks(
            *(part.unflatten(-1, shape) for part, shape in zip(parts, _SHAPES, strict=True))
        )


class OnLandmarks(nn.Module):
    """A head as a regressor whose pictures are packed landmarks."""

    resolution = RESOLUTION
    width = RESOLUTION
    framing: Framing = "hips"
    camera_model: CameraModel = "weak"

    def __init__(self, head: LifterHead) -> None:
        super().__init__()
        self.unpack, self.head = Unpack(), head

    def forward(self, image: Float[Tensor, "b 3 1 n"], box: Box) -> Prediction:
        """Bodies from packed landmarks."""
        return self.head(self.unpack(image), box)

    def parts(self) -> list[nn.Module]:
        """Unpacking, and the head."""
        return [self.unpack, self.head]


def packed(landmarks: Landmarks) -> Float[Tensor, "b 3 1 n"]:
    """Landmarks as one tensor, a picture of three channels and one row."""
    return torch.cat([part.flatten(1) for part in landmarks], dim=-1).unflatten(1, (3, 1, -1))
