"""The default regressor: BlazePose's landmarks, and a head that makes a body of them.

The trunk stays as its authors trained it, on photographs of real people. The head sees no picture,
so it can be trained on bodies alone, posed afresh at every update, with the trunk's errors
simulated, and a fit of its weights runs the trunk once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, Size
from exemplar.regressors.landmark_reader import LandmarkReader, Landmarks
from exemplar.regressors.prediction import Chain, Prediction
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, SMPL_24, flip_permutation, indices

POSE_NUMBERS = 6 * len(SMPL_24)
"""Length of a pose in 6D rotations."""

INPUTS = len(BLAZEPOSE_33) * (2 + 3 + 1 + 1)
"""Numbers that the head sees: points, metric landmarks, visibility, spread."""

_HIPS = indices(("left_hip", "right_hip"), BLAZEPOSE_33)
_LIMBS = indices(LIMBS_12, BLAZEPOSE_33)
_LEAST_EXTENT = 1e-3


@dataclass(frozen=True)
class LifterConfig:
    """Shape of the head."""

    hidden: int = 512
    """Width."""
    blocks: int = 3
    """Residual blocks of two layers (Martinez et al. 2017)."""
    dropout: float = 0.1
    """Dropout after each hidden layer, in training only."""
    num_betas: int = 10
    """Shape coefficients."""


class Block(nn.Module):
    """Two layers about a skip connection."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.first_norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(torch.relu(self.first_norm(self.first(x))))
        return x + self.dropout(torch.relu(self.second_norm(self.second(y))))


class LifterHead(nn.Module):
    """Landmarks to bodies: a residual network on numbers that neither size nor place change.

    In eval mode the answer is the mean over the landmarks and their mirror image, so that mirrored
    people are mirrored bodies.
    """

    start: Tensor
    mirror_inputs: Tensor
    mirror_input_signs: Tensor
    mirror_numbers: Tensor
    mirror_number_signs: Tensor

    def __init__(self, config: LifterConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LifterConfig()
        outputs = POSE_NUMBERS + config.num_betas + 3
        self.enter = nn.Linear(INPUTS, config.hidden)
        self.blocks = nn.ModuleList(
            Block(config.hidden, config.dropout) for _ in range(config.blocks)
        )
        self.leave = nn.Linear(config.hidden, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        rest = torch.eye(3).repeat(len(SMPL_24), 1, 1)
        # half a turn about x: a body stands y up, the camera's frame is y down
        rest[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        start = (rotmat_to_rot6d(rest).flatten(), torch.zeros(config.num_betas))
        self.register_buffer("start", torch.cat((*start, torch.tensor([1.0, 0.0, 0.0]))))
        for name, value in _mirror_maps(config.num_betas).items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, landmarks: Landmarks | tuple[Tensor, ...], box: Box) -> Prediction:
        """Bodies from landmarks, or from their fields as a plain tuple; the box is not used."""
        landmarks = Landmarks(*landmarks)
        middle, extent = frame_of(landmarks.points)
        inputs = head_inputs(landmarks, middle, extent)
        if self.training:
            numbers = self._numbers(inputs)
        else:
            image = inputs[:, self.mirror_inputs] * self.mirror_input_signs
            # not one batch: the first axis is the exemplars', who may have weights of their own
            plain, mirrored = self._numbers(torch.stack((inputs, image), dim=1)).unbind(1)
            numbers = (plain + mirrored[:, self.mirror_numbers] * self.mirror_number_signs) / 2
        pose, betas, camera = numbers.split((POSE_NUMBERS, self.config.num_betas, 3), dim=-1)
        rotmats = rot6d_to_rotmat(pose.unflatten(-1, (len(SMPL_24), 6)))
        # the camera is predicted in the landmarks' own frame
        scale = camera[:, :1] * extent[:, :, 0]
        shift = middle[:, 0] + camera[:, 1:] * extent[:, :, 0]
        return Prediction(rotmats[:, 0], rotmats[:, 1:], betas, torch.cat((scale, shift), 1))

    def _numbers(self, inputs: Float[Tensor, "*b inputs"]) -> Float[Tensor, "*b numbers"]:
        """6D rotations, shape and camera."""
        h = torch.relu(self.enter(inputs))
        for block in self.blocks:
            h = block(h)
        return self.start + self.leave(h)


class Lifter(nn.Module):
    """256x256 crops about the hips to open bodies by way of landmarks."""

    resolution = RESOLUTION
    width = RESOLUTION
    framing: Framing = "hips"
    camera_model: CameraModel = "weak"

    def __init__(self, size: Size = "full", config: LifterConfig | None = None) -> None:
        super().__init__()
        self.reader = LandmarkReader(BlazePoseTrunk(size))
        self.head = LifterHead(config)

    def forward(self, image: Float[Tensor, "b 3 256 256"], box: Box) -> Prediction:
        """Bodies from RGB crops in 0..1; the box is not used."""
        return self.head(self.reader(image), box)

    def parts(self) -> list[nn.Module]:
        """The reader of landmarks, and the head."""
        return [Chain({"reader": self.reader}), _NamedHead(self.head)]


class _NamedHead(nn.Module):
    """The head under the name that it has in `Lifter`."""

    def __init__(self, head: LifterHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, landmarks: Landmarks | tuple[Tensor, ...], box: Box) -> Prediction:
        return self.head(landmarks, box)


def frame_of(
    points: Float[Tensor, "b 33 2"],
) -> tuple[Float[Tensor, "b 1 2"], Float[Tensor, "b 1 1"]]:
    """Middle of the hips, and distance of the farthest limb joint from it, in the points' units."""
    middle = points[:, _HIPS].mean(1, keepdim=True)
    away = (points[:, _LIMBS] - middle).norm(dim=-1)
    return middle, away.amax(1).clamp_min(_LEAST_EXTENT)[:, None, None]


def head_inputs(
    landmarks: Landmarks, middle: Float[Tensor, "b 1 2"], extent: Float[Tensor, "b 1 1"]
) -> Float[Tensor, "b inputs"]:
    """What the head sees: each kind of number about as large as 1."""
    world = landmarks.world - landmarks.world[:, _HIPS].mean(1, keepdim=True)
    parts = (
        (landmarks.points - middle) / extent,
        2.0 * world,
        landmarks.visibility[..., None],
        20.0 * landmarks.spread[..., None],
    )
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _mirror_maps(num_betas: int) -> dict[str, Tensor]:
    """Where each number of the mirrored inputs and outputs comes from, and its sign."""
    landmarks, across = flip_permutation(BLAZEPOSE_33), torch.tensor([-1.0, 1.0, 1.0])
    inputs, input_signs, first = [], [], 0
    for size in (2, 3, 1, 1):
        places = torch.arange(first, first + size * len(landmarks)).unflatten(0, (-1, size))
        inputs.append(places[landmarks].flatten())
        signs = across[:size] if size > 1 else torch.ones(1)
        input_signs.append(signs.repeat(len(landmarks)))
        first += size * len(landmarks)
    # a rotation R mirrored across x is F R F, F = diag(-1, 1, 1)
    signs = rotmat_to_rot6d(across[:, None] * across).repeat(len(SMPL_24))
    pose = torch.arange(POSE_NUMBERS).unflatten(0, (-1, 6))[flip_permutation(SMPL_24)].flatten()
    rest = torch.arange(POSE_NUMBERS, POSE_NUMBERS + num_betas + 3)
    return {
        "mirror_inputs": torch.cat(inputs),
        "mirror_input_signs": torch.cat(input_signs),
        "mirror_numbers": torch.cat((pose, rest)),
        "mirror_number_signs": torch.cat(
            (signs, torch.ones(num_betas), torch.tensor([1.0, -1.0, 1.0]))
        ),
    }
