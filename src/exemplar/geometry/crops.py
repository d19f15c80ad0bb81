"""Square, possibly turned crops of an image, and the maps between image and crop pixels.

Pixel coordinates are continuous: pixel (i, j) covers [i, i+1) x [j, j+1), so its centre is at
(i + 0.5, j + 0.5), and an image of width W spans 0..W.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Framing = Literal["level", "upright", "hips"]
"""Which crop a network is shown of somebody: `upright_box` unturned, turned so that the torso is
upright, or `box_about_hips`."""

EFT_CROP = 224
"""Side of the crop in whose pixels 2D errors are reported (EFT's)."""


@dataclass(frozen=True)
class Box:
    """A batch of square crops. A network may take less of the width than of the height."""

    centre: Float[Tensor, "*batch 2"]
    """Centre, image px."""
    size: Float[Tensor, "*batch"]
    """Side, image px."""
    angle: Float[Tensor, "*batch"]
    """Radians from the image's x axis to the crop's, x towards y: 0 is an ordinary crop."""
    focal: Float[Tensor, "*batch"] | None = None
    """Focal length of the image's camera, px; needed by networks that see the whole frame."""
    principal_point: Float[Tensor, "*batch 2"] | None = None
    """Principal point of the image's camera, image px; likewise."""
    keypoints: Float[Tensor, "*batch 49 3"] | None = None
    """2D keypoints that the person was given with (crop units, confidence), for networks that read
    them; None where there are none but the program's own."""

    def __getitem__(self, index: int | slice | Int[Tensor, " rows"] | None) -> "Box":
        """Some of the crops; None for all with one more axis."""
        return self._each(lambda value: value[index])

    def to(self, target: torch.device | torch.dtype | str) -> "Box":
        """The box on another device or in another dtype."""
        return self._each(lambda value: value.to(target))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Box":
        return Box(**{name: None if x is None else change(x) for name, x in vars(self).items()})  # pyright: ignore


def turn(
    points: Float[Tensor, "*batch n 2"], angle: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch n 2"]:
    """2D points rotated by `angle` radians, x towards y."""
    cos, sin = angle.cos()[..., None], angle.sin()[..., None]
    x, y = points.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def image_to_crop(points: Float[Tensor, "*batch n 2"], box: Box) -> Float[Tensor, "*batch n 2"]:
    """Image px to crop units, in which the crop spans [-1, 1]."""
    centred = points - box.centre[..., None, :]
    return turn(centred, -box.angle) * (2.0 / box.size)[..., None, None]


def crop_to_image(points: Float[Tensor, "*batch n 2"], box: Box) -> Float[Tensor, "*batch n 2"]:
    """Crop units to image px: the inverse of `image_to_crop`."""
    scaled = points * (box.size / 2.0)[..., None, None]
    return turn(scaled, box.angle) + box.centre[..., None, :]


def crop_units_to_pixels(resolution: int = EFT_CROP) -> float:
    """Pixels per crop unit for a crop of the given side."""
    return resolution / 2.0


def upright_box(
    keypoints: Float[Tensor, "n 3"],
    left_right_shoulders_hips: tuple[int, int, int, int] | None,
    *,
    margin: float = 1.35,
    angle: float | None = None,
) -> Box:
    """The crop of one person's keypoints (x, y px, confidence), turned so that they are upright.

    The mid-hip to mid-shoulder line points up in the crop; the side is `margin` times the larger
    extent of the visible keypoints along the crop's axes. `left_right_shoulders_hips` are the
    rows of left and right shoulder and left and right hip; without them, or when one side of the
    line is not visible, the crop is not turned. `angle` (radians) overrides the torso's.
    Raises ValueError when fewer than two distinct keypoints are visible.
    """
    visible = keypoints[:, 2] > 0
    if int(visible.sum()) < 2:
        raise ValueError(f"a person needs at least 2 visible keypoints, got {int(visible.sum())}")
    if angle is None:
        angle = _torso_angle(keypoints, left_right_shoulders_hips)
    turned_by = torch.tensor(angle, dtype=keypoints.dtype)
    turned = turn(keypoints[visible, :2], -turned_by)
    low, high = turned.amin(0), turned.amax(0)
    size = margin * float((high - low).max())
    if size <= 1.0:
        raise ValueError(f"the keypoints span {size / margin:.2f} px: not a person")
    centre = turn(((low + high) / 2)[None], turned_by)[0]
    return Box(centre, torch.tensor(size, dtype=keypoints.dtype), turned_by)


def box_about_hips(
    keypoints: Float[Tensor, "n 3"],
    left_right_shoulders_hips: tuple[int, int, int, int],
    *,
    margin: float = 1.25,
    least_torsos: float = 1.6,
) -> Box | None:
    """The crop that BlazePose was trained on: about the middle of the hips, the torso upright.

    Its side is 2 `margin` times the distance of the farthest visible keypoint (x, y px, confidence)
    from there, or of `least_torsos` times the torso, which is where feet would be: people who are
    cut off are shown as large as if they were not. None where hips or shoulders are not visible, or
    there is no extent. Both numbers were chosen on LSPet and COCO (`docs/models/mobile.md`).
    """
    rows = keypoints[list(left_right_shoulders_hips)]
    shoulders, hips = rows[:2][rows[:2, 2] > 0], rows[2:][rows[2:, 2] > 0]
    if len(shoulders) == 0 or len(hips) == 0:
        return None
    middle = hips[:, :2].mean(0)
    up = shoulders[:, :2].mean(0) - middle
    visible = keypoints[keypoints[:, 2] > 0, :2]
    reach = (visible - middle).norm(dim=-1).max()
    size = 2.0 * margin * torch.maximum(reach, least_torsos * up.norm())
    if not size > 1.0:
        return None
    return Box(middle, size, torch.atan2(up[0], -up[1]))


def _torso_angle(keypoints: Tensor, torso: tuple[int, int, int, int] | None) -> float:
    """Angle of the crop in which the mid-hip to mid-shoulder line points up, radians."""
    if torso is None:
        return 0.0
    rows = keypoints[list(torso)]
    shoulders, hips = rows[:2][rows[:2, 2] > 0], rows[2:][rows[2:, 2] > 0]
    if len(shoulders) == 0 or len(hips) == 0:
        return 0.0
    up = shoulders[:, :2].mean(0) - hips[:, :2].mean(0)
    if float(up.norm()) < 1e-3:
        return 0.0
    return math.atan2(float(up[0]), -float(up[1]))
