"""`exemplar export`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Target = Literal["bvh", "glb", "trc", "amass", "csv", "obj", "ply"]


@dataclass(frozen=True)
class ExportCommand:
    """Write the people of a fitted photo or clip as files of other programs.

    docs/export.md has each format's axes and units, and how to open it.

    For example:
        exemplar export out --to bvh
        exemplar export out --to amass --person 0 -o person.npz
    """

    result: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULT")]
    """The folder that exemplar fit, video or views wrote, or the .npz in it."""
    to: Target
    """bvh: skeletons; glb: skinned, animated meshes; trc: joints for OpenSim; amass: AMASS's .npz;
    csv: joints; obj, ply: a mesh for each frame."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """A file, or a folder (default: the result's). Several people's and frames' files get
    numbers."""
    person: int | None = None
    """Number of the one person to write, from 0; all of them without it."""
    body: str | None = None
    """"open", or the SMPL file of the fit, where it is not where it was."""
    quiet: bool = False
    """Print nothing but errors."""
