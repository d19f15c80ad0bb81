"""Draw the learning curve of a training run as an SVG.

python -m benchmarks.learning_curve --run runs/mobile --output docs/images/mobile_curve.svg
"""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from exemplar.training.run_folder import LOG, read_log

WIDTH, HEIGHT, LEFT, TOP = 360, 240, 56, 28
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568", "#b7791f")

Curve = list[tuple[float, float]]
"""(step, value)."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    run: Path
    """Folder of a run of `exemplar train` or of `scripts.lifter.train`."""
    output: Path
    """SVG file to write."""
    panels: tuple[str, ...] = (
        "outer+auxiliary",
        "validation_pa_mpjpe+validation_pa_mpjpe_1+validation_pa_mpjpe_7",
        "validation_px+validation_px_1+validation_px_7",
    )
    """Columns of the run's log; those joined by + share a panel."""


def main(config: Config) -> None:
    """Read, draw, write."""
    lines = config.run / "log.jsonl"
    if lines.exists():
        rows = [json.loads(line) for line in lines.read_text().splitlines()]
    else:
        rows = read_log(config.run / LOG)
    panels = []
    for names in config.panels:
        curves = {
            name: [(float(row["step"]), float(row[name])) for row in rows if row.get(name)]
            for name in names.split("+")
        }
        panels.append({name: curve for name, curve in curves.items() if curve})
    shown = [panel for panel in panels if panel]
    if not shown:
        raise ValueError(f"{config.run / LOG} has none of {', '.join(config.panels)}")
    config.output.parent.mkdir(parents=True, exist_ok=True)
    config.output.write_text(picture(shown))
    print(f"wrote {config.output}")


def picture(panels: list[dict[str, Curve]]) -> str:
    """All panels side by side."""
    each = WIDTH + LEFT + 24
    height = HEIGHT + TOP + 44 + 16 * max(len(panel) for panel in panels)
    inside = "".join(
        f'<g transform="translate({i * each + LEFT},{TOP})">{panel_of(panel)}</g>'
        for i, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{each * len(panels)}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{inside}</svg>\n"
    )


def panel_of(curves: dict[str, Curve]) -> str:
    """Axes, curves, and under them their names."""
    points = [point for curve in curves.values() for point in curve]
    last = max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    room = 0.05 * (high - low or 1.0)
    low, high = low - room, high + room

    def place(x: float, y: float) -> str:
        return f"{WIDTH * x / last:.1f},{HEIGHT * (high - y) / (high - low):.1f}"

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>']
    for share in (0.0, 0.5, 1.0):
        y, value = HEIGHT * (1 - share), low + share * (high - low)
        parts.append(f'<text x="-6" y="{y + 4:.0f}" text-anchor="end">{value:.4g}</text>')
        parts.append(
            f'<text x="{WIDTH * share:.0f}" y="{HEIGHT + 16}" text-anchor="middle">'
            f"{last * share:.0f}</text>"
        )
    for i, (name, curve) in enumerate(curves.items()):
        line = " ".join(place(x, y) for x, y in curve)
        colour = COLOURS[i % len(COLOURS)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = name.removeprefix("validation_")
        parts.append(f'<text x="0" y="{HEIGHT + 36 + 16 * i}" fill="{colour}">{label}</text>')
    return "".join(parts)


if __name__ == "__main__":
    main(tyro.cli(Config))
