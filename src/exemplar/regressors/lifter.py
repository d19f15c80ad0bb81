"""The default regressor: BlazePose's landmarks, and a head that makes a body of them.

The trunk stays as its authors trained it, on photographs of real people. The head sees no picture,
so it can be trained on bodies alone, posed afresh at every update, with the trunk's errors
simulated, and a fit of its weights runs the trunk once.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.geometry.products import linear_in_lines
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.regressors.blazepose import RESOLUTION, BlazePoseTrunk, Size
from exemplar.regressors.landmark_reader import LandmarkReader, Landmarks
from exemplar.regressors.prediction import Chain, Prediction
from exemplar.skeletons import (
    BLAZEPOSE_33,
    LIMBS_12,
    LIMBS_IN_49,
    SMPL_24,
    flip_permutation,
    indices,
)

POSE_NUMBERS = 6 * len(SMPL_24)
"""Length of a pose in 6D rotations."""

INPUTS = len(BLAZEPOSE_33) * (2 + 3 + 1 + 1)
"""Numbers that the head sees: points, metric landmarks, visibility, spread."""

GIVEN_INPUTS = 3 * len(LIMBS_12)
"""Further numbers for a head that reads 2D keypoints, too."""

_HIPS = indices(("left_hip", "right_hip"), BLAZEPOSE_33)
_LIMBS = indices(LIMBS_12, BLAZEPOSE_33)
_LIMBS_MIRRORED = flip_permutation(LIMBS_12)
_LEAST_EXTENT = 1e-3

FAR = 0.4
"""Distance of a keypoint from its landmark, in the person's extent, beyond which it hardly counts
more: a wrong keypoint must not drown the rest."""

OUTLYING = 0.3
"""The same distance beyond which a keypoint is not read if it is also far in comparison."""
OUTLYING_TIMES = 5.0
"""Times the median distance of the person's keypoints that is far in comparison. Where a landmark
is wrong and the keypoint right, its neighbours are mostly off, too."""


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
    reads_keypoints: bool = False
    """Whether the 2D keypoints that people are given with are a further input."""


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
    across: Tensor
    mirror_inputs: Tensor
    mirror_input_signs: Tensor
    mirror_numbers: Tensor
    mirror_number_signs: Tensor

    def __init__(self, config: LifterConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LifterConfig()
        outputs = POSE_NUMBERS + config.num_betas + 3
        inputs = INPUTS + GIVEN_INPUTS * config.reads_keypoints
        self.enter = nn.Linear(inputs, config.hidden)
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
        """Bodies from landmarks, or from their fields as a plain tuple; of the box only the
        keypoints count."""
        landmarks = Landmarks(*landmarks)
        middle, extent = frame_of(landmarks.points)
        inputs = head_inputs(landmarks, middle, extent)
        image = inputs[:, self.mirror_inputs] * self.mirror_input_signs
        if self.config.reads_keypoints:
            given = given_inputs(landmarks, box.keypoints, extent)
            inputs = torch.cat((inputs, given.flatten(1)), 1)
            image = torch.cat((image, (given[:, _LIMBS_MIRRORED] * self.across).flatten(1)), 1)
        if self.training:
            numbers = self._numbers(inputs)
        else:
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
        h = torch.relu(linear_in_lines(inputs, self.enter.weight, self.enter.bias))
        for block in self.blocks:
            h = block(h)
        return self.start + linear_in_lines(h, self.leave.weight, self.leave.bias)


class LandmarkRegressor(nn.Module):
    """256x256 crops about the hips to open bodies by way of landmarks."""

    resolution = RESOLUTION
    width = RESOLUTION
    framing: Framing = "hips"
    camera_model: CameraModel = "weak"

    def __init__(self, reader: LandmarkReader, head: LifterHead) -> None:
        super().__init__()
        self.reader = reader
        self.head = head

    def forward(self, image: Float[Tensor, "b 3 256 256"], box: Box) -> Prediction:
        """Bodies from RGB crops in 0..1; of the box only the keypoints count."""
        return self.head(self.reader(image), box)

    def parts(self) -> list[nn.Module]:
        """The reader of landmarks, and the head."""
        return [Chain({"reader": self.reader}), _NamedHead(self.head)]


class Lifter(LandmarkRegressor):
    """The shipped networks: a head for people of whom nothing is known but the crop, and one for
    those who are given with 2D keypoints."""

    def __init__(
        self, size: Size = "full", config: LifterConfig | None = None, *, two_heads: bool = False
    ) -> None:
        super().__init__(LandmarkReader(BlazePoseTrunk(size)), LifterHead(config))
        self.given_head: LifterHead | None = None
        if two_heads:
            self.given_head = LifterHead(replace(self.head.config, reads_keypoints=True))

    def for_given(self) -> nn.Module:
        """The network for people who are given with keypoints, over the same tensors."""
        if self.given_head is None:
            return self
        return LandmarkRegressor(self.reader, self.given_head).train(self.training)


class _NamedHead(nn.Module):
    """The head under the name that it has in `LandmarkRegressor`."""

    side_by_side = 16
    """How many copies, each of one exemplar's weights, a thread of a CPU best runs together."""

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


def given_inputs(
    landmarks: Landmarks, keypoints: Float[Tensor, "b 49 3"] | None, extent: Float[Tensor, "b 1 1"]
) -> Float[Tensor, "b 12 3"]:
    """What the head sees of keypoints: how far the limb joints' are from the landmarks (x, y; about
    as large as 1), and their confidence; 0 for those that are missing or `OUTLYING`."""
    points = landmarks.points[:, _LIMBS]
    if keypoints is None:
        return points.new_zeros(*points.shape[:-1], 3)
    limbs = keypoints[:, LIMBS_IN_49]
    apart = (limbs[..., :2] - points) / extent
    far = apart.norm(dim=-1, keepdim=True)
    usual = torch.where(limbs[..., 2:] > 0, far, torch.nan).nanmedian(1, keepdim=True).values
    confidence = torch.where(
        far > (OUTLYING_TIMES * usual).clamp_min(OUTLYING), 0.0, limbs[..., 2:]
    )
    apart = 4.0 * apart / (FAR + far)
    return torch.cat((torch.where(confidence > 0, apart, 0.0), confidence), -1)


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
        "across": across,
        "mirror_inputs": torch.cat(inputs),
        "mirror_input_signs": torch.cat(input_signs),
        "mirror_numbers": torch.cat((pose, rest)),
        "mirror_number_signs": torch.cat(
            (signs, torch.ones(num_betas), torch.tensor([1.0, -1.0, 1.0]))
        ),
    }
