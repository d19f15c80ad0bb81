"""The default regressor: BlazePose's landmark trunk with HMR's iterative head for the open body."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.blazepose import (
    NUM_LANDMARKS,
    RESOLUTION,
    BlazePoseTrunk,
    TrunkOutput,
)
from exemplar.regressors.prediction import Chain, Prediction
from exemplar.skeletons import SMPL_24

POSE_NUMBERS = 6 * len(SMPL_24)
"""Length of a pose in 6D rotations."""

CUT = "thirty_second"
"""The trunk up to this stage is as BlazePose left it; this project trained what comes after."""

TRUNK_NUMBERS = NUM_LANDMARKS * (5 + 3) + 288 * 2 * 2
"""Length of the trunk's outputs as one vector."""


@dataclass(frozen=True)
class MobileConfig:
    """Shape of the head."""

    hidden: int = 1024
    """Width of the two hidden layers."""
    rounds: int = 3
    """Times the estimate is corrected (Kanazawa et al. 2018, section 3.2)."""
    dropout: float = 0.3
    """Dropout after each hidden layer, in training only."""
    num_betas: int = 10
    """Shape coefficients."""


class IterativeHead(nn.Module):
    """HMR's head: features and the running estimate in, a correction out, a few times over."""

    feature_mean: Tensor
    feature_std: Tensor
    start: Tensor

    CLAMP = 6.0
    """Standardised features beyond this many deviations are cut: they say nothing but 'unusual'."""

    def __init__(self, features: int, config: MobileConfig) -> None:
        super().__init__()
        self.config = config
        estimate = POSE_NUMBERS + config.num_betas + 3
        self.fc1 = nn.Linear(features + estimate, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.hidden)
        self.decode = nn.Linear(config.hidden, estimate)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.decode.weight, gain=0.01)
        nn.init.zeros_(self.decode.bias)
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_std", torch.ones(features))
        self.register_buffer("start", torch.zeros(estimate))
        self.set_start(torch.eye(3).repeat(len(SMPL_24), 1, 1), torch.tensor([0.9, 0.0, 0.0]))

    def set_start(self, rotmats: Float[Tensor, "24 3 3"], camera: Float[Tensor, "3"]) -> None:
        """The estimate that the first round corrects: a mean pose, mean shape and mean camera."""
        betas = torch.zeros(self.config.num_betas)
        self.start.copy_(torch.cat((rotmat_to_rot6d(rotmats).flatten(), betas, camera)))

    def forward(self, features: Float[Tensor, "b f"]) -> Prediction:
        """Bodies from the trunk's flat outputs."""
        features = (features - self.feature_mean) / self.feature_std
        features = features.clamp(-self.CLAMP, self.CLAMP)
        estimate = self.start.expand(len(features), -1)
        # The features' share of the first layer is the same in every round.
        sizes = (features.shape[1], estimate.shape[1])
        on_features, on_estimate = self.fc1.weight.split(sizes, dim=1)
        constant = nn.functional.linear(features, on_features, self.fc1.bias)
        for _ in range(self.config.rounds):
            hidden = constant + nn.functional.linear(estimate, on_estimate)
            hidden = self.dropout(torch.relu(hidden))
            hidden = self.dropout(torch.relu(self.fc2(hidden)))
            estimate = estimate + self.decode(hidden)
        pose, betas, camera = estimate.split((POSE_NUMBERS, self.config.num_betas, 3), dim=1)
        rotmats = rot6d_to_rotmat(pose.unflatten(1, (len(SMPL_24), 6)))
        return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, camera)


class Mobile(nn.Module):
    """256x256 upright crops to open bodies; 6.0M parameters, trained by this project."""

    resolution = RESOLUTION
    width = RESOLUTION
    framing: Framing = "upright"
    camera_model: CameraModel = "weak"

    def __init__(self, config: MobileConfig | None = None) -> None:
        super().__init__()
        self.trunk = BlazePoseTrunk()
        self.head = IterativeHead(TRUNK_NUMBERS, config or MobileConfig())

    def forward(self, image: Float[Tensor, "b 3 256 256"], box: Box) -> Prediction:
        """Bodies from RGB crops in 0..1; the box is not used."""
        return self.head(flat_features(self.trunk(image)))

    def parts(self) -> list[nn.Module]:
        """The early stages, which were not trained further; the rest of the trunk; the head.

        Three quarters of the weights are in the last two, and a tenth of the forward pass.
        """
        early, late = self.trunk.split_at(CUT)
        rest = Chain({"trunk": late, "flat": FlatFeatures()})
        return [Chain({"trunk": early}), rest, MobileHead(self.head)]


class FlatFeatures(nn.Module):
    """`flat_features` as a module."""

    def forward(self, output: TrunkOutput) -> Float[Tensor, "b f"]:
        """One vector a crop."""
        return flat_features(output)


class MobileHead(nn.Module):
    """The head under the name that it has in `Mobile`."""

    def __init__(self, head: IterativeHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Float[Tensor, "b f"], box: Box) -> Prediction:
        """Bodies from the trunk's flat outputs; the box is not used."""
        return self.head(features)


def flat_features(output: TrunkOutput) -> Float[Tensor, "b f"]:
    """Landmarks, metric landmarks and the last feature map as one vector a crop."""
    parts = (output.landmarks, output.world, output.features)
    return torch.cat([part.flatten(1) for part in parts], dim=1)
