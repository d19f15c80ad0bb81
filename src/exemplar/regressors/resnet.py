"""ResNet-50 (He et al. 2016), as the published body regressors have it, without its classifier.

The stride of a bottleneck is on its 3x3 convolution. Tensor names are those of published files.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from exemplar.regressors.prediction import Chain

FEATURES = 2048
"""Length of the pooled features."""

_STAGES = {"layer1": (64, 3), "layer2": (128, 4), "layer3": (256, 6), "layer4": (512, 3)}
"""Width and number of bottlenecks."""

_EXPANSION = 4


class Normalise(nn.Module):
    """RGB in 0..1 to ImageNet's zero mean and unit deviation; holds nothing that is saved."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, value in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """(image - mean) / std."""
        return (image - self.mean) / self.std


class GlobalMean(nn.Module):
    """Mean over the map. Of a 7x7 or 8x6 map, the same as the published average pooling."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        """One vector a crop."""
        return x.mean((2, 3))


class StemEnd(nn.Module):
    """ReLU and 3x3 maximum at stride 2."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """A quarter of the positions."""
        return functional.max_pool2d(torch.relu(x), 3, stride=2, padding=1)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with batch norm around a skip connection."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The block's output; channels are four times its width."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet50_layers() -> dict[str, nn.Module]:
    """The backbone's modules by published name, freshly drawn (He et al. 2015, Eq. 10, fan out)."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
    }
    inputs = 64
    for name, (width, count) in _STAGES.items():
        blocks = [Bottleneck(inputs, width, 1 if name == "layer1" else 2)]
        inputs = width * _EXPANSION
        blocks += [Bottleneck(inputs, width, 1) for _ in range(count - 1)]
        layers[name] = nn.Sequential(*blocks)
    for layer in layers.values():
        for module in layer.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return layers


def resnet50_parts(network: nn.Module) -> list[nn.Module]:
    """Stem and four stages of a network that holds `resnet50_layers` and a `Normalise`.

    The first takes RGB in 0..1, the last gives the pooled features (b, 2048).
    """
    stem = {name: network.get_submodule(name) for name in ("normalise", "conv1", "bn1")}
    stages: list[dict[str, nn.Module]] = [{name: network.get_submodule(name)} for name in _STAGES]
    stages[-1]["pool"] = GlobalMean()
    return [Chain(stem | {"end": StemEnd()}), *(Chain(stage) for stage in stages)]
