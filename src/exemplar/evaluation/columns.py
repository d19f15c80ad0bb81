"""The words and numbers of an evaluation's table, in a terminal and on the page alike."""

import sys
from collections.abc import Mapping
from typing import Any

BASELINE = "none"
"""The method that is no fit: what the regressor says."""

COLUMNS: Mapping[str, tuple[str, str, int, float]] = {
    "pa_mpjpe": ("PA-MPJPE", "mm ↓", 1, 1.0),
    "mpjpe": ("MPJPE", "mm ↓", 1, 1.0),
    "pve": ("PVE", "mm ↓", 1, 1.0),
    "pck_150": ("3D PCK", "% ↑", 1, 100.0),
    "auc": ("AUC", "% ↑", 1, 100.0),
    "px": ("2D error", "px ↓", 2, 1.0),
    "pck": ("PCK", "% ↑", 1, 100.0),
    "worse_percent": ("made worse", "% ↓", 1, 1.0),
    "worse_by_5mm_percent": ("worse by 5 mm", "% ↓", 1, 1.0),
    "oracle": ("best update", "mm ↓", 1, 1.0),
    "seconds": ("time", "s a person ↓", 3, 1.0),
}
"""Title, unit and direction, decimals and factor of a column of `summary.json`."""

AGAINST = ("worse_percent", "worse_by_5mm_percent")
"""Columns that compare with the regressor, which has none of them."""


def number(value: Any, decimals: int, *, factor: float = 1.0, signed: bool = False) -> str:
    """A number for people, "–" if it is not known."""
    if not known(value):
        return "–"
    sign = "+" if signed else ""
    return f"{factor * value:{sign}.{decimals}f}".replace("-", "−")


def name_of(method: str) -> str:
    """What a person calls a method."""
    return "regressor" if method == BASELINE else method


def known(value: Any) -> bool:
    """Whether a mean is a number, and not beyond all floats."""
    return isinstance(value, int | float) and bool(abs(value) <= sys.float_info.max)
