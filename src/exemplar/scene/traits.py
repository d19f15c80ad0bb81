"""What is known of the people of a picture, from one value for all or a list with one for each."""

from collections.abc import Sequence

from exemplar.bodies.shape_prior import Traits

Numbers = float | int | Sequence[float | int | None] | None
"""Of all people, or of each, None where it is not known."""

Genders = str | Sequence[str | None] | None
"""Likewise."""


def traits_of(age: Numbers, gender: Genders, height: Numbers) -> tuple[Traits, ...]:
    """Of each person, or one for all. ValueError for what nobody is, and for unlike lists."""
    columns = [
        (tuple(value) or (None,))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else (value,)
        for value in (age, gender, height)
    ]
    count = max(map(len, columns))
    if any(len(column) not in (1, count) for column in columns):
        lengths = ", ".join(str(len(column)) for column in columns)
        raise ValueError(f"age, gender and height are of different numbers of people: {lengths}")
    each = [column * (count // len(column)) for column in columns]
    return tuple(Traits(*person) for person in zip(*each, strict=True))


def for_people(traits: Sequence[Traits], people: int) -> Sequence[Traits]:
    """The traits of each of so many people. ValueError if they are of another number."""
    if len(traits) == 1:
        return [traits[0]] * people
    if len(traits) != people:
        raise ValueError(
            f"age, gender or height is given for {len(traits)} people, expected one value for all,"
            f" or {people} for the people of the picture"
        )
    return traits
