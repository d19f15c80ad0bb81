"""What a training step sees: people as crops or features, with what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from exemplar.bodies import BodyParams
from exemplar.fitting.weights import Inputs, each_input
from exemplar.geometry.crops import Box


@dataclass(frozen=True)
class Example:
    """One person, cropped and augmented. Everything is in the crop's own frame."""

    crop: UInt8[np.ndarray, "height width 3"]
    """RGB, at the regressor's resolution."""
    box: Box
    """Where the crop lies in its image; a single box."""
    keypoints_2d: Float[Tensor, "49 3"]
    """x, y in crop units and confidence, 0 if missing."""
    joints_3d: Float[Tensor, "24 4"]
    """x, y, z in metres along the crop's axes and confidence; zeros if unknown."""
    has_joints_3d: bool
    """Whether the data set gives 3D joints for this person."""
    rotmats: Float[Tensor, "24 3 3"]
    """Rotations of the body, root first; identities if unknown."""
    betas: Float[Tensor, " shapes"]
    """Shape coefficients; zeros if unknown."""
    has_body: bool
    """Whether the body is known (annotated, or pseudo ground truth)."""


@dataclass(frozen=True)
class TrainingBatch:
    """People, one a row."""

    inputs: Inputs
    """What the trained parts of the regressor take: RGB crops in 0..1, or cached features."""
    box: Box
    """Where each crop lies in its image."""
    keypoints_2d: Float[Tensor, "b 49 3"]
    """x, y in crop units and confidence."""
    joints_3d: Float[Tensor, "b 24 4"]
    """x, y, z in metres along the crop's axes and confidence."""
    has_joints_3d: Bool[Tensor, " b"]
    """Who has 3D joints."""
    body: BodyParams
    """The bodies, rotations as matrices."""
    has_body: Bool[Tensor, " b"]
    """Who has a body."""

    def __len__(self) -> int:
        return len(self.keypoints_2d)

    def __getitem__(self, rows: Int[Tensor, " rows"] | slice) -> "TrainingBatch":
        """Some of the people."""
        return TrainingBatch(
            each_input(self.inputs, lambda x: x[rows]),
            self.box[rows],
            self.keypoints_2d[rows],
            self.joints_3d[rows],
            self.has_joints_3d[rows],
            self.body[rows],
            self.has_body[rows],
        )

    def to(self, device: torch.device | str) -> "TrainingBatch":
        """The batch on another device."""
        return TrainingBatch(
            each_input(self.inputs, lambda x: x.to(device)),
            self.box.to(device),
            self.keypoints_2d.to(device),
            self.joints_3d.to(device),
            self.has_joints_3d.to(device),
            self.body.to(device),
            self.has_body.to(device),
        )


def collate(examples: Sequence[Example]) -> TrainingBatch:
    """Examples side by side. All their boxes have a camera, or none has."""
    boxes = [vars(example.box) for example in examples]
    known = [name for name, value in boxes[0].items() if value is not None]
    rotmats = torch.stack([example.rotmats.float() for example in examples])
    return TrainingBatch(
        torch.from_numpy(np.stack([e.crop for e in examples])).permute(0, 3, 1, 2) / 255,
        Box(**{name: torch.stack([each[name] for each in boxes]).float() for name in known}),
        torch.stack([example.keypoints_2d.float() for example in examples]),
        torch.stack([example.joints_3d.float() for example in examples]),
        torch.tensor([example.has_joints_3d for example in examples]),
        BodyParams(
            rotmats[:, 0],
            rotmats[:, 1:],
            torch.stack([example.betas.float() for example in examples]),
        ),
        torch.tensor([example.has_body for example in examples]),
    )
