"""Kill a lifting job at random moments, start it again each time, compare with one left alone.

python -m benchmarks.lift_kills --data F --work W --count 2000 --kills 20 --mean-seconds 100

Both jobs run here, one after the other (or are taken up where they were: run the same command
again). The table of one must be that of the other, number by number.
"""

import random
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.common import write_results
from exemplar.data.formats import table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.store import Ledger, Selection


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: Path
    """Folder that `benchmarks.lift_data` wrote."""
    work: Path
    """Folder of the two jobs."""
    count: int = 2000
    """People."""
    kills: int = 20
    """How often the process is killed (SIGKILL)."""
    mean_seconds: float = 100.0
    """Mean time that a process lives; each lives 0 to 2 times this."""
    seed: int = 0
    """Of the moments."""
    options: str = ""
    """More options of `exemplar lift`, for both jobs, in one text."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Run both jobs and compare."""
    moments = killed_run(config, config.work / "killed")
    began = time.monotonic()
    finish(config, config.work / "alone")
    seconds = time.monotonic() - began
    differing, rows = compare(config.work / "killed", config.work / "alone")
    results = {
        "people": rows,
        "kills": len(moments),
        "done_at_each_kill": moments,
        "rows_that_differ": differing,
        "seconds_of_the_last_stretch_left_alone": seconds,
    }
    print(results)
    write_results(config.output, config, results)
    if differing or rows != config.count:
        sys.exit(f"{differing} of {rows} rows differ, expected 0 of {config.count}")


def command(config: Config, folder: Path) -> Sequence[str]:
    """The job's command line."""
    files = ("--annotations", str(config.data / "exact.npz"), "--images", str(config.data))
    limit = ("--limit", str(config.count))
    return ("exemplar", "lift", *files, "-o", str(folder), *limit, *shlex.split(config.options))


def killed_run(config: Config, folder: Path) -> list[int]:
    """Kill and start again, then let it end; how many people were done at each kill."""
    log = folder.with_suffix(".kills")
    folder.parent.mkdir(parents=True, exist_ok=True)
    moments = [int(line) for line in log.read_text().split()] if log.exists() else []
    rng = random.Random(config.seed)
    lives = [rng.uniform(0, 2 * config.mean_seconds) for _ in range(config.kills)]
    for life in lives[len(moments) :]:
        process = subprocess.Popen(command(config, folder), stdout=subprocess.DEVNULL)
        try:
            process.wait(life)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            sys.exit(f"the job ended before kill {len(moments) + 1}: lower --mean-seconds")
        moments.append(done(folder))
        log.write_text("\n".join(map(str, moments)) + "\n")
        print(f"kill {len(moments)} after {life:.0f} s: {moments[-1]} people done", flush=True)
    finish(config, folder)
    return moments


def done(folder: Path) -> int:
    """People with a result; 0 for a job killed before its ledger was there."""
    try:
        with Ledger(folder) as ledger:
            return ledger.progress(Selection())[1]
    except FileNotFoundError:
        return 0


def finish(config: Config, folder: Path) -> None:
    """Run the job to its end."""
    subprocess.run(command(config, folder), check=True)


def compare(one: Path, other: Path) -> tuple[int, int]:
    """(rows that differ, rows of the first): statuses, messages, numbers, to the last bit.

    Rows that only one of the two has, or has twice, count as different.
    """
    tables = []
    for folder in (one, other):
        with Ledger(folder) as ledger:
            rows = list(ledger.truths())
        path = folder / "pseudo_gt.parquet"
        if path.exists():
            written = [numbers(row) for row in table.read(path)]
            assert written == [numbers(row) for row in rows], f"{path} is not its ledger"
        keyed: dict[tuple, list] = {}
        for row in rows:
            keyed.setdefault((row.sample.image, row.sample.annotation_id), []).append(numbers(row))
        tables.append((keyed, len(rows)))
    (first, count), (second, _) = tables
    keys = first.keys() | second.keys()
    return sum(first.get(key) != second.get(key) for key in keys), count


def numbers(row: PseudoTruth) -> tuple:
    """Everything that a row says, comparable."""
    body = row.sample.body
    arrays = () if body is None else (body.pose, body.betas, body.weak_camera, body.translation)
    fields = [getattr(row, name) for name in vars(row) if name != "sample"]
    return (
        *(repr(field) for field in fields),
        *(None if array is None else np.asarray(array).tobytes() for array in arrays),
        row.sample.keypoints_2d.tobytes(),
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
