"""Charts of the page of an evaluation: errors, changes against the regressor, errors by update."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from exemplar.evaluation import charts
from exemplar.evaluation.columns import BASELINE, name_of, number
from exemplar.evaluation.report.data import RunData
from exemplar.evaluation.report.tables import key, swatch

TITLES = {
    "pa_mpjpe": ("PA-MPJPE", "mm", 1),
    "mpjpe": ("MPJPE", "mm", 1),
    "px": ("2D error", "px", 2),
}
"""Title, unit and decimals of the errors by which people are compared."""


def errors(run: RunData) -> str:
    """A histogram a method, with the regressor's outline behind the others'."""
    title, unit, decimals = TITLES[run.error]
    values = {method: rows.errors(run.error) for method, rows in run.methods.items()}
    values = {method: v for method, v in values.items() if np.isfinite(v).any()}
    if not values:
        return ""
    edges = charts.edges_of(list(values.values()))
    shares = {method: charts.counted(v, edges) for method, v in values.items()}
    top = max(float(share.max()) for share in shares.values())
    rows = []
    for method, share in shares.items():
        known = values[method][np.isfinite(values[method])]
        mean, median, tail = known.mean(), np.median(known), np.quantile(known, 0.95)
        picture = charts.histogram(
            share,
            edges,
            top=top,
            colour=key(run, method),
            unit=unit,
            label=f"Histogram of {title} of {name_of(method)}",
            behind=shares.get(BASELINE) if method != BASELINE else None,
            marks=[("mean", float(mean)), ("median", float(median))],
        )
        rows.append(
            f'<div class="row"><p><b>{swatch(run, method)}</b><br>'
            f"mean {number(mean, decimals)} {unit}<br>median {number(median, decimals)} {unit}<br>"
            f"95 % below {number(tail, decimals)} {unit}</p>{picture}</div>"
        )
    behind = " The outline is the regressor's histogram." if BASELINE in shares else ""
    return (
        f'<p class="note">Share of the people by {title}. The line is the mean, the broken line '
        f"the median; the last bar holds what is beyond.{behind}</p>{''.join(rows)}"
    )


def changes(run: RunData) -> str:
    """How much better or worse than by the regressor everybody became; "" where nothing is."""
    title, unit, decimals = TITLES[run.error]
    pairs = {
        method: (run.before(method, run.error), rows.errors(run.error))
        for method, rows in run.methods.items()
        if method != BASELINE
    }
    changed = {method: after - before for method, (before, after) in pairs.items()}
    changed = {method: change for method, change in changed.items() if np.isfinite(change).any()}
    if not changed:
        return ""
    edges = charts.edges_of(list(changed.values()), around_zero=True)
    shares = {method: charts.counted(change, edges) for method, change in changed.items()}
    top = max(float(share.max()) for share in shares.values())
    both = [values for method in changed for values in pairs[method]]
    limit = float(charts.edges_of(both)[-1])
    rows = []
    for method, share in shares.items():
        before, after = pairs[method]
        picture = charts.histogram(
            share,
            edges,
            top=top,
            colour=key(run, method),
            signed=True,
            unit=f"change, {unit}",
            label=f"Histogram of the change of {title} by {method}",
            marks=[("zero", 0.0), ("mean", float(np.nanmean(changed[method])))],
            size=(640, 200),
        )
        dots = charts.scatter(
            before,
            after,
            limit=limit,
            colour=key(run, method),
            unit=unit,
            label=f"{title} of {method} against the regressor's, a dot a person",
            size=(290, 230),
        )
        text = _change_text(changed[method], unit, decimals)
        rows.append(
            f'<div class="row pair"><p><b>{swatch(run, method)}</b><br>{text}</p>'
            f"{picture}{dots}</div>"
        )
    return (
        f'<p class="note">Change of each person\'s {title}: what the method gives less what the '
        "regressor gave. The thick line is the mean; the outer bars hold what is beyond. In the "
        f"dots, who lies below the diagonal became better.</p>{''.join(rows)}"
    )


def _change_text(change: Float[np.ndarray, " people"], unit: str, decimals: int) -> str:
    known = change[np.isfinite(change)]
    (mean,), ((low,), (high,)) = charts.mean_interval(known[:, None])
    better, worse = 100 * (known < 0).mean(), 100 * (known > 0).mean()
    interval = f"{number(low, decimals, signed=True)} to {number(high, decimals, signed=True)}"
    return (
        f"mean {number(mean, decimals, signed=True)} {unit}<br>(95 % interval {interval})<br>"
        f"<b>{number(better, 1)} % better</b><br>"
        f'<b class="worse">{number(worse, 1)} % worse</b>'
    )


def updates(run: RunData) -> str:
    """Mean errors over the number of updates, all methods in one chart; "" without any."""
    panels, rows = [], []
    shown: dict[str, None] = {}
    for error, (title, unit, _) in TITLES.items():
        values = {
            method: people.curves(error)
            for method, people in run.methods.items()
            if error in people.by_update and np.isfinite(people.curves(error)).any()
        }
        if not values:
            continue
        shown |= dict.fromkeys(values)
        series = {method: (key(run, method), values[method]) for method in _different(values)}
        kept = {method: _kept(run, method, error) for method in values}
        known = {method: place for method, place in kept.items() if np.isfinite(place[1:]).all()}
        label = f"Mean {title} over updates"
        picture = charts.curves(series, unit=unit, label=label, kept=known)
        panels.append(f"<div><h3>{title}</h3>{picture}</div>")
        rows += [_best_row(run, method, error, curve) for method, curve in values.items()]
    if not panels:
        return ""
    legend = "".join(f"<span>{swatch(run, method)}</span>" for method in shown)
    return (
        '<p class="note">Means over the people after 0, 1, ... updates (0 is the regressor) with '
        "95 % bootstrap bands. Who has stopped counts with their last value. Diamonds: the mean of "
        "the bodies that a method keeps, at its mean number of updates. Methods that make the same "
        "updates share a curve.</p>"
        f'<div class="legend">{legend}</div><div class="panels">{"".join(panels)}</div>'
        '<div class="wide"><table><thead><tr><th>method</th><th class="text">error</th>'
        "<th>regressor</th><th>best number<small>updates, the same for all</small></th>"
        "<th>mean there</th><th>last</th><th>kept</th>"
        f"<th>oracle<small>each person's best</small></th></tr></thead><tbody>{''.join(rows)}"
        '</tbody></table></div><p class="note">The best number of updates and the oracle are '
        "chosen with the truth: they are bounds, not results.</p>"
    )


def _different(values: Mapping[str, Float[np.ndarray, "people _"]]) -> list[str]:
    """The methods without those whose curves are those of one before them."""
    chosen: list[str] = []
    for method, curve in values.items():
        if not any(np.array_equal(curve, values[one], equal_nan=True) for one in chosen):
            chosen.append(method)
    return chosen


def _kept(run: RunData, method: str, error: str) -> tuple[str, float, float]:
    """Class, mean number of updates and mean error of the bodies that a method keeps."""
    rows = run.methods[method]
    (count,), _ = charts.mean_interval(rows.errors("kept")[:, None])
    (mean,), _ = charts.mean_interval(rows.errors(error)[:, None])
    return key(run, method), float(count), float(mean)


def _best_row(
    run: RunData,
    method: str,
    error: str,
    values: Float[np.ndarray, "people updates"],
) -> str:
    title, unit, decimals = TITLES[error]
    known = values[np.isfinite(values).any(1)]
    means = np.nanmean(known, axis=0)
    best = int(np.nanargmin(means))
    oracle = float(np.nanmin(known, axis=1).mean())
    cells = [number(float(means[0]), decimals), str(best), number(float(means[best]), decimals)]
    kept = _kept(run, method, error)[2]
    cells += [number(value, decimals) for value in (float(means[-1]), kept, oracle)]
    tail = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th>{swatch(run, method)}</th><td class="text">{title}, {unit}</td>{tail}</tr>'
