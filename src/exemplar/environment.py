"""Where the code runs: version and commit, the machine, its cores, the device, signals to stop.

Torch uses one thread for each of its operations here, and cores are kept busy with several people
side by side. Threads that share one operation wait for each other by spinning: beside one other
process that made a fit eight times slower, and the number of threads changed its last bits.
"""

import ctypes
import math
import os
import platform
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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


def cores() -> int:
    """How many threads are worth starting: as `OMP_NUM_THREADS` says, or else the cores that this
    process may run on, within its container's share."""
    if (asked := asked_threads()) is not None:
        return asked
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        found = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        found = min(found, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return max(found, 1)


def asked_threads() -> int | None:
    """The number in `OMP_NUM_THREADS`, or None."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else None


def settle() -> None:
    """Make this process fit people well: for programs that do little else.

    Torch's operations take one thread each, numbers near zero are zero, and freed memory is kept.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`mallopt`'s names of what it sets (malloc.h)."""

_KEPT = 1 << 30
"""Bytes of freed memory that are kept, and of a piece that is taken from them."""


def keep_freed_memory() -> bool:
    """Keep freed memory for the next large array, where the C library is glibc; whether it is.

    It gives large pieces back at once and asks for them anew, and the system clears each page
    first, which took a sixth of the time of lifting people.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _KEPT))


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch's operations take one thread each; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Take a request to terminate (as a cluster sends it) for Ctrl-C: the job ends cleanly."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def usable_device(name: str, *, float64: bool = False) -> torch.device:
    """The torch device of that name; ValueError in one line if it cannot be used.

    "auto" is CUDA, else MPS, else the CPU. MPS knows no float64, so work that needs it (`float64`)
    passes it over.
    """
    if name == "auto":
        mps = not float64 and torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        known = "expected auto, cpu, cuda, cuda:1 or mps"
        raise ValueError(f"device {name!r} cannot be used: {known}") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used: {first_line}") from error
    return device


def device_name(device: torch.device) -> str:
    """The device as a person calls it: its kind, and a CUDA card's name."""
    if device.type != "cuda":
        return str(device)
    return f"{device}, {torch.cuda.get_device_name(device)}"
