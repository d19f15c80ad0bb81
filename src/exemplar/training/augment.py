"""Augmentation: the same person seen otherwise, with everything that is known of them.

Mirrored, turned, nearer or farther, in other colours (SPIN, Kolotouros et al. 2019), cut to the
upper body or to face and shoulders (EFT, supplement B), behind things (Sárándi et al. 2018).
What is drawn (`draw`) and what it does (`drawn_example`) are apart: the first is random, the
second is not. The random numbers come in the order of the released programs.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from exemplar.data.crops import framing_of, person_box
from exemplar.data.formats.cliff_npz import focal_of
from exemplar.files.image_files import crop_image
from exemplar.geometry.crops import Box, Framing, image_to_crop, turn, upright_box
from exemplar.geometry.rotations import rotation_about_z
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_24, SMPL_49, flip_permutation, indices
from exemplar.training.batches import Example
from exemplar.training.occluders import paste_occluders

Random = np.random.Generator | np.random.RandomState
"""Where random numbers come from; the same seed of another kind gives other numbers."""

Part = Literal["whole", "upper", "face"]
"""What of a person a box is about."""

_LEGS = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_NOT_FACE = (*_LEGS, "left_hip", "right_hip", "pelvis", "left_wrist", "right_wrist")

PART_JOINTS: dict[Part, tuple[str, ...]] = {
    "upper": tuple(name for name in GT_24 if name not in _LEGS),
    "face": tuple(name for name in GT_24 if name not in _NOT_FACE),
}
"""Annotated joints about which the boxes of extreme crops lie: down to the hips, and to the
elbows."""

_FLIPS = {len(names): flip_permutation(names) for names in (SMPL_49, GT_24)}
_POSE_FLIP = flip_permutation(SMPL_24)

PART_MARGIN = 1.2
"""Side of such a box over the larger extent of its joints."""

PART_LEAST_JOINTS = 3
"""With fewer of its joints annotated, a part is not cropped to."""

PART_LEAST_SIDE = 32.0
"""Nor if its box were smaller than this, image px: the crop would be a blur."""

RANDOM_BOX = (0.8, 1.2)
"""Side of the random box over that of the part's (EFT, supplement B)."""


@dataclass(frozen=True)
class AugmentConfig:
    """How far augmentation goes. The defaults change nothing.

    ValueError for shares outside 0..1, and for negative or unusable spreads.
    """

    flip: float = 0.0
    """Share of people that are mirrored."""
    channel_noise: float = 0.0
    """Each colour channel is multiplied by a factor from U(1 - this, 1 + this)."""
    rotation: float = 0.0
    """Standard deviation of the rotation in the image plane, degrees; clipped to twice this."""
    rotation_share: float = 1.0
    """Share of people that are turned at all."""
    scale: float = 0.0
    """Standard deviation, about 1, of the factor on the box's side; clipped to 1 -+ this."""
    extreme_crop: float = 0.0
    """Share of people cut to the upper body or to face and shoulders, half of them each."""
    extreme_crop_released: bool = False
    """As EFT's program does it: `scale` sizes those boxes as it does all others, and only joints
    of confidence 1 count. Otherwise as printed: a random box of 80 to 120 % instead of `scale`."""
    occlusion: float = 0.0
    """Share of people behind one to seven made-up objects."""

    def __post_init__(self) -> None:
        for name in ("flip", "rotation_share", "extreme_crop", "occlusion"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, expected 0 to 1, got {getattr(self, name)}")
        for name in ("channel_noise", "scale"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"expected {name} from 0 to below 1, got {getattr(self, name)}")
        if not 0.0 <= self.rotation < math.inf:
            raise ValueError(f"expected a rotation of 0 degrees or more, got {self.rotation}")

    @classmethod
    def none(cls) -> "AugmentConfig":
        """People as they are."""
        return cls()

    @classmethod
    def spin(cls) -> "AugmentConfig":
        """SPIN's, which EFT and the dual networks use as well."""
        return cls(flip=0.5, channel_noise=0.4, rotation=30.0, rotation_share=0.4, scale=0.25)

    @classmethod
    def eft(cls, *, released: bool = False) -> "AugmentConfig":
        """SPIN's with extreme crops: those printed, or those of the `released` program."""
        return replace(cls.spin(), extreme_crop=0.3, extreme_crop_released=released)

    @classmethod
    def dual(cls, *, occlusion: float = 0.0) -> "AugmentConfig":
        """The dual networks': SPIN's. Their `--syn_occ` is an `occlusion` of 1 for the sets that
        were filmed indoors and 0 for the others; the objects here are not Pascal's."""
        return replace(cls.spin(), occlusion=occlusion)

    @classmethod
    def default(cls) -> "AugmentConfig":
        """This project's: SPIN's, with some extreme crops and some occlusion."""
        return replace(cls.spin(), extreme_crop=0.15, occlusion=0.25)


@dataclass(frozen=True)
class Frame:
    """What a regressor is shown."""

    resolution: int
    """Height of its crops, px."""
    width: int
    """Their width, px."""
    framing: Framing
    """Where they lie about a person."""
    full_frame: bool = False
    """Whether its camera is the full image's (CLIFF): then the image is turned about its principal
    point, and boxes are not turned in it."""
    shapes: int = 10
    """Shape coefficients that its bodies have."""


def frame_of(regressor: nn.Module) -> Frame:
    """What a regressor (`regressors.prediction.Regressor`) wants to be shown.

    ValueError for a module without `resolution`, which is no regressor.
    """
    resolution = getattr(regressor, "resolution", None)
    if resolution is None:
        raise ValueError(f"expected a regressor with a resolution, got {type(regressor).__name__}")
    return Frame(
        int(resolution),
        int(getattr(regressor, "width", resolution)),
        framing_of(regressor),
        getattr(regressor, "camera_model", "weak") == "full_perspective",
    )


@dataclass(frozen=True)
class Draw:
    """What was drawn for one person."""

    flip: bool = False
    """Whether they are mirrored, after everything else."""
    channels: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on red, green and blue."""
    rotation: float = 0.0
    """Degrees by which the crop is turned in the image, x towards y; what it shows turns the other
    way."""
    scale: float = 1.0
    """Factor on the box's side."""
    part: Part = "whole"
    """What the box is about, if enough of its joints are annotated."""
    part_scale: float | None = None
    """Takes the place of `scale` in the box of a part."""
    part_shift: tuple[float, float] = (0.0, 0.0)
    """How far that box is shifted, in -1..1 of the way on which the smaller of the two boxes (the
    part's and the random one) stays inside the larger."""
    occluders: int | None = None
    """Seed of the objects in front of them; None without any."""


def draw(rng: Random, config: AugmentConfig) -> Draw:
    """Random numbers for one person.

    With a `RandomState` the numbers are those of the released programs after the same seed, in
    their order: extreme crop (EFT; if there is any), flip, three channels, rotation, scale,
    whether to rotate. Ours, the random box and the occlusion, are drawn only if asked for.
    """
    part, part_scale, part_shift = _draw_part(rng, config)
    flip = bool(rng.uniform() < config.flip)
    low, high = 1.0 - config.channel_noise, 1.0 + config.channel_noise
    red, green, blue = (float(factor) for factor in rng.uniform(low, high, 3))
    limit = 2.0 * config.rotation
    rotation = float(np.clip(config.rotation * rng.standard_normal(), -limit, limit))
    factor = 1.0 + config.scale * rng.standard_normal()
    scale = float(np.clip(factor, 1.0 - config.scale, 1.0 + config.scale))
    if rng.uniform() <= 1.0 - config.rotation_share:
        rotation = 0.0
    occluders = None
    if config.occlusion > 0 and rng.uniform() < config.occlusion:
        occluders = int(rng.uniform() * 2**32)
    channels = (red, green, blue)
    return Draw(flip, channels, rotation, scale, part, part_scale, part_shift, occluders)


def _draw_part(
    rng: Random, config: AugmentConfig
) -> tuple[Part, float | None, tuple[float, float]]:
    """Part, scale and shift of an extreme crop."""
    if config.extreme_crop == 0 or rng.uniform() >= config.extreme_crop:
        return "whole", None, (0.0, 0.0)
    part: Part = "face" if rng.uniform() < 0.5 else "upper"
    if config.extreme_crop_released:
        return part, None, (0.0, 0.0)
    factor = float(rng.uniform(*RANDOM_BOX))
    across, down = (float(x) for x in rng.uniform(-1.0, 1.0, 2))
    return part, factor, (across, down)


def augmented_example(
    sample: Sample,
    pixels: UInt8[np.ndarray, "h w 3"] | None,
    frame: Frame,
    config: AugmentConfig,
    rng: Random,
) -> Example:
    """A person as one training step sees them: `drawn_example` of a `draw`."""
    return drawn_example(sample, pixels, frame, config, draw(rng, config))


def drawn_example(
    sample: Sample,
    pixels: UInt8[np.ndarray, "h w 3"] | None,
    frame: Frame,
    config: AugmentConfig,
    drawn: Draw,
) -> Example:
    """A person as `drawn` has them.

    The image is interpolated once, mirroring is exact. All that is known stays, also of what the
    crop no longer shows. Missing keypoints are at (0, 0). Without `pixels` (RGB) the crop is black
    and the box in the middle of the image. ValueError for a box without extent or beside the
    image, and for more shape coefficients than the frame has.
    """
    size = _image_size(sample, pixels)
    joints = torch.from_numpy(np.asarray(sample.keypoints_2d, np.float64))
    box = _with_camera(_box(sample, joints, frame, config, drawn, size), sample, size)
    keypoints = torch.cat((image_to_crop(joints[:, :2], box), joints[:, 2:]), dim=1)
    keypoints[joints[:, 2] <= 0] = 0.0
    joints_3d = torch.zeros(len(GT_24), 4, dtype=torch.float64)
    if sample.joints_3d is not None:
        joints_3d = turned_points(torch.from_numpy(sample.joints_3d).double(), -box.angle)
    rotmats, betas = _body(sample, frame, -box.angle)
    if drawn.flip:
        keypoints, joints_3d = mirrored_points(keypoints), mirrored_points(joints_3d)
        rotmats = rotmats if sample.body is None else mirrored_pose(rotmats)
    return Example(
        _crop(pixels, box, frame, drawn),
        _final_box(box, frame, size[0] if drawn.flip else None),
        keypoints.float(),
        joints_3d.float(),
        sample.joints_3d is not None,
        rotmats.float(),
        betas.float(),
        sample.body is not None,
    )


def part_box(
    joints: Float[Tensor, "49 3"], part: Part, *, angle: float = 0.0, least_confidence: float = 0.0
) -> Box | None:
    """The box about a part of a person (image px, confidence), turned by `angle` radians.

    EFT's extreme crop. Annotated joints count, if their confidence is above 0 and at least
    `least_confidence`. None for a whole person, and with too few joints.
    """
    if part == "whole":
        return None
    rows = [len(OPENPOSE_25) + row for row in indices(PART_JOINTS[part], GT_24)]
    chosen = joints[rows].clone()
    chosen[chosen[:, 2] < least_confidence] = 0.0
    if int((chosen[:, 2] > 0).sum()) < PART_LEAST_JOINTS:
        return None
    try:
        return upright_box(chosen, None, margin=PART_MARGIN, angle=angle)
    except ValueError:  # all in one place
        return None


def turned_points(
    points: Float[Tensor, "joints 4"], angle: Float[Tensor, ""]
) -> Float[Tensor, "joints 4"]:
    """3D points (metres, confidence) turned about the viewing axis, radians from x towards y."""
    rotation = rotation_about_z(angle).to(points)
    return torch.cat((points[:, :3] @ rotation.T, points[:, 3:]), dim=1)


def mirrored_points(points: Float[Tensor, "joints values"]) -> Float[Tensor, "joints values"]:
    """49 or 24 annotated joints, x first, as a mirror shows them: x negated, sides exchanged."""
    swapped = points[_FLIPS[len(points)]]
    return torch.cat((-swapped[:, :1], swapped[:, 1:]), dim=1)


def mirrored_pose(rotmats: Float[Tensor, "24 3 3"]) -> Float[Tensor, "24 3 3"]:
    """A body's rotations, root first, as a mirror shows them: M R M, sides exchanged.

    M = diag(-1, 1, 1) mirrors both the body's frame and the camera's.
    """
    signs = torch.tensor([-1.0, 1.0, 1.0], dtype=rotmats.dtype)
    return rotmats[_POSE_FLIP] * signs[:, None] * signs


def _image_size(sample: Sample, pixels: np.ndarray | None) -> tuple[float, float]:
    """Width and height of the image, px."""
    if pixels is not None:
        return float(pixels.shape[1]), float(pixels.shape[0])
    return 2.0 * float(sample.box_centre[0]), 2.0 * float(sample.box_centre[1])


def _box(
    sample: Sample,
    joints: Float[Tensor, "49 3"],
    frame: Frame,
    config: AugmentConfig,
    drawn: Draw,
    size: tuple[float, float],
) -> Box:
    """The box as drawn, in the image that is not yet mirrored."""
    whole = _whole_box(sample, joints, frame)
    if not _touches(whole, size):
        raise ValueError(
            f"{sample.image}: the box lies outside the image of {size[0]:g} x {size[1]:g} px"
        )
    least = 1.0 if config.extreme_crop_released else 0.0
    part = part_box(joints, drawn.part, angle=float(whole.angle), least_confidence=least)
    box, factor, shift = whole, drawn.scale, torch.zeros(1, 2, dtype=torch.float64)
    if part is not None and part.size >= PART_LEAST_SIDE and _touches(part, size):
        box = part
        if drawn.part_scale is not None:
            factor = drawn.part_scale
            way = abs(1.0 - factor) / 2.0 * float(part.size)
            shift = way * torch.tensor([drawn.part_shift], dtype=torch.float64)
    centre = box.centre + turn(shift, box.angle)[0]
    return Box(centre, box.size * factor, box.angle + math.radians(drawn.rotation))


def _whole_box(sample: Sample, joints: Tensor, frame: Frame) -> Box:
    """The person's box: annotated, or upright about the keypoints where there are enough."""
    if frame.framing != "level":
        try:
            return person_box(joints, frame.framing)
        except ValueError:  # too few keypoints, or all in one place: the annotated box will do
            pass
    side = float(sample.box_size)
    if not (np.isfinite(sample.box_centre).all() and 0 < side < math.inf):
        raise ValueError(f"{sample.image}: expected a box of positive finite size, got {side} px")
    centre = torch.from_numpy(np.asarray(sample.box_centre, np.float64))
    return Box(
        centre, torch.tensor(side, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    )


def _touches(box: Box, size: tuple[float, float]) -> bool:
    """Whether an unturned box of that place and side shows some of an image (width, height)."""
    reach = (box.centre - torch.tensor(size).double() / 2).abs()
    return bool((reach < (torch.tensor(size).double() + box.size) / 2).all())


def _with_camera(box: Box, sample: Sample, size: tuple[float, float]) -> Box:
    """The box with its image's camera; unknown ones see about 55 degrees (CLIFF's default)."""
    focal = focal_of(sample) or math.hypot(*size)
    middle = (size[0] / 2, size[1] / 2)
    point = middle if sample.intrinsics is None else sample.intrinsics[:2, 2]
    return replace(
        box,
        focal=torch.tensor(focal, dtype=torch.float64),
        principal_point=torch.tensor([float(x) for x in point], dtype=torch.float64),
    )


def _crop(pixels: np.ndarray | None, box: Box, frame: Frame, drawn: Draw) -> np.ndarray:
    """What the crop shows, RGB."""
    if pixels is None:
        return np.zeros((frame.resolution, frame.width, 3), np.uint8)
    crop = crop_image(pixels, box, frame.resolution, frame.width)
    if drawn.flip:  # the grid is symmetric about the crop's middle: nothing is interpolated
        crop = np.ascontiguousarray(crop[:, ::-1])
    if drawn.occluders is not None:
        crop = paste_occluders(crop, np.random.default_rng(drawn.occluders))
    if drawn.channels == (1.0, 1.0, 1.0):
        return crop
    values = np.arange(256)[:, None] * np.array(drawn.channels)
    # truncated, as the released programs do on storing the product
    table = np.minimum(values, 255.0).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(crop, table))


def _body(sample: Sample, frame: Frame, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations, the root turned by `angle` about the viewing axis, and shape coefficients."""
    betas = torch.zeros(frame.shapes, dtype=torch.float64)
    if sample.body is None:
        return torch.eye(3, dtype=torch.float64).repeat(len(SMPL_24), 1, 1), betas
    known = torch.from_numpy(np.asarray(sample.body.betas, np.float64))
    if len(known) > len(betas):
        raise ValueError(
            f"{sample.image}: expected up to {len(betas)} shape coefficients, got {len(known)}"
        )
    betas[: len(known)] = known
    rotmats = torch.from_numpy(np.array(sample.body.pose, np.float64))
    rotmats[0] = rotation_about_z(angle) @ rotmats[0]
    return rotmats, betas


def _final_box(box: Box, frame: Frame, mirrored_width: float | None) -> Box:
    """Where the crop lies in the image that it is of: mirrored if that image's width is given, and,
    for a camera of the full frame, turned about its principal point.

    A camera that rolls about its axis sees the turned body at exactly the turned place, so the
    box's centre turns as well. (The dual networks' program leaves the centre where it was.)
    """
    point = box.principal_point
    assert point is not None
    centre, angle = box.centre, box.angle
    if frame.full_frame:
        centre = point + turn((centre - point)[None], -angle)[0]
        angle = torch.zeros_like(angle)
    if mirrored_width is not None:
        edge, signs = torch.tensor([mirrored_width, 0.0]), torch.tensor([-1.0, 1.0])
        centre, point, angle = edge + signs * centre, edge + signs * point, -angle
    return replace(box, centre=centre, angle=angle, principal_point=point)
