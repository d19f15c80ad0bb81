"""Charts of the reproduced figures as files of their own."""

from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path

from exemplar.files.atomic_files import replacing

_LINE, _ROOM = 16, 170
"""Height of an entry of the legend, and its width from the chart's right side, px."""


def save_chart(svg: str, path: Path, legend: Mapping[str, str]) -> None:
    """Write a chart of `evaluation.charts` with its style and a legend: CSS class by name."""
    style = resources.files("exemplar.evaluation.report").joinpath("report.css").read_text()
    left = float(svg.partition('viewBox="')[2].split()[2]) - _ROOM
    entries = "".join(
        f'<rect class="bar {key}" x="{left}" y="{6 + _LINE * i}" width="10" height="10"/>'
        f'<text x="{left + 16}" y="{15 + _LINE * i}" font-size="12">{escape(name)}</text>'
        for i, (name, key) in enumerate(legend.items())
    )
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" '
    inside = f"<style>{style} svg {{ background: var(--paper) }}</style>"
    start = svg.index(">") + 1
    whole = head + svg[len("<svg ") : start] + inside + svg[start:].replace("</svg>", "")
    with replacing(path) as temporary:
        temporary.write_text(f"{whole}{entries}</svg>\n")
