"""Regressors by name or file: safetensors with the architecture named in the metadata."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from exemplar.assets import asset_path
from exemplar.regressors.mobile import Mobile

DEFAULT_REGRESSOR = "mobile"
"""The regressor that ships with the package."""

_SHIPPED = {DEFAULT_REGRESSOR: "mobile.safetensors"}
_ARCHITECTURES = {"mobile": Mobile}


@dataclass(frozen=True)
class RegressorInfo:
    """What a checkpoint says about itself besides its weights."""

    architecture: str
    """Name of the network."""
    body: str
    """Body whose parameters it predicts."""
    learning_rate: float
    """EFT's Adam step for these weights, chosen on validation data."""
    adapt: Literal["all", "later"] = "all"
    """Which weights EFT moves, likewise: "all" or "later" (`EftConfig.adapt`)."""
    notes: str = ""
    """How it was made."""


def load_regressor(name: str | Path = DEFAULT_REGRESSOR) -> tuple[nn.Module, RegressorInfo]:
    """A regressor in eval mode, by shipped name or by checkpoint path.

    Raises FileNotFoundError if there is none; ValueError naming the missing, unexpected or
    mis-shaped tensors if the file does not fit its architecture.
    """
    if str(name) in _SHIPPED:
        with asset_path(_SHIPPED[str(name)]) as path:
            return _load(path)
    if not Path(name).is_file():
        known = ", ".join(_SHIPPED)
        raise FileNotFoundError(
            f"no regressor {str(name)!r}: expected {known} or a checkpoint file"
        )
    return _load(Path(name))


def save_regressor(module: nn.Module, info: RegressorInfo, path: Path) -> None:
    """Write a checkpoint, weights in half precision."""
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    save_file(state, path, metadata={"exemplar": json.dumps(asdict(info))})


def _load(path: Path) -> tuple[nn.Module, RegressorInfo]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors checkpoint: {error}") from error
    try:
        info = RegressorInfo(**json.loads(metadata["exemplar"]))
        module = _ARCHITECTURES[info.architecture]()
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not name a known architecture: {error}") from error
    load_strictly(module, state, str(path))
    return module.eval(), info


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict in which every tensor must be found, expected and of the right shape."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    misshaped = [
        f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    if missing or unexpected or misshaped:
        parts = (("missing", missing), ("unexpected", unexpected), ("mis-shaped", misshaped))
        found = "; ".join(f"{what}: {', '.join(keys[:5])}" for what, keys in parts if keys)
        raise ValueError(f"{source} does not fit the network: {found}")
    module.load_state_dict({key: value.to(torch.float32) for key, value in state.items()})
