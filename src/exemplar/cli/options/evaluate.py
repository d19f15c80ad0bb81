"""`exemplar eval`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from exemplar.evaluation.config import EvalConfig, Method


@dataclass(frozen=True)
class EvalCommand:
    """Score a regressor, and what can be done after it, on people whose bodies are known.

    Stop it at any moment and run the same command again: what is done is kept. Other methods can be
    added to a folder later.

    For example:
        exemplar eval -o run --data open:wild --limit 100
        exemplar eval -o run --data 3dpw.npz --images 3dpw --method eft eft+guard
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the run: samples.parquet, summary.json, report.html with its pictures."""
    config: Annotated[tyro.conf.OmitArgPrefixes[EvalConfig], tyro.conf.arg(name="scoring")]
    """What is scored."""
    method: Annotated[tuple[Method, ...], tyro.conf.arg(metavar="METHOD ...")] = (
        "none",
        "smplify",
        "eft",
        "eft+guard",
    )
    """What follows the regressor: none, smplify, eft, eft+guard or dual."""
    page: bool = True
    """Write report.html and its pictures."""
    json: bool = False
    """Print the summary as JSON, and nothing else, instead of a table."""
    device: str = "auto"
    """Torch device: cpu, cuda, mps, or auto (CUDA, else the CPU)."""
    quiet: bool = False
    """Print nothing but errors."""
