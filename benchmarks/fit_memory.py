"""Peak memory of fitting, measured in a process of its own, beside what `fitting.memory` counts.

python -m benchmarks.fit_memory
"""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from benchmarks.fit_speed import EFT, exemplars, memory_of, network
from exemplar.fitting.exemplar import fit_exemplars
from tests.golden import eft


@dataclass(frozen=True)
class Config:
    """Settings."""

    networks: tuple[str, ...] = ("hmr", "mobile")
    """Networks of `benchmarks.fit_speed`."""
    chunks: tuple[int, ...] = (1, 2, 4)
    """Exemplars side by side."""
    output: Path | None = None
    """JSON file to write."""
    single: bool = False
    """Measure the first network and chunk in this very process, and print them as JSON."""


def peak() -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, chunk: int) -> dict[str, float]:
    """Growth of this process's peak by fitting, MiB."""
    torch.set_num_threads(1)
    net, body = network(name), eft.body()
    batch = exemplars(net, body, chunk, torch.device("cpu"))
    with torch.no_grad():
        net(batch.image, batch.box)
    before = peak()
    fit_exemplars(net, body, batch, replace(EFT, iterations=3), chunk_size=chunk, workers=1)
    return {"grown": peak() - before, "counted": chunk * memory_of(net, body, batch) / 2**20}


def main(config: Config) -> None:
    """Measure each case in a fresh process."""
    if config.single:
        print(json.dumps(measure(config.networks[0], config.chunks[0])))
        return
    results: dict[str, Any] = {}
    table = Table("network", "side by side", "peak grows by, MiB", "an exemplar", "counted")
    for name in config.networks:
        for chunk in config.chunks:
            words = ["--networks", name, "--chunks", str(chunk), "--single"]
            command = [sys.executable, "-m", "benchmarks.fit_memory", *words]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(run.stdout)
            results[f"{name} {chunk}"] = found
            numbers = (found["grown"], found["grown"] / chunk, found["counted"] / chunk)
            table.add_row(name, str(chunk), *(f"{x:.0f}" for x in numbers))
    Console(width=100).print(table)
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
