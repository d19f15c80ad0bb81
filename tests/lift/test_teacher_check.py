"""Annotation against a teacher, on a hand-made person one unit high."""

import pytest
import torch
from torch import Tensor

from exemplar.lift.teacher_check import TeacherCheck, Verdict, compare
from exemplar.skeletons import GT_24, LIMBS_12, mirror_name

HEIGHT = {"shoulder": 0.2, "elbow": 0.35, "wrist": 0.5, "hip": 0.5, "knee": 0.75, "ankle": 1.0}
WIDTH = {"shoulder": 0.15, "elbow": 0.25, "wrist": 0.3, "hip": 0.1, "knee": 0.15, "ankle": 0.2}
CHECK = TeacherCheck()
ARMS = [name for name in LIMBS_12 if name.endswith(("shoulder", "elbow", "wrist"))]
LEGS = [name for name in LIMBS_12 if name not in ARMS]


def person(*, width: float = 1.0) -> Tensor:
    """Seen from the front; the head's top is at height 0."""
    points = torch.zeros(len(GT_24), 3)
    for name in LIMBS_12:
        side, part = name.split("_")
        x = width * WIDTH[part] * (1 if side == "left" else -1)
        points[GT_24.index(name)] = torch.tensor([x, HEIGHT[part], 1.0])
    points[GT_24.index("head_top")] = torch.tensor([0.0, 0.0, 1.0])
    return points


def exchanged(points: Tensor, names: list[str]) -> Tensor:
    """The places of these joints are those of the other side's."""
    out = points.clone()
    for name in names:
        out[GT_24.index(name)] = points[GT_24.index(mirror_name(name))]
    return out


def moved(points: Tensor, distance: float, *names: str) -> Tensor:
    out = points.clone()
    for name in names:
        out[GT_24.index(name), 1] -= distance
    return out


def judged(annotated: Tensor, taught: Tensor | None = None, sure: Tensor | None = None) -> Verdict:
    sure = torch.ones(len(GT_24)) if sure is None else sure
    return compare(annotated, person() if taught is None else taught, sure, CHECK)


@pytest.mark.parametrize(
    ("what", "names"), [("all limbs", list(LIMBS_12)), ("arms", ARMS), ("legs", LEGS)]
)
def test_exchanged_sides_are_told(what: str, names: list[str]) -> None:
    verdict = judged(exchanged(person(), names))
    assert verdict.reason.startswith(f"left/right swapped: {what}, ")
    assert verdict.reason.endswith(" of the extent apart, else 0%")


def test_a_person_from_the_side_has_no_sides_to_exchange() -> None:
    """Left and right lie so near that noise decides which is nearer."""
    narrow = person(width=0.1)
    assert judged(exchanged(narrow, list(LIMBS_12)), narrow) == Verdict()


def test_a_scale_changes_nothing() -> None:
    swapped = exchanged(person(), ARMS)
    large = torch.tensor([7.0, 7.0, 1.0])
    assert judged(swapped * large, person() * large) == judged(swapped)


def test_a_joint_far_off_among_near_ones_is_a_wrong_click() -> None:
    one = moved(person(), 0.4, "left_ankle")
    assert judged(one) == Verdict(wrong_clicks=("left_ankle",))
    assert judged(moved(person(), 0.2, "left_ankle")) == Verdict()
    two = moved(one, 0.4, "right_ankle")
    assert judged(two).wrong_clicks == ("right_ankle", "left_ankle")
    three = judged(moved(two, 0.4, "left_knee"))
    assert three.reason.startswith("annotation against teacher: far apart in right_ankle, ")
    assert three.wrong_clicks == ()


def test_where_the_others_do_not_agree_no_joint_is_a_wrong_click() -> None:
    off = moved(person(), 0.12, *LIMBS_12)
    assert judged(moved(off, 0.4, "left_ankle")) == Verdict()


def test_a_person_elsewhere_is_doubted() -> None:
    assert judged(moved(person(), 0.15, *LIMBS_12)) == Verdict()
    # limbs alone: they are moved towards the head's top, so the extent shrinks with them
    reason = judged(moved(person(), -0.3, *LIMBS_12)).reason
    assert reason == "annotation against teacher: 23% of the extent apart"


@pytest.mark.parametrize("lacks", ["annotation", "visibility", "confidence"])
def test_only_joints_that_both_have_are_compared(lacks: str) -> None:
    annotated, taught, sure = moved(person(), 0.4, "left_ankle"), person(), torch.ones(len(GT_24))
    ankle = GT_24.index("left_ankle")
    if lacks == "annotation":
        annotated[ankle] = 0.0
    elif lacks == "visibility":
        taught[ankle, 2] = CHECK.least_visible
    else:
        sure[ankle] = CHECK.least_sure
    assert judged(annotated, taught, sure) == Verdict()


def test_few_joints_say_nothing() -> None:
    swapped = exchanged(person(), list(LIMBS_12))
    sure = torch.zeros(len(GT_24))
    ends = [name for name in LIMBS_12 if name.endswith(("wrist", "ankle"))]
    rows = [GT_24.index(name) for name in ends]
    sure[rows[:3]] = 1.0
    assert judged(swapped, sure=sure) == Verdict()
    sure[rows[3]] = 1.0
    assert judged(swapped, sure=sure).reason.startswith("left/right swapped: all limbs")


def test_nobody_annotated_is_nobody_judged() -> None:
    assert judged(torch.zeros(len(GT_24), 3)) == Verdict()
