"""Errors on held-out synthetic people, before and after EFT with true 2D keypoints.

python -m benchmarks.synthetic --count 1000
python -m benchmarks.synthetic --count 200 --seed 5 --sweep 3e-6 1e-5 3e-5 1e-4
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body, BodyParams, load_body
from exemplar.data.crops import batch_of, crop_person, person_box
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import H36M_17, LSP_14, indices
from exemplar.synth.dataset import SynthBatch, draw_samples
from exemplar.training.augment import frame_of

EVALUATED = indices(LSP_14, H36M_17)


@dataclass(frozen=True)
class Config:
    """Settings."""

    count: int = 1000
    """People."""
    seed: int = 3
    """Seed of the people; 1 is training, 2 validation, 3 test."""
    regressor: str = "mobile"
    """Regressor to start from."""
    sweep: tuple[float, ...] = ()
    """Adam steps to compare; empty takes the regressor's own."""
    iterations: int = 20
    """Most weight updates."""
    stop_px: float = 2.0
    """Stop below this 2D error."""
    adapt: str | None = None
    """Which weights move (`fitting.weights.Adapt`); None takes the regressor's own."""
    workers: int = 2
    """Processes, one thread each."""
    output: Path | None = None
    """JSON file to write."""


def exemplars_of(drawn: SynthBatch, module: torch.nn.Module) -> Batch:
    """Synthetic people as exemplars, with their true keypoints, cropped as a regressor wants."""
    shown = frame_of(module)
    people = [
        crop_person(image, joints, person_box(joints, shown.framing), shown.resolution, shown.width)
        for image, joints in zip(
            drawn.images, torch.from_numpy(drawn.keypoints_2d).float(), strict=True
        )
    ]
    return batch_of(people)


def errors(body: Body, predicted: Prediction, truth: BodyParams) -> tuple[Tensor, Tensor]:
    """(PA-MPJPE, MPJPE) of each person over 14 joints, mm; MPJPE after centring on the pelvis."""
    ours, theirs = (body.keypoints(p, "h36m17") for p in (predicted.body_params(), truth))
    ours, theirs = ((x - x[:, :1])[:, EVALUATED] for x in (ours, theirs))
    return pa_mpjpe(ours, theirs), mpjpe(ours, theirs)


KEYS = (
    "pa_mpjpe_before",
    "pa_mpjpe_after",
    "mpjpe_before",
    "mpjpe_after",
    "px_before",
    "px_after",
    "share_worse_percent",
    "seconds",
)
"""Columns of a row: mm, px of a 224 crop, whether EFT made PA-MPJPE worse, time of the fit."""


def main(config: Config) -> None:
    """Fit, compare, print."""
    _, info = load_regressor(config.regressor)
    results = {}
    table = Table("step", "PA mm", "EFT PA", "MPJPE", "EFT MPJPE", "px", "EFT px", "worse %", "s")
    for rate in config.sweep or (info.learning_rate,):
        mean = np.mean(all_rows(config, rate), axis=0)
        results[f"{rate:g}"] = {key: float(v) for key, v in zip(KEYS, mean, strict=True)}
        table.add_row(f"{rate:g}", *(f"{value:.2f}" for value in mean))
    Console(width=110).print(table)
    write_results(config.output, config, results)


def all_rows(config: Config, rate: float) -> np.ndarray:
    """One row a person, the people shared among the workers."""
    shares = np.array_split(np.arange(config.count), config.workers)
    jobs = [(config, rate, int(share[0]), len(share)) for share in shares if len(share)]
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        return np.concatenate(list(pool.map(rows_of, jobs)))


def rows_of(job: tuple[Config, float, int, int]) -> np.ndarray:
    """The rows of some people, drawn here."""
    config, rate, start, count = job
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    module, info = load_regressor(config.regressor)
    body = load_body(info.body)
    eft = EftConfig(
        rate, config.adapt or info.adapt, iterations=config.iterations, stop_px=config.stop_px
    )
    rows: list[np.ndarray] = []
    for first in range(start, start + count, 50):
        size = min(50, start + count - first)
        drawn = draw_samples(size, seed=config.seed, start=first, body=body)
        rows.append(rows_of_people(module, body, drawn, eft))
        so_far = np.concatenate(rows)
        means = " ".join(f"{value:.2f}" for value in so_far.mean(0))
        print(f"from {start}: {len(so_far)} people, {means}", file=sys.stderr, flush=True)
    return np.concatenate(rows)


def rows_of_people(
    module: torch.nn.Module, body: Body, drawn: SynthBatch, eft: EftConfig
) -> np.ndarray:
    """Fit people and compare with the truth, a row each."""
    truth = BodyParams(
        torch.from_numpy(drawn.global_orient).float(),
        torch.from_numpy(drawn.body_pose).float(),
        torch.from_numpy(drawn.betas).float(),
    )
    began = time.perf_counter()
    batch = exemplars_of(drawn, module)
    fits = fit_exemplars(module, body, batch, eft, workers=1)
    seconds = torch.full((len(drawn.images),), (time.perf_counter() - began) / len(drawn.images))
    with torch.no_grad():
        before = errors(body, fits.before.prediction.turned_back(batch.box), truth)
        after = errors(body, fits.after.prediction.turned_back(batch.box), truth)
    pixels = (fits.before.evaluation.error_px, fits.after.evaluation.error_px)
    worse = 100.0 * (after[0] > before[0])
    columns = (before[0], after[0], before[1], after[1], *pixels, worse, seconds)
    return torch.stack([x.float() for x in columns], dim=1).numpy()


if __name__ == "__main__":
    main(tyro.cli(Config))
