"""The papers' numbers in our tables, typed a second time from the papers."""

from pathlib import Path

import pytest
from fake_bench import FakeBench, around, run_of

from exemplar.evaluation.reproduce import dual_tables, eft_fitting, eft_training
from exemplar.evaluation.reproduce.findings import Cell, Finding

EVERYONE = {
    "none": around(60), "smplify": around(60), "eft": [[x, x] for x in around(60)],
    "eft+guard": around(60), "dual": [[x] * 15 for x in around(60)],
}  # fmt: skip
KEPT = {
    "appendix-d.json": {"eft": 1.0, "smplify": 2.0, "device": "a CPU"},
    "dual-table-3.json": {
        row: [{name: [0.0] * 5 for name in ("mpjpe", "pa_mpjpe")}] for row in dual_tables.ROWS
    },
}


@pytest.fixture
def bench(tmp_path: Path) -> FakeBench:
    """Gives everybody the same score."""
    return FakeBench(tmp_path, lambda name: run_of(EVERYONE), KEPT)


def last_cells(finding: Finding, count: int) -> dict[Cell, tuple[Cell, ...]]:
    """The last cells of each row by its first one."""
    return {row[0]: row[-count:] for row in finding.tables[0].rows}


def test_eft_table_1(bench: FakeBench) -> None:
    """Table 1, "Sample Num.": COCO-Part 28K, COCO-All 79K, MPII 14K, LSP 8K, H36M 312K, MPI-INF
    96K, PanopticDB 736K, 3DPW (Train.) 22K."""
    table = eft_training.table_1(bench).tables[1]
    assert [row[1] for row in table.rows] == [28, 79, 14, 8, 312, 96, 736, 22]
    names = ["COCO-Part", "COCO-All", "MPII", "LSP", "H36M", "MPI-INF", "PanopticDB"]
    assert [row[0] for row in table.rows] == [*names, "3DPW (training)"]
    assert "thousands" in table.title


def test_eft_tables_2_and_6(bench: FakeBench) -> None:
    """Table 2, columns 3DPW and H36M; rows 2D and 2D + H36m + MI: Table 6, columns 3DPW and H36M
    (P2)."""
    finding = eft_training.table_2(bench)
    assert last_cells(finding, 3) == {
        "lab": ("H36M", 146.6, 54.9),
        "wild (EFT)": ("[COCO-Part]EFT", 59.7, 66.9),
        "wild (SMPLify), the same people": ("[COCO-Part]SMPLify", 69.1, 77.7),
        "wild (SMPLify), all": ("", None, None),
        "wild (2D only)": ("[COCO-Part]2D", 228.1, 213.7),
        "wild (2D only) + lab": ("[COCO-Part]2D + H36M + MI", 72.6, 56.9),
        "wild (EFT) + lab": ("[COCO-Part]EFT + H36M", 58.6, 45.0),
        "wild (SMPLify), all + lab": ("", None, None),
    }
    assert finding.tables[0].columns[-2:] == ("3DPW", "H36M P2")
    # Table 6, row [COCO-Part]SPIN, column 3DPW
    assert any("69.9 mm on 3DPW" in claim.text for claim in finding.claims)
    # Table 5, row [X]EFT + H36m
    assert "60 % lifted and 40 % lab people (Table 5)" in finding.stands_in


def test_eft_table_3(bench: FakeBench) -> None:
    """Table 3, rows H36M, [COCO-Part]EFT and [COCO-All]EFT: no, SMPLify and EFT post-processing;
    its last three rows: 50.9, 49.3 by iteration 3, 45.2 by the oracle."""
    finding = eft_fitting.table_3(bench)
    assert last_cells(finding, 4) == {
        "lab": ("H36M", 146.6, 140.5, 102.0),
        "wild (EFT)": ("[COCO-Part]EFT", 59.7, 69.5, 58.1),
        "wild (SMPLify), all": ("[COCO-All]EFT", 58.1, 69.1, 56.6),
        "mobile, as shipped": ("", None, None, None),
    }
    assert finding.tables[0].columns[-3:] == ("none", "SMPLify", "EFT")
    best, oracle = round(50.9 - 49.3, 1), round(50.9 - 45.2, 1)
    assert f"the paper 50.9, {best} less after 3, {oracle} less" in finding.claims[2].numbers


def test_eft_table_4(bench: FakeBench) -> None:
    """Table 4, row [COCO-Part]EFT: 102.3 without, 70.2 with crops. Table 6, [COCO-Part]EFT without
    and with "(Crop aug.)", column 3DPW: 59.7, 61.0."""
    finding = eft_training.table_4(bench)
    rows = {"without crops": (102.3, 59.7), "with crops": (70.2, 61.0)}
    assert last_cells(finding, 2) == rows
    assert finding.tables[0].columns[-2:] == ("3DPW, upper bodies", "3DPW")


def test_eft_appendix_d(bench: FakeBench) -> None:
    """Appendix D: 0.82 s with 20 iterations; SMPLify 3 s, of a GeForce RTX 2080."""
    finding = eft_fitting.appendix_d(bench)
    assert last_cells(finding, 2)["the paper, RTX 2080"] == ("0.82", "3")


def test_eft_preference(bench: FakeBench) -> None:
    """Section 4.2: 61.8 % with a majority of at least 2 votes of 3, 59.6 % of 1500 votes."""
    claims = " ".join(x.text for x in eft_fitting.preference(bench).claims)
    assert "61.8 % by majority, 59.6 % of votes" in claims


def test_dual_table_3(bench: FakeBench) -> None:
    """Table 3: MPJPE and PA-MPJPE without exemplar optimisation, with it, with auxiliary net."""
    finding = dual_tables.table_3(bench)
    assert last_cells(finding, 2) == {
        "neither": (84.6, 54.2),
        "exemplar step": (78.5, 49.9),
        "exemplar step + auxiliary": (76.7, 49.5),
    }
    assert finding.tables[0].columns[-2:] == ("3DPW MPJPE", "PA")


def test_dual_table_2(bench: FakeBench) -> None:
    """Table 2, rows Ours HMR (Res-50) with OpenPose and with true keypoints: MPJPE, PA-MPJPE and
    PVE on 3DPW."""
    finding = dual_tables.table_2(bench)
    cells = last_cells(finding, 3)
    assert cells["detected"] == (73.3, 44.3, 90.3)
    assert cells["true"] == (68.9, 39.6, 85.5)
    assert finding.tables[0].columns[-3:] == ("HMR on 3DPW: MPJPE", "PA", "PVE")
