"""The dual networks' ablation with heads on stored landmarks: more updates, tested on real people.

Each trial (row, budget, seed) is kept by itself, those that claims compare first and of them the
cheapest, so that a run may be stopped and its table still says what the finished trials say.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exemplar.bodies import Body, load_open_body
from exemplar.evaluation.reproduce.findings import Claim, Finding, Numbers, claim
from exemplar.evaluation.reproduce.landmark_bank import Bank
from exemplar.evaluation.reproduce.landmark_trials import (
    ROWS,
    STEPS,
    after_eft,
    after_steps,
    scored,
    trained,
)
from exemplar.evaluation.reproduce.workbench import Workbench
from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import read_json
from exemplar.training.exemplar_step import TrainingStep

BUDGETS = (400, 2_000, 10_000)
"""Updates of training."""

SEEDS = (0, 1, 2)

TESTED = 60
"""Most people of a test set."""

EFT_PEOPLE = 40
"""People whom EFT fits, the first of each set."""

EFT_RATE = 3e-5
"""EFT's step on these heads, the best of four on the plainly trained one."""

Scores = dict[str, list[list[float]]]
"""Each person's errors after each of `STEPS`, by score."""


class Trial(NamedTuple):
    """What is trained and tested."""

    row: str
    budget: int
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.row.replace(',', '').replace(' ', '-')}-{self.budget}-{self.seed}"


CLAIMED = ("plain", "step", "step + auxiliary")
"""Rows that the claims compare."""

TRIALS = tuple(
    Trial(row, budget, seed)
    for rows in (CLAIMED, tuple(row for row in ROWS if row not in CLAIMED))
    for budget in BUDGETS
    for seed in SEEDS
    for row in rows
)
"""In the order in which they are made."""


def table_3(bench: Workbench) -> Finding:
    """Make the trials that are missing, and the table of all."""
    bank, body = Bank(bench.people_bank), load_open_body()
    for trial in TRIALS:
        bench.say(f"trial {trial.name}")
        trial_result(bench.folder, trial, bank, body)
    return finding_of(finished(bench.folder))


def trial_result(folder: Path, trial: Trial, bank: Bank, body: Body) -> Mapping[str, Any]:
    """Scores by test set and by what follows training; made once."""
    path = folder / "trials" / f"{trial.name}.json"
    if not path.exists():
        place = folder / "networks" / f"{trial.row.replace(' ', '-')}-{trial.seed}"
        budgets = [b for b in BUDGETS if b <= trial.budget]
        step = trained(place, trial.row, budgets, bank, body, trial.seed)[trial.budget]
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(tested(step, trial, bank, body)))
    return read_json(path)


def tested(
    step: TrainingStep, trial: Trial, bank: Bank, body: Body
) -> dict[str, dict[str, Scores]]:
    """The row's own steps (the plain row takes those of "step"), and EFT."""
    inner = ROWS[trial.row] or ROWS["step"]
    assert inner is not None
    found = {}
    for name in (REAL, DRAWN):
        few, fewer = (bank.tests[name].first(count) for count in (TESTED, EFT_PEOPLE))
        found[name] = {
            "own steps": scored(body, few, after_steps(step, few, inner)),
            "EFT": scored(body, fewer, after_eft(step, body, fewer, EFT_RATE)),
        }
    return found


REAL, DRAWN = "multiview-true", "wild"
"""Test sets of the bank."""


def finished(folder: Path) -> dict[Trial, Mapping[str, Any]]:
    """The trials that a folder has."""
    paths = {trial: folder / "trials" / f"{trial.name}.json" for trial in TRIALS}
    return {trial: read_json(path) for trial, path in paths.items() if path.exists()}


def finding_of(found: Mapping[Trial, Mapping[str, Any]]) -> Finding:
    """Table and verdicts of finished trials."""
    tables = tuple(_numbers(found, where, after) for where in (REAL, DRAWN) for after in _AFTER)
    return Finding(
        "long-dual-table-3",
        "Dual networks, Table 3 and Fig. 5, on real people",
        "A head on BlazePose's landmarks, 40 people an update: simulated readings of bodies (60 %) "
        "and people of LSP-extended and COCO with lifted bodies; weights averaged. Tested on "
        f"`{REAL}` (a man in four calibrated cameras, his markers, true keypoints) and on drawn "
        f"people of `{DRAWN}`. Own steps: gradient descent with training's inner loss and step "
        f"(0.003; the plain row takes the same); EFT: Adam, {EFT_RATE:g}, {EFT_PEOPLE} people. "
        f"{len(found)} of {len(TRIALS)} trials.",
        tables,
        (
            _improves(found, "the exemplar step in training improves what test-time steps give",
                      *CLAIMED[:2]),
            _improves(found, "the auxiliary network improves it further", *CLAIMED[1:]),
        ),
    )  # fmt: skip


_AFTER = ("own steps", "EFT")


def _numbers(found: Mapping[Trial, Mapping[str, Any]], where: str, after: str) -> Numbers:
    rows = []
    for budget in BUDGETS:
        for row in ROWS:
            own = [x[where][after] for t, x in found.items() if (t.row, t.budget) == (row, budget)]
            if own:
                means = [
                    float(np.mean([np.nanmean(one[score][n]) for one in own]))
                    for score in ("mpjpe", "pa", "px")
                    for n in range(len(STEPS))
                ]
                rows.append((f"{row}, {budget:,} updates", len(own), *means))
    heads = [f"{kind} {n}" for kind in ("MPJPE", "PA", "px") for n in STEPS]
    return Numbers(f"{where}, {after}", ("trained", "seeds", *heads), tuple(rows))


def _improves(
    found: Mapping[Trial, Mapping[str, Any]], text: str, before: str, after: str
) -> Claim:
    """Whether both errors after all own steps are lower with every seed of the largest budget."""
    pairs = {
        (t.budget, t.seed): (found[Trial(before, t.budget, t.seed)], one)
        for t, one in found.items()
        if t.row == after and Trial(before, t.budget, t.seed) in found
    }
    most = max((budget for budget, _ in pairs), default=0)
    told, shows = [], bool(pairs)
    for score in ("mpjpe", "pa"):
        changes = [
            float(np.nanmean(b[REAL]["own steps"][score][-1]))
            - float(np.nanmean(a[REAL]["own steps"][score][-1]))
            for (budget, _), (a, b) in pairs.items()
            if budget == most
        ]
        shows = shows and max(changes) < 0
        told.append(f"{score} by seed {', '.join(f'{x:+.1f}' for x in changes)} mm")
    return claim(text, shows, f"{REAL}, {most:,} updates: {'; '.join(told)}")
