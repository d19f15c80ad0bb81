"""Files that ship with the package; NOTICE names the source of each."""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


def asset_path(name: str) -> AbstractContextManager[Path]:
    """A context manager giving the path of a shipped file; FileNotFoundError if it is missing."""
    resource = files(__name__) / name
    if not resource.is_file():
        raise FileNotFoundError(f"the package lacks its file assets/{name}: reinstall exemplar-hmr")
    return as_file(resource)


def load_asset_state(name: str) -> dict[str, Tensor]:
    """A shipped state dict, half precision widened to float32."""
    with asset_path(name) as path:
        state = load_file(path)
    return {
        key: value.float() if value.dtype == torch.float16 else value
        for key, value in state.items()
    }
