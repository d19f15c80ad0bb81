"""BlazePose's person detector: a single-shot detector of faces with the body's scale and turn.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020, after Liu et al.,
"SSD: Single Shot MultiBox Detector", 2016. A detection is three points: the middle of the face, the
middle of the hips, and a point on the circle around them that holds the whole body, straight above
them for an upright person. (The network's face box has the same size whatever the face's.) The
weights come from Google's published `pose_detection` (Apache-2.0;
`scripts/convert_trunk.py`).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from exemplar.assets import load_asset_state
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.image_files import crop_image
from exemplar.regressors.blazepose import InvertedResidual, Stem

RESOLUTION = 224
"""Side of the image that the detector takes, px."""

CROP_MARGIN = 1.25
"""Side of a person's crop over the diameter of the circle that holds the body (BlazePose's)."""

SAME_FACE = 0.08
"""Detections whose faces are nearer than this part of the smaller crop are one person's."""

SAME_SIZE = 1.3
"""Detections of one face are read once if the larger crop is less than this times the smaller:
how large a body is whose legs are cut off or hidden is a guess, and two are better than one."""

SMALL = 0.17
"""Crops under this part of the image's longer side are of small people."""

SMALL_THRESHOLD = 0.7
"""Least score of small people, whatever the caller's threshold: boots and lamps reach 0.65."""

STRIDE = 32
"""The network takes images whose sides are multiples of this, px."""

ZOOMS = (2, 3, 4)
"""The network sees the longer side of the image this many times larger than `RESOLUTION`."""

MOST_ENLARGED = 2.0
"""An image is not enlarged more than this: there is nothing to see."""

FRAME = 2.0
"""The network also sees the image in a black frame, the whole this many times the image's longer
side: faces that fill the image are too large for it otherwise."""


@dataclass(frozen=True)
class Detection:
    """One person that the detector found."""

    score: float
    """Probability of a person, 0..1."""
    face: Float[np.ndarray, "2"]
    """Middle of the face, image px."""
    box: Box
    """The crop for the landmark network: a square around the middle of the hips that holds the
    whole body with a margin, turned so that the person is upright in it."""


@dataclass(frozen=True)
class Window:
    """What the network sees of an image."""

    box: Box
    """Unbatched; `size` is the height."""
    rows: int = RESOLUTION
    """Height of the network's image, px."""
    columns: int = RESOLUTION
    """Its width, px, with pixels as large as those of the rows."""


class Lateral(nn.Sequential):
    """Carries a finer level of the backbone over to its coarser successors."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
            nn.Conv2d(inputs, outputs, 1),
            nn.ReLU6(),
        )


class LinearResidual(nn.Module):
    """Depthwise and pointwise convolution around a skip connection, with no activation between."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(x + self.pointwise(self.depthwise(x)))


class Merge(nn.Module):
    """Adds the coarser level, at twice its resolution, to the finer one (a feature pyramid)."""

    def __init__(self, coarse: int, fine: int):
        super().__init__()
        self.reduce = nn.Conv2d(coarse, fine, 1)
        self.blocks = nn.Sequential(LinearResidual(fine), LinearResidual(fine))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # A pointwise convolution commutes with the interpolation; this order costs a quarter.
        raised = functional.interpolate(self.reduce(coarse), scale_factor=2.0, mode="bilinear")
        return self.blocks(fine + functional.relu6(raised))


class AnchorHead(nn.Sequential):
    """One output of one level: `values` numbers for each of the anchors in a cell."""

    def __init__(self, channels: int, anchors: int, values: int):
        super().__init__(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels),
            nn.Conv2d(channels, anchors * values, 1),
        )
        self.values = values

    def forward(self, input: Tensor) -> Tensor:
        y = super().forward(input)
        return y.permute(0, 2, 3, 1).reshape(len(y), -1, self.values)


def depth_to_space(x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch c2 h2 w2"]:
    """Four groups of channels to 2x2 pixels; TensorFlow's order, unlike `pixel_shuffle`'s."""
    blocks = x.unflatten(1, (2, 2, -1))
    return torch.einsum("byxchw->bchywx", blocks).flatten(4, 5).flatten(2, 3)


class PersonDetector(nn.Module):
    """The detector's network: anchors on grids with cells of 8, 16 and 32 px."""

    def __init__(self):
        super().__init__()
        block = InvertedResidual
        self.fine = nn.Sequential(
            Stem(),
            block(16, 64, 24, 3, stride=2), block(24, 144, 24, 3),
            block(24, 144, 40, 5, stride=2), block(40, 240, 40, 5),
        )  # fmt: skip
        self.fine_lateral = Lateral(40, 96)
        self.medium = nn.Sequential(
            block(40, 240, 80, 3, stride=2), block(80, 480, 80, 3), block(80, 480, 80, 3),
            block(80, 480, 112, 5), block(112, 672, 112, 5), block(112, 672, 112, 5),
        )  # fmt: skip
        self.medium_lateral = Lateral(112, 192)
        self.coarse = nn.Sequential(
            block(112, 672, 192, 5, stride=2), *(block(192, 1152, 192, 5) for _ in range(3)),
            nn.Conv2d(192, 1152, 1), nn.ReLU6(),
            nn.Conv2d(1152, 1152, 3, padding=1, groups=1152), nn.ReLU6(),
        )  # fmt: skip
        self.medium_merge = Merge(1152, 192)
        self.fine_merge = Merge(192, 96)
        levels = ((24, 2), (48, 2), (288, 6))
        self.score_heads = nn.ModuleList(AnchorHead(c, anchors, 1) for c, anchors in levels)
        self.box_heads = nn.ModuleList(AnchorHead(c, anchors, 12) for c, anchors in levels)

    def forward(
        self, image: Float[Tensor, "batch 3 rows columns"]
    ) -> tuple[Float[Tensor, "batch anchors"], Float[Tensor, "batch anchors 12"]]:
        """Logits and raw boxes (see `decode`) of RGB images in -1..1.

        It was trained on images of `RESOLUTION` a side; others have sides of whole `STRIDE`s.
        """
        fine = self.fine(image)
        medium = self.medium(fine)
        coarse = self.coarse(medium)
        medium = self.medium_merge(coarse, self.medium_lateral(medium))
        fine = self.fine_merge(medium, self.fine_lateral(fine))
        levels = [depth_to_space(level) for level in (fine, medium, coarse)]
        scores = [head(x) for head, x in zip(self.score_heads, levels, strict=True)]
        boxes = [head(x) for head, x in zip(self.box_heads, levels, strict=True)]
        return torch.cat(scores, dim=1)[..., 0], torch.cat(boxes, dim=1)


def as_rgb(
    image: UInt8[np.ndarray, "height width *channels"],
) -> UInt8[np.ndarray, "height width 3"]:
    """An 8-bit grey, RGB or RGBA image as RGB; ValueError for anything else."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"expected a uint8 image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {image.dtype} {image.shape}"
        )
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image[:, :, :3]


def square(x: float, y: float, size: float, angle: float = 0.0) -> Box:
    """An unbatched box: centre and side in px, angle in radians."""
    return Box(torch.tensor([x, y]), torch.tensor(size), torch.tensor(angle))


@cache
def default_detector() -> PersonDetector:
    """The shipped detector."""
    model = PersonDetector()
    model.load_state_dict(load_asset_state("person_detector.safetensors"))
    return model.eval().requires_grad_(False)


@cache
def anchors(rows: int = RESOLUTION, columns: int = RESOLUTION) -> Float[np.ndarray, "anchors 2"]:
    """Centres of the anchors, px of the network's image (`rows` high)."""
    levels = []
    for cell, per_cell in ((8, 2), (16, 2), (STRIDE, 6)):
        lines = [(np.arange(side // cell) + 0.5) * cell for side in (columns, rows)]
        levels.append(np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2).repeat(per_cell, 0))
    return np.concatenate(levels)


def decode(
    scores: Float[np.ndarray, "anchors"],
    values: Float[np.ndarray, "anchors 12"],
    window: Window,
    threshold: float,
) -> list[Detection]:
    """The people in one window, duplicates included.

    A row of `values` is in px of the network's image: the face's centre from the anchor, width and
    height (always the same), then the points from the anchor: middle of the hips, point of the
    body's circle, and the same two for the upper body (not used).
    """
    found = np.flatnonzero(scores > threshold)
    rows = values[found]
    points = np.stack((rows[:, 0:2], rows[:, 4:6], rows[:, 6:8]), axis=1)
    points += anchors(window.rows, window.columns)[found][:, None]
    units = (2.0 * points - (window.columns, window.rows)) / window.rows
    detections = []
    for index, three in zip(found, units, strict=True):
        places = crop_to_image(torch.from_numpy(three).float(), window.box).double().numpy()
        face, hips, top = places
        up = top - hips
        size = 2.0 * CROP_MARGIN * float(np.linalg.norm(up))
        if np.isfinite(places).all() and size > 1.0:
            box = square(float(hips[0]), float(hips[1]), size, math.atan2(up[0], -up[1]))
            detections.append(Detection(float(scores[index]), face, box))
    return detections


def is_repeated(a: Detection, b: Detection) -> bool:
    """Whether two detections are of one face and ask for about the same crop."""
    sizes = sorted((float(a.box.size), float(b.box.size)))
    apart = float(np.linalg.norm(a.face - b.face))
    return apart < SAME_FACE * sizes[0] and sizes[1] < SAME_SIZE * sizes[0]


def suppress(detections: list[Detection]) -> list[Detection]:
    """The best of each group of detections of one face and size, best first."""
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda d: -d.score):
        if not any(is_repeated(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def whole_windows(width: int, height: int) -> list[Window]:
    """The image upright and turned by a quarter, a half and three quarters; then in its frame."""
    x, y, longer = width / 2, height / 2, float(max(width, height))
    turned = [Window(square(x, y, longer, quarter * math.pi / 2)) for quarter in range(4)]
    return [*turned, Window(square(x, y, FRAME * longer))]


def enlarged_windows(width: int, height: int) -> list[Window]:
    """The whole image at each of `ZOOMS`, for small people; the first sees it smallest."""
    windows = []
    for zoom in ZOOMS:
        scale = zoom * RESOLUTION / max(width, height)
        if scale > MOST_ENLARGED:
            break
        # 448 / 6000 * 6000 is a little more than 448
        strides = (math.ceil(scale * side / STRIDE - 1e-6) for side in (height, width))
        rows, columns = (STRIDE * count for count in strides)
        box = square(width / 2, height / 2, rows / scale)
        windows.append(Window(box, rows, columns))
    return windows


@torch.no_grad()
def _search(
    model: PersonDetector, image: np.ndarray, windows: list[Window], threshold: float
) -> list[Detection]:
    """The people in several windows of an image, duplicates included."""
    detections = []
    for window in windows:
        pixels = crop_image(image, window.box, window.rows, window.columns)
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        logits, values = model(batch)
        detections += decode(logits[0].sigmoid().numpy(), values[0].numpy(), window, threshold)
    return detections


def detect_people(
    image: UInt8[np.ndarray, "height width *channels"],
    *,
    threshold: float = 0.5,
    zooms: bool = True,
    model: PersonDetector | None = None,
) -> list[Detection]:
    """The people in an image (RGB or grey, 0..255), best first; twice where their size is doubtful.

    The network sees the whole image in four turns and in a black frame at the resolution that it
    was trained for and, with `zooms`, upright at larger ones, which are as many tiles without
    seams: their number does not grow with the image. Raises ValueError for an array that is no
    8-bit image.
    """
    image = as_rgb(image)
    height, width = image.shape[:2]
    if min(height, width) == 0:
        return []
    model = default_detector() if model is None else model
    windows = whole_windows(width, height)
    if zooms:
        windows += enlarged_windows(width, height)
    found = _search(model, image, windows, threshold)
    least = SMALL * max(height, width)
    return suppress([d for d in found if d.box.size >= least or d.score >= SMALL_THRESHOLD])
