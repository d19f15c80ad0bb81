"""What is counted of the verdicts on photographs, and that the table of them is sound."""

import csv
from pathlib import Path

from benchmarks import judged
from exemplar.results import DOUBTFUL, OK, REJECTED

TABLE = Path(__file__).parents[2] / "benchmarks" / "results" / "judged.csv"


def row(verdict: str, status: str = "", size: str = "200") -> judged.Row:
    number = "0" if status else ""
    return {
        "photo": "a.jpg",
        "size_px": size,
        "number": number,
        "verdict": verdict,
        "status": status,
    }


def test_counts_are_those_of_a_table_made_by_hand() -> None:
    found = judged.counts(
        [
            row("right", OK),
            row("right", OK, size="40"),
            row("right", REJECTED),
            row("wrong", DOUBTFUL),
            row("mixed", OK),
            row("double", REJECTED, size=""),
            row("missed"),
            row("missed", size="59"),
        ]
    )
    people = {"people over 60 px": 5, "found": 4, "bodies": 6, "double": 1, "mixed": 1}
    verdicts = {"right": 3, "right, ok": 2, "right, doubtful": 0, "right, rejected": 1}
    wrong = {"wrong": 3, "wrong, ok": 1, "wrong, doubtful": 1, "wrong, rejected": 1}
    assert found == {"photographs": 1, **people, **verdicts, **wrong, "mixed, ok": 1}


def test_every_line_of_the_table_is_a_verdict() -> None:
    with TABLE.open(newline="") as file:
        for line in csv.DictReader(file):
            assert line["verdict"] in ("right", "wrong", "mixed", "double", "missed")
            assert (line["verdict"] == "missed") == (line["number"] == "")
            assert (line["status"] in (OK, DOUBTFUL, REJECTED)) == (line["number"] != "")
            assert line["why"] or line["verdict"] == "right"
