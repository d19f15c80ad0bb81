"""Pseudo ground truth: a data set's people with the bodies that were fitted to them."""

from dataclasses import dataclass
from typing import Literal

from exemplar.results import OK
from exemplar.samples import Sample

IMPORTED = "imported"
"""Status of a body that another program made: read from a file that says nothing about it."""

Decision = Literal["", "accepted", "rejected"]
"""What a person who looked at the fit decided; "" if nobody did."""


@dataclass(frozen=True)
class PseudoTruth:
    """One fitted person; `sample.body` is the fit (none if it failed)."""

    sample: Sample
    """The person, with the fitted body."""
    status: str = IMPORTED
    """One of `exemplar.results`' statuses, or `IMPORTED`."""
    message: str = ""
    """Why, in one line, if the status is not OK; and which keypoints the fit left out."""
    error_px_before: float = float("nan")
    """Mean 2D error of the regressor's answer over the fitted keypoints, px of a 224 crop."""
    error_px_after: float = float("nan")
    """The same of the fit."""
    loss_2d: float = float("nan")
    """Mean over all 49 x 2 of weight times squared error of the fit, crop units squared."""
    iterations: int = 0
    """Updates that the fit made."""
    kept_iteration: int = 0
    """Updates behind the body that was kept: fewer than `iterations` if the guard chose so."""
    regressor: str = ""
    """Name of the regressor."""
    body_model: str = ""
    """Name of the body model that the parameters are for."""
    recipe: str = ""
    """How it was fitted."""
    version: str = ""
    """Version of the code that fitted it."""
    decision: Decision = ""
    """What a person who looked at it decided."""

    @property
    def usable(self) -> bool:
        """Whether it is exported: a body that a person accepted, or that nobody rejected and the
        fit's own tests passed."""
        if self.sample.body is None or self.decision == "rejected":
            return False
        return self.decision == "accepted" or self.status in (OK, IMPORTED)
