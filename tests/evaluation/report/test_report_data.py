"""Reading a run's folder for its page."""

from pathlib import Path

import numpy as np
import pytest

from exemplar.evaluation.report.data import read_run, read_samples
from tests.fixtures.made_runs import write_run


def row(method: str, number: int, error: float | None, **more) -> dict:
    return {"method": method, "number": number, "pa_mpjpe": error, **more}


def test_methods_are_in_the_pages_order_and_people_by_number(tmp_path: Path) -> None:
    rows = [row(m, n, 10.0 * n) for n in (2, 0, 1) for m in ("dual", "zzz", "none", "eft")]
    run = read_run(write_run(tmp_path, rows))
    assert list(run.methods) == ["none", "eft", "dual", "zzz"]
    for people in run.methods.values():
        assert people.number.tolist() == [0, 1, 2]
        assert people.values["pa_mpjpe"].tolist() == [0.0, 10.0, 20.0]


def test_broken_input_does_not_count_but_a_fit_that_went_wrong_does(tmp_path: Path) -> None:
    rows = [
        row("eft", 0, 40.0),
        row("eft", 1, 90.0, status="diverged"),
        row("eft", 2, 1000.0, status="bad_input", pa_mpjpe_by_update=[1000.0]),
        row("eft", 3, None),
        row("eft", 4, float("inf")),
    ]
    people = read_run(write_run(tmp_path, rows)).methods["eft"]
    assert np.nan_to_num(people.errors("pa_mpjpe"), nan=-1).tolist() == [40, 90, -1, -1, -1]
    assert np.isnan(people.curves("pa_mpjpe")).all()


def test_who_has_stopped_keeps_the_last_error(tmp_path: Path) -> None:
    rows = [
        row("eft", 0, 5.0, pa_mpjpe_by_update=[9.0, 7.0, 5.0]),
        row("eft", 1, 8.0, pa_mpjpe_by_update=[8.0]),
        row("eft", 2, 3.0),
    ]
    people = read_run(write_run(tmp_path, rows)).methods["eft"]
    assert people.by_update["pa_mpjpe"][:2].tolist() == [[9.0, 7.0, 5.0], [8.0, 8.0, 8.0]]
    assert np.isnan(people.by_update["pa_mpjpe"][2]).all()
    assert set(people.by_update) == {"pa_mpjpe"}


def test_the_regressors_error_is_found_by_number(tmp_path: Path) -> None:
    rows = [row("none", 5, 50.0), row("none", 3, 30.0), row("eft", 3, 1.0), row("eft", 4, 1.0)]
    before = read_run(write_run(tmp_path, rows)).before("eft", "pa_mpjpe")
    assert before[0] == 30.0
    assert np.isnan(before[1])


def test_without_the_regressors_rows_a_method_starts_at_its_own_first_value(tmp_path: Path) -> None:
    rows = [row("eft", 0, 5.0, pa_mpjpe_by_update=[9.0, 5.0])]
    run = read_run(write_run(tmp_path, rows))
    assert run.before("eft", "pa_mpjpe").tolist() == [9.0]
    assert np.isnan(run.before("eft", "mpjpe")).all()


@pytest.mark.parametrize(
    ("known", "expected"), [({"pa_mpjpe": 1.0, "px": 2.0}, "pa_mpjpe"), ({"px": 2.0}, "px")]
)
def test_people_are_compared_by_what_is_known(tmp_path: Path, known: dict, expected: str) -> None:
    run = read_run(write_run(tmp_path, [{"method": "none", "number": 0, **known}]))
    assert run.error == expected


def test_a_row_without_a_body_is_a_person_without_one(tmp_path: Path) -> None:
    pose = np.tile(np.eye(3), (24, 1, 1)).ravel().tolist()
    whole = {"pose": pose, "betas": [0.5] * 10, "weak_camera": [1.0, 0.0, 0.1]}
    whole |= {"box_centre": [3.0, 4.0], "box_size": 100.0, "keypoints_2d": [1.0] * 147}
    rows = [row("eft", 0, 1.0), row("eft", 1, 2.0, **whole, annotation_id=7)]
    lacking, given = read_samples(write_run(tmp_path, rows), [0, 1])
    assert lacking.body is None
    assert not lacking.keypoints_2d.any()
    assert given.body is not None
    assert given.body.betas.tolist() == [0.5] * 10
    assert given.box_size == pytest.approx(100.0)
    assert given.annotation_id == 7


def test_broken_folders_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no summary\.json in"):
        read_run(tmp_path)
    write_run(tmp_path, [row("none", 0, 1.0)])
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="expected an object, got list"):
        read_run(tmp_path)
    (tmp_path / "config.json").unlink()
    for means in ('"body": 3', '"methods": [1]', '"methods": {"eft": 3}', '"differences": 5'):
        (tmp_path / "summary.json").write_text(f"{{{means}}}")
        with pytest.raises(ValueError, match=r"summary\.json: .* is .*, expected \w+ or null"):
            read_run(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    for setting in ('"images": -9223372036854775808', '"annotations": [1]', '"config": "x"'):
        (tmp_path / "config.json").write_text(f"{{{setting}}}")
        with pytest.raises(
            ValueError, match=r"config\.json: .* is .*, expected (str|dict) or null"
        ):
            read_run(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "samples.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a table of an evaluation"):
        read_run(tmp_path)
    (tmp_path / "samples.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"no samples\.parquet in"):
        read_run(tmp_path)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    write_run(tmp_path, [row("none", 0, 1.0)])
    other = pyarrow.table({"method": ["none"], "number": [0]})
    pyarrow.parquet.write_table(other, tmp_path / "samples.parquet")
    with pytest.raises(ValueError, match="lacks the columns annotation_id, image"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"method": None},
        {"number": None},
        {"method": [None]},
        {"number": 1.5},
        {"image": ["a.jpg"]},
        {"annotation_id": "first"},
        {"pa_mpjpe": "far"},
        {"pa_mpjpe_by_update": 3.0},
        {"status": {"a": 1}},
    ],
    ids=str,
)
def test_columns_of_something_else_are_refused(tmp_path: Path, spoilt: dict) -> None:
    """One row of two, or both where a column has one type."""
    whole = row("none", 0, 1.0) | (spoilt if None not in spoilt.values() else {})
    write_run(tmp_path, [whole, {"number": 1, "pa_mpjpe": 1.0, "method": "none"} | spoilt])
    with pytest.raises(ValueError, match=r"samples\.parquet: .+") as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_that_another_program_wrote_again_is_read_the_same(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [row("eft", 0, 5.0, pa_mpjpe_by_update=[9.0, 5.0], updates=1)]
    before = read_run(write_run(tmp_path, rows)).methods["eft"]
    table = pyarrow.parquet.read_table(tmp_path / "samples.parquet")
    at = table.column_names.index("method")
    table = table.set_column(at, "method", table.column("method").dictionary_encode())
    at = table.column_names.index("updates")
    table = table.set_column(at, "updates", pyarrow.array([1.0]))
    pyarrow.parquet.write_table(table, tmp_path / "samples.parquet")
    after = read_run(tmp_path).methods["eft"]
    assert after.values["updates"].tolist() == before.values["updates"].tolist() == [1.0]
    assert after.curves("pa_mpjpe").tolist() == [[9.0, 5.0]]
