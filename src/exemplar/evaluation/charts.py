"""Charts of an evaluation as SVG: histograms, changes, scatters and curves.

Everything is drawn in classes of the page's style sheet (`report.css`), so that it follows the
page's light, dark or printed colours. Method i of the page is drawn in class `m{i}`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

RESAMPLED = 500
"""Bootstrap samples of the people."""

_SEED = 0


@dataclass(frozen=True)
class Axis:
    """A linear scale of a chart."""

    low: float
    """Value at the start."""
    high: float
    """Value at the end."""
    start: float
    """Where it starts, px."""
    end: float
    """Where it ends, px."""

    def __call__(self, value: float) -> float:
        """Where a value lies, px."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About so many round values."""
        step = nice_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * i for i in range(first, last + 1)]


def nice_step(width: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `width`; 1 for no width."""
    if not width > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * (1 - 1e-9))


def mean_interval(
    values: Float[np.ndarray, "people columns"],
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, "2 columns"]]:
    """Means over the people and the ends of their 95 % bootstrap intervals, people resampled.

    NaN values are left out; a column without any is NaN.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = filled.sum(0) / known.sum(0)
        people = len(values)
        if people == 0:
            return means, np.stack([means, means])
        rng = np.random.default_rng(_SEED)
        weights = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLED)
        drawn = (weights @ filled) / (weights @ known.astype(np.float64))
    ends = np.stack([_quantile(drawn, share) for share in (0.025, 0.975)])
    return means, ends


def _quantile(drawn: np.ndarray, share: float) -> Float[np.ndarray, " columns"]:
    columns = (column[np.isfinite(column)] for column in drawn.T)
    return np.array([np.quantile(c, share) if len(c) else np.nan for c in columns], np.float64)


def edges_of(
    values: Sequence[Float[np.ndarray, " _"]], *, around_zero: bool = False
) -> Float[np.ndarray, " edges"]:
    """Round edges of bins that all series share, up to 99.5 % of the values.

    More people, more bins: about twice the square root of a series' length, 10 to 50. What lies
    beyond belongs into the first and last bin (`counted`). Errors start at 0; changes
    (`around_zero`) have an edge there and reach as far on one side as on the other.
    """
    known = np.concatenate([v[np.isfinite(v)] for v in values] or [np.zeros(0)])
    if len(known) == 0:
        known = np.zeros(1)
    bins = float(np.clip(2 * (len(known) / max(len(values), 1)) ** 0.5, 10, 50))
    if around_zero:
        reach = max(float(np.quantile(np.abs(known), 0.995)), 1e-3)
        step = nice_step(2 * reach / bins)
        count = math.ceil(reach / step - 1e-9)
        return step * np.arange(-count, count + 1)
    top = max(float(np.quantile(known, 0.995)), 1e-3)
    step = nice_step(top / bins)
    return step * np.arange(math.ceil(top / step + 1e-9) + 1)


def counted(
    values: Float[np.ndarray, " _"], edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, " bins"]:
    """Share of the known values in each bin, what is beyond in the first and last one."""
    known = values[np.isfinite(values)]
    inside = np.clip(known, edges[0], edges[-1])
    return np.histogram(inside, edges)[0] / max(len(known), 1)


def histogram(
    shares: Float[np.ndarray, " bins"],
    edges: Float[np.ndarray, " edges"],
    *,
    top: float,
    colour: str,
    unit: str,
    label: str,
    signed: bool = False,
    behind: Float[np.ndarray, " bins"] | None = None,
    marks: Sequence[tuple[str, float]] = (),
    size: tuple[int, int] = (800, 140),
) -> str:
    """Bars of one series, with the outline of another behind them.

    Args:
        shares: share of the people in each bin.
        edges: of the bins.
        top: share at the upper end, the same for charts that are compared.
        colour: class of the bars; those above zero are of class "worse" if `signed`.
        unit: of the values.
        label: what a screen reader says.
        signed: whether the values are changes.
        behind: shares of the series that is outlined.
        marks: class of a vertical line, and where it stands.
        size: px.
    """
    x, y = _axes(size, (float(edges[0]), float(edges[-1])), (0.0, max(top, 1e-9) * 1.05))
    parts = [_frame(x, y, unit, percent=True)]
    for share, low, high in zip(shares, edges[:-1], edges[1:], strict=True):
        if share > 0:
            which = "worse" if signed and low >= -1e-9 else colour
            parts.append(
                f'<rect class="bar {which}" x="{x(low) + 0.5:.1f}" y="{y(share):.1f}" '
                f'width="{max(x(high) - x(low) - 1, 0.5):.1f}" height="{y(0.0) - y(share):.1f}">'
                f"<title>{low:.4g} to {high:.4g} {unit}: {100 * share:.1f} %</title></rect>"
            )
    if behind is not None:
        parts.append(f'<path class="outline" d="{_outline(behind, edges, x, y)}"/>')
    for name, value in marks:
        if math.isfinite(value) and x.low <= value <= x.high:
            line = f'x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{y.end}" y2="{y.start}"'
            parts.append(f'<line class="mark {name}" {line}/>')
    return _svg("".join(parts), size, label)


def _outline(shares: np.ndarray, edges: np.ndarray, x: Axis, y: Axis) -> str:
    steps = [f"M{x(edges[0]):.1f} {y(0.0):.1f}"]
    for share, high in zip(shares, edges[1:], strict=True):
        steps.append(f"V{y(share):.1f}H{x(high):.1f}")
    return "".join([*steps, f"V{y(0.0):.1f}"])


def scatter(
    before: Float[np.ndarray, " people"],
    after: Float[np.ndarray, " people"],
    *,
    limit: float,
    colour: str,
    unit: str,
    label: str,
    size: tuple[int, int] = (300, 300),
) -> str:
    """A dot a person: the regressor's error to the right, the method's up; below the diagonal the
    person became better. Who is beyond `limit` stands at the edge."""
    x, y = _axes(size, (0.0, limit), (0.0, limit))
    known = np.isfinite(before) & np.isfinite(after)
    dots = "".join(
        f"M{x(min(a, limit)):.1f} {y(min(b, limit)):.1f}h0"
        for a, b in zip(before[known], after[known], strict=True)
    )
    parts = [
        _frame(x, y, f"regressor, {unit}", up=f"method, {unit}"),
        f'<path class="diagonal" d="M{x(0.0):.1f} {y(0.0):.1f}L{x(limit):.1f} {y(limit):.1f}"/>',
        f'<path class="dots {colour}" d="{dots}"/>',
    ]
    return _svg("".join(parts), size, label)


def curves(
    series: Mapping[str, tuple[str, Float[np.ndarray, "people updates"]]],
    *,
    unit: str,
    label: str,
    kept: Mapping[str, tuple[str, float, float]] | None = None,
    size: tuple[int, int] = (400, 280),
) -> str:
    """Means over the people after 0, 1, ... updates, each with its 95 % bootstrap band.

    `series` are class and values (a row a person) by name. A series of one update is a dot. `kept`
    are class, mean number of updates and mean error of what methods keep: diamonds.
    """
    kept = kept or {}
    found = {name: (colour, *mean_interval(values)) for name, (colour, values) in series.items()}
    drawn = [ends[np.isfinite(ends)] for _, _, ends in found.values()]
    drawn.append(np.array([mean for _, _, mean in kept.values()]))
    last = max((len(means) for _, means, _ in found.values()), default=1) - 1
    x, y = _axes(size, (0.0, float(max(last, 1))), _range(np.concatenate([*drawn, np.zeros(0)])))
    parts = [_frame(x, y, "updates", up=unit, whole_x=True)]
    for colour, _, (below, above) in found.values():
        around = [*_known(above), *reversed(_known(below))]
        parts.append(f'<polygon class="band {colour}" points="{_points(around, x, y)}"/>')
    for name, (colour, means, _) in found.items():
        places = _known(means)
        line = _points(places, x, y)
        parts.append(f'<polyline class="curve {colour}" points="{line}"/>')
        parts += [
            f'<circle class="point {colour}" cx="{x(step):.1f}" cy="{y(mean):.1f}" r="2.6">'
            f"<title>{escape(name)} after {step:.0f}: {mean:.2f} {unit}</title></circle>"
            for step, mean in places
        ]
    parts += [
        f'<path class="kept {colour}" d="M{x(step):.1f} {y(mean) - 6:.1f}l6 6l-6 6l-6 -6z"><title>'
        f"{escape(name)} keeps {step:.1f} updates on average: {mean:.2f} {unit}</title></path>"
        for name, (colour, step, mean) in kept.items()
    ]
    return _svg("".join(parts), size, label)


def _axes(
    size: tuple[int, int], right: tuple[float, float], up: tuple[float, float]
) -> tuple[Axis, Axis]:
    """Scales of a chart whose margins leave room for ticks and names."""
    width, height = size
    return Axis(*right, 48.0, width - 12.0), Axis(*up, height - 36.0, 8.0)


def _known(values: np.ndarray) -> list[tuple[float, float]]:
    """Number of updates and value, where it is known."""
    return [(float(i), v) for i, v in enumerate(values.tolist()) if math.isfinite(v)]


def _range(values: np.ndarray) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _points(places: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{x(right):.1f},{y(up):.1f}" for right, up in places)


def _frame(
    x: Axis, y: Axis, right: str, *, up: str = "", percent: bool = False, whole_x: bool = False
) -> str:
    """Grid, ticks and the names of the axes."""
    parts = []
    for value in y.ticks(4):
        text = f"{100 * value:.4g} %" if percent else f"{value:.4g}"
        parts.append(
            f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text class="tick" x="{x.start - 6}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{text}</text>'
        )
    for value in x.ticks(6):
        if whole_x and abs(value - round(value)) > 1e-9:
            continue
        text = f"{value:.4g}".replace("-", "−")
        parts.append(
            f'<text class="tick" x="{x(value):.1f}" y="{y.start + 15}" '
            f'text-anchor="middle">{text}</text>'
        )
    parts.append(f'<line class="base" x1="{x.start}" x2="{x.end}" y1="{y.start}" y2="{y.start}"/>')
    parts.append(
        f'<text class="axis" x="{x.end}" y="{y.start + 30}" text-anchor="end">'
        f"{escape(right)}</text>"
    )
    if up:
        parts.append(f'<text class="axis" x="{x.start + 6}" y="{y.end + 9}">{escape(up)}</text>')
    return "".join(parts)


def _svg(inside: str, size: tuple[int, int], label: str) -> str:
    width, height = size
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{inside}</svg>"
    )
