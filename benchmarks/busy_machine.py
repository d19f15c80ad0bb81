"""What one other process costs: fit, lift, eval and train, quiet and beside a process that trains.

    python -m benchmarks.busy_machine --output out/busy_machine.json

Each run is a process of its own, as a person starts it: with one thread (`OMP_NUM_THREADS=1`), by
default, and with two. `torch's own` is what the default was before: torch threads share each
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
from collections.abc import Iterator, Mapping, Sequence
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

VERB = """
import sys
from exemplar.cli import main
main(sys.argv[1:])
"""

WITHOUT_CARE = f"""
import torch
torch.set_num_threads = lambda count: None
{VERB}
"""

WAYS = {
    "one thread": (VERB, "1"),
    "default": (VERB, None),
    "two threads": (VERB, "2"),
    "torch's own": (WITHOUT_CARE, None),
}
"""Program and `OMP_NUM_THREADS` of each way."""

VERBS: Mapping[str, Sequence[str]] = {
    "fit": ("fit", "--demo"),
    "lift": ("lift", "--annotations", "people/annotations.npz", "--images", "people"),
    "eval": ("eval", "--data", "people/annotations.npz", "--images", "people", "--no-page"),
    "train": ("train", "supervised", "--data", "people=people/annotations.npz:people",
              "--steps", "4", "--batch-size", "8", "--workers", "0"),
}  # fmt: skip
"""What is timed, in a folder with drawn people; the output follows."""

QUIET = subprocess.DEVNULL


@dataclass(frozen=True)
class Config:
    """Settings."""

    repeats: int = 3
    """Runs of each kind; medians are reported."""
    people: int = 16
    """Drawn people, of whom all verbs but fit have each one."""
    only: tuple[str, ...] = tuple(VERBS)
    """Verbs."""
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


def timed(verb: str, program: str, threads: str | None, folder: Path) -> tuple[float, float]:
    """Seconds and processor seconds that a verb took, in a folder with `people`."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-c", program, *VERBS[verb], "-o", output]
        began, used = time.perf_counter(), _processor_seconds()
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=QUIET)
        seconds, used = time.perf_counter() - began, _processor_seconds() - used
        if verb == "fit":
            (person,) = json.loads((Path(output) / "fit.json").read_text())["people"]
            print(f"fit: error {person['error_px_after']:.6f} px", flush=True)
    return seconds, used


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(config: Config) -> None:
    """Time each verb each way, print, write."""
    seconds: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw = ["synth", "wild", "--count", str(config.people), "--truth", "give", "-o", "people"]
        subprocess.run([sys.executable, "-c", VERB, *draw], cwd=folder, check=True, stdout=QUIET)
        for _ in range(config.repeats):
            for machine in ("quiet", "busy"):
                with training() if machine == "busy" else nullcontext():
                    for verb in config.only:
                        for way, (program, threads) in WAYS.items():
                            took, used = timed(verb, program, threads, folder)
                            seconds.setdefault(f"{verb}, {way}, {machine}", []).append(took)
                            processor.setdefault(f"{verb}, {way}, {machine}", []).append(used)
    medians = {kind: round(median(each), 2) for kind, each in seconds.items()}
    for kind, each in medians.items():
        print(f"{kind:26} {each:7.1f} s, processor {median(processor[kind]):7.1f} s")
    results = {"median_seconds": medians, "seconds": seconds, "processor_seconds": processor}
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
