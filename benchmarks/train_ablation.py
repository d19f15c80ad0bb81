"""The second paper's Table 3 on synthetic people: does an exemplar step inside training help?

python -m benchmarks.train_ablation --train lifted=T/train.npz:T --work F \
    --validation val=V/annotations.npz --test test=W/annotations.npz

Three ways to train the same network on the same people for the same number of steps: supervised
(plain), with an exemplar step on the 2D error (exemplar), and with an auxiliary network's body in
it (auxiliary). Each is tested after some test-time steps of its own kind; plain's are on the 2D
error. EFT runs on the plain network, its step chosen on validation people. Runs resume. With
the head of a network of more parts trained so (`--regressor hmr --frozen 5`), `--after F --work G
--frozen 4` goes on with the later layers free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.common import write_results
from exemplar.bodies import Body, load_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.weights import parts_of
from exemplar.regressors.checkpoints import RegressorInfo, load_regressor
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.job import AUXILIARY_WEIGHTS, WEIGHTS, TrainConfig, run_training
from exemplar.training.recipes import AUGMENTATIONS, OURS, Recipe, recipe_named
from exemplar.training.sources import load_people, parse_source
from exemplar.training.starting import starting_regressor
from exemplar.training.trainee import Trainee
from exemplar.training.validation import ValidationPeople, errors, evaluated

ROWS = ("plain", "exemplar", "auxiliary")
NAMES = ("pa_mpjpe", "mpjpe", "px")

Means = Mapping[int, Mapping[str, float]]
"""Mean errors after so many test-time steps."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    train: str
    """People to train on, as `exemplar train --data` has them."""
    validation: str
    """People who choose EFT's step."""
    test: str
    """People who are tested on; their bodies are known."""
    work: Path
    """Folder of the runs and the features."""
    regressor: str = "blazepose"
    """Where training starts."""
    after: Path | None = None
    """Work folder of a finished run with more parts frozen: each row and seed goes on from its
    weights there; None starts all from `regressor` with a fresh head."""
    frozen: int = 1
    """Parts that stay as they are, at least 1; all but the default network's head."""
    rows: tuple[str, ...] = ROWS
    """Ways to train."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """A run of each row for each of them."""
    steps: int = 1500
    """Updates of each run."""
    batch_size: int = 128
    """People of an update."""
    learning_rate: float = 6e-4
    """Highest rate."""
    inner_rate: float = 2e-4
    """Size of inner steps. In first order nothing holds back what makes them unstable: at 1e-3
    training on the 2D error alone diverges."""
    test_rate: float | None = None
    """Size of test-time steps; None is that of the inner steps."""
    test_steps: tuple[int, ...] = (0, 1, 3, 7, 14)
    """Test-time steps."""
    test_people: int = 1000
    """People tested on."""
    augment: str = "eft"
    """Augmentation, as `exemplar train --augment` has it."""
    variants: int = 2
    """Augmented variants of each training person."""
    eft_people: int = 200
    """The first so many of them are fitted by EFT."""
    eft_rates: tuple[float, ...] = (3e-6, 1e-5, 3e-5)
    """EFT's steps to choose from."""
    threads: int = 1
    """Torch threads."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Train, test, print."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    regressor, _ = _start(config)
    people = ValidationPeople(
        load_people(parse_source(config.test)),
        frame_of(regressor),
        frozen=parts_of(regressor)[: config.frozen],
        limit=config.test_people,
    )
    found: dict[str, list[Means]] = {row: [] for row in config.rows}
    first: dict[str, list[Means]] = {row: [] for row in config.rows}
    for seed in config.seeds:
        for row in config.rows:
            folder = _train(config, row, seed)
            step = _trained(config, row, folder)
            inner = _inner(config, row)
            inner = replace(inner, learning_rate=config.test_rate or config.inner_rate)
            values = evaluated(step, people, config.test_steps, inner)
            found[row].append({n: _means(v, None) for n, v in values.items()})
            first[row].append({n: _means(v, config.eft_people) for n, v in values.items()})
            print(row, seed, found[row][-1], flush=True)
    fits = "plain" in config.rows and config.eft_people > 0
    eft = _eft(config, load_body()) if fits else {}
    write_results(config.output, config, {"rows": found, "first": first, "eft": eft})
    print(f"{config.test_people} people")
    _print(found, config)
    if eft:
        print(f"the first {config.eft_people} of them")
        _print({**first, "plain + EFT": eft["runs"]}, config)


def _start(config: Config) -> tuple[nn.Module, RegressorInfo]:
    return starting_regressor(config.regressor)


def _inner(config: Config, row: str) -> InnerConfig:
    teacher = "auxiliary" if row == "auxiliary" else "none"
    return InnerConfig(teacher, 1, config.inner_rate, loss=replace(OURS, scale=1.0))


def _recipe(config: Config, row: str) -> Recipe:
    recipe = recipe_named("supervised", "default")
    loop = replace(
        recipe.loop, steps=config.steps, learning_rate=config.learning_rate,
        clip_norm=100.0, validate_every=None, checkpoint_every=200, tensorboard=False,
    )  # fmt: skip
    inner = None if row == "plain" else _inner(config, row)
    augmentation = AUGMENTATIONS[config.augment]()
    return replace(
        recipe, loop=loop, inner=inner, batch_size=config.batch_size, augmentation=augmentation
    )


def _train(config: Config, row: str, seed: int) -> Path:
    """A run's folder; nothing is done twice."""
    folder = config.work / f"{row}-{config.frozen}-{config.steps}-{seed}"
    regressor, auxiliary = config.regressor, None
    if config.after is not None:
        begun = list(config.after.glob(f"{row}-*-{seed}"))
        if len(begun) != 1:
            raise SystemExit(f"{config.after}: expected one run {row}-*-{seed}, got {len(begun)}")
        regressor = str(begun[0] / WEIGHTS)
        auxiliary = str(begun[0] / AUXILIARY_WEIGHTS) if row == "auxiliary" else None
    settings = TrainConfig(
        _recipe(config, row),
        (parse_source(config.train),),
        regressor=regressor,
        auxiliary=auxiliary,
        frozen=config.frozen,
        cache=config.work / f"features-{config.frozen}",
        variants=config.variants,
        workers=0,
        seed=seed,
    )
    if not (folder / WEIGHTS).exists():
        run_training(settings, folder, resume=(folder / "last.pt").exists(), console=Console())
    return folder


def _trained(config: Config, row: str, folder: Path) -> TrainingStep:
    """The networks of a run, for features of the frozen parts."""

    def load(name: str) -> Trainee:
        return Trainee(load_regressor(folder / name)[0], frozen=config.frozen, cached=True)

    auxiliary = load(AUXILIARY_WEIGHTS) if row == "auxiliary" else None
    inner = _inner(config, row) if row == "auxiliary" else None
    return TrainingStep(load(WEIGHTS), load_body(), OURS, inner, auxiliary).eval()


def _means(values: Mapping[str, Tensor], most: int | None) -> dict[str, float]:
    return {name: float(values[name][:most].nanmean()) for name in NAMES}


def _eft(config: Config, body: Body) -> dict[str, Any]:
    """EFT on the plain networks' heads: errors after some of its updates, at the step that the
    validation people choose (lowest PA-MPJPE after the most updates)."""
    last = max(config.test_steps)
    people = {
        name: list(_crops(config, text))
        for name, text in (("validation", config.validation), ("test", config.test))
    }
    out: dict[str, Any] = {"runs": [], "rates": {}}
    for seed in config.seeds:
        network, _ = load_regressor(_train(config, "plain", seed) / WEIGHTS)
        if not out["rates"]:
            for rate in config.eft_rates:
                found = _eft_errors(network, body, people["validation"], rate, [last])
                out["rates"][str(rate)] = found[last]
            best = min(out["rates"], key=lambda rate: out["rates"][rate]["pa_mpjpe"])
            out["rate"] = float(best)
        steps = config.test_steps
        out["runs"].append(_eft_errors(network, body, people["test"], out["rate"], steps))
        print("eft", seed, out["rate"], out["runs"][-1], flush=True)
    return out


def _crops(config: Config, text: str) -> ValidationPeople:
    frame = frame_of(_start(config)[0])
    return ValidationPeople(load_people(parse_source(text)), frame, limit=config.eft_people)


def _eft_errors(
    network: nn.Module,
    body: Body,
    people: Sequence[TrainingBatch],
    rate: float,
    steps: Sequence[int],
) -> dict[int, dict[str, float]]:
    """Mean errors after so many updates; a fit that has stopped stays where it is."""
    eft = EftConfig(learning_rate=rate, iterations=max(steps), adapt="head")
    found: dict[int, list[dict[str, Tensor]]] = {count: [] for count in steps}
    for block in people:
        assert isinstance(block.inputs, Tensor)
        batch = Batch(block.inputs, block.box, block.keypoints_2d)
        iterates = fit_exemplars(network, body, batch, eft, history=True).trace.iterates
        for count in steps:
            prediction = Prediction(*(x[:, count] for x in vars(iterates.prediction).values()))
            found[count].append(errors(body, network, prediction, block))
    return {
        count: _means({name: torch.cat([part[name] for part in parts]) for name in NAMES}, None)
        for count, parts in found.items()
    }


def _print(rows: Mapping[str, Sequence[Means]], config: Config) -> None:
    """PA-MPJPE, MPJPE and 2D error, mean and deviation over the seeds."""
    table = Table("trained", "error", *(f"{count} steps" for count in config.test_steps))
    for row, runs in rows.items():
        for name in NAMES:
            values = np.array([[run[count][name] for count in config.test_steps] for run in runs])
            cells = (
                f"{m:.1f} ({d:.1f})" for m, d in zip(values.mean(0), values.std(0), strict=True)
            )
            table.add_row(row, name, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
