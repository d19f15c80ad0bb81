"""A regressor small enough to reason about: one linear layer on the picture's mean colour."""

import torch
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import SMPL_24

UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""Root rotation of a person who stands facing the camera."""


class ToyRegressor(nn.Module):
    """3 colours to pose, betas and camera; starts at an upright T-pose whatever the colours."""

    resolution = 8
    upright = True

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


def exemplar_of(body: Body, truth: Prediction) -> Batch:
    """An exemplar whose keypoints are a known body's."""
    points = project_weak(body.keypoints(truth.body_params()), truth.camera)
    keypoints = torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)
    count = len(points)
    box = Box(torch.full((count, 2), 112.0), torch.full((count,), 224.0), torch.zeros(count))
    return Batch(torch.rand(count, 3, 8, 8), box, keypoints)
