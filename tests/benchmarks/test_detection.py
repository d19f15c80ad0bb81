"""Found people are held against annotated ones."""

import numpy as np
import pytest

from benchmarks.detection import SPREADS, Annotated, judged, oks
from exemplar.skeletons import COCO_17, LIMBS_12


def points(x: float = 0.0) -> np.ndarray:
    """Seventeen joints within 100 px, all labelled."""
    places = np.random.default_rng(0).uniform(0, 100, (len(COCO_17), 2))
    return np.column_stack((places + np.array([x, 0]), np.ones(len(COCO_17))))


def person(x: float = 0.0) -> Annotated:
    return Annotated(points(x), area=2500.0, size=100.0)


def test_similarity_is_cocos() -> None:
    found = points()
    nose, wrist = COCO_17.index("nose"), COCO_17.index("left_wrist")
    one = points()
    one[:, 2] = 0.0
    one[[nose, wrist], 2] = 2.0
    # twice the spread times the root of the area is one standard deviation
    found[nose, 0] += 2 * SPREADS["nose"] * 50
    expected = (np.exp(-0.5) + 1.0) / 2
    assert oks(found, Annotated(one, 2500.0, 100.0)) == pytest.approx(expected)


def test_everyone_is_found_once() -> None:
    score = judged([points(300), points(), points(1)], [person(), person(300)], 0.5)
    assert score.oks == [1.0, 1.0]
    assert (score.found, score.duplicates, score.misread, score.strays) == (3, 1, 0, 0)


def test_joints_elsewhere_and_nobody_are_told_apart() -> None:
    upside_down = points() * (1, -1, 1) + (0, 100, 0)
    score = judged([upside_down, points(1000)], [person()], 0.5)
    assert score.oks == [0.0]
    assert (score.misread, score.strays) == (1, 1)


def test_three_limb_joints_of_somebody_else_make_a_chimera() -> None:
    legs = [COCO_17.index(name) for name in LIMBS_12 if "knee" in name or "ankle" in name]
    mixed = points()
    mixed[legs[:2]] = points(300)[legs[:2]]
    assert judged([mixed], [person(), person(300)], 0.5).chimeras == 0
    mixed[legs[2]] = points(300)[legs[2]]
    assert judged([mixed], [person(), person(300)], 0.5).chimeras == 1


def test_scores_add_up() -> None:
    one = judged([points()], [person()], 0.5)
    both = one + judged([], [person()], 1.5)
    table = both.table()
    assert table["recall 60 to 120 px"] == 0.5
    assert table["OKS of all"] == 0.5
    assert table["precision"] == 1.0
    assert table["seconds, mean"] == 1.0
