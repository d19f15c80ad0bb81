"""`exemplar reproduce`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class ReproduceCommand:
    """Make tables and figures of both papers on drawn people, and print ours beside the papers'.

    What they share (people, lifted bodies, networks, scores) is made once and kept: stop at any
    moment and run the same command again.

    For example:
        exemplar reproduce eft-table-3 --scale smoke
        exemplar reproduce all --scale cpu -o reproduced
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TABLE")]
    """all, or one of: eft-table-1, eft-table-2, eft-table-4, eft-table-3, eft-fig-4,
    eft-appendix-d, eft-appendix-g, eft-preference, dual-table-3, dual-table-2, dual-fig-5,
    dual-fig-6, dual-fig-7, guard."""
    scale: Literal["smoke", "cpu", "gpu", "long"] = "cpu"
    """smoke: whether it runs at all, minutes. cpu: under 3 hours on 2 cores. gpu: with whole
    networks, on more people; a day. long: dual-table-3 alone, with up to 10,000 updates of heads on
    stored landmarks; a day."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("reproduced")
    """Folder of everything; results/ of the scale holds the tables."""
    open_folder: Path = Path("open")
    """Where the open sets are, or are drawn."""
    people: Path = Path("bank")
    """The scale long's people, which `python -m scripts.lifter.bank` makes."""
    device: str = "auto"
    """Torch device: cpu, cuda, mps, or auto (CUDA, else the CPU)."""
    quiet: bool = False
    """Print nothing but errors."""
