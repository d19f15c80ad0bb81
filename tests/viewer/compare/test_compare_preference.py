"""What votes say: hand-counted tables, and numbers that others published."""

import math

import numpy as np
import pytest

from exemplar.viewer.compare.preference import agreements, bootstrap, preference, wilson
from exemplar.viewer.compare.votes import Choice, Vote
from tests.viewer.compare.made_comparison import made_people

PEOPLE = made_people(6)


def vote(annotator: str, person: int, who: str, *, swap: bool = False, **more: bool) -> Vote:
    """A vote for "a", "b" or "-" (no preference), A shown on the right if swapped."""
    bodies = PEOPLE[person].bodies
    left, right = bodies[::-1] if swap else bodies
    choice: Choice = "none"
    if who != "-":
        choice = "left" if (who == "a") != swap else "right"
    return Vote(annotator, left, right, choice, **more)


def ballots(*rows: str) -> list[Vote]:
    """A row a person, a letter an annotator; " " for no vote. Sides are swapped now and then."""
    names = ("ann", "ben", "cem")
    return [
        vote(name, person, who, swap=(person + ord(who)) % 3 == 0)
        for person, row in enumerate(rows)
        for name, who in zip(names, row, strict=False)
        if who != " "
    ]


def test_one_annotator_is_counted_by_hand() -> None:
    found = preference(ballots("a", "a", "b", "-", "a"), PEOPLE)
    assert (found.votes.first, found.votes.second, found.ties) == (3, 1, 1)
    assert found.votes.share == 0.75
    assert (found.votes.low, found.votes.high) == wilson(3, 1)
    assert found.majority is None
    assert found.unanimous == (0, 0)
    assert math.isnan(found.agreement)
    assert found.annotators == {"ann": 5}
    assert [(p.person.image, p.first, p.second, p.none) for p in found.people[:3]] == [
        ("0.jpg", 1, 0, 0), ("1.jpg", 1, 0, 0), ("2.jpg", 0, 1, 0),
    ]  # fmt: skip


def test_majorities_of_three_are_counted_as_the_paper_does() -> None:
    """Person by person: A 3:0, A 2:1, B 2:1 , B 3:0, none (1:1 and a tie), one vote only."""
    found = preference(ballots("aaa", "aba", "bab", "bbb", "ab-", "a  "), PEOPLE)
    assert (found.votes.first, found.votes.second, found.ties) == (3 + 2 + 1 + 0 + 1 + 1, 7, 1)
    assert found.majority is not None
    assert (found.majority.first, found.majority.second, found.undecided) == (2, 2, 1)
    assert found.unanimous == (1, 1)
    assert found.annotators == {"ann": 6, "ben": 5, "cem": 5}
    # agreeing ordered pairs: 6 + 2 + 2 + 6 + 0 of 5 x 6
    assert found.agreement == pytest.approx(16 / 30)


def test_two_of_three_without_a_preference_are_no_majority() -> None:
    found = preference(ballots("a--", "aa-"), PEOPLE)
    assert found.majority is not None
    assert (found.majority.first, found.majority.second, found.undecided) == (1, 0, 1)


def test_the_other_order_of_sources_is_the_mirror_image() -> None:
    votes = ballots("aaa", "ab-", "bab", "a")
    mirrored = [type(p)(p.image, p.annotation_id, p.subject, p.bodies[::-1]) for p in PEOPLE]
    found, other = preference(votes, PEOPLE), preference(votes, mirrored)
    assert (found.votes.first, found.votes.second) == (other.votes.second, other.votes.first)
    assert found.unanimous == other.unanimous[::-1]
    assert found.votes.low == pytest.approx(1 - other.votes.high)
    assert (found.alpha, found.left) == (other.alpha, other.left)


def test_sides_looks_and_other_votes_are_told() -> None:
    stranger = Vote("ann", "x", "y", "left")
    votes = [vote("ann", 0, "a"), vote("ann", 1, "a", swap=True), vote("ann", 2, "b", swap=True)]
    found = preference([*votes, vote("ann", 3, "-", overlay=True), stranger], PEOPLE)
    assert (found.left.first, found.left.second) == (2, 1)
    assert (found.overlay, found.elsewhere) == (1, 1)


def test_a_vote_that_was_thought_over_counts_once() -> None:
    found = preference([vote("ann", 0, "a"), vote("ann", 0, "b", swap=True)], PEOPLE)
    assert (found.votes.first, found.votes.second) == (0, 1)


def test_nothing_to_count_is_one_line() -> None:
    with pytest.raises(ValueError, match="no votes"):
        preference([], PEOPLE)
    with pytest.raises(ValueError, match="none of the 1 votes is on bodies of these two"):
        preference([Vote("ann", "x", "y", "left")], PEOPLE)
    only_ties = preference(ballots("-", "-"), PEOPLE)
    assert math.isnan(only_ties.votes.share)
    assert math.isnan(only_ties.votes.low)


@pytest.mark.parametrize(
    ("first", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(
    first: int, count: int, low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3; to its four digits."""
    assert wilson(first, count - first) == pytest.approx((low, high), abs=5.1e-5)
    assert wilson(count - first, first) == pytest.approx((1 - high, 1 - low), abs=5.1e-5)


def test_the_bootstrap_takes_people_not_votes_for_independent() -> None:
    """Three equal votes a person are worth one: the interval is that of 100, not of 300."""
    table = np.array([[3, 0, 0]] * 60 + [[0, 3, 0]] * 40)
    low, high = bootstrap(table, np.random.default_rng(0))
    half = 1.96 * math.sqrt(0.6 * 0.4 / 100)
    # shares come in hundredths, and a quantile of 5000 draws is good to less than one
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half), abs=0.012)
    of_votes = 1.96 * math.sqrt(0.6 * 0.4 / 300)
    assert high - low > 1.5 * 2 * of_votes
    assert (low, high) == bootstrap(table, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("first", "second", "alpha"),
    [("0100000010", "1110010000", 0.095), ("aabbdcccedda", "babbbcccedd" + "d", 0.692)],
)
def test_alpha_is_krippendorffs_own_example(first: str, second: str, alpha: float) -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), A and B; three digits."""
    letters = sorted(set(first + second))
    table = np.array(
        [[(a, b).count(c) for c in letters] for a, b in zip(first, second, strict=True)]
    )
    agreement, found = agreements(table)
    assert found == pytest.approx(alpha, abs=5.1e-4)
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert agreement == pytest.approx(same / len(first))


def test_agreement_of_equal_votes_is_full_and_alpha_unknown() -> None:
    agreement, alpha = agreements(np.array([[3, 0, 0], [2, 0, 0], [1, 0, 0]]))
    assert agreement == 1
    assert math.isnan(alpha)
