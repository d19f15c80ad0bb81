"""Fits of a head on stored readings: the trunk need not run."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from scripts.lifter.readings import Columns, landmarks_of

_SHAPES = ((33, 2), (33, 3), (33,), (33,))
"""Of the fields of `Landmarks`."""


class Unpack(nn.Module):
    """Packed readings (b, 1, 1, n) as landmarks."""

    def forward(self, packed: Tensor) -> Landmarks:
        """The inverse of `packed`."""
        parts = packed[:, 0, 0].split([math.prod(shape) for shape in _SHAPES], dim=-1)
        return Landmarks(
            *(part.unflatten(-1, shape) for part, shape in zip(parts, _SHAPES, strict=True))
        )


class OnReadings(nn.Module):
    """A head as a regressor whose pictures are packed readings."""

    resolution = 256
    width = 256
    framing: Framing = "hips"
    camera_model: CameraModel = "weak"

    def __init__(self, head: LifterHead) -> None:
        super().__init__()
        self.unpack, self.head = Unpack(), head

    def forward(self, image: Tensor, box: Box) -> Prediction:
        """Bodies from packed readings."""
        return self.head(self.unpack(image), box)

    def parts(self) -> list[nn.Module]:
        """Unpacking, and the head."""
        return [self.unpack, self.head]


def packed(columns: Columns) -> Tensor:
    """Readings as one tensor, a picture of one channel and one row (b, 1, 1, n)."""
    return torch.cat([part.flatten(1) for part in landmarks_of(columns)], dim=-1)[:, None, None]


def batch_of(columns: Columns) -> Batch:
    """Readings and keypoints as a batch for the fits of an `OnReadings`."""
    count = len(columns["points"])
    box = Box(torch.zeros(count, 2), torch.ones(count), torch.zeros(count))
    return Batch(packed(columns), box, torch.from_numpy(columns["keypoints_2d"]).float())


def load_head(path: Path) -> LifterHead:
    """The averaged weights of a checkpoint of `scripts.lifter.train`, in eval mode."""
    state = torch.load(path, weights_only=True)
    hidden, blocks = state["shape"]
    head = LifterHead(LifterConfig(hidden, blocks))
    head.load_state_dict(state["average"])
    return head.eval()
