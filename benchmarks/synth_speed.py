"""How many finished synthetic photographs a second this machine draws.

Run from the repository root:

    python -m benchmarks.synth_speed --output benchmarks/results/synth_speed.json
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import torch
import tyro

from benchmarks.common import write_results
from exemplar.synth import draw_samples


@dataclass(frozen=True)
class SpeedConfig:
    """What is timed."""

    images: int = 200
    """Images of each worker and timing."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of processes, one thread each."""
    seed: int = 0
    """Seed of the images."""
    output: Path | None = None
    """JSON file written."""


@dataclass(frozen=True)
class Timing:
    """One worker's share."""

    wall: float
    """Seconds that passed."""
    cpu: float
    """Seconds that the process was computing; less than `wall` on a busy machine."""


def _start() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    draw_samples(2, seed=99)


def _draw(seed: int, start: int, count: int) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    draw_samples(count, seed=seed, start=start)
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def images_per_second(config: SpeedConfig, workers: int) -> dict[str, float]:
    """Draw with so many processes at once."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    with pool:
        list(pool.map(_draw, [config.seed] * workers, range(workers), [1] * workers))
        begun = time.perf_counter()
        starts = [i * config.images for i in range(workers)]
        timings = list(pool.map(_draw, [config.seed] * workers, starts, [config.images] * workers))
        wall = time.perf_counter() - begun
    total = workers * config.images
    cpu = sum(timing.cpu for timing in timings)
    return {"images_per_second": total / wall, "images_per_cpu_second": total / cpu}


def main(config: SpeedConfig) -> None:
    """Time every number of workers and write the results."""
    load = os.getloadavg()[0]
    results: dict[str, object] = {"load_before": load}
    for workers in config.workers:
        results[f"workers_{workers}"] = measured = images_per_second(config, workers)
        print(f"{workers} workers: " + ", ".join(f"{k} {v:.1f}" for k, v in measured.items()))
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(SpeedConfig))
