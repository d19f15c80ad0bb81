"""From rows to means: every number of a small table, worked out by hand."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from exemplar.evaluation.records import Row
from exemplar.evaluation.report.data import read_run
from exemplar.evaluation.report.tables import result
from exemplar.evaluation.tables import (
    BOOTSTRAP,
    CURVES,
    NUMBERS,
    by_update,
    column,
    interval,
    summary_of,
    table_of,
)
from exemplar.results import BAD_INPUT, DIVERGED, OK, REJECTED
from tests.fixtures.made_runs import write_run

_COLUMNS = (*NUMBERS, *(f"{name}_by_update" for name in CURVES))


def row(method: str, number: int, status: str = OK, **values: Any) -> Row:
    return {**dict.fromkeys(_COLUMNS), "method": method, "number": number, "status": status} | (
        values
    )


def people(method: str, *pa_mpjpe: float | None) -> list[Row]:
    return [row(method, number, pa_mpjpe=value) for number, value in enumerate(pa_mpjpe)]


def found(rows: list[Row], method: str = "eft") -> dict[str, Any]:
    return summary_of(rows)["methods"][method]


def test_means_are_over_those_who_have_the_number() -> None:
    rows = [
        row("none", 0, mpjpe=100.0, px=4.0, seconds=1.0),
        row("none", 1, mpjpe=50.0, seconds=3.0),
        row("none", 2, REJECTED, mpjpe=60.0, px=8.0, seconds=2.0),
    ]
    made = found(rows, "none")
    assert made["mpjpe"] == 70.0
    assert made["px"] == 6.0
    assert made["seconds"] == 2.0
    assert made["people"] == 3
    assert not {"pa_mpjpe", "pve", "auc", "pck_150", "worse_percent", "gain"} & set(made)


def test_broken_people_count_as_broken_and_nowhere_else() -> None:
    rows = people("none", 50.0, 60.0) + people("eft", 40.0, 70.0)
    rows += [row("none", 2, BAD_INPUT), row("eft", 2, BAD_INPUT, pa_mpjpe=9000.0, px=1.0)]
    made = found(rows)
    assert made["people"] == 2
    assert made["pa_mpjpe"] == 55.0
    assert "px" not in made
    assert made["statuses"] == {OK: 2, BAD_INPUT: 1}
    assert made["worse_percent"] == 50.0


def test_statuses_are_counted() -> None:
    rows = [row("eft", i, status) for i, status in enumerate((OK, REJECTED, OK, DIVERGED))]
    assert found(rows)["statuses"] == {OK: 2, REJECTED: 1, DIVERGED: 1}


def test_gain_and_worse_shares_are_against_the_same_persons_regressor() -> None:
    """Gains of 10, -3, -8, 0 and one unknown; the rows are in no order."""
    start = people("none", 50.0, 40.0, 60.0, 30.0, 70.0)
    after = people("eft", 40.0, 43.0, 68.0, 30.0, None)
    made = found(start[::-1] + after[2:] + after[:2])
    assert made["gain"] == pytest.approx(-1 / 4)
    assert made["worse_percent"] == 50.0
    assert made["worse_by_5mm_percent"] == 25.0
    assert made["gain_95"] == interval(np.array([-8.0, 0.0, 10.0, -3.0]))
    assert found(start + after, "none")["gain"] == 0.0


def test_five_millimetres_are_not_over_five() -> None:
    made = found(people("none", 50.0, 50.0) + people("eft", 55.0, 55.25))
    assert made["worse_by_5mm_percent"] == 50.0


def test_without_the_regressors_answer_nothing_is_compared() -> None:
    made = found(people("eft", 50.0, 60.0))
    assert made["pa_mpjpe"] == 55.0
    assert not {"gain", "gain_95", "worse_percent", "worse_by_5mm_percent"} & set(made)


def test_who_is_broken_for_the_regressor_is_compared_by_none() -> None:
    rows = [row("none", 0, BAD_INPUT), *people("none", 0.0, 50.0)[1:]]
    made = found(rows + people("eft", 10.0, 45.0))
    assert made["gain"] == 5.0
    assert made["pa_mpjpe"] == 27.5


def test_an_interval_is_that_of_means_of_draws() -> None:
    values = np.random.default_rng(1).normal(3.0, 10.0, 400)
    low, high = interval(values)
    # for so many values means are normal; 2,000 draws tell the ends to some percent of the width
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert interval(values) == (low, high)
    assert interval(np.array([2.0])) == (2.0, 2.0)
    assert BOOTSTRAP >= 1000


# Curves


def curves(number: int, *pa_mpjpe: float, **values: Any) -> Row:
    values.setdefault("pa_mpjpe", pa_mpjpe[-1])
    return row("eft", number, pa_mpjpe_by_update=list(pa_mpjpe), **values)


def test_best_update_is_one_for_all_and_the_oracle_each_persons_own() -> None:
    """Means 50, 45, 43, 46; each person's least 30, 35 and 40."""
    rows = [
        curves(0, 50.0, 30.0, 39.0, 48.0),
        curves(1, 60.0, 65.0, 45.0, 35.0),
        curves(2, 40.0, 40.0, 45.0, 55.0),
    ]
    made = found(rows)
    assert made["by_update"] == {"pa_mpjpe": [50.0, 45.0, 43.0, 46.0]}
    assert made["best_update"] == 2
    assert made["oracle"] == 35.0


def test_who_stopped_early_stays_where_they_were() -> None:
    rows = [curves(0, 50.0, 40.0), curves(1, 70.0, 60.0, 50.0, 44.0)]
    assert by_update(rows)["pa_mpjpe"].tolist() == [[50, 40, 40, 40], [70, 60, 50, 44]]
    assert found(rows)["by_update"]["pa_mpjpe"] == [60.0, 50.0, 45.0, 42.0]


def test_each_error_has_the_people_who_have_its_curve() -> None:
    rows = [curves(0, 50.0, 40.0, px_by_update=[9.0, 5.0]), row("eft", 1, px_by_update=[7.0, 1.0])]
    rows.append(curves(2, 1.0, 0.0, status=BAD_INPUT))
    made = found(rows)
    assert made["by_update"] == {"pa_mpjpe": [50.0, 40.0], "px": [8.0, 3.0]}
    assert made["oracle"] == 40.0


def test_methods_without_curves_have_no_best_update() -> None:
    rows = people("smplify", 50.0, 60.0)
    assert not {"by_update", "best_update", "oracle"} & set(found(rows, "smplify"))
    only_2d = [row("eft", 0, px_by_update=[3.0, 2.0])]
    assert not {"best_update", "oracle"} & set(found(only_2d))


def test_nobody_sound_is_a_table_all_the_same() -> None:
    rows = [row(method, i, BAD_INPUT) for method in ("none", "eft") for i in range(2)]
    summary = summary_of(rows)
    assert summary["methods"] == {
        name: {"people": 0, "statuses": {BAD_INPUT: 2}} for name in ("none", "eft")
    }
    assert [line.split("│")[1:3] for line in shown(summary) if "│" in line] == [
        [" regressor ", " 0       "], [" eft       ", " 0       "],
    ]  # fmt: skip
    assert summary_of([]) == {"methods": {}}


def test_a_column_has_nan_where_there_is_nothing() -> None:
    np.testing.assert_array_equal(column(people("eft", 1.0, None), "pa_mpjpe"), [1.0, np.nan])


# The table


def shown(summary: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=150).print(table_of(summary))
    return stream.getvalue().splitlines()


def test_a_table_has_the_columns_that_some_method_has() -> None:
    rows = [*people("none", 50.0, 60.0), curves(0, 50.0, 41.26), curves(1, 60.0, 62.5)]
    head, units, _, none, eft = (line for line in shown(summary_of(rows)) if line[0] in "┃├┡│")
    cells = [
        [cell.strip() for cell in line.split(line[0])[1:-1]] for line in (head, units, none, eft)
    ]
    assert cells[0] == [
        "", "PA-MPJPE", "made worse", "worse by 5 mm", "best update", "people",
    ]  # fmt: skip
    assert cells[1] == ["method", "mm ↓", "% ↓", "% ↓", "mm ↓", "counted"]
    assert cells[2] == ["regressor", "55.0", "–", "–", "–", "2"]
    assert cells[3] == ["eft", "51.9", "50.0", "0.0", "50.6", "2"]


def test_the_terminal_and_the_page_say_the_same(tmp_path: Path) -> None:
    """Each heading and each number of the terminal's table is a cell of the page's."""
    rows = [*people("none", 50.0, 60.0), curves(0, 50.0, 41.26), curves(1, 60.0, 62.5)]
    run = read_run(write_run(tmp_path, rows, summary_of(rows)))
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", result(run))
    shown = [re.sub(r"<[^>]*>", "", cell.replace("<small>", "\n")) for cell in cells]
    for one in table_of(run.summary).columns:
        assert str(one.header) in shown
        assert all(cell in shown for cell in one.cells)
