"""The command line: one file a verb, and one in `options` for what the verb can be asked.

A verb's file loads torch and much else, and is imported once the verb is to run; help needs the
options alone.
"""

import os
import select
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import tyro
from rich.console import Console

import exemplar
from exemplar.cli.options.plain_help import registry
from exemplar.extras import hint_for
from exemplar.files.file_budget import LARGEST_GB, VARIABLE, largest_from_environment
from exemplar.files.reading_files import one_line

VERBS: Mapping[str, Mapping[str, str]] = {
    "fit": {"": "fit.FitCommand"},
    "view": {"": "view.ViewCommand"},
    "data": {
        "inspect": "data_inspect.InspectCommand",
        "convert": "data_convert.ConvertCommand",
        "review": "data_review.ReviewCommand",
    },
    "lift": {"": "lift.LiftCommand"},
    "synth": {"": "synth.SynthCommand"},
    "train": {"supervised": "train.SupervisedCommand", "exemplar": "train.ExemplarCommand"},
    "eval": {"": "evaluate.EvalCommand"},
    "reproduce": {"": "reproduce.ReproduceCommand"},
    "compare": {"": "compare.CompareCommand"},
    "export": {"": "export.ExportCommand"},
    "video": {"": "video.VideoCommand"},
    "views": {"": "views.ViewsCommand"},
    "doctor": {"": "doctor.DoctorCommand"},
}
"""By verb and the verb below it, if there are any: the module in this package (`run`) and in
`options`, and the class of the options."""

GROUPS = {
    "data": "What annotation files hold, and their conversion into each other.",
    "train": "Train a regressor, supervised or with an exemplar step inside.",
}
"""What the verbs are about that have others below them."""

_DESCRIPTION = (
    "3D human bodies from photos, by exemplar fine-tuning.\n\nStart with: exemplar fit --demo\n\n"
    "Every verb takes --allow-outside (read images that an annotation names outside the folder of"
    " images) and --max-file-gb N (the most that the contents of one file may take in memory,"
    f" {LARGEST_GB:g} by default). exemplar --version tells the version."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb. Exits 1 with one line on bad input, 2 on wrong usage, 130 on Ctrl-C, and 141,
    silently, when whoever reads its output has had enough of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names in files may hold what cannot be printed
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            _main(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is still to be written would be complained of once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _main(words: list[str]) -> None:
    if words == ["--version"]:
        print(f"exemplar {exemplar.__version__}")
        return
    words = _without_limits(words)
    try:
        largest_from_environment()
        module, command = _asked(words)
        _run(module, command)
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise
        message = hint_for(error) or one_line(error)
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {_escape(message)}")
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)


def _asked(words: Sequence[str]) -> tuple[str, Any]:
    """The module that does what is asked for, and what that is."""
    app, modules = tyro.extras.SubcommandApp(), dict[type, str]()
    for verb in words[:1] if words[:1] and words[0] in VERBS else VERBS:
        below = tyro.extras.SubcommandApp() if verb in GROUPS else app
        for name, place in VERBS[verb].items():
            module, _, options = place.partition(".")
            kind = getattr(import_module(f"{__name__}.options.{module}"), options)
            modules[kind] = module
            alone = list(words[:2]) == [verb, name] or (words[:1] == [verb] and not name)
            below.command(name=name or verb, help=None if alone else _first(kind))(kind)
        if below is not app:
            app.command(below, name=verb, help=GROUPS[verb])
    command = app.cli(prog="exemplar", description=_DESCRIPTION, args=words, registry=registry())
    return modules[type(command)], command


def _first(kind: type) -> str:
    """What a verb does: the first paragraph of its options' docstring."""
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _run(module: str, command: Any) -> None:
    from exemplar.environment import settle  # loads torch, longer than all of the above

    settle()
    import_module(f"{__name__}.{module}").run(command)


def _without_limits(words: Sequence[str]) -> list[str]:
    """The words without the options that all verbs share. They are set in the environment, which
    the processes that a verb starts inherit."""
    rest, given = list[str](), iter(words)
    for word in given:
        name, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *given]
        if word == "--allow-outside":
            from exemplar.files.image_files import OUTSIDE_VARIABLE

            os.environ[OUTSIDE_VARIABLE] = "1"
        elif name == "--max-file-gb":
            os.environ[VARIABLE] = value if equals else next(given, "")
        else:
            rest.append(word)
    return rest


def _nobody_reads() -> bool:
    """Whether the output goes into a pipe that nobody reads any more."""
    watched = select.poll()
    watched.register(sys.stdout, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
