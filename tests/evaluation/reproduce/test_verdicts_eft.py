"""Verdicts on the EFT paper's claims: each comes out both ways, on hand-made scores.

The paper's own numbers must reproduce its own claims; then one number at a time is changed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_bench import FakeBench, around, judged, run_of, scattered, verdict

from exemplar.evaluation.reproduce import eft_fitting, eft_training
from exemplar.evaluation.reproduce.findings import Finding
from exemplar.evaluation.reproduce.workbench import Run

# Tables 2 and 6: PA-MPJPE on 3DPW and H36M P2 (mm) by the name that the workbench gives networks;
# COCO-All stands for all people of the wild
PAPER_2 = {
    "lab": (146.6, 54.9), "eft": (59.7, 66.9), "smplify-same": (69.1, 77.7),
    "smplify": (58.1, 65.3), "2d": (228.1, 213.7), "2d-lab": (72.6, 56.9),
    "eft-lab": (58.6, 45.0), "smplify-lab": (56.0, 45.2),
}  # fmt: skip

ALONE, BY_EFT = "from a lab alone", "EFT's pseudo ground truth beats"
ADDED, LAB = "improves the wild", "and the lab more"
FLAT, MIXED = "teach no 3D pose", "with lab data they do"


def table_2(
    folder: Path, spread: Callable[[float], list[float]] = around, **changes: tuple[float, float]
) -> Finding:
    """Table 2 of the paper's numbers but for `changes` (_ for -), whose people lie in `spread`."""
    changed = {name.replace("_", "-"): value for name, value in changes.items()}

    def run(name: str) -> Run:
        network, _, where = name.removeprefix("none-").partition("-0-")
        wild, lab = (PAPER_2 | changed)[network]
        people = spread if network in changed else around
        return run_of({"none": people(wild if where == "wild" else lab)})

    return eft_training.table_2(FakeBench(folder, run))


def test_the_papers_numbers_reproduce_table_2(tmp_path: Path) -> None:
    finding = table_2(tmp_path)
    assert len(judged(finding)) == 6
    assert [x.text for x in judged(finding) if x.verdict != "reproduced"] == []


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"lab": (60.0, 54.9)}, {ALONE}),  # better, though not much
        ({"lab": (50.0, 54.9)}, {ALONE}),
        ({"eft": (70.0, 66.9)}, {BY_EFT}),
        ({"smplify_lab": (58.5, 45.2)}, {ADDED}),
        ({"smplify_lab": (56.0, 66.0)}, {LAB}),
        ({"smplify_lab": (40.0, 60.0)}, {LAB}),  # less in the lab than in the wild
        ({"lab": (146.6, 66.0)}, {LAB}),  # lifted data are as good there as the lab's own
        ({"2d": (60.0, 213.7), "2d_lab": (59.0, 56.9)}, {FLAT}),
        ({"2d_lab": (230.0, 56.9)}, {MIXED}),
        ({"2d_lab": (55.0, 56.9)}, {MIXED}),
    ],
)
def test_table_2_says_what_does_not_show(
    tmp_path: Path, changes: dict[str, tuple[float, float]], lost: set[str]
) -> None:
    finding = table_2(tmp_path, **changes)
    every = (ALONE, BY_EFT, ADDED, LAB, FLAT, MIXED)
    assert {words for words in every if not verdict(finding, words)} == lost


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"eft": (67.0, 66.9)}, BY_EFT),
        ({"smplify_lab": (56.0, 45.2)}, ADDED),
        ({"2d_lab": (60.0, 56.9)}, MIXED),
    ],
)
def test_a_difference_within_the_scatter_of_people_does_not_count(
    tmp_path: Path, changes: dict[str, tuple[float, float]], lost: str
) -> None:
    assert verdict(table_2(tmp_path, **changes), lost)
    assert not verdict(table_2(tmp_path, scattered, **changes), lost)


def test_networks_of_table_2_are_tested_on_the_same_people(tmp_path: Path) -> None:
    bench = FakeBench(tmp_path, lambda name: run_of({"none": around(60)}))
    eft_training.table_2(bench)
    settings = {(x["data"], x["limit"], x.get("keypoints")) for x in bench.asked.values()}
    assert settings == {("wild", 8, None), ("lab", 8, None)}
    assert len(bench.asked) == 2 * len(PAPER_2)
    # the same people lifted by each; the mixture of the paper's Table 5
    assert bench.trained["eft-0"]["sources"] == ["eft-12"]
    assert bench.trained["smplify-same-0"]["sources"] == ["smplify-12"]
    assert bench.trained["eft-lab-0"]["ratios"] == {"lab": 0.4, "eft-12": 0.6}


def test_table_1_counts_accepted_people(tmp_path: Path) -> None:
    finding = eft_training.table_1(FakeBench(tmp_path))
    rows = {row[2]: row[3] for row in finding.tables[0].rows}
    expected = {"bodies known": None, "12 lifted by eft": 9, "12 lifted by smplify": 9}
    assert rows == {**expected, "24 lifted by smplify": 21}


CROP = (102.3, 59.7, 70.2, 61.0)  # Table 4: upper bodies and whole, without and with crops


@pytest.mark.parametrize(
    ("numbers", "spread", "verdicts"),
    [
        (CROP, around, (True, True)),
        ((102.3, 59.7, 103.0, 61.0), around, (False, False)),  # no help: any cost is too much
        ((102.3, 59.7, 70.2, 58.0), around, (True, False)),  # costs nothing
        ((102.3, 59.7, 70.2, 99.0), around, (True, False)),  # costs more than it gives
        ((102.3, 59.7, 100.0, 60.5), scattered, (False, False)),
    ],
)
def test_table_4(
    tmp_path: Path,
    numbers: tuple[float, ...],
    spread: Callable[[float], list[float]],
    verdicts: tuple[bool, bool],
) -> None:
    names = ("none-smplify-0-wild-crop", "none-smplify-0-wild",
             "none-smplify-crops-0-wild-crop", "none-smplify-crops-0-wild")  # fmt: skip
    runs = {
        name: run_of({"none": (spread if "crops" in name else around)(mean)})
        for name, mean in zip(names, numbers, strict=True)
    }
    bench = FakeBench(tmp_path, runs)
    finding = eft_training.table_4(bench)
    assert (verdict(finding, "helps"), verdict(finding, "costs a little")) == verdicts
    assert {x["limit"] for x in bench.asked.values()} == {8}


# Table 3: none, SMPLify, EFT; the last is the paper's best network, 49.3 after 3 updates, oracle
# 45.2: two people's courses have these means
BEST = [[52.2, 41.1, 50.0, 49.3, 50.9], [52.2, 61.0, 50.0, 49.3, 50.9]]
PAPER_3: dict[str, tuple[float, float, Any]] = {
    "posted-lab-0": (146.6, 140.5, [[146.6, 102.0]] * 2),
    "posted-eft-0": (59.7, 69.5, [[59.7, 58.1]] * 2),
    "posted-smplify-0": (58.1, 69.1, [[58.1, 56.6]] * 2),
    "posted-mobile": (52.2, 67.5, BEST),
}
EVERY, LITTLE, OWN = "improves every regressor", "SMPLify improves", "best number of updates"


def table_3(folder: Path, changes: dict[str, tuple[float, float, Any]]) -> Finding:
    """Table 3 of the paper's numbers but for `changes`."""
    runs = {
        name: run_of({"none": [none] * 2, "smplify": [flat] * 2, "eft": eft})
        for name, (none, flat, eft) in (PAPER_3 | changes).items()
    }
    return eft_fitting.table_3(FakeBench(folder, runs))


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, set()),
        ({"posted-eft-0": (59.7, 69.5, [[59.7, 60.5], [59.7, 58.0]])}, {EVERY}),
        ({"posted-lab-0": (146.6, 120.0, [[146.6, 102.0]] * 2)}, {LITTLE}),  # a lot: 18 %
        ({"posted-eft-0": (59.7, 57.0, [[59.7, 58.1]] * 2)}, {LITTLE}),  # more than EFT
        # the last update is the best of all
        ({"posted-mobile": (52.2, 67.5, [[52.2, 50.0], [52.2, 51.8]])}, {OWN}),
        # each person's own is hardly better than the common one
        ({"posted-mobile": (52.2, 67.5, [[52.2, 49.3, 50.9]] * 2)}, {OWN}),
    ],
)
def test_table_3(
    tmp_path: Path, changes: dict[str, tuple[float, float, Any]], lost: set[str]
) -> None:
    finding = table_3(tmp_path, changes)
    assert {x for x in (EVERY, LITTLE, OWN) if not verdict(finding, x)} == lost


def test_table_3_gives_best_update_and_oracle(tmp_path: Path) -> None:
    finding = table_3(tmp_path, {})
    (row,) = [x for x in finding.tables[0].rows if x[0] == "mobile, as shipped"]
    assert row[4] == "49.3 (update 3)"
    assert row[5] == pytest.approx(45.2)
    assert "1.6 less after 3 updates, 5.7 less" in finding.claims[2].numbers


def test_table_3_fits_the_same_keypoints_after_each_network(tmp_path: Path) -> None:
    runs = {
        name: run_of({"none": [none] * 2, "smplify": [flat] * 2, "eft": eft})
        for name, (none, flat, eft) in PAPER_3.items()
    }
    bench = FakeBench(tmp_path, runs)
    eft_fitting.table_3(bench)
    assert {(x["data"], x["keypoints"], x["limit"]) for x in bench.asked.values()} == {
        ("wild", "detected", 2)
    }
    assert not any(x["stop"] for x in bench.asked.values())


KEEPS, FEW, WHOLE = "keeps its error", "100 updates change it more", "improves the whole"


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        (([59.9, 60.3, 60.2], [59.9, 60.4, 64.0]), set()),
        (([50.0, 66.0, 70.0], [50.0, 66.0, 95.0]), {KEEPS}),
        (([59.9, 60.3, 64.0], [59.9, 60.2, 60.5]), {FEW}),  # 100 change it less
        (([59.9, 60.3, 60.2], [55.0, 64.0, 65.0]), {FEW}),  # more, but all alike
        (([60.1, 60.3, 60.2], [60.1, 60.4, 64.0]), {WHOLE}),
    ],
)
def test_figure_4(tmp_path: Path, after: tuple[list[float], list[float]], lost: set[str]) -> None:
    kept = {"fig-4.json": {"start": 60.0, "after": {"20": after[0], "100": after[1]}}}
    bench = FakeBench(tmp_path, kept=kept)
    finding = eft_fitting.figure_4(bench)
    assert {x for x in (KEEPS, FEW, WHOLE) if not verdict(finding, x)} == lost
    assert (bench.results / finding.pictures[0]).read_text().startswith("<svg")


@pytest.mark.parametrize(("eft", "smplify", "faster"), [(0.82, 3.0, True), (3.0, 0.82, False)])
def test_appendix_d(tmp_path: Path, eft: float, smplify: float, faster: bool) -> None:
    kept = {"appendix-d.json": {"eft": eft, "smplify": smplify, "device": "a CPU"}}
    finding = eft_fitting.appendix_d(FakeBench(tmp_path, kept=kept))
    assert verdict(finding, "faster") == faster


@pytest.mark.parametrize(
    ("deep", "fits"), [(around(40), True), (around(55), False), (scattered(49.5), False)]
)
def test_appendix_g(tmp_path: Path, deep: list[float], fits: bool) -> None:
    runs = {
        "lab-2d": run_of({"none": around(60), "eft": around(50)}),
        "lab-3d": run_of({"none": around(60), "eft": deep}),
    }
    bench = FakeBench(tmp_path, runs)
    finding = eft_fitting.appendix_g(bench)
    assert verdict(finding, "3D term") == fits
    flat, deep_settings = (bench.asked[x] for x in ("lab-2d", "lab-3d"))
    assert {**flat, "use_3d": True} == deep_settings  # the 3D term is the only difference


HALF, TENTH, NEVER = "half of the gap", "under 10 %", "never above"


@pytest.mark.parametrize(
    ("none", "eft", "guarded", "lost"),
    [
        # EFT 52 to 60, oracle 48 and 50: gap 7; the guard comes to 48 and 52
        ([60.0, 60.0], [[60, 48, 52], [60, 50, 60]], [48.0, 52.0], set()),
        ([60.0, 60.0], [[60, 48, 52], [60, 50, 60]], [52.0, 59.0], {HALF}),
        ([60.0, 60.0], [[60, 48, 52], [60, 50, 60]], [48.0, 61.0], {HALF, TENTH}),
        ([60.0, 49.0], [[60, 48, 52], [49, 49, 60]], [58.0, 53.0], {HALF, TENTH, NEVER}),
    ],
)
def test_guard(
    tmp_path: Path, none: list[float], eft: list[list[float]], guarded: list[float], lost: set[str]
) -> None:
    run = run_of({"none": none, "smplify": none, "eft": eft, "eft+guard": guarded})
    bench = FakeBench(tmp_path, lambda name: run)
    finding = eft_fitting.guard_table(bench)
    assert {x for x in (HALF, TENTH, NEVER) if not verdict(finding, x)} == lost
    assert len(bench.asked) == 12
    assert len(finding.tables[0].rows) == 13


def test_guard_without_a_gap_or_with_a_person_missing(tmp_path: Path) -> None:
    people = {"none": [60.0, 70.0], "smplify": [60.0, 70.0], "eft": [[60, 50], [70, 65]]}
    run = run_of({**people, "eft+guard": [50.0]})  # nobody has a number for the second one
    finding = eft_fitting.guard_table(FakeBench(tmp_path, lambda name: run))
    assert not verdict(finding, HALF)
    assert finding.tables[0].rows[-1][2:7] == (60.0, 60.0, 50.0, 50.0, 50.0)


def test_what_only_people_can_tell_is_left_open(tmp_path: Path) -> None:
    finding = eft_fitting.preference(FakeBench(tmp_path))
    assert judged(finding) == []
    assert len(finding.claims) == 3
