"""Fine-tune a network that is not exemplar's: a small adapter makes it a regressor.

python examples/03_any_regressor.py
"""

import math

import torch
from torch import Tensor, nn

from exemplar import EftConfig, fit_exemplars, load_body
from exemplar.geometry.cameras import CameraModel, project_crop_perspective
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch


class Outside(nn.Module):
    """Stands for your network: BGR crops in 0..255 to axis-angles, betas and a translation.

    The translation (metres) is seen by a camera of 5000 px focal length through the crop's centre.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(16, 72 + 10 + 3)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = math.pi  # upright: half a turn about x
            self.head.bias[-1] = 50.0  # away from the camera

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        pose, betas, translation = self.head(self.encoder(image)[..., 0, 0]).split((72, 10, 3), 1)
        return {"pose": pose, "betas": betas, "translation": translation}


class Adapted(nn.Module):
    """The network as exemplar wants it: what goes in, what comes out, and how its camera sees."""

    resolution = 224
    width = 224
    framing = "level"
    camera_model: CameraModel = "crop_perspective"

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, box: Box) -> Prediction:
        found = self.network(255 * image.flip(1))
        rotmats = axis_angle_to_rotmat(found["pose"].unflatten(1, (24, 3)))
        x, y, z = found["translation"].unbind(1)
        scale = 2 * 5000 / (self.resolution * z)  # exemplar keeps depth as a scale
        camera = torch.stack((scale, x, y), dim=1)
        return Prediction(rotmats[:, 0], rotmats[:, 1:], found["betas"], camera)


def made_up_exemplar() -> Batch:
    """A crop and the keypoints of a body with bent arms; yours come from a photo."""
    pose = torch.zeros(1, 24, 3)
    pose[0, 0, 0] = math.pi
    pose[0, 16:18, 2] = torch.tensor([-1.0, 1.0])
    rotmats = axis_angle_to_rotmat(pose)
    camera = torch.tensor([[0.9, 0.05, 0.1]])
    body = Prediction(rotmats[:, 0], rotmats[:, 1:], torch.zeros(1, 10), camera)
    points = project_crop_perspective(load_body().keypoints(body.body_params()), camera)
    keypoints = torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)
    box = Box(torch.tensor([[112.0, 112.0]]), torch.tensor([224.0]), torch.zeros(1))
    return Batch(torch.rand(1, 3, 224, 224), box, keypoints)


def main() -> None:
    torch.manual_seed(0)
    regressor = Adapted(Outside()).eval()
    config = EftConfig(learning_rate=5e-4, iterations=100)
    fits = fit_exemplars(regressor, load_body(), made_up_exemplar(), config)
    before, after = fits.before.evaluation.error_px, fits.after.evaluation.error_px
    print(f"{fits.status[0]}: {float(before[0]):.1f} -> {float(after[0]):.1f} px")


if __name__ == "__main__":
    main()
