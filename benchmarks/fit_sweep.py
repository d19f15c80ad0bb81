"""Fits a second by network, batch size, precision and kind of convolution, for a GPU.

python -m benchmarks.fit_sweep --device cuda --output benchmarks/results/gpu_fit_sweep.json

The plain loop of `benchmarks.fit_speed` (one exemplar at a time, torch's Adam, all vertices posed)
runs beside each network and precision in the same run. What matters most comes first, each row is
written at once, and no row is begun after `--seconds`. The best row is profiled.
"""

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import write_results
from benchmarks.fit_speed import EFT, exemplars, memory_of, network, plain, timed
from exemplar.bodies import Body
from exemplar.environment import usable_device
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.fits import Fits
from exemplar.fitting.memory import free_bytes
from exemplar.fitting.weights import Convolutions, moving_names
from exemplar.samples import Batch
from tests.golden import eft

Numbers = Literal["float32", "tf32", "bfloat16"]
"""What products are computed in."""

TOP = 10
"""Kernels of the profile that are kept."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    networks: tuple[str, ...] = ("hmr", "mobile", "large", "cliff")
    """hmr and cliff (ResNet-50, 27M weights): all weights; mobile and large: their heads."""
    batches: tuple[int, ...] = (64, 256, 8, 1)
    """Exemplars side by side."""
    precisions: tuple[Numbers, ...] = ("tf32", "bfloat16", "float32")
    """Numbers of the products."""
    convolutions: tuple[Convolutions, ...] = ("grouped", "unfold")
    """Both are tried on the first batch size; the faster is used for the others."""
    iterations: int = 20
    """Updates of a fit; nobody stops early."""
    plain_exemplars: int = 2
    """Exemplars of the plain loop."""
    rounds: int = 2
    """Runs of each row after one to warm up; the median counts."""
    seconds: float = 600.0
    """No row is begun after so long."""
    device: str = "auto"
    """Torch device."""
    output: Path | None = None
    """JSON file to write."""


@dataclass
class Bench:
    """What all rows share."""

    config: Config
    device: torch.device
    body: Body
    rows: list[dict[str, Any]]

    def fit(self, net: nn.Module, batch: Batch, numbers: Numbers, way: Convolutions) -> Fits:
        """A batch's fits."""
        precision = "bfloat16" if numbers == "bfloat16" else "float32"
        sizes: set[int] = set()
        fits = fit_exemplars(
            net,
            self.body,
            batch,
            replace(self.settings(net), iterations=self.config.iterations),
            chunk_size=len(batch),
            precision=precision,
            convolutions=way,
            progress=lambda rows, step, evaluation: sizes.add(len(rows)),
        )
        if min(sizes) < len(batch):
            raise MemoryError(f"{len(batch)} exemplars do not fit side by side")
        return fits

    def settings(self, net: nn.Module) -> EftConfig:
        """All weights of ResNet-50, the heads of the shipped networks."""
        return replace(EFT, adapt="all" if hasattr(net, "decpose") else "head")

    def row(
        self, name: str, net: nn.Module, kept: nn.Module, size: int, numbers: Numbers,
        way: Convolutions, loop: dict[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        """Measure one row."""
        batch = exemplars(net, self.body, size, self.device)
        found: dict[str, Any] = {
            "network": name, "batch": size, "precision": numbers, "convolutions": way,
        }  # fmt: skip
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            need = size * memory_of(
                kept, self.body, exemplars(net, self.body, 1, self.device), self.settings(kept)
            )
            if need > (free := free_bytes(self.device)):
                return {**found, "error": f"needs {need / 1e9:.0f} GB, {free / 1e9:.0f} are free"}
        try:
            with products(numbers):
                runs = [
                    timed(lambda: self.fit(kept, batch, numbers, way), self.device)
                    for _ in range(1 + self.config.rounds)
                ]
        except (MemoryError, torch.OutOfMemoryError) as error:
            return {**found, "error": str(error).splitlines()[0]}
        seconds = statistics.median(spent for spent, _ in runs[1:]) / size
        ours = runs[-1][1]
        exact = torch.cat([p.body_pose for p in loop["float32"]["found"]])[:size]
        start = ours.before.prediction.body_pose[: len(exact)]
        after = ours.after.prediction.body_pose[: len(exact)]
        found |= {
            "seconds_each": seconds,
            "fits_per_second": 1 / seconds,
            "first_run_seconds_each": runs[0][0] / size,
            "plain_seconds_each": loop[numbers]["seconds"],
            "times_plain": loop[numbers]["seconds"] / seconds,
            "times_plain_float32": loop["float32"]["seconds"] / seconds,
            "largest_difference_to_plain_float32": float((after - exact[: len(after)]).abs().max()),
            "largest_change_by_fitting": float((after - start).abs().max()),
        }
        if self.device.type == "cuda":
            found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        return found

    def plain_loop(self, net: nn.Module, kept: nn.Module) -> dict[str, dict[str, Any]]:
        """Seconds an exemplar and results of the plain loop, by precision."""
        batch = exemplars(net, self.body, self.config.plain_exemplars, self.device)
        adapt = self.settings(net).adapt

        def loop(numbers: Numbers, updates: int) -> list[Any]:
            rough = torch.autocast(self.device.type, torch.bfloat16)
            with products(numbers), rough if numbers == "bfloat16" else nullcontext():
                return plain(net, self.body, batch, kept, updates, moving_names(net, adapt))

        found: dict[str, dict[str, Any]] = {}
        for numbers in dict.fromkeys(("float32", *self.config.precisions)):
            loop(numbers, 1)
            spent, made = timed(lambda n=numbers: loop(n, self.config.iterations), self.device)
            found[numbers] = {"seconds": spent / len(batch), "found": made}
        return found


@contextmanager
def products(numbers: Numbers) -> Iterator[None]:
    """TF32 on or off for the time of a block."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if numbers == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = numbers == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def main(config: Config) -> None:
    """Measure, write, profile."""
    began = time.monotonic()
    device = usable_device(config.device)
    config = replace(config, device=str(device))
    bench = Bench(config, device, eft.body().to(device), [])
    results: dict[str, Any] = {"rows": bench.rows, "skipped": [], "networks": {}, "top_kernels": []}

    def write() -> None:
        write_results(config.output, config, results)

    for name in config.networks:
        net = network(name).to(device)
        kept = copy.deepcopy(net)
        if time.monotonic() - began > config.seconds:
            results["skipped"].append(f"{name}: no time left")
            continue
        loop = bench.plain_loop(net, kept)
        moving = moving_names(kept, bench.settings(kept).adapt)
        results["networks"][name] = {
            "moving_weights": sum(p.numel() for n, p in kept.named_parameters() if n in moving),
            "megabytes_each": memory_of(
                kept, bench.body, exemplars(kept, bench.body, 1, device), bench.settings(kept)
            )
            / 2**20,
            "plain_seconds_each": {n: each["seconds"] for n, each in loop.items()},
        }
        for size in config.batches:
            for numbers in config.precisions:
                for way in ways(bench.rows, config, name, numbers):
                    if time.monotonic() - began > config.seconds:
                        results["skipped"].append(f"{name} {size} {numbers} {way}: no time left")
                        continue
                    bench.rows.append(bench.row(name, net, kept, size, numbers, way, loop))
                    write()
    measured = [row for row in bench.rows if "error" not in row]
    if measured:
        best = max(measured, key=lambda row: (row["network"] == config.networks[0], _rate(row)))
        results["profiled"] = {k: best[k] for k in ("network", "batch", "precision")}
        results["top_kernels"] = top_kernels(bench, best)
    write()
    tell(results)


def _rate(row: dict[str, Any]) -> float:
    return row["fits_per_second"]


def ways(
    rows: list[dict[str, Any]], config: Config, name: str, numbers: Numbers
) -> tuple[Convolutions, ...]:
    """Kinds of convolution to try: all on the first batch size, afterwards the fastest. Networks
    whose heads alone move have none to choose."""
    if name not in ("hmr", "cliff"):
        return config.convolutions[:1]
    tried = [
        r
        for r in rows
        if (r["network"], r["precision"]) == (name, numbers) and _is_first(r, config)
    ]
    if {r["convolutions"] for r in tried} < set(config.convolutions):
        return config.convolutions
    sound = [r for r in tried if "error" not in r]
    return (max(sound, key=_rate)["convolutions"],) if sound else config.convolutions


def _is_first(row: dict[str, Any], config: Config) -> bool:
    return row["batch"] == config.batches[0]


def top_kernels(bench: Bench, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The kernels that take longest in a short fit of this row."""
    cuda = bench.device.type == "cuda"
    net = network(row["network"]).to(bench.device)
    batch = exemplars(net, bench.body, row["batch"], bench.device)
    short = replace(bench, config=replace(bench.config, iterations=min(3, bench.config.iterations)))
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with products(row["precision"]), profile(activities=kinds) as seen:
        short.fit(net, batch, row["precision"], row["convolutions"])
    events = seen.key_averages()
    own = "self_device_time_total" if cuda else "self_cpu_time_total"
    spent = {event.key: (getattr(event, own), event.count) for event in events}
    whole = sum(each for each, _ in spent.values()) or 1.0
    first = sorted(spent.items(), key=lambda item: -item[1][0])[:TOP]
    return [
        {"kernel": key[:120], "calls": count, "ms": each / 1e3, "share": each / whole}
        for key, (each, count) in first
    ]


def tell(results: dict[str, Any]) -> None:
    """Print both tables."""
    console = Console(width=120)
    table = Table(
        "network", "batch", "numbers", "convolutions", "ms each", "fits/s", "plain / this"
    )
    for row in results["rows"]:
        head = (row["network"], str(row["batch"]), row["precision"], row["convolutions"])
        if "error" in row:
            table.add_row(*head, row["error"], "", "")
            continue
        rate, times = row["fits_per_second"], row["times_plain"]
        table.add_row(*head, f"{1e3 * row['seconds_each']:.1f}", f"{rate:.1f}", f"{times:.1f}")
    console.print(table)
    for line in results["skipped"]:
        console.print(f"skipped {line}", markup=False)
    kernels = Table("kernel", "calls", "ms", "share")
    for each in results["top_kernels"]:
        ms, share = f"{each['ms']:.1f}", f"{each['share']:.0%}"
        kernels.add_row(each["kernel"], str(each["calls"]), ms, share)
    console.print(kernels)


if __name__ == "__main__":
    main(tyro.cli(Config))
