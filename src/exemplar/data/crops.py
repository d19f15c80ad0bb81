"""A person's crop: what a regressor is shown, and the keypoints in its frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from exemplar.files.image_files import crop_image
from exemplar.geometry.crops import Box, Framing, box_about_hips, image_to_crop, upright_box
from exemplar.geometry.rotations import rotation_about_z
from exemplar.samples import Batch
from exemplar.skeletons import OPENPOSE_25, SMPL_49, TORSO


@dataclass(frozen=True)
class CroppedPerson:
    """One exemplar."""

    crop: UInt8[np.ndarray, "height width 3"]
    """RGB, at the regressor's resolution."""
    box: Box
    """Where the crop lies in its image; a single box."""
    keypoints_2d: Float[Tensor, "49 3"]
    """x, y in crop units and confidence."""
    joints_3d: Float[Tensor, "24 4"] | None = None
    """x, y, z in metres along the crop's axes and confidence, where known."""


def framing_of(regressor: nn.Module) -> Framing:
    """Which crops a regressor is shown; ordinary ones unless it says else."""
    return getattr(regressor, "framing", "level")


def person_box(joints: Float[Tensor, "49 3"], framing: Framing) -> Box:
    """The crop of a person's 49 joints (image px, confidence).

    The torso's line is taken from the annotated joints, where OpenPose's block lacks them. Where
    hips or shoulders are missing, "hips" is as "upright". ValueError for fewer than two distinct
    keypoints.
    """
    rows = [SMPL_49.index(name, len(OPENPOSE_25)) for name in TORSO]
    left_shoulder, right_shoulder, left_hip, right_hip = rows
    torso = (left_shoulder, right_shoulder, left_hip, right_hip)
    about_hips = box_about_hips(joints, torso) if framing == "hips" else None
    if about_hips is not None:
        return about_hips
    return upright_box(joints, None if framing == "level" else torso)


def crop_person(
    pixels: UInt8[np.ndarray, "h w 3"],
    joints: Float[Tensor, "49 3"],
    box: Box,
    resolution: int,
    width: int | None = None,
    joints_3d: Float[Tensor, "24 4"] | None = None,
) -> CroppedPerson:
    """The part of a photo that `box` shows, with the person's joints (image px; metres) in it.

    `resolution` and `width` are the regressor's. ValueError for a box without extent.
    """
    crop = crop_image(pixels, box, resolution, width)
    in_crop = torch.cat((image_to_crop(joints[:, :2], box), joints[:, 2:]), dim=1)
    if joints_3d is not None:
        turned = joints_3d[:, :3] @ rotation_about_z(-box.angle).to(joints_3d).T
        joints_3d = torch.cat((turned, joints_3d[:, 3:]), dim=1)
    return CroppedPerson(crop, box, in_crop, joints_3d)


def batch_of(people: Sequence[CroppedPerson], device: torch.device | str = "cpu") -> Batch:
    """Exemplars side by side. All their boxes have a camera, or none has."""
    image = torch.from_numpy(np.stack([person.crop for person in people]))
    boxes = [vars(person.box) for person in people]
    known = [name for name, value in boxes[0].items() if value is not None]
    box = Box(**{name: torch.stack([each[name] for each in boxes]).float() for name in known})
    joints_3d = None
    if any(person.joints_3d is not None for person in people):
        none = torch.zeros(len(SMPL_49) - len(OPENPOSE_25), 4)
        given = [none if p.joints_3d is None else p.joints_3d.float() for p in people]
        joints_3d = torch.stack(given).to(device)
    return Batch(
        image.to(device).permute(0, 3, 1, 2) / 255,
        box.to(device),
        torch.stack([person.keypoints_2d.float() for person in people]).to(device),
        joints_3d,
    )
