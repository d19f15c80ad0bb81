"""Inputs of `scripts.gpu_run --tiny`, in place of those that are carried to a GPU.

python -m scripts.gpu_run_inputs FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch

from exemplar.data.formats import spin_npz
from exemplar.files.image_files import write_image
from exemplar.samples import Sample
from exemplar.skeletons import BLAZEPOSE_33, OPENPOSE_25
from exemplar.synth import draw_samples
from scripts import pack_people

COUNT = 2


def draw(folder: Path) -> None:
    """people/ as `scripts.pack_people` writes it, and network/ for `scripts.lifter.train`."""
    torch.set_num_threads(1)
    drawn = draw_samples(COUNT, seed=7)
    photographs = folder / "photographs"
    photographs.mkdir()
    samples = []
    for i, image in enumerate(drawn.images):
        write_image(image, photographs / f"{i}.jpg")
        points = drawn.keypoints_2d[i].astype(np.float64)
        points[: len(OPENPOSE_25)] = 0.0
        side = image.shape[0]
        samples.append(Sample(f"{i}.jpg", np.full(2, side / 2), side / 200, points))
    spin_npz.write(samples, photographs / "people.npz")
    packing = pack_people.Config(photographs / "people.npz", photographs, folder / "people")
    pack_people.main(packing)
    network_inputs(folder / "network")


def network_inputs(folder: Path) -> None:
    """Poses and readings out of thin air, and settings for a few updates."""
    (folder / "bank").mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.savez(folder / "poses.npz", poses=0.2 * rng.standard_normal((40, 24, 3)))
    seen = np.ones((8, len(BLAZEPOSE_33)), np.float32)
    np.savez(folder / "bank" / "00000.npz", visibility=seen, spread=0.01 * seen)
    settings = (
        f"--poses {folder / 'poses.npz'} --bank {folder / 'bank'} --families 50 --steps 3"
        " --batch 16 --hidden 32 --blocks 1 --every 3"
    )
    (folder / "arguments.txt").write_text(settings)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
