"""`exemplar reproduce`: what it offers, prints and writes, one line for bad input."""

import json
import re
from pathlib import Path

import pytest

from exemplar.cli import main
from exemplar.evaluation.reproduce import all_tables
from exemplar.evaluation.reproduce.all_tables import PAGE, TABLES
from exemplar.evaluation.reproduce.findings import Finding, Numbers


def run(*arguments: object) -> int:
    """Exit status of `exemplar reproduce`."""
    try:
        main(["reproduce", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_help_lists_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    found = re.search(r"all, or one of: ([^.]*)\.", text)
    assert found is not None
    assert found[1].replace("- ", "-").split(", ") == list(TABLES)


def test_a_table_that_needs_nothing_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert run("eft-preference", "--scale", "smoke", "-o", out) == 0
    shown = capsys.readouterr().out
    results = out / "smoke" / "results"
    assert "cannot be tested here: annotators prefer EFT to SMPLify" in shown
    assert f"wrote {results / PAGE}" in shown
    made = json.loads((results / "eft-preference.json").read_text())["made"]
    assert made["command"] == "exemplar reproduce eft-preference --scale smoke"
    assert sorted(p.name for p in results.iterdir()) == [
        PAGE, "eft-preference.json", "eft-preference.md",
    ]  # fmt: skip
    assert run("eft-preference", "--scale", "smoke", "-o", out, "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_names_in_brackets_are_printed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Numbers("mm [x]", ("", "[red]EFT"), (("[bold]", "[/]"),))
    finding = Finding("guard", "Paper [a]", "", (table,), ())
    monkeypatch.setattr(all_tables, "TABLES", {"guard": lambda bench: finding})
    assert run("guard", "--scale", "smoke", "-o", tmp_path) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("mm [x]", "[red]EFT", "[bold]", "[/]", "Paper [a]"))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The line of standard error."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_an_unknown_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eft-table-9", "-o", tmp_path / "made") == 1
    line = one_line(capsys)
    assert "unknown table 'eft-table-9': expected all, eft-table-1, " in line
    assert not (tmp_path / "made").exists()


def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("eft-preference", "eft-table-1"):
        assert run(name, "--scale", "smoke", "-o", tmp_path / "file" / "made") == 1
        assert "cannot write to" in one_line(capsys)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made": {}}'])
def test_a_damaged_result_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "smoke" / "results" / "guard.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert run("eft-preference", "--scale", "smoke", "-o", tmp_path, "--quiet") == 1
    assert "guard.json: not a result of exemplar reproduce" in one_line(capsys)


@pytest.mark.parametrize("name", ["seconds.json", "appendix-d.json", "scale.json"])
def test_damaged_numbers_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / name).write_text('{"eft": 1')
    assert run("eft-appendix-d", "--scale", "smoke", "-o", tmp_path, "--quiet") == 1
    assert f"{name} is damaged" in one_line(capsys)


@pytest.mark.parametrize("wrong", [("--scale", "tiny"), ("--bogus", "1")])
def test_wrong_usage_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
) -> None:
    assert run("guard", *wrong, "-o", tmp_path / "made") == 2
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_table_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("dual-table-3", "--scale", "smoke", "-o", tmp_path / "made")
    given += ("--open-folder", tmp_path / "open")
    assert run(*given) == 0
    assert "making network inner-auxiliary-0" in capsys.readouterr().out
    results = tmp_path / "made" / "smoke" / "results"
    first = json.loads((results / "dual-table-3.json").read_text())
    (table,) = first["tables"]
    names = ["neither", "exemplar step", "exemplar step + auxiliary"]
    assert [row[0] for row in table["rows"]] == names
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    # people are 1 to 2 metres tall: a body in another unit or place would be off by more
    assert all(0 < cell < 2000 for row in table["rows"] for cell in row[1:])
    assert len(first["claims"]) == 2
    assert run(*given) == 0  # everything is there
    assert "making" not in capsys.readouterr().out
    again = json.loads((results / "dual-table-3.json").read_text())
    assert again["tables"] == first["tables"]
