"""Who is compared: matched by image and number, under names that tell nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.results import REJECTED
from exemplar.viewer.compare.people import (
    SAME_BOX,
    body_name,
    choose_people,
    match_people,
    person_key,
)
from tests.viewer.compare.made_comparison import made_people, made_row


def test_people_are_matched_by_image_and_number_whatever_their_order() -> None:
    first = [made_row("a.jpg", 1, 0.1), made_row("a.jpg", 2, 0.2), made_row("b.jpg", 1, 0.3)]
    second = [made_row("b.jpg", 1, 1.3), made_row("a.jpg", 2, 1.2), made_row("a.jpg", 1, 1.1)]
    found = match_people(first, second)
    assert [person.key for person in found.people] == [person_key(row.sample) for row in first]
    for person, one, other in zip(found.people, first, second[::-1], strict=True):
        assert person.bodies == (body_name(one), body_name(other))
    assert found.left_out == {}


def test_everyone_who_is_left_out_is_counted_with_the_reason() -> None:
    shifted = np.array([100.0 + 100 * 2 * SAME_BOX, 80.0])
    first = [
        made_row("ok.jpg", 1, 0.1),
        made_row("mine.jpg", 1, 0.1),
        made_row("mine.jpg", 2, 0.1),
        made_row("none.jpg", 1, None),
        made_row("same.jpg", 1, 0.1),
        made_row("box.jpg", 1, 0.1),
        made_row("twice.jpg", None, 0.1),
        made_row("twice.jpg", None, 0.2),
    ]
    second = [
        made_row("ok.jpg", 1, 1.1),
        made_row("yours.jpg", 1, 1.1),
        made_row("none.jpg", 1, 1.1),
        made_row("same.jpg", 1, 0.1),
        made_row("box.jpg", 1, 1.1, box_centre=shifted),
    ]
    found = match_people(first, second, names=("eft", "smplify"))
    assert [person.image for person in found.people] == ["ok.jpg"]
    assert found.left_out == {
        "only in eft": 2,
        "only in smplify": 1,
        "without a body in eft": 1,
        "with the same body in both": 1,
        "with another box": 1,
        "several people of an image under one number": 2,
    }


def test_boxes_may_be_rounded() -> None:
    near = np.array([100.4, 80.4])
    assert match_people([made_row("a", 1, 0.1)], [made_row("a", 1, 0.2, box_centre=near)]).people


def test_subjects_tell_people_apart_only_where_numbers_do_not() -> None:
    numberless = [made_row("a", None, b, subject=s) for b, s in ((0.1, "x"), (0.2, "y"))]
    other = [made_row("a", None, 1.0, subject="y")]
    assert [p.subject for p in match_people(numberless, other).people] == ["y"]
    numbered = match_people([made_row("a", 1, 0.1, subject="x")], [made_row("a", 1, 0.2)])
    assert len(numbered.people) == 1


def test_rejected_bodies_are_shown_unless_only_usable_ones_are_asked_for() -> None:
    first = [made_row("a", 1, 0.1, REJECTED), made_row("b", 1, 0.1)]
    second = [made_row("a", 1, 1.1), made_row("b", 1, 1.1)]
    assert len(match_people(first, second).people) == 2
    usable = match_people(first, second, usable=True)
    assert [person.image for person in usable.people] == ["b"]
    assert usable.left_out == {"without a body in A": 1}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (lambda: [made_row("other/a.jpg", 7, 1.0)], "nobody is in both: A has a.jpg number 1"),
        (lambda: [], "B has nobody"),
        (lambda: [made_row("a.jpg", 1, 1.0, box_scale=0.6)], "of different data sets"),
        (lambda: [made_row("a.jpg", 1, None)], "1 without a body in B"),
        (lambda: [made_row("a.jpg", 1, 0.1)], "1 with the same body in both"),
    ],
)
def test_nobody_to_compare_is_one_line_that_says_why(
    second: Callable[[], list[PseudoTruth]], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        match_people([made_row("a.jpg", 1, 0.1)], second())
    assert "\n" not in str(caught.value)


def test_a_name_stands_for_one_body_of_one_person() -> None:
    name = body_name(made_row("a", 1, 0.1))
    assert name == body_name(made_row("a", 1, 0.1, REJECTED))
    others = [made_row("a", 1, 0.1 + 1e-9), made_row("a", 2, 0.1), made_row("b", 1, 0.1)]
    assert len({name, *map(body_name, others)}) == 4
    assert body_name(made_row("a", 1, None)) == ""


def test_names_of_the_first_source_come_first_half_the_time() -> None:
    """A pair in the order of its names must not tell the sources."""
    rows = [[made_row(f"{i}", 1, beta) for i in range(400)] for beta in (0.1, 0.2)]
    people = match_people(*rows).people
    first = sum(person.bodies[0] < person.bodies[1] for person in people)
    assert 140 < first < 260  # 6 standard deviations of 400 fair coins


def test_the_choice_is_the_seeds_and_not_the_order_of_the_sources() -> None:
    people = made_people(50)
    chosen = choose_people(people, 20, seed=3)
    assert chosen == choose_people(people[::-1], 20, seed=3)
    assert chosen[:5] == choose_people(people, 5, seed=3)
    assert chosen != choose_people(people, 20, seed=4)
    assert len(set(chosen)) == 20
    assert set(choose_people(people, 1000, seed=3)) == set(people)
    assert [p.image for p in chosen] != sorted(p.image for p in chosen)
    with pytest.raises(ValueError, match="1 or more, got 0"):
        choose_people(people, 0, seed=3)
