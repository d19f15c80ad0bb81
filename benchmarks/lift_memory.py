"""Memory and time of a long lifting job: resident memory every so many people, and a plot.

python -m benchmarks.lift_memory --data F --work W --count 20000 --picture P

The people of the data are repeated. By default they get the regressor's answer, since what is
asked is whether anything grows with the number of people; `--iterations 2` fits them briefly.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.common import write_results
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.image_files import write_image
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import export, open_job
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Selection


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: Path
    """Folder that `benchmarks.lift_data` wrote."""
    work: Path
    """Folder of the job; it must not be there yet."""
    count: int = 20000
    """People."""
    iterations: int = 0
    """Updates of all weights."""
    every: int = 500
    """People between two readings."""
    picture: Path | None = None
    """PNG of memory and time against people."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Lift, read memory, draw."""
    if config.work.exists():
        raise SystemExit(f"{config.work} is there already: memory is that of a job from its start")
    config.work.mkdir(parents=True)
    annotation = repeated(config)
    readings: list[tuple[int, float, float]] = []
    began = time.monotonic()
    done = 0

    def report(made: Sequence[PseudoTruth]) -> None:
        nonlocal done
        done += len(made)
        if done % config.every == 0:
            readings.append((done, resident_mib(), time.monotonic() - began))
            print(*(f"{value:.1f}" for value in readings[-1]), flush=True)

    brief = LiftConfig(iterations=config.iterations)
    with open_job(config.work / "job", annotation, config.data, brief) as ledger:
        ledger.join()
        lifter = Lifter(brief)
        began = time.monotonic()
        run_local(ledger, lifter, Selection(), report)
        before = resident_mib()
        export(ledger)
    people, memory, seconds = np.array(readings).T
    half = len(people) // 2
    results = {
        "people": done,
        "mib_at_first_reading": memory[0],
        "mib_at_half": memory[half],
        "mib_at_end": memory[-1],
        "mib_most": memory.max(),
        "mib_growth_of_second_half": memory[-1] - memory[half],
        "mib_after_export": resident_mib(),
        "mib_before_export": before,
        "seconds_first_half": seconds[half],
        "seconds_second_half": seconds[-1] - seconds[half],
        "readings": readings,
    }
    print({key: value for key, value in results.items() if key != "readings"})
    if config.picture is not None:
        write_image(plot(people, memory, seconds), config.picture)
    write_results(config.output, config, results)


def repeated(config: Config) -> Path:
    """An annotation with the people of the data again and again."""
    with np.load(config.data / "exact.npz") as file:
        rows = np.arange(config.count) % len(file["scale"])
        arrays = {name: file[name][rows] for name in file.files}
    path = config.work / "repeated.npz"
    np.savez(path, **arrays)
    return path


def resident_mib() -> float:
    """Memory of this process that is in use, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def plot(people: np.ndarray, memory: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Two panels: MiB and minutes against people."""
    panels = [
        panel(people, memory, "resident memory, MiB"),
        panel(people, seconds / 60, "minutes"),
    ]
    return np.concatenate(panels, axis=1)


def panel(x: np.ndarray, y: np.ndarray, title: str) -> np.ndarray:
    """A line over its axes, from 0."""
    width, height, margin = 520, 320, 60
    picture = np.full((height, width, 3), 255, np.uint8)
    top = float(y.max()) * 1.15
    across = margin + x / x.max() * (width - 2 * margin)
    down = height - margin - y / top * (height - 2 * margin)
    points = np.stack([across, down], 1).round().astype(np.int32)
    grey, ink, font = (200, 200, 200), (40, 40, 40), cv2.FONT_HERSHEY_SIMPLEX
    for share in (0.0, 0.5, 1.0):
        level = int(height - margin - share * (height - 2 * margin))
        cv2.line(picture, (margin, level), (width - margin, level), grey, 1)
        cv2.putText(picture, f"{share * top:.0f}", (8, level + 4), font, 0.42, ink, 1, cv2.LINE_AA)
        place = int(margin + share * (width - 2 * margin)) - 16
        name = f"{share * x.max():.0f}"
        cv2.putText(picture, name, (place, height - 36), font, 0.42, ink, 1, cv2.LINE_AA)
    cv2.putText(picture, title, (margin, 30), font, 0.5, ink, 1, cv2.LINE_AA)
    cv2.putText(picture, "people", (width // 2 - 24, height - 12), font, 0.45, ink, 1, cv2.LINE_AA)
    cv2.polylines(picture, [points], False, (30, 90, 200), 2, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    main(tyro.cli(Config))
