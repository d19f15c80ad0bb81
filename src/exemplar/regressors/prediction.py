"""What every regressor returns, and what it must be."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import BodyParams
from exemplar.geometry.cameras import rotate_weak_camera
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import rotation_about_z


@dataclass(frozen=True)
class Prediction:
    """Body parameters and weak camera of a batch of crops, in each crop's own (turned) frame."""

    global_orient: Float[Tensor, "*batch 3 3"]
    """Root rotation, body frame to camera frame."""
    body_pose: Float[Tensor, "*batch 23 3 3"]
    """Rotations of the other joints relative to their parents."""
    betas: Float[Tensor, "*batch shapes"]
    """Shape coefficients."""
    camera: Float[Tensor, "*batch 3"]
    """Weak camera (scale, tx, ty) in crop units: [-1, 1] spans the crop."""

    def body_params(self) -> BodyParams:
        """The body's part of the prediction."""
        return BodyParams(self.global_orient, self.body_pose, self.betas)

    def detach(self) -> "Prediction":
        """The same numbers without their graph."""
        return Prediction(
            self.global_orient.detach(),
            self.body_pose.detach(),
            self.betas.detach(),
            self.camera.detach(),
        )

    def turned_back(self, box: Box) -> "Prediction":
        """The prediction in the frame of the unturned image: as if each crop's angle were 0."""
        return Prediction(
            rotation_about_z(box.angle) @ self.global_orient,
            self.body_pose,
            self.betas,
            rotate_weak_camera(self.camera, box.angle),
        )

    def is_finite(self) -> bool:
        """Whether every number is finite."""
        parts = (self.global_orient, self.body_pose, self.betas, self.camera)
        return all(bool(torch.isfinite(part).all()) for part in parts)


class Regressor(Protocol):
    """Anything that maps crops to bodies; an `nn.Module` with these attributes."""

    resolution: int
    """Side of the square input crop, px."""
    upright: bool
    """Whether crops must be turned so that the torso points up."""

    def __call__(
        self, image: Float[Tensor, "b 3 side side"], box: Box
    ) -> Prediction:  # pragma: no cover - a protocol
        """RGB crops in 0..1 to bodies."""
        ...
