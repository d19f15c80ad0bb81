"""`exemplar export`: fitted people as files of animation, biomechanics and 3D programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from rich.console import Console

from exemplar.bodies import Body, load_body
from exemplar.cli.options.export import ExportCommand, Target
from exemplar.counting import counted
from exemplar.export import (
    write_amass,
    write_bvh,
    write_csv,
    write_mesh,
    write_motion_glb,
    write_trc,
)
from exemplar.motion import Motion, y_up
from exemplar.motion_files import motions_path, read_motions

_OF_ALL: Mapping[str, Callable[[Mapping[int, Motion], Body, Path], None]] = {
    "glb": write_motion_glb,
    "csv": write_csv,
}
"""Formats of which one file has everybody."""

_OF_ONE: Mapping[str, Callable[[Motion, Body, Path], None]] = {
    "bvh": write_bvh,
    "trc": write_trc,
    "amass": write_amass,
}
"""Formats of a file for each person; the others have one for each frame, too."""

_SUFFIXES = {name: f".{name}" for name in get_args(Target)} | {"amass": ".npz"}

_BRIDGED = ("bvh", "amass", "glb")
"""Formats without gaps."""


def run(command: ExportCommand) -> None:
    """Write the people of a fitted photo or clip as files of other programs."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    source = motions_path(command.result)
    motions = read_motions(source)
    people = _chosen(motions, command.person, source)
    body = _body(motions, command.body)
    target = _target(command, source, motions)
    written = []
    for path, write in _files(command.to, target, people, body):
        if path.resolve() == source.resolve():
            raise ValueError(f"{path} would replace what it is made from")
        write(path)
        written.append(path)
    for number, motion in people.items():
        gaps = int((~motion.seen).sum())
        if gaps:
            what = "bridged" if command.to in _BRIDGED else "left out"
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


def _target(command: ExportCommand, source: Path, motions: Sequence[Motion]) -> Path:
    """The file that is written, before people's and frames' numbers."""
    suffix = _SUFFIXES[command.to]
    output = command.output
    if output is None:
        return _named(command.to, motions, source.parent)
    if output.suffix.lower() == suffix and not output.is_dir():
        return output
    if output.suffix and not output.is_dir():
        raise ValueError(f"{output}: expected a folder, or a file with the ending {suffix}")
    return _named(command.to, motions, output, series=False)


def _files(
    to: Target, target: Path, people: Mapping[int, Motion], body: Body
) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """The files to write, and what writes each."""
    if to in _OF_ALL:
        yield target, partial(_OF_ALL[to], people, body)
        return
    for number, motion in people.items():
        of_person = target if len(people) == 1 else _numbered(target, f"person{number}")
        if to in _OF_ONE:
            yield of_person, partial(_OF_ONE[to], motion, body)
            continue
        upright = y_up(motion, body)
        for row in motion.seen.nonzero()[0].tolist():
            path = of_person if len(motion.times) == 1 else _numbered(of_person, f"{row:06d}")
            yield path, partial(write_mesh, upright, body, row)


def write_motions_as(to: Target, motions: Sequence[Motion], body: Body, folder: Path) -> list[Path]:
    """Write a clip's people into a folder as `exemplar export` does; the files written."""
    people = {number: motion for number, motion in enumerate(motions) if motion.seen.any()}
    target = _named(to, motions, folder)
    written = []
    for path, write in _files(to, target, people, body):
        write(path)
        written.append(path)
    return written


def _named(to: Target, motions: Sequence[Motion], folder: Path, *, series: bool = True) -> Path:
    """The file in a folder, before people's and frames' numbers."""
    still = len(motions[0].times) == 1
    stem = ("body" if still else "motion") + ("_amass" if to == "amass" else "")
    in_own = series and to in ("obj", "ply") and not still
    return (folder / to if in_own else folder) / f"{stem}{_SUFFIXES[to]}"


def _numbered(path: Path, number: str) -> Path:
    return path.with_name(f"{path.stem}_{number}{path.suffix}")
