"""Tables of fits of real people, and their numbers as they lie in a JSON file."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.real_scores import BETWEEN, Group, Interval, Scores, interval, of, summary

DECIMALS = 2

COLUMNS: Mapping[str, tuple[str, float]] = {
    "pa_mm": ("truth, mm", 1),
    "pa_gain_mm": ("less none", 1),
    "between_mm": ("between views, mm", 1),
    "between_gain_mm": ("less none", 1),
    "between_limbs_mm": ("its limbs, mm", 1),
    "worse": ("worse, %", 100),
    "flipped": ("flipped, %", 100),
    "error_px": ("2D, px", 1),
    "left_out_px": ("left out, px", 1),
    "left_out_gain_px": ("less none", 1),
    "updates": ("updates", 1),
}
"""Measures of `real_scores.summary`: heading and factor."""

COMPARED = ("pa_mm", "between_mm", "between_limbs_mm", "flipped", "error_px", "left_out_px")


def print_group(name: str, group: Group, console: Console | None = None) -> None:
    """A group's table: a row a method, means with 95 % intervals."""
    rows = summary(group)
    shown = [key for key in COLUMNS if any(_known(row.get(key)) for row in rows.values())]
    table = Table("method", title=f"{name}: {len(group.keys)} fits", title_justify="left")
    for key in shown:
        table.add_column(COLUMNS[key][0], justify="right")
    for method, row in rows.items():
        table.add_row(method, *(_text(row.get(key), COLUMNS[key][1]) for key in shown))
    (console or _console()).print(table)


def print_comparison(before: Path, after: Path, console: Console | None = None) -> None:
    """Two runs' common fits: before, after, and the paired difference with its interval."""
    one, other = read_groups(before), read_groups(after)
    common = [name for name in one if name in other]
    if not common:
        raise ValueError(f"{before} and {after} have no sequence in common")
    for name in common:
        table = Table("method", "measure", "fits", title=name, title_justify="left")
        for heading in ("before", "after", "difference"):
            table.add_column(heading, justify="right")
        for method in (m for m in one[name].methods if m in other[name].methods):
            for measure in COMPARED:
                triple = compared(one[name], other[name], method, measure)
                if triple is not None:
                    factor = COLUMNS[measure][1]
                    cells = (_text(each, factor) for each in triple)
                    table.add_row(method, COLUMNS[measure][0], str(triple[2].count), *cells)
        (console or _console()).print(table)


def compared(
    before: Group, after: Group, method: str, measure: str
) -> tuple[Interval, Interval, Interval] | None:
    """Before, after, and after less before, on what both have; None if that is nothing."""
    tables = [_by_key(group, method, measure) for group in (before, after)]
    keys = [key for key in tables[0] if key in tables[1]]
    one, other = (np.array([table[key] for key in keys], float) for table in tables)
    both = np.isfinite(one) & np.isfinite(other)
    if not both.any():
        return None
    moments = np.array([key[0] for key in keys])[both]
    one, other = one[both], other[both]
    return interval(one, moments), interval(other, moments), interval(other - one, moments)


def _by_key(group: Group, method: str, measure: str) -> dict[tuple[int, ...], float]:
    values = of(group.methods[method], measure).tolist()
    if not values:
        return {}
    if not measure.startswith(BETWEEN):
        return dict(zip(group.keys, values, strict=True))
    keys = (group.keys[a] + group.keys[b] for a, b in group.pairs.tolist())
    return dict(zip(keys, values, strict=True))


def as_json(groups: Mapping[str, Group]) -> dict[str, Any]:
    """What `write_results` takes: means and intervals, and all numbers, a line a measure."""
    return {
        name: {
            "summary": {
                method: {key: _line(vars(each).values()) for key, each in row.items()}
                for method, row in summary(group).items()
            },
            "fits": [_line(column) for column in zip(*group.keys, strict=True)],
            "pairs": [_line(column) for column in group.pairs.T.tolist()],
            "methods": {
                method: {
                    key: _line(values)
                    for key, values in {**scores.values, **scores.between}.items()
                }
                for method, scores in group.methods.items()
            },
        }
        for name, group in groups.items()
    }


def read_groups(path: Path) -> dict[str, Group]:
    """The groups of a file that `python -m benchmarks.real --output` wrote."""
    if not path.exists():
        raise FileNotFoundError(f"no results at {path}: python -m benchmarks.real --output {path}")
    groups = {}
    for name, each in json.loads(path.read_text())["results"].items():
        fits = [_numbers(line).astype(int).tolist() for line in each["fits"]]
        methods = {}
        for method, lines in each["methods"].items():
            values = {key: _numbers(line) for key, line in lines.items()}
            between = {key: values.pop(key) for key in lines if key.startswith(BETWEEN)}
            methods[method] = Scores(values, between)
        pairs = np.stack([_numbers(line).astype(int) for line in each["pairs"]], 1)
        groups[name] = Group(list(zip(*fits, strict=True)), pairs, methods)
    return groups


def _line(values: Iterable[float]) -> str:
    """Numbers in one line of JSON."""
    return " ".join(f"{round(float(value), DECIMALS):g}" for value in values)


def _numbers(line: str) -> np.ndarray:
    return np.array(line.split(), float)


def _known(each: Interval | None) -> bool:
    return each is not None and each.count > 0


def _text(each: Interval | None, factor: float) -> str:
    if each is None or each.count == 0:
        return ""
    mean, low, high = (factor * value for value in (each.mean, each.low, each.high))
    return f"{mean:.1f}" if low == high else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _console() -> Console:
    return Console(width=200)
