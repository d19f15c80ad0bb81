"""What the trunk reads of the people of `benchmarks.real`, for validation while a head is trained.

python -m scripts.lifter.moments --folders ../shared/photos/multiview --out W/full
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.real_people import load_sequence
from exemplar.lift.prepare import Shown
from exemplar.regressors.blazepose import RESOLUTION, Size
from exemplar.regressors.checkpoints import load_trunk
from exemplar.regressors.landmark_reader import LandmarkReader
from exemplar.skeletons import LIMBS_12, LSP_14, indices
from scripts.lifter.readings import readings

_LIMBS = indices(LIMBS_12, LSP_14)


@dataclass(frozen=True)
class Moments:
    """Settings."""

    folders: tuple[Path, ...]
    """Folders of calibrated videos."""
    out: Path
    """Folder of the results: one file a video folder and kind of keypoints."""
    trunk: Size = "full"
    """Which trunk reads."""
    every: int = 5
    """Take every n-th frame."""
    cache: Path | None = None
    """Where detections and crops are kept."""


def main(config: Moments) -> None:
    """Write readings, keypoints and truth of everybody."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.set_grad_enabled(False)
    reader = LandmarkReader(load_trunk(config.trunk)).to(memory_format=torch.channels_last)
    config.out.mkdir(parents=True, exist_ok=True)
    shown = Shown(RESOLUTION, RESOLUTION, framing="hips")
    for folder in config.folders:
        for kind in ("built-in", "true"):
            people = load_sequence(folder, kind, config.every, shown, config.cache)
            columns = readings(reader, people.crops)
            columns |= {
                "keypoints_2d": people.keypoints_2d,
                "truth": people.truth[:, _LIMBS],
                "box": people.boxes,
                "keys": np.array(people.keys),
            }
            np.savez(config.out / f"{folder.name}-{kind}.npz", **columns)
            print(folder.name, kind, len(people), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Moments))
