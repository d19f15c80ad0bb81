"""What a blind comparison found (EFT, section 4.2 and appendix I).

The paper counts its votes in two ways: by themselves (59.6 % of 1500 for EFT) and by the majority
of three annotators a person (61.8 % of 500). Its annotators had to choose; ours need not, so shares
are of the votes, or people, with a preference, and those without are told beside them.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from exemplar.viewer.compare.people import ComparedPerson
from exemplar.viewer.compare.votes import Vote, last_votes

RESAMPLES = 5000
"""Draws of the bootstrap."""

_Z = 1.959963984540054  # 97.5 % of a normal distribution lies below
_FIRST, _SECOND, _NONE = 0, 1, 2


@dataclass(frozen=True)
class Share:
    """How many of those who preferred one preferred the first."""

    first: int
    """Preferring the first."""
    second: int
    """Preferring the second."""
    low: float
    """Lower end of the 95 % interval of `share`."""
    high: float
    """Its upper end."""

    @property
    def share(self) -> float:
        """In 0..1; nan if nobody has a preference."""
        return self.first / (self.first + self.second) if self.first + self.second else math.nan


@dataclass(frozen=True)
class PersonVotes:
    """The votes on one person."""

    person: ComparedPerson
    """Who."""
    first: int
    """For the first source's body."""
    second: int
    """For the second's."""
    none: int
    """Without a preference."""


@dataclass(frozen=True)
class Preference:
    """The result of a comparison."""

    votes: Share
    """Of all votes. The interval is Wilson's for one annotator, whose votes are on different
    people; for several it is a bootstrap over people, as votes on one person are not independent.
    """
    ties: int
    """Votes without a preference."""
    people: tuple[PersonVotes, ...]
    """Those with votes, in the order in which they were first voted on."""
    annotators: Mapping[str, int]
    """How many people each voted on."""
    majority: Share | None
    """Of the people with two votes or more, those whose body more than half of the votes prefer;
    None without such people. The interval is Wilson's."""
    undecided: int
    """People with two votes or more, of which none of the bodies has more than half."""
    unanimous: tuple[int, int]
    """People with two votes or more, all for the first, and all for the second."""
    agreement: float
    """Share of pairs of votes on one person that say the same; nan without such pairs."""
    alpha: float
    """Krippendorff's alpha of the three choices (nominal): 1 is full agreement, 0 is what chance
    gives; nan if it is not defined."""
    left: Share
    """How many preferred what was on the left: about half, if sides do not matter."""
    overlay: int
    """Votes that were given after a look at the bodies over the photo."""
    elsewhere: int
    """Votes on bodies that neither source has, which are not counted."""


def preference(
    votes: Sequence[Vote], people: Sequence[ComparedPerson], *, seed: int = 0
) -> Preference:
    """Count votes on bodies of `people`; `seed` is the bootstrap's.

    Of each annotator's votes on a person the last one counts. ValueError if there are no votes,
    or none is on these bodies.
    """
    number = {tuple(sorted(person.bodies)): i for i, person in enumerate(people)}
    given = last_votes(votes)
    counted = [vote for vote in given if vote.pair in number]
    if not counted:
        what = f"none of the {len(given)} votes is on bodies of these two" if given else "no votes"
        raise ValueError(f"{what}: nothing to count")
    said: dict[int, list[int]] = defaultdict(list)
    for vote in counted:
        person = number[vote.pair]
        said[person].append(_side(vote, people[person]))
    table = np.array([[own.count(side) for side in range(3)] for own in said.values()])
    first, second, ties = (int(count) for count in table.sum(0))
    annotators = Counter(vote.annotator for vote in counted)
    interval = wilson(first, second)
    if len(annotators) > 1:
        interval = bootstrap(table, np.random.default_rng(seed))
    shared = table[table.sum(1) > 1]
    lead = 2 * shared > shared.sum(1, keepdims=True)
    majority = (int(lead[:, _FIRST].sum()), int(lead[:, _SECOND].sum()))
    whole = (shared == shared.sum(1, keepdims=True)).sum(0)
    sides = Counter(vote.choice for vote in counted)
    agreement, alpha = agreements(table)
    return Preference(
        votes=Share(first, second, *interval),
        ties=ties,
        people=tuple(
            PersonVotes(people[person], *(own.count(side) for side in range(3)))
            for person, own in said.items()
        ),
        annotators=dict(annotators),
        majority=Share(*majority, *wilson(*majority)) if len(shared) else None,
        undecided=len(shared) - sum(majority),
        unanimous=(int(whole[_FIRST]), int(whole[_SECOND])),
        agreement=agreement,
        alpha=alpha,
        left=Share(sides["left"], sides["right"], *wilson(sides["left"], sides["right"])),
        overlay=sum(vote.overlay for vote in counted),
        elsewhere=len(given) - len(counted),
    )


def _side(vote: Vote, person: ComparedPerson) -> int:
    return person.bodies.index(vote.preferred) if vote.preferred else _NONE


def wilson(first: int, second: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share first / (first + second) of independent votes.

    nan without votes.
    """
    count = first + second
    if not count:
        return math.nan, math.nan
    share, z2 = first / count, _Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    table: Int[np.ndarray, "people 3"], generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the share of first among first and second, people drawn with replacement.

    The rows are people's counts of first, second and none. nan if nobody has a preference.
    """
    shares = []
    for _ in range(RESAMPLES):
        drawn = table[generator.integers(0, len(table), len(table))].sum(0)
        if drawn[_FIRST] + drawn[_SECOND]:
            shares.append(drawn[_FIRST] / (drawn[_FIRST] + drawn[_SECOND]))
    if not shares:
        return math.nan, math.nan
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def agreements(table: Int[np.ndarray, "people choices"]) -> tuple[float, float]:
    """Share of pairs of votes on one person that agree, and Krippendorff's nominal alpha.

    The rows are people's counts of each choice. nan where there are no pairs; alpha is nan, too,
    if all votes are the same, when nothing tells agreement from habit.
    """
    counts = table[table.sum(1) > 1].astype(np.float64)
    sizes = counts.sum(1)
    if not len(counts):
        return math.nan, math.nan
    pairs = (counts * (counts - 1)).sum(1)
    agreement = float(pairs.sum() / (sizes * (sizes - 1)).sum())
    return agreement, _alpha(counts, pairs, sizes)


def _alpha(
    counts: Float[np.ndarray, "people choices"],
    pairs: Float[np.ndarray, " people"],
    sizes: Float[np.ndarray, " people"],
) -> float:
    """1 - observed / expected disagreement over values that can be paired."""
    total = float(sizes.sum())
    observed = 1 - float((pairs / (sizes - 1)).sum()) / total
    each = counts.sum(0)
    expected = sum(a * b for a, b in itertools.permutations(each, 2)) / (total * (total - 1))
    return 1 - observed / expected if expected else math.nan
