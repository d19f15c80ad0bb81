"""A clip's people in the format of another program: which files, and what writes each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from exemplar.bodies import Body
from exemplar.export.amass_file import write_amass
from exemplar.export.bvh_file import write_bvh
from exemplar.export.glb_file import write_motion_glb
from exemplar.export.joint_tables import write_csv, write_trc
from exemplar.export.mesh_files import write_mesh
from exemplar.motion import Motion, y_up

OF_ALL: Mapping[str, Callable[[Mapping[int, Motion], Body, Path], None]] = {
    "glb": write_motion_glb,
    "csv": write_csv,
}
"""Formats of which one file has everybody."""

OF_ONE: Mapping[str, Callable[[Motion, Body, Path], None]] = {
    "bvh": write_bvh,
    "trc": write_trc,
    "amass": write_amass,
}
"""Formats of a file for each person."""

OF_FRAMES = ("obj", "ply")
"""Formats of a file for each person and frame."""

BRIDGED = ("bvh", "amass", "glb")
"""Formats without gaps."""

SUFFIXES = {name: f".{name}" for name in (*OF_ALL, *OF_ONE, *OF_FRAMES)} | {"amass": ".npz"}
"""Endings of the formats' files."""


def write_motions_as(to: str, motions: Sequence[Motion], body: Body, folder: Path) -> list[Path]:
    """Write a clip's people into a folder; the files written."""
    people = {number: motion for number, motion in enumerate(motions) if motion.seen.any()}
    written = []
    for path, write in files_of(to, named(to, motions, folder), people, body):
        write(path)
        written.append(path)
    return written


def files_of(
    to: str, target: Path, people: Mapping[int, Motion], body: Body
) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """The files to write, and what writes each; several people's and frames' get numbers."""
    if to in OF_ALL:
        yield target, partial(OF_ALL[to], people, body)
        return
    for number, motion in people.items():
        of_person = target if len(people) == 1 else _numbered(target, f"person{number}")
        if to in OF_ONE:
            yield of_person, partial(OF_ONE[to], motion, body)
            continue
        upright = y_up(motion, body)
        for row in motion.seen.nonzero()[0].tolist():
            path = of_person if len(motion.times) == 1 else _numbered(of_person, f"{row:06d}")
            yield path, partial(write_mesh, upright, body, row)


def target_of(to: str, motions: Sequence[Motion], output: Path) -> Path:
    """The file of an output that may be a file or a folder, before numbers; ValueError for a file
    of another ending."""
    suffix = SUFFIXES[to]
    if output.suffix.lower() == suffix and not output.is_dir():
        return output
    if output.suffix and not output.is_dir():
        raise ValueError(f"{output}: expected a folder, or a file with the ending {suffix}")
    return named(to, motions, output, series=False)


def named(to: str, motions: Sequence[Motion], folder: Path, *, series: bool = True) -> Path:
    """The file in a folder, before numbers; with `series` the many files of a clip get a folder of
    their own in it."""
    still = len(motions[0].times) == 1
    stem = ("body" if still else "motion") + ("_amass" if to == "amass" else "")
    in_own = series and to in OF_FRAMES and not still
    return (folder / to if in_own else folder) / f"{stem}{SUFFIXES[to]}"


def _numbered(path: Path, number: str) -> Path:
    return path.with_name(f"{path.stem}_{number}{path.suffix}")
