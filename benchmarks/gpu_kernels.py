"""A device's ceilings, and the alternatives for what fits spend their time on.

python -m benchmarks.gpu_kernels --device cuda --output benchmarks/results/gpu_kernels.json

- bandwidth of a large copy (bytes read and written), and the rate of a large matrix product;
- ResNet-50's 3x3 convolutions with own weights for each person, forward and backward: grouped,
  unfolded, and both with inputs that lie channels last;
- Adam on the weights of many people: one kernel call for all, and one a person;
- the frozen trunk of a shipped network on crops that lie channels first, and last.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor, nn
from torch.func import vmap

from benchmarks.common import write_results
from benchmarks.fit_speed import timed
from benchmarks.fit_sweep import Numbers, products
from exemplar.environment import usable_device
from exemplar.fitting.updates import Adam, step_each_in_place
from exemplar.fitting.weights import Convolutions, Products, parts_of
from exemplar.regressors.checkpoints import load_regressor

SHAPES = (
    (3, 64, 7, 2, 224, 1),
    (64, 64, 3, 1, 56, 3),
    (128, 128, 3, 2, 56, 1),
    (128, 128, 3, 1, 28, 3),
    (256, 256, 3, 2, 28, 1),
    (256, 256, 3, 1, 14, 5),
    (512, 512, 3, 2, 14, 1),
    (512, 512, 3, 1, 7, 2),
)
"""ResNet-50's convolutions that are not pointwise: channels in and out, kernel, stride, side of the
input, and how often."""

LAYERS = ((1024, 1024), (512, 512, 3, 3), (2048, 512, 1, 1), (512, 2048, 1, 1))
"""Weights for Adam: a quarter of ResNet-50's."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    people: int = 64
    """Side by side."""
    shrink: int = 1
    """Everything large is so many times smaller: for a try."""
    trunk: str = "large"
    """Regressor whose frozen trunk is timed."""
    rounds: int = 5
    """Runs of each after two to warm up; the median counts."""
    precisions: tuple[Numbers, ...] = ("float32", "tf32", "bfloat16")
    """Numbers of the products."""
    device: str = "auto"
    """Torch device."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Measure, write after each part."""
    device = usable_device(config.device)
    config = replace(config, device=str(device))
    results: dict[str, Any] = {}

    def seconds(function: Callable[[], Any]) -> float:
        spent = [timed(function, device)[0] for _ in range(2 + config.rounds)]
        return statistics.median(spent[2:])

    def add(part: str, found: dict[str, Any]) -> None:
        results[part] = found
        print(part, {key: f"{value:.4g}" for key, value in found.items()})
        write_results(config.output, config, results)

    source = torch.rand(2**28 // config.shrink**2, device=device)
    target = torch.empty_like(source)
    copied = seconds(lambda: target.copy_(source))
    add("copy", {"gigabytes_per_second": 2 * source.nbytes / copied / 1e9})
    side = 8192 // config.shrink
    rates = {}
    for numbers in config.precisions:
        kind = torch.bfloat16 if numbers == "bfloat16" else torch.float32
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        with products(numbers):
            rates[numbers] = 2 * side**3 / seconds(lambda a=a, b=b: a @ b) / 1e12
    add("product_teraflops", rates)
    for numbers in config.precisions:
        add(f"own_convolutions_{numbers}", convolutions(config, device, numbers, seconds))
    add("adam", adam(config, device, seconds))
    trunk = parts_of(load_regressor(config.trunk)[0].to(device))[0]
    for numbers in config.precisions:
        crops = torch.rand(max(1, 32 // config.shrink), 3, 256, 256, device=device)
        add(f"trunk_seconds_a_crop_{numbers}", trunk_seconds(trunk, crops, numbers, seconds))


def convolutions(
    config: Config, device: torch.device, numbers: Numbers, seconds: Callable[..., float]
) -> dict[str, float]:
    """Seconds of ResNet-50's convolutions with own weights for everybody, by way."""
    found: dict[str, float] = {}
    ways: tuple[Convolutions, ...] = ("grouped", "unfold")
    for way in ways:
        for layout in ("", ", channels last"):
            found[way + layout] = 0.0
            for inside, out, kernel, stride, size, often in SHAPES:
                size = max(kernel, size // config.shrink)
                x = torch.randn(config.people, 1, inside, size, size, device=device)
                if layout:
                    x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)[:, None]
                weight = torch.randn(config.people, out, inside, kernel, kernel, device=device)
                run = own_convolution(x, weight, stride, way, numbers)
                with products(numbers):
                    found[way + layout] += often * seconds(run)
    return found


def own_convolution(
    x: Tensor, weight: Tensor, stride: int, way: Convolutions, numbers: Numbers
) -> Callable[[], None]:
    """Forward and backward of a convolution of x (people, b, ...) with weights (people, ...)."""
    rounded = "bfloat16" if numbers == "bfloat16" else "float32"
    x, weight = x.requires_grad_(), weight.requires_grad_()
    padding = weight.shape[-1] // 2

    def one(x: Tensor, weight: Tensor) -> Tensor:
        with Products(pointwise=True, unfolded=way == "unfold", precision=rounded):
            strides, paddings = (stride, stride), (padding, padding)
            return nn.functional.conv2d(x, weight, None, strides, paddings, (1, 1), 1)

    def run() -> None:
        torch.autograd.grad(vmap(one)(x, weight).sum(), (x, weight))

    return run


def adam(config: Config, device: torch.device, seconds: Callable[..., float]) -> dict[str, float]:
    """Seconds of a step on everybody's weights: one call, and one a person; and its bandwidth."""
    shapes = [tuple(max(1, n // config.shrink) for n in shape) for shape in LAYERS]
    whole = {
        str(i): torch.randn(config.people, *shape, device=device) for i, shape in enumerate(shapes)
    }
    slopes = {name: torch.randn_like(value) for name, value in whole.items()}
    update = Adam(1e-6)
    own = [{n: p[i : i + 1] for n, p in whole.items()} for i in range(config.people)]
    own_slopes = [{n: g[i : i + 1] for n, g in slopes.items()} for i in range(config.people)]
    states = [update.init(each) for each in own]
    state = update.init(whole)
    each = seconds(lambda: [update.step_in_place(*x) for x in zip(own, own_slopes, states)])  # noqa: B905
    together = seconds(lambda: step_each_in_place(update, own, own_slopes, states))
    stacked = seconds(lambda: update.step_in_place(whole, slopes, state))
    moved = 7 * sum(value.nbytes for value in whole.values())
    return {
        "a call each": each,
        "one call, own states": together,
        "one call, stacked": stacked,
        "stacked, gigabytes per second": moved / stacked / 1e9,
    }


def trunk_seconds(
    trunk: nn.Module, crops: Tensor, numbers: Numbers, seconds: Callable[..., float]
) -> dict[str, float]:
    """Seconds a crop of the frozen trunk, by layout."""
    found = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        own = crops.contiguous(memory_format=layout)
        trunk.to(memory_format=layout)
        rough = torch.autocast(crops.device.type, torch.bfloat16, enabled=numbers == "bfloat16")
        with torch.no_grad(), products(numbers), rough:
            found[str(layout).removeprefix("torch.")] = seconds(lambda x=own: trunk(x)) / len(crops)
    return found


if __name__ == "__main__":
    main(tyro.cli(Config))
