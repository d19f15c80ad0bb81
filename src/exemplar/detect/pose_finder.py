"""MoveNet MultiPose: everyone in a picture at once, each with a box and 17 keypoints.

Google, "Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021: a MobileNetV2 with a
feature pyramid finds people by their centres, as in Zhou et al., "Objects as Points", 2019; each
centre tells about where its joints are, and the joints' heatmaps say it better. The weights are
Google's published ones (Apache-2.0; `scripts/convert_finder.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from exemplar.assets import load_asset_state
from exemplar.files.image_files import crop_image
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.regressors.blazepose import InvertedResidual
from exemplar.skeletons import COCO_17

STRIDE = 4
"""Pixels of the network's input to a cell of its maps."""

GRAIN = 32
"""The input's sides are multiples of this, px."""

LEVELS = (256, 512)
"""Longer sides of the picture as the network sees it, px: it was trained at 256, where somebody
who fills the picture is found best; in a larger one, smaller people are."""

LEAST = 0.15
"""Centres with less probability are nobody."""

SURE = 0.3
"""Where nobody is this sure, the picture is turned."""

MOST = 60
"""People that are looked for in a picture at one level."""

NEIGHBOURHOOD = 5
"""Cells about a centre in which it must be the highest, a side."""

REACH = 0.3
"""How far from where the centre expects it a joint is looked for: a Gaussian whose doubled variance
is this times the map's shorter side, cells² (MoveNet's)."""

UNSEEN = 0.1
"""Joints of less probability are put where their person's centre expects them."""

LEANING = math.pi / 4
"""Turn of the torso from upright beyond which a person is looked at again, radians."""

AROUND = 1.25
"""Side of the square that is looked at again, over the longer side of the person's box."""

SAME = 0.6
"""Boxes that overlap by more (intersection over union) are one person's."""

SAME_JOINTS = 0.5
"""Similarity of the joints that two people have in common, above which they are one: a bust and the
whole body have one face."""

NEAR = 0.08
"""Distance at which two places of a joint are similar to exp(-1/2), in sides of a square as large
as the smaller box."""


class Maps(NamedTuple):
    """What the network says of one picture, on maps of h x w cells; lengths in cells, y first."""

    centre: Float[Tensor, "1 h w"]
    """Logit of the middle of a person's box."""
    scale: Float[Tensor, "2 h w"]
    """Height and width of the box."""
    shift: Float[Tensor, "2 h w"]
    """From the cell to the middle of the box."""
    joint: Float[Tensor, "17 h w"]
    """Logit of each of `COCO_17`."""
    regress: Float[Tensor, "34 h w"]
    """From a person's centre to the joints."""
    offset: Float[Tensor, "34 h w"]
    """From a joint's cell to the joint."""


def _halving(inputs: int, outputs: int, groups: int = 1) -> nn.Sequential:
    """A 3x3 convolution to half the resolution, padded as TensorFlow pads even sides."""
    filters = nn.Conv2d(inputs, outputs, 3, stride=2, groups=groups)
    return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), filters)


class Block(InvertedResidual):
    """MobileNetV2's block with TensorFlow's padding."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        expanded = 6 * inputs
        super().__init__(inputs, expanded, outputs, 3, stride)
        if stride == 2:
            self.depthwise = _halving(expanded, expanded, groups=expanded)


class Separable(nn.Sequential):
    """A filter a channel, then a mixture of the channels."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1),
            nn.ReLU(),
        )


class Rise(nn.Module):
    """One step up the pyramid: the coarser level doubled, and the backbone's at that resolution."""

    def __init__(self, lateral: int, inputs: int, outputs: int):
        super().__init__()
        self.lateral = nn.Conv2d(lateral, inputs, 1)
        self.mix = Separable(inputs, outputs)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        doubled = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")
        return self.mix(doubled + self.lateral(fine))


class Head(nn.Sequential):
    """One kind of map."""

    def __init__(self, outputs: int):
        super().__init__(*Separable(24, 96), nn.Conv2d(96, outputs, 1))


class PoseFinder(nn.Module):
    """The network, for pictures of any size."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            _halving(3, 48), nn.ReLU6(), nn.Conv2d(48, 48, 3, padding=1, groups=48), nn.ReLU6(),
            nn.Conv2d(48, 24, 1),
        )  # fmt: skip
        self.quarter = nn.Sequential(Block(24, 40, 2), Block(40, 40))
        self.eighth = nn.Sequential(Block(40, 48, 2), Block(48, 48), Block(48, 48))
        self.sixteenth = nn.Sequential(Block(48, 96, 2), *(Block(96, 96) for _ in range(3)))
        self.last = nn.Sequential(
            Block(96, 144), Block(144, 144), Block(144, 144),
            Block(144, 240, 2), Block(240, 240), Block(240, 240),
            Block(240, 480), nn.Conv2d(480, 1280, 1), nn.ReLU6(), nn.Conv2d(1280, 64, 1),
        )  # fmt: skip
        self.rises = nn.ModuleList((Rise(96, 64, 32), Rise(48, 32, 24), Rise(40, 24, 24)))
        self.heads = nn.ModuleList(Head(count) for count in (1, 2, 2, 17, 34, 34))

    def forward(self, image: Float[Tensor, "1 3 height width"]) -> Maps:
        """Maps of an RGB picture in -1..1 whose sides are multiples of `GRAIN`."""
        quarter = self.quarter(self.stem(image))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        y = self.last(sixteenth)
        for rise, fine in zip(self.rises, (sixteenth, eighth, quarter), strict=True):
            y = rise(y, fine)
        return Maps(*(head(y)[0] for head in self.heads))


def square(x: float, y: float, size: float, angle: float = 0.0) -> Box:
    """An unbatched box: centre and side in px, angle in radians."""
    return Box(torch.tensor([x, y]), torch.tensor(size), torch.tensor(angle))


def middle(
    keypoints: Float[np.ndarray, "k 3"], part: str, names: Sequence[str] = COCO_17
) -> Float[np.ndarray, "2"]:
    """Middle between the left and the right joint called `part`, px."""
    rows = [names.index(f"{side}_{part}") for side in ("left", "right")]
    return keypoints[rows, :2].mean(axis=0)


@dataclass(frozen=True)
class Sighting:
    """Somebody in a picture, as the network sees it at a glance."""

    score: float
    """Probability of a person, 0..1."""
    box: Float[np.ndarray, "4"]
    """About the body: left, top, right, bottom, image px."""
    keypoints: Float[np.ndarray, "17 3"]
    """`skeletons.COCO_17`: x, y in image px; probability that the joint is there."""

    @property
    def up(self) -> Float[np.ndarray, "2"]:
        """From the middle of the hips to the middle of the shoulders, px."""
        return middle(self.keypoints, "shoulder") - middle(self.keypoints, "hip")

    @property
    def sureness(self) -> float:
        """0..1: how sure it is that here is a person; the surest joint tells more of that than the
        centre, which upside-down people have as well."""
        return math.sqrt(self.score) * float(self.keypoints[:, 2].max())


@cache
def default_finder() -> PoseFinder:
    """The shipped network."""
    model = PoseFinder()
    model.load_state_dict(load_asset_state("pose_finder.safetensors"))
    return model.eval().requires_grad_(False)


def sightings_of(maps: Maps, least: float = LEAST) -> list[Sighting]:
    """Everyone in one picture's maps, best first; places in px of the network's input."""
    centre = maps.centre.sigmoid()
    height, width = centre.shape[1:]
    peak = functional.max_pool2d(centre, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2) == centre
    rows, columns = torch.nonzero((peak & (centre > least))[0], as_tuple=True)
    best = centre[0, rows, columns].argsort(descending=True, stable=True)[:MOST]
    rows, columns = rows[best], columns[best]
    cells = torch.stack((rows, columns), 1).float()

    middle = cells + maps.shift[:, rows, columns].T
    half = maps.scale[:, rows, columns].T.clamp_min(0.0) / 2.0
    low, high = middle - half, middle + half
    joints = torch.arange(len(COCO_17))
    regressed = maps.regress[:, rows, columns].T.unflatten(1, (-1, 2)) + cells[:, None]

    heat = maps.joint.sigmoid()
    y, x = torch.arange(height).float()[:, None], torch.arange(width).float()
    offsets = maps.offset.unflatten(0, (-1, 2))
    people = []
    for i, (top_left, bottom_right) in enumerate(zip(low, high, strict=True)):
        inside = (y >= top_left[0]) & (y < bottom_right[0])
        inside = inside & (x >= top_left[1]) & (x < bottom_right[1])
        expected = regressed[i, :, :, None, None]
        away = (y - expected[:, 0]) ** 2 + (x - expected[:, 1]) ** 2
        near = torch.exp(-away / (REACH * min(height, width)))
        place = (heat * near * inside).flatten(1).argmax(1)
        row, column = place // width, place % width
        found = torch.stack((row, column), 1) + offsets[joints, :, row, column]
        sure = heat[joints, row, column]
        found = torch.where(sure[:, None] > UNSEEN, found, regressed[i])
        people.append(
            Sighting(
                float(centre[0, rows[i], columns[i]]),
                STRIDE * torch.cat((top_left.flip(0), bottom_right.flip(0))).double().numpy(),
                torch.cat((STRIDE * found.flip(1), sure[:, None]), 1).double().numpy(),
            )
        )
    return people


def overlap(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.clip(sides, 0, None).prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared
    return shared / union if union > 0 else 0.0


def side_of(person: Sighting) -> float:
    """Side of a square as large as the box, px; at least 1."""
    return math.sqrt(max(float(np.prod(person.box[2:] - person.box[:2])), 1.0))


def is_same(a: Sighting, b: Sighting) -> bool:
    """Whether two sightings are of one person."""
    if overlap(a.box, b.box) > SAME:
        return True
    seen = np.minimum(a.keypoints[:, 2], b.keypoints[:, 2])
    if seen.max() < UNSEEN:
        return False
    apart = np.linalg.norm(a.keypoints[:, :2] - b.keypoints[:, :2], axis=1)
    relative = apart / (NEAR * min(side_of(a), side_of(b)))
    return float(np.average(np.exp(-(relative**2) / 2.0), weights=seen)) > SAME_JOINTS


def suppress(people: list[Sighting]) -> list[Sighting]:
    """The surest of each group of sightings of one person, surest first."""
    kept: list[Sighting] = []
    for candidate in sorted(people, key=lambda person: -person.sureness):
        if not any(is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


@torch.no_grad()
def see_people(
    image: UInt8[np.ndarray, "height width 3"],
    *,
    least: float = LEAST,
    levels: tuple[int, ...] = LEVELS,
    model: PoseFinder | None = None,
) -> list[Sighting]:
    """The people in an RGB image (0..255), surest first.

    The image is seen at several sizes, and where nobody is sure, turned by a quarter, a half and
    three quarters of a turn as well. Who leans is looked at again in a crop where they do not.
    """
    if min(image.shape[:2]) == 0:
        return []
    model = default_finder() if model is None else model
    people = [person for longer in levels for person in _look(image, longer, least, model)]
    if not any(person.sureness >= SURE for person in people):
        whole = np.array([0, 0, image.shape[1], image.shape[0]])
        for quarters in (1, 2, 3):
            people += _turned_look(image, whole, quarters * math.pi / 2, least, model)
    people = suppress(people)
    for person in people:
        angle = math.atan2(*(person.up * (1, -1)))
        if abs(angle) > LEANING:
            again = _turned_look(image, person.box, angle, least, model)
            people = people + [each for each in again if is_same(each, person)]
    return suppress(people)


def _read(pixels: np.ndarray, least: float, model: PoseFinder) -> list[Sighting]:
    """Everyone in a picture as large as the network sees it."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    return sightings_of(model(image), least)


def _look(image: np.ndarray, longer: int, least: float, model: PoseFinder) -> list[Sighting]:
    """Everyone in an image that is seen with that longer side."""
    height, width = image.shape[:2]
    scale = longer / max(height, width)
    rows, columns = (max(GRAIN, round(side * scale / GRAIN) * GRAIN) for side in (height, width))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    seen = cv2.resize(image, (columns, rows), interpolation=method)
    factor = np.array([width / columns, height / rows])
    return [
        Sighting(
            person.score,
            person.box * np.tile(factor, 2),
            np.column_stack((person.keypoints[:, :2] * factor, person.keypoints[:, 2])),
        )
        for person in _read(seen, least, model)
    ]


def _turned_look(
    image: np.ndarray, box: np.ndarray, angle: float, least: float, model: PoseFinder
) -> list[Sighting]:
    """Everyone in a turned square (radians, x towards y) about a box."""
    left, top, right, bottom = box.tolist()
    side = AROUND * max(right - left, bottom - top)
    window = square((left + right) / 2, (top + bottom) / 2, side, angle)
    seen = crop_image(image, window, LEVELS[0])

    def back(points: np.ndarray) -> np.ndarray:
        units = torch.from_numpy(points * 2.0 / LEVELS[0] - 1.0).float()
        return crop_to_image(units, window).double().numpy()

    people = []
    for person in _read(seen, least, model):
        corners = back(person.box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2))
        keypoints = np.column_stack((back(person.keypoints[:, :2]), person.keypoints[:, 2]))
        around = np.concatenate((corners.min(0), corners.max(0)))
        people.append(Sighting(person.score, around, keypoints))
    return people
