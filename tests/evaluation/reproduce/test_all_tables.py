"""Tables by name: what is written, and that every table and figure of the papers is answered."""

import json
from pathlib import Path

import pytest
from fake_bench import FakeBench

from exemplar.evaluation.reproduce import all_tables
from exemplar.evaluation.reproduce.all_tables import PAGE, TABLES, reproduce, write_page
from exemplar.evaluation.reproduce.findings import Finding, claim, read_finding


def finding(name: str) -> Finding:
    """A small one."""
    return Finding(name, f"Paper, {name}", "Nothing.", (), (claim(f"claim of {name}", True, "1"),))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    """Two tables, one of which takes time."""

    def second(bench: FakeBench) -> Finding:
        with bench.timed("work"):
            return finding("second")

    tables = {"first": lambda bench: finding("first"), "second": second}
    monkeypatch.setattr(all_tables, "TABLES", tables)
    return FakeBench(tmp_path)


def test_a_table_is_written_with_how_it_was_made(bench: FakeBench) -> None:
    with bench.timed("before"):
        pass
    assert reproduce(bench, "second", "exemplar reproduce second") == finding("second")
    found, made = read_finding(bench.results / "second.json")
    assert found == finding("second")
    assert made["command"] == "exemplar reproduce second"
    assert set(made) == {"command", "commit", "machine", "seconds", "parts"}
    assert list(made["parts"]) == ["work"]  # not what was made before
    assert "claim of second" in (bench.results / "second.md").read_text()


def test_the_page_has_what_was_made_in_the_tables_order(bench: FakeBench) -> None:
    for name in ("second", "first"):
        reproduce(bench, name, "command")
    page = write_page(bench).read_text()
    assert page.index("(`first`)") < page.index("(`second`)")
    assert (bench.results / PAGE).read_text() == page
    assert "scale smoke" in page


def test_an_unknown_name_is_one_line_and_makes_nothing(bench: FakeBench) -> None:
    with pytest.raises(ValueError, match="unknown table 'third': expected all, first, second"):
        reproduce(bench, "third", "command")
    assert not bench.folder.exists() or not any(bench.folder.iterdir())


def test_a_damaged_result_stops_the_page_not_its_own_table(bench: FakeBench) -> None:
    for name in ("first", "second"):
        reproduce(bench, name, "command")
    (bench.results / "first.json").write_text("{")
    with pytest.raises(ValueError, match=r"first\.json: not a result"):
        write_page(bench)
    reproduce(bench, "first", "command")
    assert write_page(bench).is_file()


def test_results_are_plain_json(bench: FakeBench) -> None:
    reproduce(bench, "first", "command")
    text = (bench.results / "first.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["name"] == "first"


def test_every_table_and_figure_of_the_issue_has_a_name() -> None:
    eft = {"eft-table-1", "eft-table-2", "eft-table-3", "eft-table-4", "eft-fig-4"}
    more = {"eft-appendix-d", "eft-appendix-g", "eft-preference", "guard"}
    dual = {"dual-table-2", "dual-table-3", "dual-fig-5", "dual-fig-6", "dual-fig-7"}
    assert set(TABLES) == eft | more | dual


def test_the_documentation_lists_the_tables() -> None:
    page = Path(__file__).parents[3] / "docs" / "evaluation.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    named = [line.split("`")[1] for line in rows]
    assert sorted(name for name in named if name in TABLES) == sorted(TABLES)
