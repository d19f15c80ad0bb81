"""BlazePose's person detector: a single-shot detector of faces with the body's scale and turn.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020, after Liu et al.,
"SSD: Single Shot MultiBox Detector", 2016. A detection is a face box and two points: the middle of
the hips, and a point on the circle around them that holds the whole body, straight above them for
an upright person. The weights come from Google's published `pose_detection` (Apache-2.0;
`scripts/convert_trunk.py`).
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

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

FACE_OVERLAP = 0.3
"""Detections whose face boxes overlap by more (intersection over union) are one person."""

TILE_LEVELS = (2, 4)
"""The longer side of the image over a tile's side, coarse to fine."""

SMALLEST_TILE = 64
"""Tiles with a shorter side, px, hold too little to find."""

TILE_THRESHOLD = 0.5
"""Least score in a tile, whatever the caller's threshold: close up, much looks like a person."""

BATCH = 8
"""Windows that pass through the network together."""


@dataclass(frozen=True)
class Detection:
    """One person that the detector found."""

    score: float
    """Probability of a person, 0..1."""
    face: Float[np.ndarray, "4"]
    """Face box: left, top, right, bottom, image px."""
    box: Box
    """The crop for the landmark network: a square around the middle of the hips that holds the
    whole body with a margin, turned so that the person is upright in it."""


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
    """The detector's network: 2,254 anchors on grids of 28, 14 and 7 cells a side."""

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
        self, image: Float[Tensor, "batch 3 224 224"]
    ) -> tuple[Float[Tensor, "batch 2254"], Float[Tensor, "batch 2254 12"]]:
        """Logits and raw boxes (see `decode`) of RGB images in -1..1."""
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


def anchors() -> Float[np.ndarray, "2254 2"]:
    """Centres of the anchors, as fractions of the window's side."""
    levels = []
    for cells, per_cell in ((28, 2), (14, 2), (7, 6)):
        line = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        levels.append(grid.repeat(per_cell, axis=0))
    return np.concatenate(levels)


def decode(
    scores: Float[np.ndarray, "2254"],
    values: Float[np.ndarray, "2254 12"],
    window: Box,
    threshold: float,
) -> list[Detection]:
    """The people in one window, duplicates included.

    A row of `values` is in px of the window at `RESOLUTION`: the face's centre from the anchor,
    its width and height, then the points from the anchor: middle of the hips, point of the
    body's circle, and the same two for the upper body (not used).
    """
    found = np.flatnonzero(scores > threshold)
    units = values[found] * (2.0 / RESOLUTION)  # crop units: the window spans -1..1
    from_anchor = 2.0 * anchors()[found] - 1.0
    points = np.stack((units[:, 0:2], units[:, 4:6], units[:, 6:8]), axis=1) + from_anchor[:, None]
    half_face = units[:, 2:4].mean(axis=1) * float(window.size) / 4.0
    detections = []
    for index, three, half in zip(found, points, half_face, strict=True):
        face, hips, top = crop_to_image(torch.from_numpy(three).float(), window).double().numpy()
        up = top - hips
        size = 2.0 * CROP_MARGIN * float(np.linalg.norm(up))
        if not (np.isfinite(three).all() and size > 1.0):
            continue
        box = square(float(hips[0]), float(hips[1]), size, math.atan2(up[0], -up[1]))
        face_box = np.concatenate((face - half, face + half))
        detections.append(Detection(float(scores[index]), face_box, box))
    return detections


def overlap(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.clip(sides, 0, None).prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared
    return shared / union if union > 0 else 0.0


def suppress(detections: list[Detection]) -> list[Detection]:
    """The best of each group of detections with overlapping faces, best first."""
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda d: -d.score):
        if all(overlap(candidate.face, other.face) <= FACE_OVERLAP for other in kept):
            kept.append(candidate)
    return kept


def tiles(width: int, height: int, side: float) -> list[Box]:
    """Squares that cover the image, each half over the next."""

    def centres(length: int) -> list[float]:
        if length <= side:
            return [length / 2]
        count = math.ceil(2 * (length - side) / side) + 1
        return np.linspace(side / 2, length - side / 2, count).tolist()

    return [square(x, y, side) for y in centres(height) for x in centres(width)]


@torch.no_grad()
def _search(
    model: PersonDetector, image: np.ndarray, windows: list[Box], threshold: float
) -> list[Detection]:
    """The people in several windows of an image, duplicates included."""
    detections = []
    for start in range(0, len(windows), BATCH):
        batch = windows[start : start + BATCH]
        crops = np.stack([crop_image(image, window, RESOLUTION) for window in batch])
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        logits, values = model(pixels)
        for window, scores, rows in zip(batch, logits.sigmoid(), values, strict=True):
            detections += decode(scores.numpy(), rows.numpy(), window, threshold)
    return detections


def detect_people(
    image: UInt8[np.ndarray, "height width *channels"],
    *,
    threshold: float = 0.5,
    tiling: Literal["auto", "always", "never"] = "auto",
    model: PersonDetector | None = None,
) -> list[Detection]:
    """The people in an image (RGB or grey, 0..255), best first.

    The network sees the whole image, upright and turned by a quarter, a half and three quarters of
    a turn, and then overlapping tiles of a half and a quarter of its longer side: `tiling` says
    whether always, never, or (`auto`) while nobody is found or somebody is found who is smaller
    than such a tile, since others may be smaller still. Raises ValueError for an array that is
    no 8-bit image.
    """
    image = as_rgb(image)
    height, width = image.shape[:2]
    if min(height, width) == 0:
        return []
    model = default_detector() if model is None else model
    longer = float(max(height, width))
    turns = [square(width / 2, height / 2, longer, k * math.pi / 2) for k in range(4)]
    people = suppress(_search(model, image, turns, threshold))
    for level in TILE_LEVELS if tiling != "never" else ():
        side = longer / level
        wanted = tiling == "always" or not people or min(float(p.box.size) for p in people) < side
        if side < SMALLEST_TILE or not wanted:
            break
        found = _search(model, image, tiles(width, height, side), max(threshold, TILE_THRESHOLD))
        people = suppress(people + found)
    return people
