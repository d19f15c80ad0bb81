"""What a review needs: lifted samples to look at, pictures of them, and a place for decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Decision = Literal["", "accepted", "rejected"]
"""What a person who looked at a sample decided; "" for nothing yet."""

DECISIONS: tuple[Decision, ...] = ("", "accepted", "rejected")
"""Every decision."""

Sort = Literal["error_after", "error_before", "loss", "id"]
"""By 2D error of the fit or of the regressor or by 2D loss, the worst first; or by id."""

SORTS: tuple[Sort, ...] = ("error_after", "error_before", "loss", "id")
"""Every order."""


@dataclass(frozen=True)
class ReviewRow:
    """One lifted sample, as the page lists it."""

    id: int
    """Its number, which never changes."""
    image: str
    """File of its image, relative to the image folder."""
    status: str
    """How its fit ended."""
    message: str = ""
    """Why, in one line, if the fit was not accepted."""
    decision: Decision = ""
    """What was decided."""
    error_before: float = float("nan")
    """Mean 2D error of the regressor's answer, px of a 224 crop; nan if unknown."""
    error_after: float = float("nan")
    """The same of the fit."""
    loss: float = float("nan")
    """2D loss of the fit."""
    iterations: int = 0
    """Updates that the fit made."""
    kept_iteration: int = 0
    """Updates behind the body that was kept."""
    annotation_id: int | None = None
    """The data set's number of the person."""
    subject: str = ""
    """Who it is, where the data set says so."""


@runtime_checkable
class ReviewSource(Protocol):
    """Where lifted samples come from. Its methods are called from several threads at once.

    ValueError and OSError of any method reach the page as one line.
    """

    def rows(
        self, *, status: str | None, decision: Decision | None, sort: Sort, offset: int, limit: int
    ) -> Sequence[ReviewRow]:
        """Samples that were fitted, at most `limit` from the `offset`-th; None is any."""
        ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many fitted samples have each "status", and how many each "decision"."""
        ...

    def picture(self, id: int, size: int) -> bytes:
        """A JPEG or PNG of a sample, `size` px high. KeyError if there is no such sample."""
        ...

    def decide(self, id: int, decision: Decision) -> None:
        """Save a decision, at once. KeyError if there is no such sample."""
        ...
