"""What every benchmark program shares: where it ran, and a JSON file to prove it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from exemplar.environment import device_name, machine
from exemplar.files.atomic_files import replacing


def provenance(config: Any) -> dict[str, Any]:
    """Command, configuration, commit, machine and versions of this run."""
    return {
        "command": f"python -m benchmarks.{Path(sys.argv[0]).stem} "
        + " ".join(_portable(word) for word in sys.argv[1:]),
        "config": {key: _portable(str(value)) for key, value in asdict(config).items()},
        "commit": _commit(),
        "machine": machine(),
        "device": device_name(torch.device(getattr(config, "device", "cpu"))),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def write_results(path: Path | None, config: Any, results: Mapping[str, Any]) -> None:
    """Write results with their provenance as JSON, if a path was given."""
    if path is None:
        return
    with replacing(path) as temporary:
        whole = {**provenance(config), "results": results}
        temporary.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"wrote {path}", flush=True)


def _commit() -> str:
    """What git says of this tree; a copy without its history names it in `EXEMPLAR_COMMIT`."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:  # no git
        return os.environ.get("EXEMPLAR_COMMIT", "")
    return found.stdout.strip() or os.environ.get("EXEMPLAR_COMMIT", "")


def _portable(word: str) -> str:
    """Absolute paths without their folders, which say nothing on another machine."""
    return re.sub(r"(?<![\w.\-])(/[\w.\-]+)+/([\w.\-]+)", r"\2", word)
