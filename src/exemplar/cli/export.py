"""`exemplar export`: fitted people as files of animation, biomechanics and 3D programs."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from exemplar.bodies import Body, load_body
from exemplar.cli.options.export import ExportCommand
from exemplar.counting import counted
from exemplar.export.targets import BRIDGED, files_of, named, target_of
from exemplar.motion import Motion
from exemplar.motion_files import motions_path, read_motions


def run(command: ExportCommand) -> None:
    """Write the people of a fitted photo or clip as files of other programs."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    source = motions_path(command.result)
    motions = read_motions(source)
    people = _chosen(motions, command.person, source)
    body = _body(motions, command.body)
    if command.output is None:
        target = named(command.to, motions, source.parent)
    else:
        target = target_of(command.to, motions, command.output)
    written = []
    for path, write in files_of(command.to, target, people, body):
        if path.resolve() == source.resolve():
            raise ValueError(f"{path} would replace what it is made from")
        write(path)
        written.append(path)
    for number, motion in people.items():
        gaps = int((~motion.seen).sum())
        if gaps:
            what = "bridged" if command.to in BRIDGED else "left out"
            console.print(f"person {number}: {gaps} of {len(motion.times)} frames {what}")
    if len(written) > 3:
        console.print(
            f"wrote {len(written)} files, {written[0]} to {written[-1].name}", markup=False
        )
    else:
        console.print("wrote " + "  ".join(str(path) for path in written), markup=False)


def _chosen(motions: Sequence[Motion], person: int | None, source: Path) -> dict[int, Motion]:
    """The people to write, by number; ValueError if there is nobody."""
    if person is not None and not 0 <= person < len(motions):
        raise ValueError(f"--person {person}: {source} has {counted(len(motions))}, counted from 0")
    people = {
        number: motion
        for number, motion in enumerate(motions)
        if motion.seen.any() and person in (None, number)
    }
    if not people:
        raise ValueError(f"{source}: nobody has a body in any frame")
    return people


def _body(motions: Sequence[Motion], chosen: str | None) -> Body:
    name = chosen or motions[0].body
    try:
        return load_body(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}: --body FILE tells where it is") from None
