"""`exemplar data convert`: the people of one file in another format."""

from dataclasses import replace

from rich.console import Console

from exemplar.cli.options.data_convert import ConvertCommand
from exemplar.counting import counted
from exemplar.data.contents import Contents
from exemplar.data.convert import Conversion, convert, target_format, write_rows
from exemplar.data.formats import chosen_reader
from exemplar.data.options import with_joints
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.store import Ledger


def run(command: ConvertCommand) -> None:
    """Write the people of an annotation file in another format."""
    console = Console(soft_wrap=True, highlight=False)
    if command.images is not None and not command.images.is_dir():
        raise FileNotFoundError(f"no folder of images at {command.images}")
    target_format(command.target, command.to)
    done = _from_job(command) if (command.source / LEDGER).is_file() else _from_file(command)
    console.print(
        f"{command.source} ({done.source}) to {command.target} ({done.target}):"
        f" {counted(done.written)}",
        markup=False,
    )
    for reason, count in done.left_out.items():
        console.print(f"left out {count:,}: {reason}", markup=False)


def _from_file(command: ConvertCommand) -> Conversion:
    contents = Contents(command.source)
    texts = with_joints(command.option, command.joints)
    name, options = chosen_reader(contents, command.format, texts, command.images)
    return convert(
        contents.path,
        command.target,
        to=command.to,
        format=name,
        images=command.images,
        options=options,
    )


def _from_job(command: ConvertCommand) -> Conversion:
    """What a lifting job has fitted so far."""
    if command.format is not None or command.option:
        raise ValueError(f"{command.source} is a lifting job: it takes no format and no options")
    with Ledger.open(command.source) as ledger:
        done = write_rows(
            ledger.truths(),
            command.target,
            to=command.to,
            images=command.images or ledger.images,
            made=ledger.meta(),
        )
    return replace(done, source="lifting job")
