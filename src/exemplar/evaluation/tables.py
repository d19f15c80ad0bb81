"""From rows of people to a table of methods."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.table import Table

from exemplar.evaluation.columns import AGAINST, BASELINE, COLUMNS, known, name_of, number
from exemplar.evaluation.records import Row
from exemplar.evaluation.report.data import carried
from exemplar.results import BAD_INPUT

BOOTSTRAP = 2000
"""Draws of people behind an interval."""

NUMBERS = ("mpjpe", "pa_mpjpe", "pve", "pck_150", "auc", "px", "px_fitted", "pck", "seconds")
"""Columns whose means are given, of those that a set has."""

CURVES = ("pa_mpjpe", "mpjpe", "px")
"""Errors that are given by update."""


def summary_of(rows: Sequence[Row]) -> dict[str, Any]:
    """{"methods": {name: means}}: of everyone whom each method has a body for.

    Beside the means: `worse_percent` and `worse_by_5mm_percent`, the share of people whose
    PA-MPJPE is above the regressor's; `gain`, how much lower their mean is in mm, with `gain_95`,
    95 % of bootstrap draws of people (where method none was run); statuses; means by update, the
    best update for all (`best_update`), and the mean of each person's best one (`oracle`).
    """
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    start = {row["number"]: row["pa_mpjpe"] for row in by_method.get("none", [])}
    return {"methods": {name: _method(own, start) for name, own in by_method.items()}}


def _method(rows: Sequence[Row], start: Mapping[int, float | None]) -> dict[str, Any]:
    sound = [row for row in rows if row["status"] != BAD_INPUT]
    found: dict[str, Any] = {"people": len(sound)}
    for name in NUMBERS:
        values = column(sound, name)
        if np.isfinite(values).any():
            found[name] = float(np.nanmean(values))
    before = np.array([_float(start.get(row["number"])) for row in sound])
    after = column(sound, "pa_mpjpe")
    both = np.isfinite(before) & np.isfinite(after)
    if both.any():
        gain = (before - after)[both]
        found["worse_percent"] = float(100 * (gain < 0).mean())
        found["worse_by_5mm_percent"] = float(100 * (gain < -5).mean())
        found["gain"] = float(gain.mean())
        found["gain_95"] = interval(gain)
    found["statuses"] = dict(Counter(row["status"] for row in rows))
    curves = by_update(sound)
    if curves:
        found["by_update"] = {name: values.mean(0).tolist() for name, values in curves.items()}
    if "pa_mpjpe" in curves:
        found["best_update"] = int(curves["pa_mpjpe"].mean(0).argmin())
        found["oracle"] = float(curves["pa_mpjpe"].min(1).mean())
    return found


def by_update(rows: Sequence[Row]) -> dict[str, Float[np.ndarray, "n k"]]:
    """Errors after each number of updates, of the people who have them: by name."""
    out = {}
    for name in CURVES:
        found = [row[f"{name}_by_update"] for row in rows if row[f"{name}_by_update"] is not None]
        if found:
            out[name] = carried(found)
    return out


def column(rows: Sequence[Row], name: str) -> Float[np.ndarray, " n"]:
    """A column as numbers, NaN where there is none."""
    return np.array([_float(row[name]) for row in rows], dtype=float)


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """95 % of bootstrap draws of the mean; the draws have a fixed seed."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(BOOTSTRAP)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def table_of(summary: Mapping[str, Any]) -> Table:
    """The methods of a summary, for a terminal; columns that none of them has are left out."""
    methods: Mapping[str, Mapping[str, Any]] = summary["methods"]
    used = [name for name in COLUMNS if any(known(found.get(name)) for found in methods.values())]
    table = Table("method", *("\n".join(COLUMNS[name][:2]) for name in used), "people\ncounted")
    for method, found in methods.items():
        cells = []
        for name in used:
            _, _, decimals, factor = COLUMNS[name]
            own = None if method == BASELINE and name in AGAINST else found.get(name)
            cells.append(number(own, decimals, factor=factor))
        table.add_row(name_of(method), *cells, f"{found['people']:,}")
    return table
