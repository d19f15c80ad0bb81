"""The convolutional trunk of the mobile regressor: BlazePose's landmark network, in torch.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020. The weights come from
Google's published `pose_landmark_full` (Apache-2.0; `scripts/convert_trunk.py`). Its segmentation
and heatmap branches are left out, which leaves a chain of stages: any cut crosses one tensor.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

RESOLUTION = 256
"""Side of the image that the trunk takes, px."""

NUM_LANDMARKS = 39
"""The 33 of `skeletons.BLAZEPOSE_33`, then 6 that describe the crop and the hands."""

CUTS: dict[str, tuple[int, int, int]] = {
    "stem": (16, 128, 128),
    "quarter": (24, 64, 64),
    "eighth": (32, 32, 32),
    "sixteenth": (88, 16, 16),
    "thirty_second": (144, 8, 8),
    "middle": (864, 8, 8),
}
"""Stages after which the trunk can be split, and the shape of the one tensor that crosses.

In numbers an image: 262,144, 98,304, 32,768, 22,528, 9,216 and 55,296. Caching is cheapest after
`thirty_second` (18 kB in float16), and more than half of the parameters still come after it.
"""


class TrunkOutput(NamedTuple):
    """What the trunk says about a batch of crops."""

    landmarks: Float[Tensor, "batch 39 5"]
    """x, y, z in crop px (z towards the camera is negative), visibility and presence logits."""
    world: Float[Tensor, "batch 39 3"]
    """Metres about the middle of the hips, axes as the crop's: x right, y down, z away."""
    presence: Float[Tensor, " batch"]
    """Logit that the crop holds a person."""
    features: Float[Tensor, "batch 288 2 2"]
    """The last features, which the three outputs above are affine in."""
    features_mid: Float[Tensor, "batch 864 8 8"]
    """The last features of the network's image-like half (stage `middle`)."""


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
    """RGB to 16 channels at half resolution; also the first layers of the person detector."""

    def __init__(self):
        super().__init__(
            _conv(3, 24, 3, stride=2), nn.ReLU6(), _conv(24, 24, 3, groups=24), nn.ReLU6(),
            _conv(24, 16),
        )  # fmt: skip


class Middle(nn.Sequential):
    """An inverted residual without its projection."""

    def __init__(self):
        super().__init__(
            _conv(144, 864), nn.ReLU6(), _conv(864, 864, 3, groups=864), nn.ReLU6()
        )  # fmt: skip


class Neck(nn.Sequential):
    """From the image-like half to the narrower half that gathers the whole body."""

    def __init__(self):
        super().__init__(
            _conv(864, 864, 3, groups=864), nn.ReLU6(), _conv(864, 288), nn.ReLU6()
        )  # fmt: skip


class SeparableResidual(nn.Module):
    """Depthwise and pointwise convolution around a skip connection, 288 channels."""

    def __init__(self, channels: int = 288):
        super().__init__()
        self.depthwise = _conv(channels, channels, 3, groups=channels)
        self.pointwise = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(functional.relu6(self.depthwise(x)))
        return functional.relu6(x + y)


class HalvingResidual(nn.Module):
    """As `SeparableResidual`, at half the resolution; the skip connection is a 2x2 maximum."""

    def __init__(self, channels: int = 288):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride=2, groups=channels)
        self.pointwise = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        # TensorFlow's SAME padding of an even side at stride 2 is one row below, one column right.
        padded = functional.pad(x, (0, 1, 0, 1))
        y = self.pointwise(functional.relu6(self.depthwise(padded)))
        return functional.relu6(functional.max_pool2d(x, 2) + y)


def _stages() -> nn.ModuleDict:
    block = InvertedResidual
    return nn.ModuleDict(
        {
            "stem": Stem(),
            "quarter": nn.Sequential(block(16, 64, 24, 3, stride=2), block(24, 144, 24, 3)),
            "eighth": nn.Sequential(block(24, 144, 32, 5, stride=2), block(32, 192, 32, 5)),
            "sixteenth": nn.Sequential(
                block(32, 192, 64, 3, stride=2),
                *(block(64, 384, 64, 3) for _ in range(2)),
                block(64, 384, 88, 5),
                *(block(88, 528, 88, 5) for _ in range(2)),
            ),
            "thirty_second": nn.Sequential(
                block(88, 528, 144, 5, stride=2),
                *(block(144, 864, 144, 5) for _ in range(3)),
            ),
            "middle": Middle(),
            "neck": Neck(),
            "four": nn.Sequential(HalvingResidual(), *(SeparableResidual() for _ in range(4))),
            "two": nn.Sequential(HalvingResidual(), *(SeparableResidual() for _ in range(5))),
        }
    )


class TrunkHeads(nn.Module):
    """The three outputs, affine in the last features."""

    def __init__(self):
        super().__init__()
        self.landmarks = nn.Conv2d(288, NUM_LANDMARKS * 5, 2)
        self.world = nn.Conv2d(288, NUM_LANDMARKS * 3, 2)
        self.presence = nn.Conv2d(288, 1, 2)


class TrunkSuffix(nn.Module):
    """The stages after a cut, and the heads; parameters are named as in the whole trunk."""

    def __init__(self, stages: nn.ModuleDict, heads: TrunkHeads):
        super().__init__()
        self.stages = stages
        self.heads = heads

    def forward(self, activations: Float[Tensor, "batch channels height width"], /) -> TrunkOutput:
        """The trunk's output from the tensor that crosses the cut (`CUTS`)."""
        x = mid = activations
        for name, stage in self.stages.items():
            x = stage(x)
            if name == "middle":
                mid = x
        return TrunkOutput(
            landmarks=self.heads.landmarks(x).reshape(-1, NUM_LANDMARKS, 5),
            world=self.heads.world(x).reshape(-1, NUM_LANDMARKS, 3),
            presence=self.heads.presence(x).reshape(-1),
            features=x,
            features_mid=mid,
        )


class TrunkPrefix(nn.Module):
    """The stages up to a cut; parameters are named as in the whole trunk."""

    def __init__(self, stages: nn.ModuleDict):
        super().__init__()
        self.stages = stages

    def forward(
        self, image: Float[Tensor, "batch 3 256 256"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The tensor that crosses the cut (`CUTS`), from RGB in 0..1."""
        x = image
        for stage in self.stages.values():
            x = stage(x)
        return x


class BlazePoseTrunk(TrunkSuffix):
    """The whole trunk: 3.1 million parameters, batch normalisation folded into the convolutions.

    `trunk.stages` holds the stages in order; `split_at` separates a part to freeze and cache from
    a part to train. On a CPU, batches in `torch.channels_last` take about a third less time.
    """

    def __init__(self):
        super().__init__(_stages(), TrunkHeads())

    def forward(self, image: Float[Tensor, "batch 3 height width"], /) -> TrunkOutput:
        """Landmarks, presence and features of a batch of 256x256 crops, RGB in 0..1."""
        if image.shape[1:] != (3, RESOLUTION, RESOLUTION):
            raise ValueError(
                f"the trunk takes (batch, 3, {RESOLUTION}, {RESOLUTION}), got {tuple(image.shape)}"
            )
        return super().forward(image)

    def split_at(self, stage: str) -> tuple[TrunkPrefix, TrunkSuffix]:
        """The trunk up to and including `stage` (one of `CUTS`), and the rest.

        Both share the trunk's parameters: `suffix(prefix(image))` is `trunk(image)`. Raises
        ValueError for another stage: after `middle`, `features_mid` could no longer be given.
        """
        if stage not in CUTS:
            raise ValueError(f"cannot split at {stage!r}: expected one of {', '.join(CUTS)}")
        names = list(self.stages)
        cut = names.index(stage) + 1
        first = nn.ModuleDict({name: self.stages[name] for name in names[:cut]})
        second = nn.ModuleDict({name: self.stages[name] for name in names[cut:]})
        return TrunkPrefix(first), TrunkSuffix(second, self.heads)
