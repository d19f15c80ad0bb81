"""HMR's iterative head (Kanazawa et al. 2018, section 3.2) as the published networks have it."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from exemplar.geometry.cameras import CameraModel, image_camera
from exemplar.geometry.crops import Box, Framing
from exemplar.geometry.rotations import rot6d_to_rotmat
from exemplar.regressors.prediction import Prediction, run
from exemplar.regressors.resnet import Normalise
from exemplar.skeletons import SMPL_24

POSE_NUMBERS = 6 * len(SMPL_24)
"""Length of a pose in 6D rotations."""

NUM_BETAS = 10
"""Shape coefficients of the published networks."""

ESTIMATE = POSE_NUMBERS + NUM_BETAS + 3
"""Length of pose, shape and camera together."""

HIDDEN = 1024
"""Width of the two hidden layers."""

BOX_NUMBERS = 3
"""Length of `box_information`."""

HEAD_MODULES = ("fc1", "drop1", "fc2", "drop2", "decpose", "decshape", "deccam")
START = ("init_pose", "init_shape", "init_cam")


def box_information(box: Box) -> Float[Tensor, "b 3"]:
    """Where the box lies in its image, as CLIFF's head sees it (Li et al. 2022, Eq. 4-5).

    (2.8 (c - p) / f, (b - 0.24 f) / (0.06 f)) with centre c, side b, principal point p and focal
    length f, px: about zero mean and unit spread.
    """
    focal, principal_point = image_camera(box)
    place = 2.8 * (box.centre - principal_point) / focal[..., None]
    size = (box.size - 0.24 * focal) / (0.06 * focal)
    return torch.cat((place, size[..., None]), dim=-1)


class Head(nn.Module):
    """The head alone: features, and with CLIFF the box, to bodies.

    No activation follows the layers: between dropouts the head is linear.
    """

    fc1: nn.Linear
    drop1: nn.Dropout
    fc2: nn.Linear
    drop2: nn.Dropout
    decpose: nn.Linear
    decshape: nn.Linear
    deccam: nn.Linear
    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(self, network: "IterativeRegressor") -> None:
        """Shares the tensors of `network`, under the same names."""
        super().__init__()
        self.n_iter = network.n_iter
        for name in HEAD_MODULES:
            self.add_module(name, network.get_submodule(name))
        for name in START:
            self.register_buffer(name, network.get_buffer(name))

    def forward(self, features: Float[Tensor, "b f"], box: Box) -> Prediction:
        """Corrects the start `n_iter` times."""
        known = features
        if self.fc1.in_features > features.shape[1] + ESTIMATE:
            known = torch.cat((features, box_information(box).to(features)), dim=1)
        # The share of what does not change is computed once, not in every correction.
        on_known, on_estimate = self.fc1.weight.split((known.shape[1], ESTIMATE), dim=1)
        constant = functional.linear(known, on_known, self.fc1.bias)
        start = torch.cat((self.init_pose, self.init_shape, self.init_cam), dim=1)
        estimate = start.expand(len(features), -1)
        for _ in range(self.n_iter):
            hidden = constant + functional.linear(estimate, on_estimate)
            hidden = self.drop2(self.fc2(self.drop1(hidden)))
            changes = (self.decpose(hidden), self.decshape(hidden), self.deccam(hidden))
            estimate = estimate + torch.cat(changes, dim=1)
        pose, betas, camera = estimate.split((POSE_NUMBERS, NUM_BETAS, 3), dim=1)
        rotmats = rot6d_to_rotmat(pose.unflatten(1, (len(SMPL_24), 6)))
        return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, camera)


class IterativeRegressor(nn.Module):
    """A backbone and the iterative head, side by side at the top level as in published files."""

    framing: Framing = "level"

    def __init__(
        self,
        backbone: Mapping[str, nn.Module],
        inputs: int,
        *,
        n_iter: int,
        size: tuple[int, int],
        camera_model: CameraModel,
    ) -> None:
        """`inputs`: numbers that the head sees besides its estimate. `size`: crop (width, height).

        Raises ValueError unless `n_iter` is positive.
        """
        super().__init__()
        if n_iter < 1:
            raise ValueError(f"expected at least one correction, got n_iter={n_iter}")
        self.n_iter = n_iter
        self.width, self.resolution = size
        self.camera_model: CameraModel = camera_model
        self.normalise = Normalise()
        for name, module in backbone.items():
            self.add_module(name, module)
        self.fc1 = nn.Linear(inputs + ESTIMATE, HIDDEN)
        self.drop1 = nn.Dropout()
        self.fc2 = nn.Linear(HIDDEN, HIDDEN)
        self.drop2 = nn.Dropout()
        self.decpose = nn.Linear(HIDDEN, POSE_NUMBERS)
        self.decshape = nn.Linear(HIDDEN, NUM_BETAS)
        self.deccam = nn.Linear(HIDDEN, 3)
        for module in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(module.weight, gain=0.01)
        rest = torch.eye(3)[:, :2].repeat(len(SMPL_24), 1, 1)
        # Half a turn about x: a body stands y up, the camera's frame is y down.
        rest[0] = rest[0] * torch.tensor([[1.0], [-1.0], [-1.0]])
        self.register_buffer("init_pose", rest.reshape(1, -1))
        self.register_buffer("init_shape", torch.zeros(1, NUM_BETAS))
        self.register_buffer("init_cam", torch.tensor([[0.9, 0.0, 0.0]]))

    @abstractmethod
    def trunk(self) -> list[nn.Module]:
        """The backbone in parts, from RGB in 0..1 to features (b, f)."""

    def parts(self) -> list[nn.Module]:
        """The backbone's stages and the head (`prediction.Regressor.parts`)."""
        return [*self.trunk(), Head(self)]

    def forward(self, image: Float[Tensor, "b 3 height width"], box: Box) -> Prediction:
        """Bodies from RGB crops in 0..1."""
        return run(self.parts(), image, box)
