"""Results on disk and on the page."""

import json
from pathlib import Path

import pytest

from exemplar.evaluation.reproduce.findings import (
    Finding,
    Numbers,
    claim,
    markdown_of,
    page_of,
    read_finding,
    shown,
    untested,
    write_finding,
)

MADE = {
    "command": "exemplar reproduce x", "commit": None, "machine": "a | b", "seconds": 3.2,
    "parts": {},
}  # fmt: skip
FINDING = Finding(
    "x",
    "A paper, Table 1",
    "Drawn people.",
    (
        Numbers("mm", ("", "ours", "the|pipe"), (("a|b", 1.25, None), ("c", 3, "by 2"))),
        Numbers("nobody", ("", "ours"), ()),
    ),
    (claim("it | works", True, "1 | 2 mm"), claim("more", False, "3"), untested("less", "why")),
    ("x.svg",),
)


def cells(line: str) -> list[str]:
    """The cells of a row of Markdown, as a reader of it takes them apart."""
    parts = line.replace("\\|", "\0").split("|")[1:-1]
    return [part.strip().replace("\0", "|") for part in parts]


def test_a_finding_survives_its_file(tmp_path: Path) -> None:
    write_finding(FINDING, tmp_path, MADE)
    assert read_finding(tmp_path / "x.json") == (FINDING, MADE)
    assert (tmp_path / "x.md").read_text() == markdown_of(FINDING, MADE)


def test_verdicts_are_the_three_words() -> None:
    words = [x.verdict for x in FINDING.claims]
    assert words == ["reproduced", "not reproduced", "cannot be tested here"]


def test_pipes_do_not_end_cells() -> None:
    lines = markdown_of(FINDING, MADE).splitlines()
    head = lines.index("|  | ours | the\\|pipe |")
    assert cells(lines[head]) == ["", "ours", "the|pipe"]
    assert cells(lines[head + 1]) == ["---"] * 3
    assert cells(lines[head + 2])[0] == "a|b"
    assert cells(lines[head + 3]) == ["c", "3", "by 2"]
    page = page_of([(FINDING, MADE)], "Title", "Note.").splitlines()
    first, second = [cells(line) for line in page if line.startswith("| it ")]
    assert first == ["it | works", "**reproduced**", "[A paper, Table 1](#x)"]
    assert second == ["it | works", "**reproduced**", "1 | 2 mm"]


def test_the_page_has_every_claim_first_then_every_section() -> None:
    page = page_of([(FINDING, MADE)], "Title", "Note.")
    table, _, sections = page.partition('<a id="x"></a>')
    assert page.startswith("# Title\n\nNote.\n")
    assert "3 claims: 1 reproduced, 1 not reproduced, 1 cannot be tested here." in table
    assert [x.text.replace("|", "\\|") in table for x in FINDING.claims] == [True] * 3
    assert "![x](x.svg)" in sections
    assert "`exemplar reproduce x`, commit None" in sections


@pytest.mark.parametrize(
    ("cell", "text"),
    [(None, ""), (0.0, "0.0"), (-0.04, "0.0"), (-0.06, "-0.1"), (12.34, "12.3"), (3, "3")],
)
def test_cells(cell: float | None, text: str) -> None:
    assert shown(cell) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "null", '"text"', "{}", "\x00\x01",
        json.dumps({"name": "x"}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a result of exemplar reproduce") as caught:
        read_finding(path)
    assert "x.json" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("made", {}), ("made", 3), ("made", {**MADE, "seconds": "long"}), ("tables", [3]),
        ("tables", [{"title": "t", "columns": ["a"], "rows": [3]}]), ("claims", [{"text": "t"}]),
        ("claims", ["t"]), ("pictures", 3), ("pictures", [3]),
    ],
)  # fmt: skip
def test_a_file_with_one_wrong_thing_is_one_line(tmp_path: Path, key: str, value: object) -> None:
    write_finding(FINDING, tmp_path, MADE)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match="not a result of exemplar reproduce"):
        read_finding(path)


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="not a result of exemplar reproduce"):
        read_finding(path)
