"""`exemplar doctor`: whether this installation works."""

import platform
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from rich.console import Console
from rich.markup import escape

from exemplar.assets import checked_assets
from exemplar.cli.options.doctor import DoctorCommand
from exemplar.counting import counted
from exemplar.environment import code_version, cores, device_name, machine, usable_device
from exemplar.extras import EXTRAS
from exemplar.files.reading_files import one_line
from exemplar.scene.self_test import small_fit

NEEDED = ("torch", "numpy", "numba", "opencv-python-headless", "pillow", "safetensors", "trimesh")
"""Packages whose versions are told."""


def run(command: DoctorCommand) -> None:
    """Check this installation; ValueError, in one line, if something is broken."""
    console = Console(soft_wrap=True, highlight=False)
    broken = list[str]()

    def check(name: str, look: Callable[[], str]) -> None:
        try:
            console.print(f"[green]ok[/green]      {name}: {escape(look())}")
        except Exception as error:  # whatever is wrong is what the user wants to hear
            broken.append(name)
            console.print(f"[red]broken[/red]  {name}: {escape(one_line(error))}")

    check("exemplar", lambda: f"{code_version()}, Python {platform.python_version()}")
    check("packages", _packages)
    check("machine", lambda: f"{machine()}; {counted(cores(), 'core')} used")
    check("device", lambda: device_name(usable_device(command.device)))
    check("shipped files", lambda: f"{counted(len(checked_assets()), 'file')}, all as released")
    for extra, (purpose, modules) in EXTRAS.items():
        console.print(_extra(extra, purpose, modules))
    check("a small fit", lambda: small_fit(command.device))
    if broken:
        raise ValueError(f"broken: {', '.join(broken)}")
    console.print("all is well")


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in NEEDED)


def _extra(extra: str, purpose: str, modules: tuple[str, ...]) -> str:
    """A line on what is not needed: what is there, or what would bring it."""
    hint = escape(f"pip install 'exemplar-hmr[{extra}]'")
    if any(find_spec(name) is None for name in modules):
        return f"[dim]-[/dim]       {extra} ({purpose}): not installed; {hint} adds it"
    try:
        return f"[green]ok[/green]      {extra} ({purpose}): {escape(_imported(modules))}"
    except Exception as error:  # whatever a package of others does when it is imported
        reason = escape(one_line(error))
        return f"[yellow]faulty[/yellow]  {extra} ({purpose}): {reason}; {hint} may mend it"


def _imported(modules: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {_version(import_module(name))}".strip() for name in modules)


def _version(module: object) -> str:
    return str(getattr(module, "__version__", ""))
