"""Torch checkpoints as the authors of SPIN, EFT, CLIFF and the dual networks publish them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import one_line
from exemplar.files.tensor_files import read_tensors

SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".tar", ".bin"})
"""File names (in small letters) that are taken for torch checkpoints."""

Part = Literal["main", "aux"]
"""The dual-network authors' files hold two networks: the one to fit, and its teacher."""

_AUX = "model_aux"
"""Key of the dual-network authors' teacher."""

_USUAL = ("model", "state_dict", "model_state_dict", "net")
"""Keys of weights that are preferred where several would do."""

_DEPTH = 3
"""Dicts in dicts that are looked into."""

START = {"init_pose": "pose", "init_shape": "shape", "init_cam": "cam"}
"""The head's start, and its names in `smpl_mean_params.npz`."""

COUNTER = "num_batches_tracked"
"""Counts batches in training; files of old programs lack it and nothing here reads it."""


@dataclass(frozen=True)
class PublishedFile:
    """The networks of a checkpoint."""

    states: dict[str, dict[str, Tensor]]
    """Every dict with tensors in it, by where it lies in the file; the likeliest first."""
    dual: bool
    """Whether the file holds a main and an auxiliary network."""


@dataclass(frozen=True)
class Faults:
    """What of a state dict does not fit a network; as text, one line, empty if it fits."""

    missing: list[str]
    """Names that the network needs and the state dict lacks."""
    unexpected: list[str]
    """Names that the network does not have."""
    misshaped: list[str]
    """Names whose tensor has another shape, with both shapes."""

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshaped)

    def __str__(self) -> str:
        parts = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("mis-shaped", self.misshaped),
        )
        return "; ".join(f"{what}: {some(names)}" for what, names in parts if names)


def some(names: Sequence[str]) -> str:
    """The first few names, in one line."""
    return one_line(", ".join(names[:5])) + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )


def faults(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Faults:
    """Names and shapes of a state dict beside those of a network; counters may be lacking."""
    return Faults(
        [name for name in wanted if name not in state and not name.endswith(COUNTER)],
        [name for name in state if name not in wanted],
        [
            f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in state and state[name].shape != tensor.shape
        ],
    )


def own_names(
    state: Mapping[str, Tensor], wanted: Iterable[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict under the network's own names, and what does not belong to its modules.

    A name begins at the first of its parts that is one of the network's modules, so that
    `module.backbone.layer1.0.bn1.bias` is `layer1.0.bn1.bias` unless the network has a `backbone`.
    Of two tensors that come to the same name the second keeps its own.
    """
    modules = {name.partition(".")[0] for name in wanted}
    found: dict[str, Tensor] = {}
    others = []
    for key, tensor in state.items():
        parts = key.split(".")
        begin = next((i for i, part in enumerate(parts) if part in modules), None)
        if begin is None:
            others.append(key)
            continue
        name = ".".join(parts[begin:])
        found[key if name in found else name] = tensor
    return found, others


def read_published(path: Path, part: Part = "main") -> PublishedFile:
    """The state dicts of a torch checkpoint, read without running any code from it.

    They may lie alone or in dicts (`model`, `state_dict`, ...), beside anything else; the `aux`
    part is what lies under `model_aux`. ValueError, one line, if the file is damaged or holds none.
    """
    content = _load(path)
    dual = isinstance(content, dict) and _AUX in content
    if part == "aux" and not dual:
        raise ValueError(f"{path} holds no auxiliary network: expected a key {_AUX}")
    if dual:
        content = (
            content[_AUX]
            if part == "aux"
            else {key: value for key, value in content.items() if key != _AUX}
        )
    states = dict(_state_dicts(content, "", set()))
    if not states:
        named = isinstance(content, dict) and bool(content)
        got = f"the keys {some([*map(str, content)])}" if named else "something else"
        raise ValueError(
            f"{path} holds no state dict: expected tensors by name (network.state_dict()), alone or"
            f" under a key such as {', '.join(_USUAL)}, got {got}"
        )
    return PublishedFile(states, dual)


def _load(path: Path) -> Any:
    """What a torch file holds; objects beside tensors and plain data are passed over."""
    try:
        return read_tensors(path, repeated=True, others=True)
    except ValueError as error:
        raise ValueError(
            f"{error}; if you trust it, read it with torch.load(weights_only=False) and save its"
            f" state dict alone"
        ) from error


def _state_dicts(
    content: Any, place: str, seen: set[int]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Dicts with tensors under text keys, by where they are."""
    if not isinstance(content, dict) or id(content) in seen or place.count("/") >= _DEPTH:
        return
    seen.add(id(content))
    tensors = {key: _tensor(value) for key, value in content.items() if isinstance(key, str)}
    state = {key: value for key, value in tensors.items() if value is not None}
    if state:
        yield place, state
    for key in sorted(content, key=lambda key: key not in _USUAL):
        yield from _state_dicts(content[key], f"{place}/{key}" if place else str(key), seen)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    return value if isinstance(value, Tensor) else None


def with_start(
    state: Mapping[str, Tensor], mean_params: str | Path | None, source: str
) -> dict[str, Tensor]:
    """The state dict with the head's start, which some files lack, from `smpl_mean_params.npz`.

    ValueError if it is lacking and no such file is given, or the file is something else.
    """
    lacking = [name for name in START if name not in state]
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
    arrays = read_npz(path, START.values())
    lacking = [key for key in START.values() if key not in arrays]
    wrong = [key for key, array in arrays.items() if array.dtype.kind not in "fiu"]
    if lacking or wrong:
        wanted = ", ".join(START.values())
        raise ValueError(
            f"{path} is no .npz file with {wanted}: it lacks numbers {', '.join(lacking + wrong)}"
        )
    arrays = {name: arrays[key].astype(np.float32) for name, key in START.items()}
    return {name: torch.from_numpy(array).reshape(1, -1) for name, array in arrays.items()}
