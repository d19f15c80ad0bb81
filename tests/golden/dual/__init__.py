"""The dual-network authors' golden numbers and their inputs (see ../README.md)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exemplar.geometry.crops import Box
from tests.golden.dual import fixture
from tests.golden.eft import Reference, body

__all__ = ["batch", "body", "box", "hrnet_state", "image", "raw_batch", "reference", "resnet_state"]


@cache
def reference() -> Reference:
    """The numbers of the authors' program."""
    return Reference(Path(__file__).parent / "dual_reference.npz")


@cache
def raw_batch() -> dict[str, np.ndarray]:
    """The four annotated people, under the program's own names (fixture.batch)."""
    return fixture.batch(4)


def batch() -> dict[str, Tensor]:
    """`raw_batch` as tensors. `keypoints` are crop px (192 x 256), `keypoints_full` image px."""
    return {name: torch.from_numpy(value) for name, value in raw_batch().items()}


def image() -> Tensor:
    """The crops (4, 3, 256, 192) as RGB in 0..1, before ImageNet's mean and deviation.

    The fixture makes normalised images outright, so these values may leave 0..1.
    """
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    return batch()["img"] * std + mean


def box() -> Box:
    """Where the crops lie in their images, with the images' cameras."""
    people = batch()
    return Box(
        people["center"],
        200 * people["scale"].float(),
        torch.zeros(4),
        people["focal_length"].float(),
        torch.stack((people["img_w"], people["img_h"]), dim=1) / 2,
    )


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


@cache
def resnet_state(network: str, part: str) -> dict[str, Tensor]:
    """State dict of "hmr" or "cliff" on ResNet-50, "main" or "aux", as in published files."""
    return _tensors(fixture.fill_state(fixture.resnet_shapes(network == "cliff"), part))


def hrnet_state(part: str) -> dict[str, Tensor]:
    """State dict of CLIFF on HRNet-W48, "main" or "aux"; not kept, it is large."""
    key = {"main": "keys/hrnet_cliff_meta", "aux": "keys/hrnet_cliff_aux"}[part]
    shapes = json.loads(str(reference().array(key)))
    return _tensors(fixture.fill_state(shapes, part))
