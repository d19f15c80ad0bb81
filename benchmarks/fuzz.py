"""Damaged files for every reader: whatever comes must be an answer or one clear line.

python -m benchmarks.fuzz --count 20000

Each file is made from a small valid one by a seed, and read in a child process with limits on time
and memory. Reported, with the seed, are exceptions other than ValueError, OSError and ImportError,
messages that do not name the file or are longer than a line, ends of the process, hangs, and more
memory than allowed. `--only ledger --first SEED --count 1 --keep FOLDER` keeps one file.
"""

import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import tyro

from benchmarks.common import write_results
from benchmarks.fuzz_changes import changed_bytes, changed_content
from benchmarks.fuzz_clip_files import KINDS

EXPECTED = (ValueError, OSError, ImportError)
"""What a reader may raise."""

_UNCHANGED = "unchanged"

_CONTEXT = multiprocessing.get_context("fork")

_LONGEST_WAIT = 300.0
"""Seconds without an answer, and without using the processor, after which a file hangs."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    count: int = 20000
    """Files, of all readers together."""
    only: tuple[str, ...] = ()
    """Names of readers; all unless given."""
    first: int = 0
    """Seed of the first file; the others follow."""
    seconds: float = 10.0
    """A file that takes more of the processor's time hangs."""
    gigabytes: float = 2.0
    """Memory that a child may use, all of it (the libraries take about half of one)."""
    keep: Path | None = None
    """Folder for the files that broke something."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Fault:
    """A file that broke something."""

    kind: str
    """Whose reader."""
    seed: int
    """Which file."""
    what: str
    """What happened, in one line."""


def main(config: Config) -> None:
    """Read damaged files, and report."""
    names = config.only or tuple(KINDS)
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise ValueError(f"no reader {unknown[0]!r}, expected one of {', '.join(KINDS)}")
    counts, faults, began = Counter[str](), list[Fault](), time.monotonic()
    for number, name in enumerate(names):
        share = config.count // len(names) + (number < config.count % len(names))
        seeds = range(config.first, config.first + share)
        refused, found = fuzz(name, seeds, seconds=config.seconds, gigabytes=config.gigabytes)
        counts[name] = share
        faults += found
        print(f"{name}: {share} files, {refused} refused, {len(found)} faults", flush=True)
        for fault in found:
            print(f"  seed {fault.seed}: {fault.what}", flush=True)
            if config.keep is not None:
                _keep(fault, config.keep)
    minutes = (time.monotonic() - began) / 60
    print(f"{sum(counts.values())} files in {minutes:.1f} min, {len(faults)} faults")
    results = {"files": dict(counts), "faults": [vars(fault) for fault in faults]}
    write_results(config.output, config, results)
    if faults:
        sys.exit(1)


def _keep(fault: Fault, folder: Path) -> None:
    """Write the file again, in a child: what libraries begin here would be cut off by a fork."""
    place = folder / f"{fault.kind} {fault.seed}".replace(" ", "_").replace(",", "")
    child = _CONTEXT.Process(target=damaged_file, args=(fault.kind, fault.seed, place))
    child.start()
    child.join()


def fuzz(
    name: str, seeds: Sequence[int], *, seconds: float = 10.0, gigabytes: float = 2.0
) -> tuple[int, list[Fault]]:
    """How many of a reader's damaged files were refused, and which broke something."""
    faults, refused, waiting = list[Fault](), 0, list(seeds)
    while waiting:
        done, child = 0, _Child(name, waiting, seconds, gigabytes)
        for answer in child.answers():
            if answer is None:
                break
            refused += answer == "refused"
            if answer not in ("read", "refused", _UNCHANGED):
                faults.append(Fault(name, waiting[done], answer))
            done += 1
        if done < len(waiting):
            faults.append(Fault(name, waiting[done], child.end()))
            done += 1
        child.end()
        waiting = waiting[done:]
    return refused, faults


class _Child:
    """A process that reads files until one breaks it."""

    def __init__(self, name: str, seeds: Sequence[int], seconds: float, gigabytes: float) -> None:
        self._here, there = _CONTEXT.Pipe(duplex=False)
        task = (name, list(seeds), seconds, gigabytes, there)
        self._process = _CONTEXT.Process(target=_work, args=task)
        self._process.start()
        there.close()
        self._count = len(seeds)
        self._hangs = False

    def answers(self) -> Iterator[str | None]:
        """What came of each file; None when nothing comes any more."""
        for _ in range(self._count):
            if not self._here.poll(_LONGEST_WAIT):
                self._hangs = self._process.is_alive()
                yield None
                return
            try:
                yield self._here.recv()
            except EOFError:
                yield None
                return

    def end(self) -> str:
        """End it; how it ended, in one line."""
        if self._hangs:
            self._process.kill()
        self._process.join()
        code = self._process.exitcode
        hangs = self._hangs or code == -signal.SIGPROF
        return "hang" if hangs else f"the process ended with {code}"


def _work(
    name: str, seeds: list[int], seconds: float, gigabytes: float, answers: Connection
) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["EXEMPLAR_ALLOW_OUTSIDE"] = ""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    with tempfile.TemporaryDirectory() as work:
        for seed in seeds:
            folder = Path(work) / str(seed)
            answers.send(_answer(name, seed, folder, seconds, gigabytes))


def _peak() -> float:
    """The most memory that this process had, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _answer(name: str, seed: int, folder: Path, seconds: float, gigabytes: float) -> str:
    path = damaged_file(name, seed, folder)
    if path is None:
        return _UNCHANGED
    with suppress(OSError):  # a fork begins with its parent's peak; Linux forgets it so
        Path("/proc/self/clear_refs").write_text("5")
    most = _peak() + gigabytes
    signal.setitimer(signal.ITIMER_PROF, seconds)  # which ends the process
    try:
        KINDS[name].read(path)
        answer = "read"
    except EXPECTED as error:
        answer = _line_of(error, folder)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        answer = f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:120]}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    if _peak() > most:
        return f"memory: {_peak():.1f} GB"
    return answer


def _line_of(error: BaseException, folder: Path) -> str:
    text = str(error)
    if "\n" in text.strip():
        return f"{type(error).__name__} of several lines: {text[:120]!r}"
    if str(folder) not in text:
        return f"{type(error).__name__} that does not name the file: {text[:120]}"
    return "refused"


def damaged_file(name: str, seed: int, folder: Path) -> Path | None:
    """The file of a seed; None if the damage cannot be written."""
    kind, rng = KINDS[name], random.Random(f"{name} {seed}")
    path = folder / kind.file
    path.parent.mkdir(parents=True, exist_ok=True)
    content = kind.content()
    try:
        if rng.random() < 0.5 and not isinstance(content, str):
            content = changed_content(content, rng)
        kind.write(content, path)
    except Exception:  # the libraries that write are no part of this
        return None
    if rng.random() < 0.6:
        path.write_bytes(changed_bytes(path.read_bytes(), rng))
    return path


if __name__ == "__main__":
    main(tyro.cli(Config))
