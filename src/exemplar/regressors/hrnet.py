"""HRNet-W48 as an image feature: the two variants behind the published CLIFF networks.

Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", 2019, and
Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", 2020 (section
3). Both variants share everything up to the four maps of the last stage and differ in how the
maps become one vector. State-dict names are those of the published files, so these load strictly.
Weights of a new network are torch's defaults: both are meant to be loaded.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.regressors.resnet import Bottleneck

Maps: TypeAlias = tuple[Tensor, ...]
"""Feature maps (b, channels, height, width), each half the resolution of the one before."""

WIDTHS = (48, 96, 192, 384)
"""Channels of the branches at 1/4, 1/8, 1/16 and 1/32 of the image's resolution (W48)."""

STEM_CHANNELS = 256
"""Channels of the single map, at 1/4 resolution, that the branches start from."""

STRIDE = 32
"""Pixels of the image to one of the coarsest map; image sides are multiples of it."""

NUM_HEATMAPS = 24
"""Outputs of the main network's pose layer, which is stored in its files and never used."""


def _conv_unit(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a skip (He et al. 2016), channels and resolution unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The block's output."""
        y = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(y)) + x)


class Exchange(nn.Module):
    """Parallel residual branches, then every branch gets the sum of all (Wang et al. 2020, 3.2)."""

    BLOCKS = 4

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(self.BLOCKS))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange_path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: Maps) -> Maps:
        """Maps of the same shapes."""
        maps = tuple(branch(x) for branch, x in zip(self.branches, maps, strict=True))
        out = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            carried = (path(x) for path, x in zip(paths, maps, strict=True))
            out.append(torch.relu_(reduce(torch.add, carried)))
        return tuple(out)


def _exchange_path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings a branch's map to another branch's channels and resolution."""
    inputs, outputs = widths[source], widths[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_conv_unit(inputs, inputs, stride=2) for _ in range(target - source - 1)]
    conv = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
    return nn.Sequential(*steps, nn.Sequential(conv, nn.BatchNorm2d(outputs)))


class Transition(nn.ModuleList):
    """Adds a branch of half the resolution and brings the others to their widths."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        kept = [
            nn.Identity() if before == after else _conv_unit(before, after)
            for before, after in zip(inputs, outputs, strict=False)
        ]
        added = nn.Sequential(_conv_unit(inputs[-1], outputs[-1], stride=2))
        super().__init__([*kept, added])

    def forward(self, maps: Maps) -> Maps:
        """One map more than came in, the new one made from the coarsest."""
        return tuple(step(x) for step, x in zip(self, (*maps, maps[-1]), strict=True))


class Piece(nn.Module):
    """A part of a network that shares some of its modules, under the names they have there."""

    NAMES: tuple[str, ...]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name in self.NAMES:
            self.add_module(name, network.get_submodule(name))


class Stem(Piece):
    """Image to the one map, at 1/4 resolution, that the branches start from."""

    NAMES = ("conv1", "bn1", "conv2", "bn2", "layer1")
    conv1: nn.Module
    bn1: nn.Module
    conv2: nn.Module
    bn2: nn.Module
    layer1: nn.Module

    def forward(self, image: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b 256 h w"]:
        """The map. Raises ValueError for sides that are no multiples of 32."""
        height, width = image.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"image sides must be multiples of {STRIDE}, got {height}x{width}")
        x = torch.relu_(self.bn1(self.conv1(image)))
        x = torch.relu_(self.bn2(self.conv2(x)))
        return self.layer1(x)


class Stage2(Piece):
    """From the stem's map to two."""

    NAMES = ("transition1", "stage2")
    transition1: nn.Module
    stage2: nn.Module

    def forward(self, x: Float[Tensor, "b 256 h w"]) -> Maps:
        """Two maps."""
        return self.stage2(self.transition1((x,)))


class Stage3(Piece):
    """From two maps to three."""

    NAMES = ("transition2", "stage3")
    transition2: nn.Module
    stage3: nn.Module

    def forward(self, maps: Maps) -> Maps:
        """Three maps."""
        return self.stage3(self.transition2(maps))


class Stage4(Piece):
    """From three maps to the feature; how four maps become one vector is the variant's."""

    NAMES = ("transition3", "stage4")
    transition3: nn.Module
    stage4: nn.Module

    def forward(self, maps: Maps) -> Float[Tensor, "b features"]:
        """One vector an image."""
        return self.pool(self.stage4(self.transition3(maps)))

    def pool(self, maps: Maps) -> Float[Tensor, "b features"]:
        """Four maps to a vector."""
        raise NotImplementedError


class PooledMaps(Stage4):
    """Means of all maps, the finer ones first brought to the coarsest one's resolution."""

    SHRINKS = ("downsample_stage_1", "downsample_stage_2", "downsample_stage_3")
    NAMES = (*Stage4.NAMES, *SHRINKS)

    def pool(self, maps: Maps) -> Float[Tensor, "b features"]:
        """The means, finest map first."""
        *finer, coarsest = maps
        shrinks = [self.get_submodule(name) for name in self.SHRINKS]
        small = [shrink(x) for shrink, x in zip(shrinks, finer, strict=True)]
        return torch.cat([x.mean((2, 3)) for x in (*small, coarsest)], dim=1)


class Cascade(Stage4):
    """Widened maps, added from the finest to the coarsest, widened once more and pooled."""

    NAMES = (*Stage4.NAMES, "incre_modules", "downsamp_modules", "final_layer")
    incre_modules: nn.ModuleList
    downsamp_modules: nn.ModuleList
    final_layer: nn.Module

    def pool(self, maps: Maps) -> Float[Tensor, "b features"]:
        """The mean of the last layer's map."""
        total, *coarser = (widen(x) for widen, x in zip(self.incre_modules, maps, strict=True))
        for shrink, x in zip(self.downsamp_modules, coarser, strict=True):
            total = shrink(total) + x
        return self.final_layer(total).mean((2, 3))


class HRNet(nn.Module):
    """What both variants share: the image to four maps. A variant adds `LAST`."""

    LAST: type[Stage4]
    """The last stage and what makes a vector of its maps."""
    features: int
    """Length of the feature."""

    def __init__(self) -> None:
        super().__init__()
        two, three = WIDTHS[:2], WIDTHS[:3]
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(
            Bottleneck(64, 64, 1), *(Bottleneck(STEM_CHANNELS, 64, 1) for _ in range(3))
        )
        self.transition1 = Transition((STEM_CHANNELS,), two)
        self.stage2 = nn.Sequential(Exchange(two))
        self.transition2 = Transition(two, three)
        self.stage3 = nn.Sequential(*(Exchange(three) for _ in range(4)))
        self.transition3 = Transition(three, WIDTHS)
        self.stage4 = nn.Sequential(*(Exchange(WIDTHS) for _ in range(3)))

    def parts(self) -> list[nn.Module]:
        """Stem and three stages; folding over them is `forward`.

        Image to a map, to two maps, to three, to the feature. Tensors are shared and keep their
        names.
        """
        return [Stem(self), Stage2(self), Stage3(self), self.LAST(self)]

    def forward(self, image: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b features"]:
        """One vector an image; RGB in ImageNet statistics, sides multiples of 32."""
        x = image
        for part in self.parts():
            x = part(x)
        return x


class HRNetMain(HRNet):
    """The pose network whose four maps, shrunk to the coarsest one's size, are pooled side by side.

    As in PARE (Kocabas et al. 2021); the adapted network of the dual-network authors.
    """

    LAST = PooledMaps
    features = sum(WIDTHS)

    def __init__(self) -> None:
        super().__init__()
        # Unused, but the published files hold it.
        self.final_layer = nn.Conv2d(WIDTHS[0], NUM_HEATMAPS, 1)
        self.downsample_stage_1 = _shrink(WIDTHS[0], 3)
        self.downsample_stage_2 = _shrink(WIDTHS[1], 2)
        self.downsample_stage_3 = _shrink(WIDTHS[2], 1)


def _shrink(channels: int, halvings: int) -> nn.Sequential:
    units = (_conv_unit(channels, channels, stride=2) for _ in range(halvings))
    return nn.Sequential(*(layer for unit in units for layer in unit))


class HRNetAux(HRNet):
    """The classification network (Wang et al. 2020, HRNetV2's head), as CLIFF released it.

    The auxiliary network of the dual-network authors starts from that release.
    """

    LAST = Cascade
    features = 2048

    WIDENED = (128, 256, 512, 1024)
    """Channels of the four maps before they are added up."""

    def __init__(self) -> None:
        super().__init__()
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(before, after // 4, 1))
            for before, after in zip(WIDTHS, self.WIDENED, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            _conv_unit(finer, coarser, stride=2, bias=True)
            for finer, coarser in pairwise(self.WIDENED)
        )
        self.final_layer = _conv_unit(self.WIDENED[-1], self.features, kernel=1, bias=True)
