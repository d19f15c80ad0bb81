"""Whom a blind comparison shows: people of whom two sources have different bodies.

A body goes by a name that is made from its own numbers. The names of a person's two bodies, put in
order, say nothing of the sources, so that everything a voter's page holds can speak of "this body"
and still not tell whose it is; and a vote counts for no other body than the one that was shown.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.samples import Sample

SAME_BOX = 0.02
"""Boxes are the same one if their centres and sides differ by less than this share of the side:
files round them, and data sets that happen to have the same names of images differ by far more."""

_LETTERS = 20

PersonKey = tuple[str, int | None, str]
"""Image, number of the person, and (without a number) who it is: what a person is known by."""


@dataclass(frozen=True)
class ComparedPerson:
    """A person with a body of each source."""

    image: str
    """File of the image."""
    annotation_id: int | None
    """The data set's number of the person."""
    subject: str
    """Who it is, where there is no number."""
    bodies: tuple[str, str]
    """Names of the bodies of the first and of the second source."""

    @property
    def key(self) -> PersonKey:
        """What the person is known by in both sources."""
        return self.image, self.annotation_id, self.subject

    @property
    def photo(self) -> str:
        """Name of the person's photo."""
        return _digest([repr(self.key).encode()])


@dataclass(frozen=True)
class Matched:
    """Who can be compared."""

    people: tuple[ComparedPerson, ...]
    """In the order of the first source."""
    left_out: Mapping[str, int]
    """How many cannot be, by reason."""


@dataclass(frozen=True)
class _Entry:
    """What matching keeps of a person: sources may have hundreds of thousands."""

    body: str
    """Name of the body, "" if there is none."""
    box: tuple[float, float, float]
    """Centre and side, px."""


def person_key(sample: Sample) -> PersonKey:
    """What a person is known by in both sources."""
    unknown = sample.annotation_id is None
    return sample.image, sample.annotation_id, sample.subject if unknown else ""


def match_people(
    first: Iterable[PseudoTruth],
    second: Iterable[PseudoTruth],
    *,
    names: tuple[str, str] = ("A", "B"),
    usable: bool = False,
) -> Matched:
    """The people whom both sources have, by image and number.

    Args:
        first: rows of one source.
        second: rows of the other.
        names: of the sources, for the reasons.
        usable: only bodies that an export would hold; else every body that there is.

    Raises:
        ValueError: nobody can be compared, and why: nobody is in both, or those who seem to be
            have other boxes (different data sets), or no body, or the same body.
    """
    left_out: Counter[str] = Counter()
    entries = [_entries(rows, usable, left_out) for rows in (first, second)]
    for name, own, other in zip(names, entries, entries[::-1], strict=True):
        left_out[f"only in {name}"] += len(own.keys() - other.keys())
    people = []
    for key, a in entries[0].items():
        if key not in entries[1]:
            continue
        b = entries[1][key]
        reason = _why_not(a, b, names)
        if reason:
            left_out[reason] += 1
        else:
            people.append(ComparedPerson(*key, bodies=(a.body, b.body)))
    left_out = Counter({reason: count for reason, count in left_out.items() if count})
    if not people:
        raise ValueError(_nobody(entries, left_out, names))
    return Matched(tuple(people), dict(left_out))


def choose_people(
    people: Sequence[ComparedPerson], count: int | None, seed: int
) -> tuple[ComparedPerson, ...]:
    """`count` of the people (all, if there are no more), in a random order that the seed fixes.

    It does not depend on which source is the first, and a smaller count is the beginning of a
    larger one's order. ValueError unless `count` is positive.
    """
    if count is not None and count < 1:
        raise ValueError(f"expected a count of 1 or more, got {count}")
    ordered = sorted(people, key=lambda person: person.photo)
    order = np.random.default_rng(seed).permutation(len(ordered))
    return tuple(ordered[i] for i in order[:count])


def body_name(truth: PseudoTruth) -> str:
    """A name made from the person and the body's numbers; "" without a body."""
    body = truth.sample.body
    if body is None:
        return ""
    arrays = (body.pose, body.betas, body.weak_camera, body.translation)
    numbers = [b"" if a is None else np.ascontiguousarray(a, "<f8").tobytes() for a in arrays]
    return _digest([repr(person_key(truth.sample)).encode(), body.gender.encode(), *numbers])


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:_LETTERS]


def _entries(
    rows: Iterable[PseudoTruth], usable: bool, left_out: Counter[str]
) -> dict[PersonKey, _Entry]:
    """People by key, without those who share one."""
    found: dict[PersonKey, _Entry] = {}
    several: Counter[PersonKey] = Counter()
    for truth in rows:
        key, sample = person_key(truth.sample), truth.sample
        x, y = (float(value) for value in sample.box_centre)
        name = body_name(truth) if truth.usable or not usable else ""
        several[key] += 1
        found[key] = _Entry(name, (x, y, sample.box_size))
    for key, count in several.items():
        if count > 1:
            left_out["several people of an image under one number"] += count
            del found[key]
    return found


def _why_not(a: _Entry, b: _Entry, names: tuple[str, str]) -> str:
    """Why a person who is in both sources is not shown; "" if they are."""
    if not _same_box(a.box, b.box):
        return "with another box"
    for entry, name in zip((a, b), names, strict=True):
        if not entry.body:
            return f"without a body in {name}"
    return "with the same body in both" if a.body == b.body else ""


def _same_box(a: Sequence[float], b: Sequence[float]) -> bool:
    """Broken boxes (not finite) are told apart by nothing, so they are let through."""
    difference = np.abs(np.subtract(a, b))
    return not (difference > SAME_BOX * max(a[2], b[2])).any()


def _nobody(
    entries: Sequence[Mapping[PersonKey, _Entry]], left_out: Counter[str], names: tuple[str, str]
) -> str:
    """Why there is nobody to compare, in one line."""
    common = entries[0].keys() & entries[1].keys()
    if not common:
        seen = [next(iter(entry), None) for entry in entries]
        shown = [
            f"{name} has {'nobody' if key is None else f'{key[0]} number {key[1]}'}"
            for name, key in zip(names, seen, strict=True)
        ]
        return f"nobody is in both: {', '.join(shown)} for one; are they of one data set?"
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    if left_out["with another box"] == len(common):
        return f"{' and '.join(names)} are of different data sets: {reasons}"
    return f"nobody can be compared: {reasons}"
