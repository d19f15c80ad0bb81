"""What every regressor returns, and what it must be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from exemplar.bodies import BodyParams
from exemplar.geometry.cameras import CameraModel, rotate_weak_camera
from exemplar.geometry.crops import Box, Framing
from exemplar.geometry.rotations import rotation_about_z


@dataclass(frozen=True)
class Prediction:
    """Body parameters and camera of a batch of crops, in each crop's own (turned) frame."""

    global_orient: Float[Tensor, "*batch 3 3"]
    """Root rotation, body frame to camera frame."""
    body_pose: Float[Tensor, "*batch 23 3 3"]
    """Rotations of the other joints relative to their parents."""
    betas: Float[Tensor, "*batch shapes"]
    """Shape coefficients."""
    camera: Float[Tensor, "*batch 3"]
    """(scale, tx, ty) of the network's camera model: weak, in crop units, unless it says else."""

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

    def finite_rows(self) -> Bool[Tensor, "*batch"]:
        """Whether every number of each body is finite."""
        axes = self.camera.ndim - 1
        parts = (self.global_orient, self.body_pose, self.betas, self.camera)
        return torch.stack([torch.isfinite(x).flatten(axes).all(-1) for x in parts]).all(0)

    def where(self, keep: Bool[Tensor, " b"], other: "Prediction") -> "Prediction":
        """Row by row this prediction or another."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Prediction(*(rows_of(keep, one, two) for one, two in pairs))

    def is_finite(self) -> bool:
        """Whether every number is finite."""
        return bool(self.finite_rows().all())

    def unposed(self) -> "Prediction":
        """As many bodies at rest, of mean shape, seen by a weak camera of scale 1."""
        eye = torch.eye(3).to(self.global_orient)
        front = self.camera.new_tensor([1.0, 0.0, 0.0])
        return Prediction(
            eye.expand_as(self.global_orient).clone(),
            eye.expand_as(self.body_pose).clone(),
            torch.zeros_like(self.betas),
            front.expand_as(self.camera).clone(),
        )


def rows_of(keep: Bool[Tensor, " b"], one: Tensor, other: Tensor) -> Tensor:
    """Row by row one or the other."""
    return torch.where(keep.view(-1, *[1] * (one.ndim - 1)), one, other)


class Regressor(Protocol):
    """Anything that maps crops to bodies; an `nn.Module` with these attributes."""

    resolution: int
    """Height of the input crop, px."""
    width: int
    """Width of the input crop, px. Both axes have the same scale: a crop narrower than it is high
    shows the middle of the square box."""
    framing: Framing
    """Which crops of people it must be shown."""
    camera_model: CameraModel
    """What the camera numbers mean (`geometry.cameras`)."""

    def __call__(
        self, image: Float[Tensor, "b 3 height width"], box: Box
    ) -> Prediction:  # pragma: no cover - a protocol
        """RGB crops in 0..1 to bodies."""
        ...

    def parts(self) -> list[nn.Module]:  # pragma: no cover - a protocol
        """The network in pieces that run in order, so that a frozen beginning can run once.

        All but the last map what the one before returned; the last also takes the box and returns
        the `Prediction`. Tensors have the names that they have in the whole network, and share
        its storage.
        """
        ...


def network_for(regressor: nn.Module, box: Box) -> nn.Module:
    """The regressor or, where the box has keypoints, its network for people who are given with
    them (`for_given`), if there is one."""
    for_given = getattr(regressor, "for_given", None)
    return regressor if for_given is None or box.keypoints is None else for_given()


class Chain(nn.Module):
    """A part of a network: its modules in order, under the names that they have there."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        """What the last module makes of `x`."""
        for module in self.children():
            x = module(x)
        return x


def run(parts: Sequence[nn.Module], inputs: Any, box: Box) -> Prediction:
    """The parts of a network one after another: its forward pass."""
    for part in parts[:-1]:
        inputs = part(inputs)
    return parts[-1](inputs, box)
