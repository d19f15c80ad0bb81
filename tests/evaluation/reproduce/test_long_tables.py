"""The ablation on stored landmarks: verdicts come out both ways, and trials are made once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.bodies import load_open_body
from exemplar.evaluation.reproduce import landmark_trials, long_tables
from exemplar.evaluation.reproduce.landmark_bank import Bank
from exemplar.evaluation.reproduce.landmark_trials import SHAPE, STEPS
from exemplar.evaluation.reproduce.long_tables import DRAWN, REAL, Trial, finding_of
from exemplar.regressors.lifter import LifterConfig
from exemplar.skeletons import LIMBS_IN_49

STEP, AUXILIARY = 0, 1
"""Claims of the finding."""


def result(mpjpe: float, pa: float) -> dict:
    scores = {"mpjpe": [[mpjpe]] * len(STEPS), "pa": [[pa]] * len(STEPS), "px": [[1.0]] * 5}
    return {where: {"own steps": scores, "EFT": scores} for where in (REAL, DRAWN)}


@pytest.mark.parametrize(
    ("step", "auxiliary", "wanted"),
    [
        ((90.0, 60.0), (80.0, 50.0), (True, True)),
        ((90.0, 71.0), (80.0, 50.0), (False, True)),
        ((90.0, 60.0), (80.0, 60.5), (True, False)),
    ],
)
def test_verdicts_are_of_the_largest_budget(
    step: tuple[float, float], auxiliary: tuple[float, float], wanted: tuple[bool, bool]
) -> None:
    rows = {"plain": (100.0, 70.0), "step": step, "step + auxiliary": auxiliary}
    found = {Trial(row, 2000, 0): result(*errors) for row, errors in rows.items()}
    # a smaller budget says the opposite
    found |= {Trial(row, 400, 0): result(-a, -b) for row, (a, b) in rows.items()}
    verdicts = [claim.verdict == "reproduced" for claim in finding_of(found).claims]
    assert (verdicts[STEP], verdicts[AUXILIARY]) == wanted


def bank_folder(folder: Path) -> Path:
    """Six simulated people, two real ones, and two tests."""
    draw = np.random.default_rng(0)

    def people(count: int) -> dict[str, np.ndarray]:
        eye = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 24, 3, 3))
        sizes = {"points": (33, 2), "world": (33, 3), "visibility": (33,), "spread": (33,)}
        read = {k: draw.normal(0, 0.3, (count, *v)).astype(np.float32) for k, v in sizes.items()}
        points = draw.normal(0, 0.3, (count, 49, 3)).astype(np.float32)
        points[..., 2] = 1.0
        joints = draw.normal(0, 0.3, (count, 24, 3)).astype(np.float32)
        bodies = {"global_orient": eye[:, 0], "body_pose": eye[:, 1:]}
        rest = {"betas": np.zeros((count, 10), np.float32), "keypoints_2d": points}
        return read | bodies | rest | {"joints": joints}

    (folder / "tests").mkdir(parents=True)
    np.savez(folder / "people.npz", **people(8), simulated=np.array(6))
    for name in (REAL, DRAWN):
        own = people(2)
        np.savez(folder / "tests" / f"{name}.npz", **own, truth=own["joints"][:, :12])
    return folder


def test_a_batch_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    bank = Bank(bank_folder(tmp_path / "bank"))
    one, again, other = (bank.batch(0, step, 5) for step in (3, 3, 4))
    assert isinstance(one.inputs, torch.Tensor)
    assert torch.equal(one.inputs, again.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    test = bank.tests[REAL]
    assert len(test.first(1)) == 1
    assert test.batch.keypoints_2d[:, LIMBS_IN_49].shape == (2, 12, 3)


def test_a_folder_without_people_is_told_how_to_be_filled(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scripts\.lifter\.bank"):
        Bank(tmp_path)


def test_a_trial_is_trained_tested_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = LifterConfig(hidden=16, blocks=1, dropout=SHAPE.dropout)
    monkeypatch.setattr(landmark_trials, "SHAPE", small)
    monkeypatch.setattr(long_tables, "BUDGETS", (101, 102))
    bank, body = Bank(bank_folder(tmp_path / "bank")), load_open_body()
    trial = Trial("step, learned sizes", 102, 0)
    found = long_tables.trial_result(tmp_path, trial, bank, body)
    assert np.isfinite(found[REAL]["own steps"]["pa"]).all()
    monkeypatch.setattr(long_tables, "trained", None)  # not asked again
    assert long_tables.trial_result(tmp_path, trial, bank, body) == found
