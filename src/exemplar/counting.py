"""Counts as a person says them."""


def counted(count: int, one: str = "person", more: str = "") -> str:
    """The number with its noun: "1 person", "2,000 people", "3 images"."""
    several = more or ("people" if one == "person" else f"{one}s")
    return f"{count:,} {one if count == 1 else several}"
