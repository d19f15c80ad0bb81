"""The convolutional trunk of the mobile regressor: BlazePose's landmark networks, in torch.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020. The weights come from
Google's published `pose_landmark_full` and `pose_landmark_heavy` (Apache-2.0;
`scripts/convert_trunk.py`). What only segmentation and heatmaps need is left out, which leaves a
chain of stages: any cut crosses one tensor.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Size = Literal["full", "heavy"]

RESOLUTION = 256
"""Side of the image that the trunk takes, px."""

NUM_LANDMARKS = 39
"""The 33 of `skeletons.BLAZEPOSE_33`, then 6 that describe the crop and the hands."""

WIDTH = 288
"""Channels of the last features, in either size."""

PYRAMID_WIDTH = 48
"""Channels of the feature pyramid on its way up."""


@dataclass(frozen=True)
class Blocks:
    """Inverted residuals of one shape, in a row."""

    width: int
    """Channels that come out."""
    kernel: int
    """Side of the depthwise filters."""
    depth: int
    """How many."""
    expansion: int = 6
    """Channels between, over those that come in."""


@dataclass(frozen=True)
class TrunkSize:
    """Widths and depths of a trunk."""

    stem: int
    """Channels at half the resolution."""
    levels: dict[str, tuple[Blocks, ...]]
    """What follows, by the stage's name; the first block of each halves the resolution."""
    descent: tuple[tuple[int, int], ...]
    """Channels and `SeparableResidual`s of each step down the pyramid; empty: there is none."""
    four: int
    """`SeparableResidual`s at 4x4."""
    two: int
    """`SeparableResidual`s at 2x2."""


SIZES: dict[Size, TrunkSize] = {
    "full": TrunkSize(
        stem=16,
        levels={
            "quarter": (Blocks(24, 3, 1, expansion=4), Blocks(24, 3, 1)),
            "eighth": (Blocks(32, 5, 2),),
            "sixteenth": (Blocks(64, 3, 3), Blocks(88, 5, 3)),
            "thirty_second": (Blocks(144, 5, 4),),
        },
        descent=(),
        four=4,
        two=5,
    ),
    "heavy": TrunkSize(
        stem=24,
        levels={
            "quarter": (Blocks(32, 3, 2, expansion=4), Blocks(32, 3, 2)),
            "eighth": (Blocks(56, 5, 4),),
            "sixteenth": (Blocks(112, 3, 6), Blocks(160, 5, 6)),
            "thirty_second": (Blocks(272, 5, 8),),
        },
        descent=((96, 6), (192, 7), (WIDTH, 7)),
        four=7,
        two=7,
    ),
}
"""Google's two networks."""


class TrunkOutput(NamedTuple):
    """What the trunk says about a batch of crops."""

    landmarks: Float[Tensor, "batch 39 5"]
    """x, y, z in crop px (z towards the camera is negative), visibility and presence logits."""
    world: Float[Tensor, "batch 39 3"]
    """Metres about the middle of the hips, axes as the crop's: x right, y down, z away."""
    presence: Float[Tensor, " batch"]
    """Logit that the crop holds a person."""


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; plus the input where shapes allow (MobileNetV2)."""

    def __init__(self, inputs: int, expanded: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.expand = _conv(inputs, expanded)
        self.depthwise = _conv(expanded, expanded, kernel, stride, groups=expanded)
        self.project = _conv(expanded, outputs)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.expand(x))
        y = functional.relu6(self.depthwise(y))
        y = self.project(y)
        return x + y if self.has_skip else y


class Stem(nn.Sequential):
    """RGB to a few channels at half resolution."""

    def __init__(self, outputs: int = 16):
        super().__init__(
            _conv(3, 24, 3, stride=2), nn.ReLU6(), _conv(24, 24, 3, groups=24), nn.ReLU6(),
            _conv(24, outputs),
        )  # fmt: skip


class Middle(nn.Sequential):
    """An inverted residual without its projection."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            _conv(inputs, outputs), nn.ReLU6(),
            _conv(outputs, outputs, 3, groups=outputs), nn.ReLU6(),
        )  # fmt: skip


class Neck(nn.Sequential):
    """From the image-like half to the narrower half that gathers the whole body."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            _conv(inputs, inputs, 3, groups=inputs), nn.ReLU6(), _conv(inputs, outputs), nn.ReLU6()
        )  # fmt: skip


class SeparableResidual(nn.Module):
    """Depthwise and pointwise convolution around a skip connection."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = _conv(channels, channels, 3, groups=channels)
        self.pointwise = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(functional.relu6(self.depthwise(x)))
        return functional.relu6(x + y)


class HalvingResidual(nn.Module):
    """As `SeparableResidual`, at half the resolution; the skip connection is a 2x2 maximum."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride=2, groups=inputs)
        self.pointwise = _conv(inputs, outputs)
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        # TensorFlow's SAME padding of an even side at stride 2 is one row below, one column right.
        padded = functional.pad(x, (0, 1, 0, 1))
        y = self.pointwise(functional.relu6(self.depthwise(padded)))
        skip = functional.max_pool2d(x, 2)
        if self.added:
            skip = functional.pad(skip, (0, 0, 0, 0, 0, self.added))
        return functional.relu6(skip + y)


class Descent(nn.Module):
    """A step down the pyramid, to which the image-like features of that resolution are added."""

    def __init__(self, inputs: int, outputs: int, lateral: int, depth: int):
        super().__init__()
        self.down = _half(inputs, outputs, depth)
        self.lateral = Neck(lateral, outputs)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        return self.down(x) + self.lateral(features)


class Pyramid(nn.Module):
    """From a quarter of the resolution down to 8x8, up to a quarter again, and down.

    The way up is a feature pyramid (Lin et al. 2017, section 3), which the heatmaps are read from;
    the landmarks of the heavy network come from there too, those of the full one do not.
    """

    def __init__(
        self,
        levels: dict[str, nn.Module],
        widths: tuple[int, int, int, int],
        descent: tuple[tuple[int, int], ...],
    ):
        super().__init__()
        quarter, eighth, sixteenth, middle = widths
        self.levels = nn.ModuleDict(levels)
        self.laterals = nn.ModuleList(
            Neck(width, PYRAMID_WIDTH) for width in (middle, sixteenth, eighth, quarter)
        )
        self.descents = nn.ModuleList()
        inputs = PYRAMID_WIDTH
        for lateral, (outputs, depth) in zip((eighth, sixteenth, middle), descent, strict=True):
            self.descents.append(Descent(inputs, outputs, lateral, depth))
            inputs = outputs

    def forward(self, quarter: Tensor) -> Tensor:
        eighth = self.levels["eighth"](quarter)
        sixteenth = self.levels["sixteenth"](eighth)
        middle = self.levels["middle"](self.levels["thirty_second"](sixteenth))
        x = self.laterals[0](middle)
        for lateral, features in zip(self.laterals[1:], (sixteenth, eighth, quarter), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear") + lateral(features)
        for descent, features in zip(self.descents, (eighth, sixteenth, middle), strict=True):
            x = descent(x, features)
        return x


def _level(inputs: int, runs: tuple[Blocks, ...]) -> nn.Sequential:
    """Half the resolution: the first of the blocks has stride 2."""
    level = nn.Sequential()
    for run in runs:
        for _ in range(run.depth):
            stride = 1 if level else 2
            expanded = inputs * run.expansion
            level.append(InvertedResidual(inputs, expanded, run.width, run.kernel, stride))
            inputs = run.width
    return level


def _half(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    separable = (SeparableResidual(outputs) for _ in range(depth))
    return nn.Sequential(HalvingResidual(inputs, outputs), *separable)


def _stages(size: TrunkSize) -> nn.ModuleDict:
    widths = {name: runs[-1].width for name, runs in size.levels.items()}
    stages: dict[str, nn.Module] = {"stem": Stem(size.stem)}
    inputs = size.stem
    for name, runs in size.levels.items():
        stages[name] = _level(inputs, runs)
        inputs = widths[name]
    middle = 6 * inputs
    stages["middle"] = Middle(inputs, middle)
    if size.descent:
        # It uses the features of every level from `quarter` on, so that they are parts of it.
        levels = {
            name: stages.pop(name) for name in list(stages) if name not in ("stem", "quarter")
        }
        along = (widths["quarter"], widths["eighth"], widths["sixteenth"], middle)
        stages["pyramid"] = Pyramid(levels, along, size.descent)
    else:
        stages["neck"] = Neck(middle, WIDTH)
    stages["four"] = _half(WIDTH, WIDTH, size.four)
    stages["two"] = _half(WIDTH, WIDTH, size.two)
    return nn.ModuleDict(stages)


class TrunkHeads(nn.Module):
    """The three outputs, affine in the last features."""

    def __init__(self):
        super().__init__()
        self.landmarks = nn.Conv2d(WIDTH, NUM_LANDMARKS * 5, 2)
        self.world = nn.Conv2d(WIDTH, NUM_LANDMARKS * 3, 2)
        self.presence = nn.Conv2d(WIDTH, 1, 2)


class BlazePoseTrunk(nn.Module):
    """The whole trunk, batch normalisation folded into the convolutions.

    3.1 million parameters (`full`) or 13.7 million (`heavy`). On a CPU, batches in
    `torch.channels_last` take about a third less time.
    """

    def __init__(self, size: Size = "full"):
        super().__init__()
        self.stages = _stages(SIZES[size])
        self.heads = TrunkHeads()

    def forward(self, image: Float[Tensor, "batch 3 height width"], /) -> TrunkOutput:
        """Landmarks and presence of a batch of 256x256 crops, RGB in 0..1."""
        if image.shape[1:] != (3, RESOLUTION, RESOLUTION):
            raise ValueError(
                f"the trunk takes (batch, 3, {RESOLUTION}, {RESOLUTION}), got {tuple(image.shape)}"
            )
        x = image
        for stage in self.stages.values():
            x = stage(x)
        return TrunkOutput(
            landmarks=self.heads.landmarks(x).reshape(-1, NUM_LANDMARKS, 5),
            world=self.heads.world(x).reshape(-1, NUM_LANDMARKS, 3),
            presence=self.heads.presence(x).reshape(-1),
        )
