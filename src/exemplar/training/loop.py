"""The training loop, on Lightning Fabric: one device or many, exact to resume.

The loop knows no losses. A *step module* does the whole iteration in its `forward(batch)`, adapting
weights by inner gradients included, and returns scalars by name; "loss" is the one that is
minimised. Exactness comes from what is a function of the step alone: the batch, the learning rate
and the seed of whatever the step draws.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from rich.console import Console
from torch import nn

from exemplar.files.reading_files import reading
from exemplar.training.averages import WeightAverage
from exemplar.training.processes import Share, Step, means, on_first, open_fabric, seed_step
from exemplar.training.progress import TrainingProgress, stop_asked
from exemplar.training.run_folder import (
    BEST,
    LAST,
    RunFolder,
    as_json,
    check_folder,
    check_settings,
    load_checkpoint,
    opened_run,
)
from exemplar.training.schedule import FREE, LoopConfig, rate_factor
from exemplar.training.state import NotFinite, TrainingState, new_optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@runtime_checkable
class Batch(Protocol):
    """What the step module takes."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> Any:
        """The batch on another device."""
        ...


Batches = Callable[[int, int, int], Batch]
"""(step from 0, rank, number of processes) to that process's share of the step's batch."""

Validate = Callable[[nn.Module], Mapping[str, float]]
"""Numbers of the step module, by name; `LoopConfig.score` is one of them."""

Pictures = Callable[[nn.Module, int, Path], None]
"""Draws what the step module does after a number of steps, into a folder."""


class Ahead:
    """`Batches` that are prepared ahead of the steps, by a stream of them.

    stream: (step, rank, number of processes) to the batches of that step and those after it.
    """

    def __init__(self, stream: Callable[[int, int, int], Iterator[Batch]]) -> None:
        self._stream = stream
        self._next, self._batches = -1, iter(())

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        """The batch of a step."""
        if step != self._next:
            self._batches = self._stream(step, rank, world)
        self._next = step + 1
        return next(self._batches)


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    folder: Path
    """The run's folder."""
    step: int
    """Updates that were made, skipped ones included, since the run began."""
    finished: bool
    """Whether all steps are done; False after Ctrl-C."""
    best_score: float | None
    """Lowest validation score."""
    best_step: int | None
    """Steps behind the best weights."""
    skipped: int
    """Steps skipped because 16-bit gradients overflowed."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """Numbers of this process's last validation."""


def train(
    step_module: nn.Module,
    batches: Batches,
    *,
    config: LoopConfig,
    folder: Path,
    validate: Validate | None = None,
    pictures: Pictures | None = None,
    resume: bool = False,
    param_groups: Sequence[Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Summary:
    """Train a step module (in the train or eval mode it is in) and leave it trained.

    `param_groups` are torch's, {"params": [...], "lr": ...}; without them all weights that require
    gradients have the config's rate. `settings` are what else makes the run what it is: resuming it
    with others is refused. `validate` and `pictures` see the module in eval mode and with averaged
    weights, in the first process only.

    With several processes the loss is the mean of theirs, so each should get as many people. That
    is one process's loss unless the step mixes people, as batch norm does, or an inner gradient of
    a whole batch: those see the process's own share. A resume needs as many processes.
    Ctrl-C ends the step, saves, and returns. So does a checkpoint that cannot be written, with an
    error: the one of before is whole, and going on would only lose more.

    Raises ValueError on settings, a folder or a checkpoint that do not fit, NotFinite (a
    ValueError) when numbers break, OSError when a file cannot be written; each in one line.
    """
    if not any(p.requires_grad for p in step_module.parameters()):
        raise ValueError("nothing to train: no weight of the step module requires a gradient")
    fabric = open_fabric(config)
    everything = as_json({"loop": asdict(config), **(settings or {})})
    job = _Job(
        step_module, batches, config, folder, validate, pictures, resume, param_groups, everything
    )
    # as a dict: Fabric takes what processes return apart, and cannot do so with frozen dataclasses
    return Summary(**fabric.launch(lambda started: vars(_run(started, job, console))))


@dataclass(frozen=True)
class _Job:
    """The arguments of `train`."""

    module: nn.Module
    batches: Batches
    config: LoopConfig
    folder: Path
    validate: Validate | None
    pictures: Pictures | None
    resume: bool
    param_groups: Sequence[Mapping[str, Any]] | None
    settings: Mapping[str, Any]


def _run(fabric: "Fabric", job: _Job, console: Console | None) -> Summary:
    config, path = job.config, job.folder / LAST
    job = replace(job, settings={**job.settings, "processes": fabric.world_size})
    on_first(fabric, lambda: check_folder(job.folder, resume=job.resume))
    checkpoint = on_first(fabric, lambda: load_checkpoint(path)) if job.resume else None
    if checkpoint is not None:
        with reading(path, "a training checkpoint"):
            check_settings(job.settings, checkpoint["settings"], free=_free(config))
    if config.compile:
        job.module.compile()
    wrapped, optimiser = fabric.setup(
        Step(job.module), new_optimiser(job.module, config, job.param_groups)
    )
    average = WeightAverage(job.module, config.ema) if config.ema is not None else None
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    state = TrainingState(job.module, optimiser.optimizer, average, scaler)
    peaks = [group["lr"] for group in optimiser.param_groups]
    if checkpoint is not None:
        state.load_state_dict(checkpoint, path)
    with ExitStack() as opened:
        run = _open(fabric, job, state.step, opened)
        if console is None or run is None:
            console = Console(soft_wrap=True, highlight=False, quiet=run is None)
        asked = opened.enter_context(stop_asked())
        progress = opened.enter_context(TrainingProgress(console, config.steps, state.step))
        loop = _Loop(fabric, job, wrapped, optimiser, peaks, state, run, progress)
        return loop.run(asked)


def _open(fabric: "Fabric", job: _Job, step: int, opened: ExitStack) -> RunFolder | None:
    """The run folder, in the first process."""
    runs: list[RunFolder] = []
    device, tensorboard = str(fabric.device), job.config.tensorboard

    def enter() -> None:
        folder = opened_run(
            job.folder, job.settings, step=step, device=device, tensorboard=tensorboard
        )
        runs.append(opened.enter_context(folder))

    on_first(fabric, enter)
    return runs[0] if runs else None


@dataclass
class _Loop:
    """The parts of a running loop."""

    fabric: "Fabric"
    job: _Job
    wrapped: nn.Module
    optimiser: Any
    peaks: list[float]
    state: TrainingState
    run_folder: RunFolder | None
    progress: TrainingProgress
    validation: Mapping[str, float] = field(default_factory=dict)
    seen: int = 0
    """People since the last row of the log."""
    since: float = field(default_factory=time.monotonic)
    """When that was."""
    saved: int = 0
    """Steps behind the checkpoint on disk."""

    def run(self, asked: Callable[[], bool]) -> Summary:
        """All steps that are left, or until somebody asks to stop."""
        job, state = self.job, self.state
        self.saved, stopped = state.step, False
        rank, world = self.fabric.global_rank, self.fabric.world_size
        while state.step < job.config.steps and not stopped:
            batch = job.batches(state.step, rank, world)
            loss, stopped = self._update(batch, asked)
            people = len(batch) * world
            self.seen += people
            self.progress.stepped(state.step, people, loss)
            self._book(stopped)
        if stopped:
            self.progress.say(f"stopped after step {state.step}; resume to go on")
        return Summary(
            job.folder,
            state.step,
            state.step >= job.config.steps,
            state.best_score,
            state.best_step,
            state.skipped,
            self.validation,
        )

    def _update(self, batch: Batch, asked: Callable[[], bool]) -> tuple[float, bool]:
        """One step; returns the loss and whether any process was asked to stop."""
        state, config = self.state, self.job.config
        seed_step(config.seed, state.step, self.fabric.global_rank)
        factor = rate_factor(state.step, config)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.wrapped.zero_grad(set_to_none=True)
        terms = self.wrapped(Share(batch.to(self.fabric.device)))
        values, stopped = means(self.fabric, terms, asked())
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            name = next((name for name in broken if name != "loss"), "loss")
            raise self._not_finite(f"{name!r} is {values[name]}")
        self.fabric.backward(terms["loss"])
        try:
            norm = state.apply_gradient(config.clip_norm)
        except NotFinite as error:
            raise self._not_finite(str(error)) from error
        if norm is not None:
            state.add({**values, "gradient_norm": norm})
        state.step += 1
        return values["loss"], stopped

    def _not_finite(self, what: str) -> NotFinite:
        kept = self.job.folder / LAST
        good = f"the last good checkpoint is {kept} (step {self.saved})"
        there = good if self.saved else "there is no checkpoint yet"
        return NotFinite(f"step {self.state.step + 1}: {what}; {there}")

    def _book(self, stopped: bool) -> None:
        """Log, validate and save, if it is time to."""
        state, config, step = self.state, self.job.config, self.state.step
        last = step == config.steps
        logs = last or step % config.log_every == 0
        validates = self.job.validate is not None and (last or _due(step, config.validate_every))
        saves = last or stopped or _due(step, config.checkpoint_every)
        keeps = _due(step, config.keep_every)
        row = self._row() if logs else {}
        if logs or validates or saves or keeps:
            written = on_first(self.fabric, lambda: self._write(row, validates, saves, keeps))
            state.best_score, state.best_step, self.validation = written
            self.saved = step if saves else self.saved
            self.progress.resting()

    def _row(self) -> dict[str, float]:
        """Means of the numbers since the last row."""
        state, seconds = self.state, time.monotonic() - self.since
        row = state.take_means()
        row |= {f"rate_{i}": g["lr"] for i, g in enumerate(self.optimiser.param_groups)}
        row["people_per_second"] = self.seen / max(seconds, 1e-9)
        if state.scaler is not None:
            row |= {"skipped": float(state.skipped), "scale": state.scaler.get_scale()}
        self.seen, self.since = 0, time.monotonic()
        return row

    def _write(
        self, row: dict[str, float], validates: bool, saves: bool, keeps: bool
    ) -> tuple[float | None, int | None, Mapping[str, float]]:
        state, run, settings = self.state, self.run_folder, {"settings": self.job.settings}
        assert run is not None
        better = validates and self._validate(row, run)
        try:
            if better:
                whole = state.state_dict()
                kept = ("module", "average", "step", "best_score")
                run.save(BEST, {name: whole[name] for name in kept} | settings)
            if row:
                run.record(state.step, row)
            if keeps:
                run.save(f"step_{state.step:08}.pt", state.state_dict() | settings)
            if saves:
                run.save(LAST, state.state_dict() | settings)
        except OSError as error:
            there = f"; the checkpoint of step {self.saved} is whole, resume to go on from it"
            raise OSError(f"{error}{there if self.saved else ''}") from error
        return state.best_score, state.best_step, self.validation

    def _validate(self, row: dict[str, float], run: RunFolder) -> bool:
        """Whether the weights are the best so far; the numbers go into the row."""
        state, job = self.state, self.job
        assert job.validate is not None
        seed_step(job.config.seed, state.step, 0)
        with state.evaluated() as module:
            self.validation = {name: float(v) for name, v in job.validate(module).items()}
            if job.pictures is not None:
                run.pictures.mkdir(exist_ok=True)
                job.pictures(module, state.step, run.pictures)
        if job.config.score not in self.validation:
            names = ", ".join(self.validation)
            raise ValueError(f"score {job.config.score!r}: expected one of {names}")
        row |= {f"validation_{name}": value for name, value in self.validation.items()}
        score = self.validation[job.config.score]
        numbers = "  ".join(f"{name} {value:.5g}" for name, value in self.validation.items())
        self.progress.say(f"step {state.step}  {numbers}")
        better = score < (math.inf if state.best_score is None else state.best_score)
        if better:
            state.best_score, state.best_step = score, state.step
        return better


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _free(config: LoopConfig) -> frozenset[str]:
    """Settings that may change at a resume; more steps, too, where no rate depends on them."""
    return FREE | {"loop.steps"} if config.schedule == "constant" else FREE
