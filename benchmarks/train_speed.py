"""What an exemplar step inside training costs: iterations a second, and against a plain loop.

python -m benchmarks.train_speed --regressor mobile --batch-size 16

The plain loop takes one exemplar at a time, with the same numbers: both losses and gradients are
compared before anything is timed. Everything is trained on random crops of the network's size. On
a CPU the seconds are the processor's, which other programs on the machine disturb less.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.common import write_results
from exemplar.bodies import BodyParams, load_body
from exemplar.environment import usable_device
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import Frame, frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.recipes import OURS
from exemplar.training.starting import starting_regressor
from exemplar.training.trainee import Trainee

HEAD = InnerConfig("none", 1, 2e-4, loss=replace(OURS, scale=1.0))
"""One inner step on the head, on the 2D error."""

KINDS: dict[str, InnerConfig | None] = {
    "supervised": None,
    "exemplar(head)": HEAD,
    "exemplar(head), second order": replace(HEAD, second_order=True),
    "exemplar(head), auxiliary": replace(HEAD, teacher="auxiliary"),
    "exemplar(all)": replace(HEAD, adapt="all", learning_rate=1e-7),
}


@dataclass(frozen=True)
class Config:
    """Settings."""

    regressor: str = "mobile"
    """Network, as `exemplar train --regressor` has it."""
    batch_size: int = 16
    """People of an iteration."""
    rounds: int = 5
    """Iterations of each kind, one of each in turn; the median counts."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """What is timed."""
    device: str = "cpu"
    """Device."""
    threads: int = 1
    """Torch threads."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Compare, time, print."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    device = usable_device(config.device)
    steps = {kind: new_step(config, KINDS[kind]).to(device) for kind in config.kinds}
    batch = people(frame_of(starting_regressor(config.regressor)[0]), config.batch_size).to(device)
    runs: dict[str, Callable[[], Any]] = {}
    for kind, step in steps.items():
        runs[kind] = lambda step=step: together(step, batch)
        if KINDS[kind] is not None:
            runs[f"{kind}, one by one"] = lambda step=step: one_by_one(step, batch)
            compare(copy.deepcopy(step).double(), in_double(batch[:4]), kind)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(config.rounds + 1):
        for name, run in runs.items():
            began = clock()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - began)
    medians = {name: sorted(values[1:])[config.rounds // 2] for name, values in seconds.items()}
    base = medians.get("supervised", float("nan"))
    table = Table("iteration", "s", "iterations/s", "of supervised", "one by one, times")
    for name, value in medians.items():
        alone = medians.get(f"{name}, one by one")
        faster = "" if alone is None else f"{alone / value:.2f}"
        table.add_row(name, f"{value:.3f}", f"{1 / value:.2f}", f"{value / base:.2f}", faster)
    Console(width=120).print(table)
    write_results(config.output, config, {"seconds": medians, "all": seconds})


def new_step(config: Config, inner: InnerConfig | None) -> TrainingStep:
    """All weights in training, without dropout, so that both ways see the same network."""

    def trainee(seed: int) -> Trainee:
        regressor, _ = starting_regressor(config.regressor, seed=seed)
        for module in regressor.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return Trainee(regressor, batch_norm="frozen")

    needs = inner is not None and inner.teacher == "auxiliary"
    auxiliary = trainee(1) if needs else None
    return TrainingStep(trainee(0), load_body(), OURS, inner, auxiliary).train()


def people(frame: Frame, count: int) -> TrainingBatch:
    """Random crops with random bodies."""
    noise = torch.Generator().manual_seed(0)
    pose = axis_angle_to_rotmat(0.3 * torch.randn(count, 24, 3, generator=noise))
    pose[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    keypoints = 0.4 * torch.randn(count, 49, 3, generator=noise)
    joints = 0.3 * torch.randn(count, 24, 4, generator=noise)
    keypoints[..., -1], joints[..., -1] = 1.0, 1.0
    size = torch.full((count,), float(frame.resolution))
    box = Box(
        size[:, None].expand(-1, 2) / 2,
        size,
        torch.zeros(count),
        5 * size,
        size[:, None].expand(-1, 2),
    )
    everyone = torch.ones(count, dtype=torch.bool)
    image = torch.rand(count, 3, frame.resolution, frame.width, generator=noise)
    body = BodyParams(pose[:, 0], pose[:, 1:], torch.randn(count, 10, generator=noise))
    return TrainingBatch(image, box, keypoints, joints, everyone, body, everyone)


def together(step: TrainingStep, batch: TrainingBatch) -> float:
    """An iteration's gradients, all exemplars at once; the loss."""
    step.zero_grad()
    loss = step(batch)["loss"]
    loss.backward()
    return float(loss.detach())


def one_by_one(step: TrainingStep, batch: TrainingBatch) -> float:
    """The same, one exemplar after another."""
    step.zero_grad()
    total = 0.0
    for row in range(len(batch)):
        loss = step(batch[row : row + 1])["loss"] / len(batch)
        loss.backward()
        total += float(loss.detach())
    return total


def compare(step: TrainingStep, batch: TrainingBatch, kind: str) -> None:
    """Both ways give the same numbers in float64, or it is an error."""
    found = [(run(step, batch), _gradients(step)) for run in (together, one_by_one)]
    (ours, gradients), (theirs, wanted) = found
    gap = max(float((gradients[n] - wanted[n]).norm() / wanted[n].norm()) for n in wanted)
    print(f"{kind}: loss {ours:.9f} and {theirs:.9f}, gradients within {gap:.1e}")
    if abs(ours - theirs) > 1e-9 * abs(theirs) or gap > 1e-6:
        raise AssertionError(f"{kind}: not the same numbers")


def in_double(batch: TrainingBatch) -> TrainingBatch:
    """The batch in float64."""
    assert isinstance(batch.inputs, Tensor)
    return replace(
        batch,
        inputs=batch.inputs.double(),
        box=batch.box.to(torch.float64),
        keypoints_2d=batch.keypoints_2d.double(),
        joints_3d=batch.joints_3d.double(),
        body=batch.body.to(torch.float64),
    )


def _gradients(step: TrainingStep) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in step.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    main(tyro.cli(Config))
