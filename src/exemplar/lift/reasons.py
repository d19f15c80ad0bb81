"""What becomes of people: statuses, and the reasons that messages begin with, before a colon."""

from exemplar.files.image_files import OUTSIDE
from exemplar.results import BAD_INPUT, DIVERGED, NOTHING_TO_FIT, OK, REJECTED

MISSING, UNREADABLE = "missing image", "unreadable image"
"""Reasons of people whose image cannot be had: somewhere else it perhaps can."""

WORKERS_DIED = "workers died"
"""Reason of people at whom one worker after another died."""

STATUSES = (BAD_INPUT, NOTHING_TO_FIT, DIVERGED, REJECTED, OK)
REASONS = (
    MISSING, UNREADABLE, OUTSIDE, WORKERS_DIED, "image size", "empty box", "box outside the image",
    "keypoints", "broken annotation", "no keypoints", "numbers", "shape", "2D error",
    "left/right swapped", "annotation against teacher",
)  # fmt: skip

FAILED = (BAD_INPUT, NOTHING_TO_FIT, DIVERGED)
"""Statuses of people who have no fit that means anything."""


def lacks_image(status: str, message: str) -> bool:
    """Whether this became of a person because the image could not be had."""
    return status == BAD_INPUT and message.partition(":")[0] in (MISSING, UNREADABLE)


def typed(name: str) -> str:
    """A status or reason as it is typed: missing_image."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")
