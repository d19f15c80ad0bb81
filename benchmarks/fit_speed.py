"""Seconds an exemplar: this package against the plain way, in one run, interleaved.

python -m benchmarks.fit_speed --output benchmarks/results/fit_speed.json

The plain way is what a straightforward program does: one exemplar at a time with all threads,
weights restored by copying the module, torch's default Adam, and all vertices posed in every
iteration. The body is the tests' invented one, of SMPL's sizes, and hmr's weights are random:
neither changes the time.
"""

import copy
import resource
import statistics
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
from exemplar import objectives
from exemplar.bodies import Body, BodyOutput
from exemplar.fitting.exemplar import (
    LOWER_LEGS,
    EftConfig,
    eft_objective,
    fit_exemplars,
    fitted_weights,
)
from exemplar.fitting.memory import bytes_per_group
from exemplar.fitting.weights import Adapt, RegressorWeights, moving_names, parts_of
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.cliff import Cliff
from exemplar.regressors.hmr import Hmr
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import smpl49_sources
from tests.golden import eft
from tests.golden.eft import fixture

EFT = EftConfig(iterations=20, stop_px=None)
"""All 20 iterations for everybody, so that both ways do the same work."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    exemplars: int = 4
    """Exemplars in a round."""
    rounds: int = 3
    """Rounds; the table gives medians."""
    networks: tuple[str, ...] = ("hmr", "mobile")
    """"hmr" (ResNet-50, 27M weights) and "mobile" (5M)."""
    device: str = "cpu"
    """Torch device."""
    chunk: int | None = None
    """Exemplars side by side; None leaves it to the package."""
    output: Path | None = None
    """JSON file to write."""


def network(name: str) -> nn.Module:
    """A regressor in eval mode: a shipped one, or hmr or cliff with random weights, whose camera is
    upright enough."""
    if name not in ("hmr", "cliff"):
        return load_regressor(name)[0]
    torch.manual_seed(0)
    net = Hmr(camera_model="weak") if name == "hmr" else Cliff()
    net.init_pose.copy_(torch.eye(3)[:, :2].flatten().repeat(24)[None])
    net.init_cam.copy_(torch.tensor([[0.9, 0.0, 0.0]]))
    for layer in (net.decpose, net.decshape, net.deccam):
        nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return net.eval()


def exemplars(net: nn.Module, body: Body, count: int, device: torch.device) -> Batch:
    """Noise pictures with the keypoints of random bodies: time does not depend on them."""
    generator = torch.Generator().manual_seed(1)
    side = int(getattr(net, "resolution"))  # noqa: B009 - a Module attribute
    image = torch.rand(count, 3, side, int(getattr(net, "width", side)), generator=generator)
    middle, size = torch.full((count, 2), side / 2), torch.full((count,), float(side))
    box = Box(middle, size, torch.zeros(count), 2 * size, middle)
    points = 0.6 * torch.rand(count, 49, 2, generator=generator) - 0.3
    keypoints = torch.cat((points, torch.ones(count, 49, 1)), dim=-1)
    return Batch(image.to(device), box.to(device), keypoints.to(device))


def plain(
    net: nn.Module,
    body: Body,
    batch: Batch,
    kept: nn.Module,
    iterations: int = EFT.iterations,
    moves: frozenset[str] | None = None,
) -> list[Prediction]:
    """EFT as a straightforward program writes it, on the weights `moves` (None: all)."""
    weights = fitted_weights(batch.keypoints_2d[..., 2], body.available(), EFT)
    found = []
    for i in range(len(batch)):
        net.load_state_dict(copy.deepcopy(kept.state_dict()))
        moves = moving_names(net, "all") if moves is None else moves
        for name, p in net.named_parameters():
            p.requires_grad_(name in moves)
        optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-6)
        one = slice(i, i + 1)
        target, confidence = batch.keypoints_2d[one, :, :2], batch.keypoints_2d[one, :, 2]
        for _ in range(iterations):
            prediction = net(batch.image[one], batch.box[one])
            posed = body(prediction.body_params())
            projected = project_weak(keypoints_of(posed), prediction.camera)
            loss = EFT.overall_weight * (
                EFT.keypoints_weight * objectives.keypoints_2d(projected, target, weights[one])
                + EFT.shape_weight * objectives.shape_prior(prediction.betas)
                + EFT.camera_weight * objectives.camera_scale_prior(prediction.camera)
                + EFT.leg_weight
                * objectives.lower_leg_orientation(projected, target, confidence, LOWER_LEGS)
            )
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
        with torch.no_grad():
            found.append(net(batch.image[one], batch.box[one]))
    return found


def keypoints_of(posed: BodyOutput) -> Tensor:
    """The 49 keypoints picked and regressed from a posed SMPL mesh, (b, 49, 3) metres."""
    extra = torch.from_numpy(fixture.j_regressor_extra()).to(posed.vertices) @ posed.vertices
    sources = {"joint": posed.joints, "vertex": posed.vertices, "extra": extra}
    return torch.stack([sources[kind][:, index] for kind, index in smpl49_sources()], dim=1)


def timed(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds and result."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    result = function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def compare(name: str, config: Config, body: Body, device: torch.device) -> dict[str, Any]:
    """Both ways and the cheaper variants on one network, a round of each in turn."""
    net = network(name).to(device)
    kept = copy.deepcopy(net)
    batch = exemplars(net, body, config.exemplars, device)

    def ours(adapt: Adapt, workers: int | None = None) -> Callable[[], Any]:
        settings = replace(EFT, adapt=adapt)
        return lambda: fit_exemplars(
            kept, body, batch, settings, workers=workers, chunk_size=config.chunk
        )

    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(net, body, batch, kept),
        "ours": ours("all"),
        "ours, one worker": ours("all", 1),
        "ours, head": ours("head"),
    }
    if len(parts_of(net)) > 2:
        ways["ours, last_stage"] = ours("last_stage")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    results = {}
    for _ in range(config.rounds):
        for way, run in ways.items():
            spent, results[way] = timed(run, device)
            seconds[way].append(spent / config.exemplars)
    theirs = torch.cat([p.body_pose for p in results["plain"]])
    gap = float((theirs - results["ours"].after.prediction.body_pose).abs().max())
    moved = float((theirs - results["ours"].before.prediction.body_pose).abs().max())
    return {
        "seconds": {way: statistics.median(times) for way, times in seconds.items()},
        "ratio": {
            way: statistics.median(a / b for a, b in zip(seconds["plain"], times, strict=True))
            for way, times in seconds.items()
        },
        "all_seconds": seconds,
        "largest_difference_to_plain": gap,
        "largest_change_by_fitting": moved,
        "largest_difference_in_float64": gap_in_double(name),
        "megabytes_per_exemplar": memory_of(kept, body, batch) / 2**20,
    }


def gap_in_double(name: str, iterations: int = 5) -> float:
    """Largest difference of the two ways' rotations in float64, where rounding does not blur it."""
    net, body = network(name).double(), eft.body(torch.float64)
    single = exemplars(net, body, 1, torch.device("cpu"))
    batch = Batch(single.image.double(), single.box.to(torch.float64), single.keypoints_2d.double())
    theirs = plain(net, body, batch, copy.deepcopy(net), iterations)[0]
    ours = fit_exemplars(network(name).double(), body, batch, replace(EFT, iterations=iterations))
    return float((theirs.body_pose - ours.after.prediction.body_pose).abs().max())


def memory_of(net: nn.Module, body: Body, batch: Batch, config: EftConfig = EFT) -> int:
    """What the package expects an exemplar to take, bytes."""
    moves = moving_names(net, config.adapt)
    weights = RegressorWeights(net, batch.image, batch.box, moves)
    return bytes_per_group(weights, eft_objective(body, batch, config))


def main(config: Config) -> None:
    """Compare, print, write."""
    device = torch.device(config.device)
    body = eft.body().to(device)
    results: dict[str, Any] = {}
    table = Table("network", "way", "s / exemplar", "plain / this")
    for name in config.networks:
        results[name] = compare(name, config, body, device)
        for way, seconds in results[name]["seconds"].items():
            table.add_row(name, way, f"{seconds:.2f}", f"{results[name]['ratio'][way]:.2f}")
    results["peak_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console = Console(width=100)
    console.print(table)
    for name in config.networks:
        gap, moved, exact = (
            results[name][key]
            for key in (
                "largest_difference_to_plain",
                "largest_change_by_fitting",
                "largest_difference_in_float64",
            )
        )
        console.print(
            f"{name}: rotations differ from the plain way's by at most {gap:.1e} ({exact:.1e} in "
            f"float64 after 5 iterations); "
            f"fitting changed them by up to {moved:.1e}; "
            f"{results[name]['megabytes_per_exemplar']:.0f} MiB an exemplar"
        )
    console.print(f"peak of the process {results['peak_megabytes']:.0f} MiB")
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
