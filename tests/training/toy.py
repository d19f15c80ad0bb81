"""People and a network in three parts, small enough for finite differences."""

import torch
from torch import Tensor, nn

from exemplar.bodies import BodyParams
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.prediction import Prediction
from exemplar.training.batches import TrainingBatch
from tests.fixtures.iterative_head import IterativeHead

FEATURES = 5


class Head(nn.Module):
    """An iterative head as a regressor's last part."""

    def __init__(self, head: IterativeHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, box: Box) -> Prediction:
        """Bodies from features."""
        return self.head(features)


class ToyNetwork(nn.Module):
    """8x8 crops to bodies: a convolution, batch norm and pooling, a head of linear layers."""

    resolution = 8
    width = 8
    framing = "level"

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
        self.late = nn.Sequential(
            nn.BatchNorm2d(4), nn.Conv2d(4, FEATURES, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = IterativeHead(FEATURES, hidden=8, rounds=2, dropout=dropout)
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        rest = torch.cat((upright[None], torch.eye(3).repeat(23, 1, 1)))
        self.head.set_start(rest, torch.tensor([0.8, 0.0, 0.0]))
        with torch.no_grad():
            self.head.decode.weight.normal_(0, 0.05)

    def parts(self) -> list[nn.Module]:
        """Stem, late layers, head."""
        return [self.stem, self.late, Head(self.head)]

    def forward(self, image: Tensor, box: Box) -> Prediction:
        """Bodies from crops."""
        return self.head(self.late(self.stem(image)))


def people(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> TrainingBatch:
    """Random crops with random bodies; the third person has no body, the second no 3D joints."""
    noise = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=noise).to(dtype)

    pose = axis_angle_to_rotmat(0.3 * draw(count, 24, 3))
    keypoints = torch.cat((0.5 * draw(count, 49, 2), torch.ones(count, 49, 1, dtype=dtype)), -1)
    joints = torch.cat((0.3 * draw(count, 24, 3), torch.ones(count, 24, 1, dtype=dtype)), -1)
    box = Box(
        torch.zeros(count, 2, dtype=dtype),
        torch.full((count,), 8.0, dtype=dtype),
        torch.zeros(count, dtype=dtype),
    )
    rows = torch.arange(count)
    return TrainingBatch(
        draw(count, 3, 8, 8), box, keypoints, joints, rows != 1,
        BodyParams(pose[:, 0], pose[:, 1:], draw(count, 10)), rows != 2,
    )  # fmt: skip
