"""What a reproduced table says: our numbers beside the paper's, and what became of its claims."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from exemplar.files.atomic_files import replacing
from exemplar.files.file_budget import Budget
from exemplar.files.reading_files import parse_json, unless_not_there

Verdict = Literal["reproduced", "not reproduced", "cannot be tested here"]

Cell = str | int | float | None


@dataclass(frozen=True)
class Claim:
    """Something that a paper says."""

    text: str
    """What."""
    verdict: Verdict
    """Whether it shows here."""
    numbers: str
    """On which numbers that rests, or why it cannot be tested."""


@dataclass(frozen=True)
class Numbers:
    """A table."""

    title: str
    """What it shows, and in which unit."""
    columns: tuple[str, ...]
    """Headings; the first is of the row's name."""
    rows: tuple[tuple[Cell, ...], ...]
    """Cells; numbers are printed with one decimal, None is left empty."""


@dataclass(frozen=True)
class Finding:
    """One of the papers' tables or figures."""

    name: str
    """As `exemplar reproduce` calls it."""
    source: str
    """Paper, table or figure."""
    stands_in: str
    """What was put in the place of what the paper used."""
    tables: tuple[Numbers, ...]
    """Ours and the paper's."""
    claims: tuple[Claim, ...]
    """What became of what the paper says."""
    pictures: tuple[str, ...] = ()
    """Files within the folder of results."""


def claim(text: str, shows: bool, numbers: str) -> Claim:
    """A claim that was tested."""
    return Claim(text, "reproduced" if shows else "not reproduced", numbers)


def untested(text: str, why: str) -> Claim:
    """A claim that cannot be tested here."""
    return Claim(text, "cannot be tested here", why)


def write_finding(finding: Finding, folder: Path, made: Mapping[str, Any]) -> None:
    """Write NAME.json (with how it was `made`) and NAME.md."""
    with replacing(folder / f"{finding.name}.json") as temporary:
        temporary.write_text(json.dumps({**asdict(finding), "made": made}, indent=1) + "\n")
    with replacing(folder / f"{finding.name}.md") as temporary:
        temporary.write_text(markdown_of(finding, made))


def read_finding(path: Path) -> tuple[Finding, dict[str, Any]]:
    """A finding from its JSON, and how it was made; ValueError if it is none."""
    try:
        values = parse_json(path.read_bytes(), Budget(path.stat().st_size))
        finding = Finding(
            values["name"],
            values["source"],
            values["stands_in"],
            tuple(
                Numbers(x["title"], tuple(x["columns"]), tuple(tuple(r) for r in x["rows"]))
                for x in values["tables"]
            ),
            tuple(Claim(**x) for x in values["claims"]),
            tuple(values["pictures"]),
        )
        made = dict(values["made"])
        markdown_of(finding, made)  # what cannot be shown is no result either
        return finding, made
    except Exception as error:  # whatever a damaged file leads to
        unless_not_there(error)
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a result of exemplar reproduce: {reason}") from None


def markdown_of(finding: Finding, made: Mapping[str, Any]) -> str:
    """A finding as a section of a page."""
    lines = [f'<a id="{finding.name}"></a>', "", f"## {finding.source} (`{finding.name}`)", ""]
    lines += [finding.stands_in, ""]
    for table in finding.tables:
        lines += [f"**{table.title}**", "", *_markdown_rows(table), ""]
    lines += [line for name in finding.pictures for line in (f"![{Path(name).stem}]({name})", "")]
    lines += ["| claim | verdict | numbers |", "|---|---|---|"]
    lines += [_line((x.text, f"**{x.verdict}**", x.numbers)) for x in finding.claims]
    lines += [""]
    lines += [f"`{made['command']}`, commit {made['commit']}, {made['machine']}, "
              f"{made['seconds']:.0f} s", ""]  # fmt: skip
    return "\n".join(lines)


def _markdown_rows(table: Numbers) -> list[str]:
    rule = "|" + "---|" * len(table.columns)
    return [_line(table.columns), rule, *map(_line, table.rows)]


def _line(cells: Sequence[Cell]) -> str:
    """A row of a Markdown table; a pipe within a cell must not end it."""
    texts = (shown(cell).replace("|", r"\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"


def shown(cell: Cell) -> str:
    """A cell as it is printed; never -0.0."""
    if cell is None:
        return ""
    return f"{round(cell, 1) + 0.0:.1f}" if isinstance(cell, float) else str(cell)


def page_of(findings: Sequence[tuple[Finding, Mapping[str, Any]]], title: str, note: str) -> str:
    """All findings on one page, the claims first."""
    verdicts = Counter(x.verdict for finding, _ in findings for x in finding.claims)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in get_args(Verdict))
    lines = [f"# {title}", "", note, "", f"{verdicts.total()} claims: {counts}.", ""]
    lines += ["| claim | verdict | where |", "|---|---|---|"]
    for finding, _ in findings:
        where = f"[{finding.source}](#{finding.name})"
        lines += [_line((x.text, f"**{x.verdict}**", where)) for x in finding.claims]
    body = "\n".join(markdown_of(finding, made) for finding, made in findings)
    return "\n".join(lines) + "\n\n" + body
