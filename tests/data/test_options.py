"""Options of readers, from text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from exemplar.data.options import options_of, parse_options


def reader(
    source: str,
    *,
    subset: Literal["part", "all"] = "all",
    protocol: Literal[1, 2] = 2,
    count: int | None = None,
    share: float = 1.0,
    folder: str | Path | None = None,
    cameras: Sequence[int] = (0,),
    strict: bool = False,
) -> None:
    """A function with options of every kind."""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("subset=part", "part"),
        ("protocol=1", 1),
        ("count=5", 5),
        ("count=none", None),
        ("share=.25", 0.25),
        ("folder=2014/a=b", "2014/a=b"),
        ("cameras=0, 2,4", (0, 2, 4)),
        ("strict=true", True),
        ("strict=no", False),
    ],
)
def test_values_are_what_the_annotation_says(text: str, value: object) -> None:
    (parsed,) = parse_options(reader, [text], "reader").values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("subset=most", r"option subset: expected part\|all, got 'most'"),
        ("protocol=3", r"expected 1\|2"),
        ("count=many", "expected whole number or none"),
        ("cameras=1,x", "expected whole number, separated by commas"),
        ("strict=maybe", r"true\|false"),
        ("source=x", "reader has no option 'source'"),
        ("subset", "expected an option as name=value, got 'subset'"),
    ],
)
def test_values_that_do_not_fit_are_one_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_options(reader, [text], "reader")


def test_only_keyword_parameters_are_options() -> None:
    assert next(iter(options_of(reader))) == "subset"
    assert "source" not in options_of(reader)
