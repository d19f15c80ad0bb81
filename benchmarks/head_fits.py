"""Which weights of a default head EFT should move, and what wrong keypoints do to its guess.

    python -m benchmarks.head_fits --bank BANK --output benchmarks/results/head_fits.json

On landmarks that were read once (`scripts.lifter.bank`), so that nothing but the head runs. Every
choice of weights and step is fitted to the same people: 20 updates, no early stop. Then a fifth of
the keypoints is thrown anywhere in the crop, and the head that reads keypoints answers again.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from benchmarks.common import write_results
from exemplar.bodies import Body, load_open_body
from exemplar.evaluation.reproduce.landmark_bank import Bank, TestSet
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.lifter import frame_of, given_inputs
from exemplar.regressors.on_landmarks import OnLandmarks, Unpack
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import LIMBS_IN_49

CHOICES = (
    "head 1e-5 1",
    "head.enter,head.leave 1e-5 1",
    "head.enter 1e-5 1",
    "head.enter 2e-5 1",
    "head.enter 2e-5 16",
    "head.enter 4e-5 1",
    "head.leave 6e-5 1",
)
THROWN = 0.2
"""Share of the keypoints that is thrown."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    bank: Path
    """Folder of `scripts.lifter.bank`."""
    regressor: str = "large"
    """A shipped regressor, whose trunk read the landmarks."""
    head: Literal["head", "given_head"] = "given_head"
    """Which of its heads."""
    choices: tuple[str, ...] = CHOICES
    """Weights that move, step, people side by side."""
    sets: tuple[str, ...] = ("multiview-true", "twoperson-true", "lspet", "wild", "odd")
    """Test sets of the bank."""
    people: int = 84
    """Most people of a set."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Fit, print, write."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    body, bank = load_open_body(), Bank(config.bank)
    head = load_regressor(config.regressor)[0].get_submodule(config.head)
    network = OnLandmarks(head).eval()  # type: ignore[arg-type]
    results = {}
    for name in config.sets:
        test = bank.tests[name].first(config.people)
        batch = test.batch if config.head == "head" else test.batch.with_keypoints_shown()
        found = {"guess": _guess(network, body, test, batch)}
        for choice in config.choices:
            found[choice] = _fitted(network, body, test, batch, choice)
        if config.head == "given_head":
            found["guess, thrown"] = _of_thrown(network, body, test)
        for choice, numbers in found.items():
            print(f"{name:16} {choice:30} {numbers}", flush=True)
        results[name] = found
    write_results(config.output, config, results)


def _guess(network: OnLandmarks, body: Body, test: TestSet, batch: Batch) -> dict[str, float]:
    with torch.no_grad():
        found = network(batch.image, batch.box)
    return _means(test, body, found)


def _fitted(
    network: OnLandmarks, body: Body, test: TestSet, batch: Batch, choice: str
) -> dict[str, float]:
    adapt, rate, beside = choice.split()
    eft = EftConfig(learning_rate=float(rate), adapt=adapt, stop_px=None)
    began = time.process_time()
    fits = fit_exemplars(network, body, batch, eft, chunk_size=int(beside), workers=1)
    seconds = (time.process_time() - began) / len(batch)
    return {**_means(test, body, fits.after.prediction), "seconds": round(seconds, 4)}


def _of_thrown(network: OnLandmarks, body: Body, test: TestSet) -> dict[str, float]:
    """The guess with thrown keypoints; which share of them, and of the others, is not read."""
    draw = torch.Generator().manual_seed(3)
    keypoints = test.batch.keypoints_2d.clone()
    limbs = keypoints[:, LIMBS_IN_49]
    thrown = torch.rand(limbs.shape[:2], generator=draw) < THROWN
    anywhere = 2.0 * torch.rand(*limbs.shape[:2], 2, generator=draw) - 1.0
    limbs[..., :2] = torch.where(thrown[..., None], anywhere, limbs[..., :2])
    keypoints[:, LIMBS_IN_49] = limbs
    batch = replace(test.batch, keypoints_2d=keypoints).with_keypoints_shown()
    landmarks = Unpack()(batch.image)
    read = given_inputs(landmarks, batch.box.keypoints, frame_of(landmarks.points)[1])[..., 2] > 0
    known = limbs[..., 2] > 0
    left_out = {
        f"{name}_left_out": round(float((~read & some).sum() / some.sum()), 4)
        for name, some in (("thrown", known & thrown), ("others", known & ~thrown))
    }
    return {**_guess(network, body, test, batch), **left_out}


def _means(test: TestSet, body: Body, found: Prediction) -> dict[str, float]:
    errors = test.errors(body, found)
    return {name: round(float(values.nanmean()), 2) for name, values in errors.items()}


if __name__ == "__main__":
    main(tyro.cli(Config))
