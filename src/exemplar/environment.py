"""Where the code runs: its version, and the device."""

from importlib.metadata import PackageNotFoundError, version

import torch


def code_version() -> str:
    """Version of the installed package; "unknown" when run from files that were never installed."""
    try:
        return version("exemplar-hmr")
    except PackageNotFoundError:
        return "unknown"


def usable_device(name: str) -> torch.device:
    """The torch device of that name; ValueError in one line if it cannot be used."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used: {first_line}") from error
    return device
