"""Fits of a head on stored readings: the trunk need not run."""

from pathlib import Path

import torch
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from scripts.lifter.readings import Columns

_SIZES = {"points": 2, "world": 3, "visibility": 1, "spread": 1}


class Unpack(nn.Module):
    """Packed readings (b, 1, 33, 7) as landmarks."""

    def forward(self, packed: Tensor) -> Landmarks:
        """The inverse of `packed`."""
        parts = packed[:, 0].split(list(_SIZES.values()), dim=-1)
        points, world, visibility, spread = parts
        none = packed.new_zeros(len(packed), 0)
        return Landmarks(points, world, visibility[..., 0], spread[..., 0], none)


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
    """Readings as one tensor, a picture of one channel (b, 1, 33, 7)."""
    return torch.cat(
        [
            torch.from_numpy(columns[name]).float().reshape(len(columns[name]), -1, size)
            for name, size in _SIZES.items()
        ],
        dim=-1,
    )[:, None]


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
