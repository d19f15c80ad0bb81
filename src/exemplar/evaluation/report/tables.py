"""Tables of the page of an evaluation: the methods, people with problems, settings."""

import math
from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from exemplar.evaluation.columns import AGAINST, BASELINE, COLUMNS, known, name_of, number
from exemplar.evaluation.report.data import LEFT_OUT, RunData
from exemplar.results import OK

_DIFFERENT = 0.05
"""A mean in `summary.json` that is farther from that of the rows is told, mm or px."""

_LISTED = 200


def key(run: RunData, method: str) -> str:
    """The class of a method's colour; methods that are not the page's own share the last."""
    places = {"none": 0, "smplify": 1, "eft": 2, "eft+guard": 3, "dual": 4}
    others = [name for name in run.methods if name not in places]
    return f"m{places[method] if method in places else 5 + others.index(method) % 3}"


def swatch(run: RunData, method: str) -> str:
    """A method's name behind its colour."""
    colour = f'style="background:var(--{key(run, method)})"'
    return f'<span class="key" {colour}></span>{escape(name_of(method))}'


def lead(run: RunData) -> str:
    """What was evaluated, in a line."""
    parts = []
    for name, text in (
        ("protocol", "protocol"),
        ("keypoints", "2D keypoints"),
        ("regressor", "regressor"),
        ("body", "body"),
        ("people", "people"),
    ):
        value = run.summary.get(name)
        if value not in (None, ""):
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            parts.append(f"{text} <b>{escape(shown)}</b>")
    made = run.config.get("commit") or run.config.get("version")
    parts += [f"version <b>{escape(str(made))}</b>"] if made else []
    told = "".join(
        f'<p class="lead">{escape(str(line))}</p>' for line in run.summary.get("differences") or ()
    )
    return f'<p class="lead">{" · ".join(parts)}</p>{told}'


def result(run: RunData) -> str:
    """The table of methods, the best of each column marked."""
    if not run.methods:
        return "<p>Nobody was evaluated.</p>"
    means = {method: _means(run, method) for method in run.methods}
    columns = [name for name in COLUMNS if any(known(row.get(name)) for row in means.values())]
    head = "".join(
        f"<th>{COLUMNS[name][0]}<small>{COLUMNS[name][1]}</small></th>" for name in columns
    )
    best = {name: _best(means, name) for name in columns}
    rows = []
    for method, row in means.items():
        cells = []
        for name in columns:
            _, _, decimals, factor = COLUMNS[name]
            text = number(row.get(name), decimals, factor=factor)
            mark = ' class="best"' if text != "–" and text == best[name] else ""
            cells.append(f"<td{mark}>{text}</td>")
        people = int(run.methods[method].counted.sum())
        rows.append(
            f"<tr><th>{swatch(run, method)}</th>{''.join(cells)}<td>{people:,}</td>"
            f'<td class="text">{escape(_statuses(run, method))}</td></tr>'
        )
    return (
        f'<div class="wide"><table><thead><tr><th>method</th>{head}<th>people<small>counted'
        f'</small></th><th class="text">statuses</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        f"</table></div>{_reading(run, columns)}{_disagreement(run)}"
    )


def _means(run: RunData, method: str) -> dict[str, Any]:
    """The row of `summary.json`, completed from the people."""
    rows = run.methods[method]
    means: dict[str, Any] = {}
    for name in COLUMNS:
        if name in rows.values:
            values = rows.errors(name)
            finite = values[np.isfinite(values)]
            means[name] = float(finite.mean()) if len(finite) else math.nan
    if method != BASELINE:
        change = rows.errors(run.error) - run.before(method, run.error)
        change = change[np.isfinite(change)]
        means["worse_percent"] = 100 * float((change > 0).mean()) if len(change) else math.nan
    given = (run.summary.get("methods") or {}).get(method) or {}
    means |= {name: given[name] for name in COLUMNS if known(given.get(name))}
    return {name: v for name, v in means.items() if not (method == BASELINE and name in AGAINST)}


def _best(means: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """The best value as it is shown; "" where there is nothing to compare."""
    _, direction, decimals, factor = COLUMNS[name]
    competing = [
        row[name]
        for method, row in means.items()
        if known(row.get(name)) and not (method == BASELINE and name == "seconds")
    ]
    shown = {number(value, decimals, factor=factor) for value in competing}
    choose = max if "↑" in direction else min
    return number(choose(competing), decimals, factor=factor) if len(shown) > 1 else ""


def _statuses(run: RunData, method: str) -> str:
    counts = Counter(run.methods[method].texts["status"])
    ordered = sorted(counts, key=lambda status: (status != OK, -counts[status]))
    return ", ".join(f"{counts[status]:,} {status.replace('_', ' ')}" for status in ordered)


def _reading(run: RunData, columns: list[str]) -> str:
    notes = []
    if len(run.methods) > 1:
        notes.append("★ is the best of a column")
        notes.append("the regressor does not compete in time")
    if "px" in columns:
        notes.append("the 2D error is to the set's own annotated keypoints, px of a 224 px crop")
    if "pck" in columns:
        notes.append("PCK is the share of them within a tenth of the box's side")
    if "worse_percent" in columns:
        title = COLUMNS[run.error][0]
        notes.append(f"made worse: a larger {title} than the regressor's")
    if "oracle" in columns:
        notes.append("best update: the mean PA-MPJPE if each person's fit stopped at its best one")
    text = "; ".join(notes)
    return f'<p class="note">{text[:1].upper()}{text[1:]}.</p>' if text else ""


def _disagreement(run: RunData) -> str:
    """A line if `summary.json` was made of other people than the rows."""
    wrong = []
    for method, rows in run.methods.items():
        given = (run.summary.get("methods") or {}).get(method) or {}
        for name in ("pa_mpjpe", "mpjpe", "px"):
            values = rows.errors(name)[np.isfinite(rows.errors(name))]
            if len(values) and known(given.get(name)):
                mean = float(values.mean())
                if abs(mean - given[name]) > _DIFFERENT:
                    title = f"{name_of(method)} {COLUMNS[name][0]}"
                    wrong.append(f"{title} {number(mean, 2)}, not {number(given[name], 2)}")
    if not wrong:
        return ""
    return (
        '<p class="note"><b>The rows of samples.parquet give other means than summary.json:</b> '
        f"{escape('; '.join(wrong))}. The table shows summary.json.</p>"
    )


def problems(run: RunData) -> str:
    """Everybody whose status is not ok, by method and message; "" if there is nobody."""
    rows, count = [], 0
    for method, people in run.methods.items():
        for i, status in enumerate(people.texts["status"]):
            if status == OK:
                continue
            count += 1
            if count > _LISTED:
                continue
            counts = "no" if status in LEFT_OUT else "yes"
            cells = (people.texts["image"][i], status.replace("_", " "), people.texts["message"][i])
            texts = "".join(f'<td class="text">{escape(cell)}</td>' for cell in cells)
            rows.append(
                f"<tr><th>{escape(name_of(method))}</th><td>{people.number[i]}</td>{texts}"
                f"<td>{counts}</td></tr>"
            )
    if not rows:
        return ""
    more = f'<p class="note">The first {_LISTED} of {count:,}.</p>' if count > _LISTED else ""
    return (
        '<p class="note">Who has no answer is left out of means and charts. Who has one counts, '
        "however bad it is.</p>"
        f"<details{' open' if count <= 20 else ''}><summary>{count:,} "
        f"{'row' if count == 1 else 'rows'}</summary>"
        '<div class="wide"><table><thead><tr><th>method</th><th>person</th>'
        '<th class="text">image</th><th class="text">status</th><th class="text">message</th>'
        f"<th>counts</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>{more}</details>"
    )


def settings(run: RunData) -> str:
    """config.json as a table; "" without one."""
    flat = _flat(run.config)
    if not flat:
        return ""
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="text">{escape(value)}</td></tr>'
        for name, value in flat.items()
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested settings by dotted names."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            flat[f"{before}{name}"] = ", ".join(str(item) for item in value)
        else:
            flat[f"{before}{name}"] = "–" if value is None else str(value)
    return flat
