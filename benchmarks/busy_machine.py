"""What one other process costs: `exemplar fit --demo`, quiet and beside a process that trains.

    python -m benchmarks.busy_machine --output out/busy_machine.json

Each fit is a process of its own, as a person starts it: with one thread (`OMP_NUM_THREADS=1`), by
default, and with two. `torch-2` is what the default was before: two torch threads share each
operation. The other process is a small network in training with torch's own number of threads.
Compare medians within a run only: the machine may have other work. Processor seconds, in which
spinning shows, depend on it less than seconds.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from benchmarks.common import write_results

TRAINING = """
import torch
net = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(8)))
print(flush=True)
while True:
    net.zero_grad()
    net(torch.randn(256, 512)).square().mean().backward()
"""

FIT = """
import sys
from exemplar.cli import main
main(sys.argv[1:])
"""

WITHOUT_CARE = """
import sys, torch
from contextlib import nullcontext
from exemplar import environment, photo
from exemplar.cli.fit import FitCommand, run
from exemplar.fitting import optimiser
photo.one_torch_thread = optimiser.one_torch_thread = nullcontext
torch.set_num_threads(2)
run(FitCommand(demo=True, output=__import__("pathlib").Path(sys.argv[-1]), quiet=True))
"""

WAYS = {
    "one thread": (FIT, "1"),
    "default": (FIT, None),
    "two threads": (FIT, "2"),
    "torch-2": (WITHOUT_CARE, None),
}
"""Program and `OMP_NUM_THREADS` of each way."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    repeats: int = 3
    """Fits of each kind; medians are reported."""
    output: Path | None = None
    """JSON file to write."""


@contextmanager
def training() -> Iterator[None]:
    """A process that trains, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", TRAINING], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def fit(program: str, threads: str | None, folder: Path) -> tuple[float, float, float]:
    """Seconds and processor seconds that a fit of the demo photo took, and its 2D error, px."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    command: Sequence[str] = ("fit", "--demo", "--quiet", "-o", str(folder))
    began, used = time.perf_counter(), _processor_seconds()
    subprocess.run([sys.executable, "-c", program, *command], env=environment, check=True)
    seconds, used = time.perf_counter() - began, _processor_seconds() - used
    (person,) = json.loads((folder / "fit.json").read_text())["people"]
    return seconds, used, person["error_px_after"]


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(config: Config) -> None:
    """Time each way, print, write."""
    times: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(config.repeats):
            for machine in ("quiet", "busy"):
                with training() if machine == "busy" else nullcontext():
                    for way, (program, threads) in WAYS.items():
                        seconds, used, error = fit(program, threads, Path(folder))
                        processor.setdefault(f"{way}, {machine}", []).append(used)
                        times.setdefault(f"{way}, {machine}", []).append(seconds)
                        errors.setdefault(way, []).append(error)
    medians = {name: round(median(seconds), 2) for name, seconds in times.items()}
    for name, seconds in medians.items():
        print(f"{name:20} {seconds:7.1f} s, processor {median(processor[name]):7.1f} s")
    for way, found in errors.items():
        print(f"{way:20} error {sorted(set(found))} px")
    write_results(
        config.output,
        config,
        {
            "median_seconds": medians,
            "seconds": times,
            "processor_seconds": processor,
            "error_px": errors,
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
