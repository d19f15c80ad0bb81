"""Where the code runs: its version and commit, the machine, and the device."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def code_version() -> str:
    """Version of the installed package; "unknown" when run from files that were never installed."""
    try:
        return version("exemplar-hmr")
    except PackageNotFoundError:
        return "unknown"


def code_commit() -> str | None:
    """Commit of the tree that tracks this file, with `+` if it has changes; None without a tree."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # an installed copy may lie in a tree that is not this project's
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> str:
    """Architecture, number of cores, and the processor's name where the system tells it."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    except OSError:
        pass
    return f"{platform.machine()}, {os.cpu_count()} cores, {name}"


def usable_device(name: str) -> torch.device:
    """The torch device of that name; ValueError in one line if it cannot be used."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used: {first_line}") from error
    return device
