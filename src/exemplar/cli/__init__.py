"""The command line: one file a verb."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import torch
import tyro
from rich.console import Console

from exemplar.file_budget import LARGEST_GB, VARIABLE, largest_from_environment
from exemplar.image_files import OUTSIDE_VARIABLE
from exemplar.reading_files import one_line

VERBS = {
    "fit": "fit",
    "data": "data",
    "lift": "lift",
    "synth": "synth",
    "train": "train",
    "eval": "evaluate",
    "reproduce": "reproduce",
    "compare": "compare",
    "export": "export",
    "video": "video",
}
"""Modules of this package, by verb."""


_DESCRIPTION = (
    "3D human bodies from photos, by exemplar fine-tuning.\n\nEvery verb takes --allow-outside"
    " (read images that an annotation names outside the folder of images) and --max-file-gb N (the"
    f" most that the contents of one file may take in memory, {LARGEST_GB:g} by default)."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb. Exits 1 with one line on bad input, 2 on wrong usage, 130 on Ctrl-C."""
    torch.set_num_threads(1)  # `environment` says why
    words = list(sys.argv[1:] if arguments is None else arguments)
    words = _without_limits(words)
    app = tyro.extras.SubcommandApp()
    # importing all of them takes seconds
    for name in words[:1] if words[:1] and words[0] in VERBS else VERBS:
        _add(app, name, import_module(f"{__name__}.{VERBS[name]}"))
    try:
        largest_from_environment()
        app.cli(
            prog="exemplar",
            description=_DESCRIPTION,
            args=words,
        )
    except (ValueError, OSError, ImportError) as error:
        message = one_line(error)
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {_escape(message)}")
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)


def _without_limits(words: Sequence[str]) -> list[str]:
    """The words without the options that all verbs share. They are set in the environment, which
    the processes that a verb starts inherit."""
    rest, given = list[str](), iter(words)
    for word in given:
        name, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *given]
        if word == "--allow-outside":
            os.environ[OUTSIDE_VARIABLE] = "1"
        elif name == "--max-file-gb":
            os.environ[VARIABLE] = value if equals else next(given, "")
        else:
            rest.append(word)
    return rest


def _add(app: tyro.extras.SubcommandApp, name: str, module: ModuleType) -> None:
    """A verb, or one with the verbs of its module's `VERBS` below it."""
    if not hasattr(module, "VERBS"):
        app.command(name=name)(module.run)
        return
    below = tyro.extras.SubcommandApp()
    for verb, run in module.VERBS.items():
        below.command(name=verb)(run)
    title = (module.__doc__ or "").partition(": ")[2].strip()
    app.command(below, name=name, help=title[:1].upper() + title[1:])


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
