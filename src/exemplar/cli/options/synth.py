"""`exemplar synth`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class SynthCommand:
    """Draw a data set of synthetic photographs of the open body, with annotations and truth.

    Run again, it goes on where it was stopped; with --start, several machines share the work.

    For example:
        exemplar synth wild -o drawn --count 1000
        exemplar synth lab -o lab --count 200 --truth give --workers 2
    """

    domain: Annotated[Literal["wild", "lab", "wild-crop", "odd"], tyro.conf.Positional]
    """Which people, places and poses."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the data set: images/, annotations.npz and truth.npz (SPIN's layout)."""
    count: int
    """How many people to draw."""
    seed: int = 0
    """Another seed, other people."""
    start: int = 0
    """Number of the first person."""
    workers: int = 1
    """Processes."""
    truth: Literal["give", "hide"] = "hide"
    """give: annotations.npz has bodies and 3D joints, too; hide: 2D only."""
    quiet: bool = False
    """Print nothing but errors."""
