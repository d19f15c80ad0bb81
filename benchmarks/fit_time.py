"""Time and memory of fitting one photo: 20 iterations from the default weights, warm.

    python -m benchmarks.fit_time

Run it on an idle machine: other work with threads of its own can slow it several times.
"""

import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from exemplar.assets import asset_path
from exemplar.detect.landmarks import find_people
from exemplar.export import write_glb, write_json, write_npz
from exemplar.files.image_files import read_image
from exemplar.render.overlay import overlay_picture, steps_gif
from exemplar.scene import FitOptions, Fitter


@dataclass(frozen=True)
class Config:
    """Settings."""

    regressor: str = "large"
    """Regressor to fit with."""
    repeats: int = 5
    """Timed repetitions; the median is reported."""
    threads: int = 2
    """Torch threads."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Time each part, print, write."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    with asset_path("demo.jpg") as path:
        photo = read_image(path)
    fitter = Fitter(config.regressor, FitOptions(person="largest", iterations=20, stop_px=0.0))
    folder = Path("out/fit_time")
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[float]] = {"finding people": [], "fitting": [], "writing": []}
    for _ in range(config.repeats + 1):
        began = time.perf_counter()
        find_people(photo)
        found = time.perf_counter()
        result = fitter.fit(photo)
        fitted = result.people[0]
        before_writing = time.perf_counter()
        overlay_picture(result)
        steps_gif(result, folder / "steps.gif")
        write_npz(result, folder / "fit.npz")
        write_json(result, folder / "fit.json")
        write_glb(result, folder / "body.glb")
        parts["finding people"].append(found - began)
        parts["fitting"].append(fitted.seconds)
        parts["writing"].append(time.perf_counter() - before_writing)
    results = {f"{name}, s": float(np.median(times[1:])) for name, times in parts.items()}
    results["iterations"] = fitted.iterations
    results["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for key, value in results.items():
        print(f"{key:20s} {value:8.2f}")
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
