"""The command line: one file a verb."""

import sys
from collections.abc import Sequence

import tyro
from rich.console import Console

from exemplar.cli import fit, lift

VERBS = {"fit": fit, "lift": lift}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb. Exits 1 with one line on bad input, 2 on wrong usage, 130 on Ctrl-C."""
    app = tyro.extras.SubcommandApp()
    for name, module in VERBS.items():
        app.command(name=name)(module.run)
    try:
        app.cli(
            prog="exemplar",
            description="3D human bodies from photos, by exemplar fine-tuning.",
            args=list(sys.argv[1:] if arguments is None else arguments),
        )
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {_escape(message)}")
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
