"""How footage of several cameras is fitted."""

import math
from dataclasses import dataclass

from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR
from exemplar.scene.world import named_up, parsed_unit

LONGEST_OFFSET = 600.0
"""Larger ones are taken for a mistake, seconds."""


@dataclass(frozen=True)
class ViewsOptions:
    """How footage of several cameras is fitted."""

    every: int = 1
    """Take every n-th frame."""
    start: float = 0.0
    """Where to begin, seconds."""
    end: float | None = None
    """Where to end, seconds; None takes all that every camera has."""
    unit: str = "auto"
    """Of the calibration: m, cm, mm, or the metres in one; "auto" takes the one that makes people
    as large as people are."""
    up: str = "auto"
    """Which axis of the calibration points up (x, -y, ...); "auto" asks people and cameras."""
    offsets: str = "auto"
    """How late each camera shows a moment, seconds: "auto" asks people who move, "none" takes the
    cameras to be together; else a number for each camera, as "0,0.05,0"."""
    people: int | None = None
    """Most people to fit, those who are seen most; None fits all."""
    regressor: str = DEFAULT_REGRESSOR
    """Name of a shipped regressor, or a checkpoint file."""
    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    iterations: int | None = None
    """Most weight updates; None takes the recipe's."""

    def __post_init__(self) -> None:
        if self.every < 1 or (self.people is not None and self.people < 1):
            raise ValueError(
                f"every and people must be 1 or more, got {self.every} and {self.people}"
            )
        if not 0 <= self.start < math.inf or (self.end is not None and self.end <= self.start):
            raise ValueError(f"a part from {self.start:g} s to {self.end} s has no moments")
        if self.unit != "auto":
            parsed_unit(self.unit)
        if self.up != "auto":
            named_up(self.up)
        if self.offsets != "auto":
            parsed_offsets(self.offsets)


def parsed_offsets(text: str) -> tuple[float, ...]:
    """Seconds by camera, none for "none"; ValueError for what is neither."""
    if text == "none":
        return ()
    try:
        seconds = tuple(float(part) for part in text.split(","))
    except ValueError:
        seconds = (math.nan,)
    if not all(abs(value) <= LONGEST_OFFSET for value in seconds):
        raise ValueError(
            f"offsets {text!r}: expected auto, none, or seconds for each camera, as 0,0.05,0"
        )
    return seconds
