"""Counts as a person says them."""


def counted(count: int, one: str = "person", more: str = "") -> str:
    """The number with its noun: "1 person", "2,000 people", "3 images"."""
    several = more or ("people" if one == "person" else f"{one}s")
    return f"{count:,} {one if count == 1 else several}"


def numbers_of_people(count: int) -> str:
    """How people are numbered, with how many there are: "a number from 0 to 2 (3 people)"."""
    numbers = "0" if count == 1 else f"a number from 0 to {count - 1}"
    return f"{numbers} ({counted(count)})"
