"""Torch checkpoints as the authors of SPIN, EFT, CLIFF and the dual networks publish them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from exemplar.npy_files import read_npz
from exemplar.tensor_files import read_tensors

SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".tar"})
"""File names that are taken for torch checkpoints."""

Part = Literal["main", "aux"]
"""The dual-network authors' files hold two networks: the one to fit, and its teacher."""

_PARTS: Mapping[Part, tuple[str, ...]] = {"main": ("model", "state_dict"), "aux": ("model_aux",)}

_START = {"init_pose": "pose", "init_shape": "shape", "init_cam": "cam"}
"""The head's start, and its names in `smpl_mean_params.npz`."""


@dataclass(frozen=True)
class PublishedFile:
    """One network of a checkpoint."""

    state: dict[str, Tensor]
    """Weights and buffers, under names without the prefixes that programs put before them."""
    dual: bool
    """Whether the file holds a main and an auxiliary network."""


def read_published(path: Path, part: Part = "main") -> PublishedFile:
    """One network of a torch checkpoint, read without running any code from it.

    The file is a dict with `model` or `state_dict` (and `model_aux`), or a bare state dict.
    ValueError, one line, if it is damaged, needs more than tensors, or holds no such network.
    """
    try:
        content = read_tensors(path, repeated=True)
    except ValueError as error:
        raise ValueError(
            f"{error}; if you trust it, read it with torch.load(weights_only=False) and save its"
            f" state dict alone"
        ) from error
    state = _network(content, part, path)
    return PublishedFile(without_prefixes(state), "model_aux" in content)


def _network(content: Any, part: Part, path: Path) -> dict[str, Tensor]:
    keys = list(content) if isinstance(content, dict) else []
    for key in _PARTS[part]:
        if key in keys:
            content = content[key]
            break
    else:
        if part == "aux":
            raise ValueError(f"{path} holds no auxiliary network: expected a key model_aux")
    if not (
        isinstance(content, dict)
        and content
        and all(isinstance(value, Tensor) for value in content.values())
    ):
        got = f"the keys {', '.join(map(str, keys[:5]))}" if keys else type(content).__name__
        raise ValueError(
            f"{path} holds no state dict: expected one under model or state_dict, or alone, got"
            f" {got}"
        )
    return {str(key): value for key, value in content.items()}


def without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under the network's own names.

    `module.` is DataParallel's. `encoder.` and `backbone.` are part of the names on HRNet, and are
    put before a ResNet by some programs.
    """
    names = {key: key.removeprefix("module.") for key in state}
    if not any(name.startswith(("encoder.stage", "backbone.stage")) for name in names.values()):
        names = {
            key: name.removeprefix("encoder.").removeprefix("backbone.")
            for key, name in names.items()
        }
    return {name: state[key] for key, name in names.items()}


def with_start(
    state: Mapping[str, Tensor], mean_params: str | Path | None, source: str
) -> dict[str, Tensor]:
    """The state dict with the head's start, which some files lack, from `smpl_mean_params.npz`.

    ValueError if it is lacking and no such file is given, or the file is something else.
    """
    lacking = [name for name in _START if name not in state]
    if not lacking:
        return dict(state)
    if mean_params is None:
        raise ValueError(
            f"{source} lacks {', '.join(lacking)}: pass mean_params= the path of"
            f" smpl_mean_params.npz"
        )
    means = read_mean_params(Path(mean_params))
    return {**state, **{name: means[name] for name in lacking}}


def read_mean_params(path: Path) -> dict[str, Tensor]:
    """The head's start (`init_pose`, `init_shape`, `init_cam`) from `smpl_mean_params.npz`.

    FileNotFoundError if there is no such file; ValueError if it is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no mean parameters at {path}")
    arrays = read_npz(path, _START.values())
    lacking = [key for key in _START.values() if key not in arrays]
    wrong = [key for key, array in arrays.items() if array.dtype.kind not in "fiu"]
    if lacking or wrong:
        wanted = ", ".join(_START.values())
        raise ValueError(
            f"{path} is no .npz file with {wanted}: it lacks numbers {', '.join(lacking + wrong)}"
        )
    arrays = {name: arrays[key].astype(np.float32) for name, key in _START.items()}
    return {name: torch.from_numpy(array).reshape(1, -1) for name, array in arrays.items()}
