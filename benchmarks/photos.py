"""`exemplar fit` on a folder of real photographs: 2D errors before and after EFT, and pictures.

python -m benchmarks.photos --photos ../shared/photos --pictures out/photos
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from exemplar.files.image_files import write_image
from exemplar.render.overlay import overlay_picture
from exemplar.results import FitResult
from exemplar.scene import Fitter


@dataclass(frozen=True)
class Config:
    """Settings."""

    photos: Path
    """Folder of .jpg files; a `coco_NAME.json` beside 000000000NAME.jpg is fitted as well."""
    regressor: str = "large"
    """Regressor to start from."""
    pictures: Path | None = None
    """Folder for the overlay pictures."""
    blank: bool = False
    """Draw bodies on grey instead of on the photographs, whose licences may not allow copies."""
    threads: int = 1
    """Torch threads."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Fit, print, draw."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor)
    table = Table("photo", "keypoints", "person", "status", "before px", "after px", "iter", "s")
    people = []
    jobs: list[tuple[Path, Path | None]] = []
    for photo in sorted(config.photos.glob("*.jpg")):
        annotation = config.photos / f"coco_{photo.stem.lstrip('0')}.json"
        jobs += [(photo, None)] + ([(photo, annotation)] if annotation.is_file() else [])
    for photo, annotation in jobs:
        source = "annotated" if annotation else "built-in"
        began = time.perf_counter()
        try:
            result = fitter.fit(photo, annotation)
        except ValueError as error:
            table.add_row(photo.name, source, "", str(error), "", "", "", "")
            continue
        seconds = time.perf_counter() - began
        for number, person in enumerate(result.people):
            before, after = person.before.error_px, person.after.error_px
            people.append((before, after))
            cells = (f"{before:.1f}", f"{after:.1f}", str(person.iterations), f"{seconds:.1f}")
            table.add_row(photo.name, source, str(number), person.status, *cells)
        if config.pictures:
            config.pictures.mkdir(parents=True, exist_ok=True)
            picture = config.pictures / f"{photo.stem}_{source}.png"
            write_image(overlay_picture(_shown(result, config)), picture)
    errors = np.array(people)
    results = {
        "people": len(errors),
        "error_px_before": float(errors[:, 0].mean()),
        "error_px_after": float(errors[:, 1].mean()),
        "share_at_least_halved": float((errors[:, 1] <= errors[:, 0] / 2).mean()),
        "share_under_5_px": float((errors[:, 1] < 5).mean()),
    }
    Console(width=130).print(table)
    for key, value in results.items():
        print(f"{key:24s} {value:.3f}")
    write_results(config.output, config, results)


def _shown(result: FitResult, config: Config) -> FitResult:
    """The result, on the photograph or on grey."""
    grey = np.full_like(result.image, 200)
    return replace(result, image=grey) if config.blank else result


if __name__ == "__main__":
    main(tyro.cli(Config))
