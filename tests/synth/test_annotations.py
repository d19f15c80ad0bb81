"""Synthetic marks are as imprecise and incomplete as they claim to be."""

from dataclasses import replace

import numpy as np

from exemplar.skeletons import GT_24, flip_permutation, indices
from exemplar.synth.annotations import ANNOTATED, AnnotatorConfig, annotate

STEADY = AnnotatorConfig(noise=0.0, forgotten=0.0, swapped=0.0)
MARKED = indices(ANNOTATED, GT_24)
HIPS = indices(["left_hip", "right_hip"], GT_24)
ALL = np.ones(len(GT_24), bool)


def person(side: float = 200.0) -> np.ndarray:
    """Joints spread evenly over a square of that side, all inside the picture."""
    rng = np.random.default_rng(1)
    points = rng.uniform(50, 50 + side, (len(GT_24), 3))
    points[MARKED[:2], :2] = [[50, 50], [50 + side, 50 + side]]
    points[:, 2] = 1.0
    return points


def marks_of(count: int, config: AnnotatorConfig, visible: np.ndarray = ALL) -> np.ndarray:
    """Many people's marks on the same person, (count, 24, 3)."""
    return np.stack([annotate(person(), visible, seed=(3, i), config=config) for i in range(count)])


def test_only_what_people_mark_is_marked() -> None:
    marks = annotate(person(), ALL, seed=(0, 0), config=STEADY)
    assert set(np.flatnonzero(marks[:, 2])) == set(MARKED)
    assert np.array_equal(marks[MARKED], person()[MARKED])


def test_the_noise_has_its_stated_size() -> None:
    """A box is 1.2 times the extent; 400 draws of 2 numbers: the deviation is within 1/sqrt(1600)
    of itself in one case of three, four times that is allowed."""
    config = replace(AnnotatorConfig(), forgotten=0.0, swapped=0.0)
    errors = marks_of(400, config)[..., :2] - person()[:, :2]
    wrist = errors[:, indices(["left_wrist"], GT_24)].std()
    hip = errors[:, HIPS].std()
    assert abs(wrist / (0.015 * 1.2 * 200) - 1) < 0.1
    assert abs(hip / wrist / config.hip_factor - 1) < 0.2


def test_hidden_joints_are_less_sure() -> None:
    config = replace(AnnotatorConfig(), forgotten=0.0, swapped=0.0)
    hidden = ALL.copy()
    elbow, chain = indices(["left_elbow"], GT_24), ["left_elbow", "left_shoulder", "left_wrist"]
    hidden[elbow] = False
    alone = marks_of(400, config, hidden)[:, elbow[0]]
    share = alone[:, 2].mean()
    # binomial, 400 draws: three standard deviations are 0.06
    assert abs(1 - share - config.hidden_missing) < 0.06
    errors = (alone - person()[elbow[0]])[alone[:, 2] > 0, :2].std()
    assert errors > 1.4 * 0.015 * 1.2 * 200
    hidden[indices(chain, GT_24)] = False
    buried = marks_of(400, config, hidden)[:, elbow[0], 2].mean()
    assert abs(1 - buried - config.buried_missing) < 0.06


def test_joints_outside_the_picture_are_missing() -> None:
    points = person()
    points[HIPS, 2] = 0.0
    marks = annotate(points, ALL, seed=(0, 0), config=STEADY)
    assert (marks[HIPS] == 0).all()


def test_left_and_right_are_taken_for_each_other_now_and_then() -> None:
    config = replace(STEADY, swapped=0.3)
    swapped = [np.array_equal(m, marks) for m, marks in _with_mirror(marks_of(300, config))]
    assert abs(np.mean(swapped) - 0.3) < 0.08  # binomial, 300 draws: three standard deviations


def _with_mirror(drawn: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    straight = annotate(person(), ALL, seed=(3, 0), config=STEADY)
    return [(straight[flip_permutation(GT_24)], marks) for marks in drawn]


def test_somebody_well_hidden_still_has_a_few_marks() -> None:
    config = replace(AnnotatorConfig(), buried_missing=1.0, hidden_missing=1.0)
    marks = annotate(person(), ~ALL, seed=(0, 0), config=config)
    assert marks[:, 2].sum() == config.fewest
    points = person()
    points[:, 2] = 0.0
    assert not annotate(points, ~ALL, seed=(0, 0), config=config).any()
