"""Files that ship with the package; NOTICE names the source of each."""

import hashlib
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

SUMS = "SHA256SUMS"
"""Checksums of the shipped files: `sha256sum *.[jmns]* > SHA256SUMS` there."""


def asset_path(name: str) -> AbstractContextManager[Path]:
    """A context manager giving the path of a shipped file; FileNotFoundError if it is missing."""
    resource = files(__name__) / name
    if not resource.is_file():
        raise FileNotFoundError(f"the package lacks its file assets/{name}: reinstall exemplar-hmr")
    return as_file(resource)


def checked_assets() -> list[str]:
    """Names of the shipped files, each as `SHA256SUMS` has it; ValueError names one that is not."""
    names = list[str]()
    for line in (files(__name__) / SUMS).read_text().splitlines():
        expected, name = line.split()
        with asset_path(name) as path:
            if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise ValueError(f"assets/{name} is not the released file: reinstall exemplar-hmr")
        names.append(name)
    return names


def load_asset_state(name: str) -> dict[str, Tensor]:
    """A shipped state dict, half precision widened to float32."""
    with asset_path(name) as path:
        state = load_file(path)
    return {
        key: value.float() if value.dtype == torch.float16 else value
        for key, value in state.items()
    }
