"""The papers' claims about fits, on real people, with the shipped head and stored landmarks.

    python -m scripts.lifter.claims fits --bank bank --out claims_fits.json
    python -m scripts.lifter.claims overfit --bank bank --out claims_overfit.json
    python -m scripts.lifter.claims odd --bank bank --networks R/long --out claims_odd.json

Results are kept person by person, and test set by test set: the same command goes on. Times are of
the processor, one person at a time, so that other work on the machine does not count.
"""

import copy
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body, load_open_body
from exemplar.evaluation.reproduce.landmark_bank import Bank, TestSet
from exemplar.evaluation.reproduce.landmark_trials import ROWS, after_eft, after_steps, trained
from exemplar.evaluation.reproduce.long_tables import CLAIMED, EFT_RATE, SEEDS
from exemplar.fitting.exemplar import EftConfig, eft_objective, fit_exemplars
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.regressors.checkpoints import RegressorInfo, load_regressor
from exemplar.regressors.lifter import LifterHead
from exemplar.regressors.on_landmarks import OnLandmarks
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch

UPDATES = 20
MANY = (20, 100)
"""Updates after which an overfitted head is tested (EFT, Fig. 4)."""

OVERFIT_STEP = 1e-5
"""Adam's step where the whole head moves."""


@dataclass(frozen=True)
class Claims:
    """Settings."""

    what: tyro.conf.Positional[Literal["fits", "overfit", "odd"]]
    """fits: none, SMPLify and EFT. overfit: heads overfitted to one person, tested on others. odd:
    heads trained with an exemplar step against EFT of plain ones, on people in odd poses."""
    bank: Path
    """Folder of `scripts.lifter.bank`."""
    out: Path
    """JSON file to write; what it holds already is not made again."""
    networks: Path | None = None
    """Folder of `exemplar reproduce dual-table-3 --scale long`, for odd."""
    updates: int = 2_000
    """Of training, likewise."""
    regressor: str = "large"
    """Shipped regressor whose trunk read the bank."""
    people: int = 84
    """Most people of a test set."""
    overfitted: int = 100
    """People of lspet to overfit to."""


def main(config: Claims) -> None:
    """Make what is missing."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    bank, body = Bank(config.bank), load_open_body()
    module, info = load_regressor(config.regressor)
    head = module.get_submodule("head")
    assert isinstance(head, LifterHead)
    network = OnLandmarks(head).eval()
    found: dict[str, Any] = {}
    if config.out.exists():
        found = json.loads(config.out.read_text())["results"]

    def keep() -> None:
        write_results(config.out, config, found)

    if config.what == "odd":
        odd(body, bank, config, found)
        keep()
        return
    if config.what == "overfit":
        overfit(network, body, bank, config, found, keep)
        return
    for name in bank.tests:
        if name not in found:
            test = bank.tests[name].first(config.people)
            found[name] = fits(network, body, test, info)
            keep()
            print(name, {k: v["mean"] for k, v in found[name].items()}, flush=True)


def fits(network: OnLandmarks, body: Body, test: TestSet, info: RegressorInfo) -> dict[str, Any]:
    """Errors of everybody before and after SMPLify and EFT; EFT's after every update."""
    batch = test.batch
    with torch.no_grad():
        start = network(batch.image, batch.box)
    flat = fit_smplify(start, batch.keypoints_2d, body, SmplifyConfig())
    eft = EftConfig(info.learning_rate, info.adapt, iterations=UPDATES, stop_px=None)
    began = time.process_time()
    deep = fit_exemplars(network, body, batch, eft, history=True, workers=1)
    seconds = (time.process_time() - began) / len(test)
    few, once = test.first(5), time.process_time()
    for row in range(5):
        one = slice(row, row + 1)
        own = Prediction(*(x[one] for x in vars(start).values()))
        fit_smplify(own, few.batch.keypoints_2d[one], body, SmplifyConfig())
    alone = (time.process_time() - once) / 5
    curve = deep.trace.iterates.prediction
    steps = [
        test.errors(body, Prediction(*(x[:, n] for x in vars(curve).values())))
        for n in range(UPDATES + 1)
    ]
    score = "pa" if test.truth is not None else "left_out_px"
    by_update = torch.stack([one[score] for one in steps])
    eft_told = _told(steps[-1]) | {
        "seconds": seconds,
        "by_update": [_mean(x) for x in by_update],
        "oracle": _mean(by_update.amin(0)),
    }
    smplify = _told(test.errors(body, flat.after.prediction)) | {"seconds": alone}
    return {"none": _told(steps[0]), "smplify": smplify, "eft": eft_told}


def _told(errors: dict[str, Tensor]) -> dict[str, Any]:
    people = {name: [round(x, 2) for x in values.tolist()] for name, values in errors.items()}
    return {"mean": {name: _mean(values) for name, values in errors.items()}, "people": people}


def _mean(values: Tensor) -> float:
    return round(float(values[values.isfinite()].mean()), 2)


def overfit(
    network: OnLandmarks, body: Body, bank: Bank, config: Claims, found: dict[str, Any],
    keep: Callable[[], None],
) -> None:  # fmt: skip
    """PA-MPJPE on the sequences' people after fitting the head to each of some of lspet."""
    others = [bank.tests[name] for name in ("multiview-true", "twoperson-true")]

    def error(one: OnLandmarks) -> float:
        with torch.no_grad():
            values = [
                test.errors(body, one(test.batch.image, test.batch.box))["pa"] for test in others
            ]
        return _mean(torch.cat(values))

    found.setdefault("start", error(network))
    after = found.setdefault("after", {str(n): [] for n in MANY})
    batch = bank.tests["lspet"].batch
    for person in range(len(after[str(MANY[-1])]), config.overfitted):
        rows = slice(person, person + 1)
        one = Batch(batch.image[rows], batch.box[rows], batch.keypoints_2d[rows])
        own = copy.deepcopy(network)
        adam = torch.optim.Adam(own.parameters(), lr=OVERFIT_STEP, fused=True)
        objective = eft_objective(body, one, EftConfig())
        row = torch.zeros(1, dtype=torch.long)
        for update in range(1, MANY[-1] + 1):
            adam.zero_grad()
            objective(own(one.image, one.box), row).loss.sum().backward()
            adam.step()
            if update in MANY:
                after[str(update)].append(error(own))
        if person % 10 == 9:
            keep()
            changes = np.array(after[str(MANY[-1])]) - found["start"]
            print(person + 1, round(float(np.abs(changes).mean()), 2), flush=True)


def odd(body: Body, bank: Bank, config: Claims, found: dict[str, Any]) -> None:
    """Everybody's errors after the last own step of each row, and after EFT of the plain one."""
    assert config.networks is not None, "--networks names the folder of trained heads"
    for name, seed in itertools.product(("odd", "lspet"), SEEDS):
        test = bank.tests[name].first(config.people)
        for row in CLAIMED:
            place = config.networks / "networks" / f"{row.replace(' ', '-')}-{seed}"
            step = trained(place, row, (config.updates,), bank, body, seed)[config.updates]
            inner = ROWS[row] or ROWS["step"]
            assert inner is not None
            ways = {"own steps": after_steps(step, test, inner)}
            if row == "plain":
                ways["EFT"] = after_eft(step, body, test, EFT_RATE)
            for way, bodies in ways.items():
                told = {"before": _told(test.errors(body, bodies[0]))}
                told["after"] = _told(test.errors(body, bodies[-1]))
                found.setdefault(name, {})[f"{row}, {way}, seed {seed}"] = told
                print(name, row, way, seed, told["before"]["mean"], told["after"]["mean"])


if __name__ == "__main__":
    main(tyro.cli(Claims))
