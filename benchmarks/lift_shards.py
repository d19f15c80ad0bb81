"""How lifting scales on this machine: one process against two shards, and what the cores allow.

python -m benchmarks.lift_shards --data F --work W --count 96

Every process fits with one thread. "The cores" is a plain loop of matrix products, once in one
process and once in two: two processes cannot do better than that.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.common import write_results
from exemplar.lift.store import Ledger

WORK = """
import time, torch
torch.set_num_threads(1)
a = torch.randn(192, 192)
end = time.monotonic() + {seconds}
rounds = 0
while time.monotonic() < end:
    for _ in range(20):
        a @ a
    rounds += 1
print(rounds)
"""


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: Path
    """Folder that `benchmarks.lift_data` wrote."""
    work: Path
    """Folder of the jobs; it must not be there yet."""
    count: int = 96
    """People of each job."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Measure and print."""
    one = seconds(config, "one", [["--workers", "1"]])
    threads = seconds(config, "threads", [["--workers", "2"]])
    shards = [["--workers", "1", "--shard", f"{i}/2"] for i in (1, 2)]
    two = seconds(config, "shards", shards)
    shared = seconds(config, "shared", [["--workers", "1"]] * 2)
    single, double = rounds(1), rounds(2)
    results = {
        "seconds_one_process": one,
        "seconds_one_process_two_threads": threads,
        "seconds_two_shards": two,
        "seconds_two_processes_one_ledger": shared,
        "speedup_two_threads": one / threads,
        "speedup_two_shards": one / two,
        "speedup_two_processes_one_ledger": one / shared,
        "speedup_that_the_cores_allow": double / single,
    }
    print(results)
    write_results(config.output, config, results)


def seconds(config: Config, name: str, options: Sequence[Sequence[str]]) -> float:
    """Time from start to end of the processes that share a job, loading included."""
    files = ("--annotations", str(annotation(config)), "--images", str(config.data))
    base = ("exemplar", "lift", *files, "-o", str(config.work / name), "--quiet")
    began = time.monotonic()
    running = [subprocess.Popen((*base, *extra)) for extra in options]
    assert all(process.wait() == 0 for process in running)
    taken = time.monotonic() - began
    with Ledger(config.work / name) as ledger:
        assert len(list(ledger.truths())) == config.count
    print(f"{name}: {taken:.1f} s", flush=True)
    return taken


def annotation(config: Config) -> Path:
    """The first people of the data."""
    path = config.work / "some.npz"
    if not path.exists():
        config.work.mkdir(parents=True, exist_ok=True)
        with np.load(config.data / "exact.npz") as file:
            np.savez(path, **{name: file[name][: config.count] for name in file.files})
    return path


def rounds(processes: int, length: float = 10.0) -> int:
    """Matrix products that so many processes make together."""
    code = WORK.format(seconds=length)
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return sum(int(process.communicate()[0]) for process in running)


if __name__ == "__main__":
    main(tyro.cli(Config))
