"""Errors on held-out synthetic people, before and after EFT with true 2D keypoints.

python -m benchmarks.synthetic --count 1000
python -m benchmarks.synthetic --count 200 --seed 5 --sweep 3e-6 1e-5 3e-5 1e-4
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from exemplar.bodies import Body, BodyParams, load_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplar
from exemplar.geometry.crops import Box
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import H36M_17, LSP_14, indices
from exemplar.synth.dataset import SynthBatch, draw_samples

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
    adapt: Literal["all", "later"] | None = None
    """Which weights move, "all" or "later"; None takes the regressor's own."""
    threads: int = 2
    """Torch threads."""
    output: Path | None = None
    """JSON file to write."""


def one(drawn: SynthBatch, i: int) -> Batch:
    """One synthetic person as an exemplar, with its true keypoints."""
    side = drawn.images.shape[1]
    image = torch.from_numpy(drawn.images[i : i + 1]).permute(0, 3, 1, 2).float() / 255
    keypoints = torch.from_numpy(drawn.keypoints_2d[i : i + 1].astype(np.float32)).clone()
    keypoints[..., :2] = keypoints[..., :2] / (side / 2) - 1
    box = Box(torch.full((1, 2), side / 2), torch.tensor([float(side)]), torch.zeros(1))
    return Batch(image, box, keypoints)


def errors(body: Body, predicted: Prediction, truth: BodyParams) -> tuple[float, float]:
    """(PA-MPJPE, MPJPE) over 14 joints, mm; MPJPE after centring on the pelvis."""
    ours, theirs = (body.keypoints(p, "h36m17") for p in (predicted.body_params(), truth))
    ours, theirs = ((x - x[:, :1])[:, EVALUATED] for x in (ours, theirs))
    return float(pa_mpjpe(ours, theirs)), float(mpjpe(ours, theirs))


def main(config: Config) -> None:
    """Fit, compare, print."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    module, info = load_regressor(config.regressor)
    body = load_body(info.body)
    drawn = draw_samples(config.count, seed=config.seed, body=body)
    base = EftConfig(
        info.learning_rate,
        config.adapt or info.adapt,
        iterations=config.iterations,
        stop_px=config.stop_px,
    )
    results = {}
    table = Table("step", "PA mm", "EFT PA", "MPJPE", "EFT MPJPE", "px", "EFT px", "worse %", "s")
    for rate in config.sweep or (info.learning_rate,):
        row = run(module, body, drawn, replace(base, learning_rate=rate))
        results[f"{rate:g}"] = row
        table.add_row(f"{rate:g}", *(f"{value:.2f}" for value in row.values()))
    Console().print(table)
    write_results(config.output, config, results)


def run(module: torch.nn.Module, body: Body, drawn: SynthBatch, eft: EftConfig) -> dict[str, float]:
    """Mean errors over all people."""
    rows, began = [], time.perf_counter()
    for i in range(len(drawn.images)):
        truth = BodyParams(
            torch.from_numpy(drawn.global_orient[i : i + 1]).float(),
            torch.from_numpy(drawn.body_pose[i : i + 1]).float(),
            torch.from_numpy(drawn.betas[i : i + 1]).float(),
        )
        fit = fit_exemplar(module, body, one(drawn, i), eft)
        with torch.no_grad():
            before = errors(body, fit.before.prediction, truth)
            after = errors(body, fit.after.prediction, truth)
        px = (float(fit.before.evaluation.error_px[0]), float(fit.after.evaluation.error_px[0]))
        rows.append((before[0], after[0], before[1], after[1], *px, 100.0 * (after[0] > before[0])))
    mean = np.mean(rows, axis=0)
    keys = ("pa_mpjpe_before", "pa_mpjpe_after", "mpjpe_before", "mpjpe_after", "px_before")
    keys = (*keys, "px_after", "share_worse_percent")
    seconds = (time.perf_counter() - began) / len(rows)
    return {**{k: float(v) for k, v in zip(keys, mean, strict=True)}, "seconds": seconds}


if __name__ == "__main__":
    main(tyro.cli(Config))
