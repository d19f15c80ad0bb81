"""A regressor small enough to reason about: one linear layer on the picture's mean colour."""

import torch
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import SMPL_24

UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""Root rotation of a person who stands facing the camera."""


class ToyRegressor(nn.Module):
    """3 colours to pose, betas and camera; starts at an upright T-pose whatever the colours."""

    resolution = 8
    framing = "upright"

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.out = nn.Linear(3, 6 * len(SMPL_24) + 10 + 3)
        rest = torch.eye(3).repeat(len(SMPL_24), 1, 1)
        rest[0] = UPRIGHT
        start = torch.cat(
            (rotmat_to_rot6d(rest).flatten(), torch.zeros(10), torch.tensor([0.8, 0, 0]))
        )
        with torch.no_grad():
            self.out.weight.mul_(0.01)
            self.out.bias.copy_(start)

    def forward(self, image: Tensor, box: Box) -> Prediction:
        """Bodies from crops."""
        numbers = self.out(self.norm(image).mean((2, 3)))
        pose, betas, camera = numbers.split((6 * len(SMPL_24), 10, 3), dim=1)
        rotmats = rot6d_to_rotmat(pose.unflatten(1, (len(SMPL_24), 6)))
        return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, camera)


class ToyConvNet(nn.Module):
    """A convolutional regressor in three parts: 3x3 and 1x1 convolutions, batch norm, a head."""

    resolution = 8
    framing = "upright"

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1, bias=False)
        )
        self.late = nn.Sequential(
            nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1, 2), nn.Conv2d(8, 16, 3, 1, 1, groups=2)
        )
        self.head = ToyHead(16)

    def parts(self) -> list[nn.Module]:
        """See `Regressor`."""
        return [self.stem, self.late, self.head]

    def forward(self, image: Tensor, box: Box) -> Prediction:
        """Bodies from crops."""
        return self.head(self.late(self.stem(image)), box)


class ToyHead(nn.Module):
    """Features to pose, betas and camera; near an upright T-pose."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, 6 * len(SMPL_24) + 10 + 3)
        rest = torch.eye(3).repeat(len(SMPL_24), 1, 1)
        rest[0] = UPRIGHT
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.copy_(
                torch.cat(
                    (rotmat_to_rot6d(rest).flatten(), torch.zeros(10), torch.tensor([0.8, 0, 0]))
                )
            )

    def forward(self, inputs: Tensor, box: Box) -> Prediction:
        """Bodies from feature maps."""
        numbers = self.out(inputs.mean((2, 3)))
        pose, betas, camera = numbers.split((6 * len(SMPL_24), 10, 3), dim=1)
        rotmats = rot6d_to_rotmat(pose.unflatten(1, (len(SMPL_24), 6)))
        return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, camera)


def exemplar_of(body: Body, truth: Prediction) -> Batch:
    """An exemplar whose keypoints are a known body's."""
    points = project_weak(body.keypoints(truth.body_params()), truth.camera)
    keypoints = torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)
    count = len(points)
    zeros = points.new_zeros(count)
    box = Box(points.new_full((count, 2), 112.0), points.new_full((count,), 224.0), zeros)
    return Batch(torch.rand(count, 3, 8, 8).to(points), box, keypoints)


def people(count: int, dtype: torch.dtype = torch.float64, spread: float = 0.25) -> Prediction:
    """Different bodies that stand about the middle of their crops."""
    generator = torch.Generator().manual_seed(count)
    pose = axis_angle_to_rotmat(spread * torch.randn(count, 23, 3, generator=generator))
    betas = 0.5 * torch.randn(count, 10, generator=generator)
    camera = torch.tensor([0.9, 0.05, -0.1]) + 0.02 * torch.randn(count, 3, generator=generator)
    root = UPRIGHT.expand(count, 3, 3)
    return Prediction(root.to(dtype), pose.to(dtype), betas.to(dtype), camera.to(dtype))
