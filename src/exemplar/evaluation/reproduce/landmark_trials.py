"""Heads on stored landmarks, trained with and without an exemplar step, and their fits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.evaluation.reproduce.landmark_bank import Bank, TestSet, no_box
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.on_landmarks import OnLandmarks
from exemplar.regressors.prediction import Prediction
from exemplar.training.adaptation import InnerConfig
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.loop import train
from exemplar.training.recipes import OURS
from exemplar.training.run_folder import LAST
from exemplar.training.schedule import LoopConfig
from exemplar.training.trainee import Trainee

STEPS = (0, 1, 3, 7, 14)
"""Test-time steps that are reported."""

SHAPE = LifterConfig(hidden=256, blocks=2, dropout=0.0)
"""Of the heads: a third of the shipped ones' weights."""

PEOPLE = 40
"""Of an update."""

RATE = 0.003
"""Size of the inner step: a third of that at which 14 steps of a plainly trained head run away."""


def _inner(*, second_order: bool, auxiliary: bool, learned: bool = False) -> InnerConfig:
    return InnerConfig(
        teacher="auxiliary" if auxiliary else "none",
        learning_rate=RATE,
        learned=learned,
        second_order=second_order,
        loss=replace(OURS, scale=1.0),
    )


ROWS: Mapping[str, InnerConfig | None] = {
    "plain": None,
    "step, first order": _inner(second_order=False, auxiliary=False),
    "step": _inner(second_order=True, auxiliary=False),
    "step, learned sizes": _inner(second_order=True, auxiliary=False, learned=True),
    "step + auxiliary, first order": _inner(second_order=False, auxiliary=True),
    "step + auxiliary": _inner(second_order=True, auxiliary=True),
    "step + auxiliary, learned sizes": _inner(second_order=True, auxiliary=True, learned=True),
}
"""What each training iteration has inside."""


def empty_step(row: str, body: Body, seed: int) -> TrainingStep:
    """A row's heads before training. In eval mode: training and fits see the same network."""
    torch.manual_seed(seed)
    inner = ROWS[row]
    main = Trainee(OnLandmarks(LifterHead(SHAPE)))
    two = inner is not None and inner.teacher == "auxiliary"
    second = Trainee(OnLandmarks(LifterHead(SHAPE))) if two else None
    return TrainingStep(main, body, OURS, inner, second).eval()


def trained(
    folder: Path, row: str, budgets: Sequence[int], bank: Bank, body: Body, seed: int
) -> dict[int, TrainingStep]:
    """A row's heads after each budget, weights averaged; made once, resumable."""
    for budget in sorted(budgets):
        if not _weights(folder, budget).exists():
            _train(folder, row, budget, bank, body, seed)
    found = {}
    for budget in budgets:
        step = empty_step(row, body, seed)
        step.load_state_dict(load_file(_weights(folder, budget)), strict=False)
        found[budget] = step
    return found


def _weights(folder: Path, budget: int) -> Path:
    return folder / f"weights-{budget}.safetensors"


def _train(folder: Path, row: str, budget: int, bank: Bank, body: Body, seed: int) -> None:
    step = empty_step(row, body, seed)

    def keep(module: nn.Module) -> dict[str, float]:
        kept = {name: p.detach().clone() for name, p in module.named_parameters()}
        part = folder / "weights.part"
        save_file(kept, part)
        part.rename(_weights(folder, budget))
        return {"score": 0.0}

    loop = LoopConfig(
        steps=budget, learning_rate=1e-3, warm_up=100, optimiser="adamw", weight_decay=1e-4,
        clip_norm=100.0, ema=0.998, validate_every=None, checkpoint_every=500, log_every=200,
        tensorboard=False, accelerator="cpu", seed=seed,
    )  # fmt: skip
    done = train(
        step,
        lambda number, rank, world: bank.batch(seed, number, PEOPLE),
        config=loop,
        folder=folder,
        validate=keep,
        resume=(folder / LAST).exists(),
    )
    if not done.finished:
        raise KeyboardInterrupt


def after_steps(step: TrainingStep, test: TestSet, inner: InnerConfig) -> list[Prediction]:
    """Bodies after `STEPS` of the kind that a row was trained for."""
    batch = test.batch
    count = len(batch)
    nobody = torch.zeros(count, dtype=torch.bool)
    unknown = TrainingBatch(
        batch.image, no_box(count), batch.keypoints_2d, torch.zeros(count, 24, 4), nobody,
        step.main(batch.image, batch.box).detach().body_params(), nobody,
    )  # fmt: skip
    return step.predictions(unknown, STEPS, inner)


def after_eft(step: TrainingStep, body: Body, test: TestSet, rate: float) -> list[Prediction]:
    """Bodies after `STEPS` updates of EFT."""
    config = EftConfig(learning_rate=rate, iterations=STEPS[-1], stop_px=None)
    fits = fit_exemplars(step.main.regressor, body, test.batch, config, history=True, workers=1)
    iterates = fits.trace.iterates.prediction
    return [Prediction(*(x[:, n] for x in vars(iterates).values())) for n in STEPS]


def scored(
    body: Body, test: TestSet, predictions: Sequence[Prediction]
) -> dict[str, list[list[float]]]:
    """Each person's errors after each of `STEPS`, by score."""
    found = [test.errors(body, prediction) for prediction in predictions]
    return {name: [_rounded(one[name]) for one in found] for name in found[0]}


def _rounded(values: Tensor) -> list[float]:
    return [round(x, 2) for x in values.tolist()]
