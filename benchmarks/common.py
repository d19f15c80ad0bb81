"""What every benchmark program shares: where it ran, and a JSON file to prove it."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from exemplar.environment import machine


def provenance(config: Any) -> dict[str, Any]:
    """Command, configuration, commit, machine and versions of this run."""
    root = Path(__file__).parent.parent
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True
    ).stdout.strip()
    return {
        "command": f"python -m benchmarks.{Path(sys.argv[0]).stem} "
        + " ".join(_portable(word) for word in sys.argv[1:]),
        "config": {key: _portable(str(value)) for key, value in asdict(config).items()},
        "commit": commit,
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def write_results(path: Path | None, config: Any, results: Mapping[str, Any]) -> None:
    """Write results with their provenance as JSON, if a path was given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**provenance(config), "results": results}, indent=1) + "\n")
    print(f"wrote {path}")


def _portable(word: str) -> str:
    """Absolute paths without their folders, which say nothing on another machine."""
    return re.sub(r"(?<![\w.\-])(/[\w.\-]+)+/([\w.\-]+)", r"\2", word)
