"""A synthetic data set to lift: photographs, 2D annotations (exact, noisy, incomplete), truth.

python -m benchmarks.lift_data --folder F --count 2000
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import tyro

from exemplar.bodies import load_body
from exemplar.files.image_files import write_image
from exemplar.samples import SCALE_UNIT
from exemplar.skeletons import GT_24, OPENPOSE_25
from exemplar.synth import SynthConfig, ViewConfig
from exemplar.synth.dataset import SynthBatch, draw_samples

WIDE = SynthConfig(image_size=384, views=ViewConfig(box_scale=2.0))
"""Photographs with room around the person, so that a reader's own crop stays inside."""

TRUTH = ("global_orient", "body_pose", "betas", "weak_camera", "keypoints_3d", "family")


@dataclass(frozen=True)
class Config:
    """Settings."""

    folder: Path
    """Where to write: images/, exact.npz, noisy.npz, incomplete.npz (SPIN's layout), truth.npz."""
    count: int = 2000
    """People."""
    seed: int = 3
    """Seed of the people; 1 is training, 2 validation, 3 test."""
    noise_px: float = 5.0
    """Standard deviation of the noisy annotation, px of a 224 crop about the person."""
    missing: float = 0.2
    """Share of the joints that the incomplete annotation lacks."""
    workers: int = 2
    """Processes, one thread each."""


def main(config: Config) -> None:
    """Draw and write."""
    (config.folder / "images").mkdir(parents=True, exist_ok=True)
    starts = range(0, config.count, 25)
    jobs = [(config, start, min(25, config.count - start)) for start in starts]
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_draw, jobs))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    np.savez(config.folder / "truth.npz", **{key: joined[key] for key in TRUTH})
    rng = np.random.default_rng(config.seed)
    exact = joined["keypoints_2d"][:, len(OPENPOSE_25) :]
    noisy, incomplete = exact.copy(), exact.copy()
    # a crop of 224 px shows 1.35 times the person, the picture about twice the person
    crop_px = WIDE.image_size * 1.35 / WIDE.views.box_scale / 224
    noisy[..., :2] += rng.normal(0, config.noise_px * crop_px, noisy[..., :2].shape)
    incomplete[rng.random(incomplete.shape[:2]) < config.missing] = 0.0
    for name, part in (("exact", exact), ("noisy", noisy), ("incomplete", incomplete)):
        _write_annotation(config.folder / f"{name}.npz", part)


def _draw(job: tuple[Config, int, int]) -> dict[str, np.ndarray]:
    """The truth of some people, whose photographs are written."""
    config, start, count = job
    torch.set_num_threads(1)
    drawn: SynthBatch = draw_samples(
        count, seed=config.seed, start=start, body=load_body("open"), config=WIDE
    )
    for i, image in enumerate(drawn.images, start=start):
        write_image(image, config.folder / _name(i))
    return {key: getattr(drawn, key) for key in (*TRUTH, "keypoints_2d")}


def _name(index: int) -> str:
    return f"images/{index:06d}.jpg"


def _write_annotation(path: Path, part: np.ndarray) -> None:
    count, side = len(part), WIDE.image_size
    assert part.shape[1] == len(GT_24)
    np.savez(
        path,
        imgname=np.array([_name(i) for i in range(count)]),
        center=np.full((count, 2), side / 2),
        scale=np.full(count, side / SCALE_UNIT),
        part=part.astype(np.float64),
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
