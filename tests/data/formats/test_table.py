"""Our own table: an exact round trip of everything that a row may hold."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import table
from exemplar.data.pseudo_gt import IMPORTED, PseudoTruth
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, SMPL_49


def full(seed: int) -> PseudoTruth:
    """A row in which everything is known."""
    rng = np.random.default_rng(seed)
    body = BodyTruth(
        rng.normal(size=(24, 3, 3)), rng.normal(size=10), rng.normal(size=3), rng.normal(size=3),
        "female",
    )  # fmt: skip
    sample = Sample(
        image=f"ü/{seed}.jpg",
        box_centre=rng.normal(size=2),
        box_scale=float(rng.normal()),
        keypoints_2d=rng.normal(size=(49, 3)),
        annotation_id=seed,
        subject="seq-id3",
        joints_3d=rng.normal(size=(24, 4)),
        body=body,
        intrinsics=rng.normal(size=(3, 3)),
        extra={
            "kp_foot": rng.normal(size=(6, 3)).astype(np.float32),
            "partname": np.array("p.png"),
        },
        problem="",
    )
    return PseudoTruth(
        sample,
        "ok",
        "fine",
        9.5,
        1.25,
        1e-5,
        20,
        17,
        "mobile",
        "open",
        "eft",
        "0.2",
        "accepted",
    )


def bare() -> PseudoTruth:
    """A row in which nothing is known but the picture."""
    sample = Sample("b.jpg", np.zeros(2), 0.0, np.zeros((49, 3)), problem="broken annotation: x")
    return PseudoTruth(sample, "bad_input", "broken annotation: x")


def plain(value: object) -> object:
    """Something that compares: arrays with their type and shape, NaN equal to NaN."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return repr(value)


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    body = full(3).sample.body
    assert body is not None
    lifted = replace(
        full(3).sample, body=replace(body, betas=np.zeros(0), translation=None), extra={}
    )
    rows = [bare(), full(1), bare(), full(2), PseudoTruth(lifted)]
    path = tmp_path / "t.parquet"
    assert table.write(rows, path, group=2) == 5
    back = list(table.read(path))
    for before, after in zip(rows, back, strict=True):
        assert plain(before) == plain(after)
    assert back[4].status == IMPORTED
    assert np.isnan(back[0].error_px_after)
    assert back[0].sample.body is None


def test_columns_are_named_after_the_fields(tmp_path: Path) -> None:
    """Others read the table without this package."""
    table.write([full(1), bare()], tmp_path / "t.parquet", made={"command": "lift", "seed": 3})
    columns = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert {
        "image",
        "keypoints_2d",
        "pose",
        "betas",
        "status",
        "error_px_after",
        "decision",
    } <= set(columns.column_names)
    first = full(1).sample
    assert columns["keypoints_2d"][0].as_py() == first.keypoints_2d.tolist()
    assert columns["pose"][1].as_py() is None
    assert columns["annotation_id"].to_pylist() == [1, None]
    nested = pyarrow.list_(pyarrow.list_(pyarrow.float64(), 3), 49)
    assert columns.schema.field("keypoints_2d").type == nested
    about = table.metadata(tmp_path / "t.parquet")
    assert about["joints"] == list(SMPL_49)
    assert about["joints_3d"] == list(GT_24)
    assert about["made"] == {"command": "lift", "seed": 3}
    assert about["table_version"] == table.VERSION


def test_tables_from_before_image_sizes_are_read(tmp_path: Path) -> None:
    table.write([full(0)], tmp_path / "t.parquet")
    older = pyarrow.parquet.read_table(tmp_path / "t.parquet").drop_columns(["image_size"])
    pyarrow.parquet.write_table(older, tmp_path / "older.parquet")
    (row,) = table.read(tmp_path / "older.parquet")
    assert row.sample.image == full(0).sample.image
    assert row.sample.image_size is None


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    row = full(0)

    def rows(count: int) -> Iterator[PseudoTruth]:
        for i in range(count):
            yield replace(row, sample=replace(row.sample, keypoints_2d=np.full((49, 3), float(i))))

    def peak(count: int) -> int:
        """Most that Python held at once, bytes (Arrow's own buffers hold a group)."""
        tracemalloc.start()
        table.write(rows(count), tmp_path / "t.parquet", group=64)
        assert sum(1 for _ in table.read(tmp_path / "t.parquet")) == count
        return tracemalloc.get_traced_memory()[1]

    peak(64)
    # a row's keypoints alone are 1.2 kB: holding 300 more of them would be 360 kB
    assert peak(400) < peak(100) + 200_000
    tracemalloc.stop()


def test_an_empty_table(tmp_path: Path) -> None:
    assert table.write([], tmp_path / "t.parquet") == 0
    assert list(table.read(tmp_path / "t.parquet")) == []


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("image", [1, 2], None),
        ("keypoints_2d", [[1.0], [2.0]], "Parquet"),
        ("keypoints_2d", [None, None], "row 0: it has no keypoints_2d"),
        ("extra", [True, False], "Parquet"),
        ("status", [None, None], None),
    ],
)
def test_columns_of_other_kinds_are_cast_or_told_in_one_line(
    tmp_path: Path, column: str, values: list[object], says: str | None
) -> None:
    path = tmp_path / "t.parquet"
    table.write([full(0), full(1)], path)
    read = pyarrow.parquet.read_table(path)
    place = read.column_names.index(column)
    pyarrow.parquet.write_table(read.set_column(place, column, pyarrow.array(values)), path)
    if says is None:
        assert len(list(table.read(path))) == 2
        return
    with pytest.raises(ValueError, match=says) as caught:
        list(table.read(path))
    assert str(path) in str(caught.value)


def test_other_files(tmp_path: Path) -> None:
    table.write([full(0)], tmp_path / "ours.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("text")
    whole = (tmp_path / "ours.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    assert table.matches(Contents(tmp_path / "ours.parquet"))
    for name, says in [
        ("other.parquet", "not a table of pseudo ground truth"),
        ("text.parquet", "not a Parquet file"),
        ("cut.parquet", "not a Parquet file"),
    ]:
        assert not table.matches(Contents(tmp_path / name))
        with pytest.raises(ValueError, match=says):
            table.read(tmp_path / name)


def test_a_row_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table.write([full(0)], path)

    def rows() -> Iterator[PseudoTruth]:
        yield full(1)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        table.write(rows(), path, group=1)
    assert [row.sample.annotation_id for row in table.read(path)] == [0]
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_table_of_a_later_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "VERSION", 2)
    table._schema.cache_clear()
    table.write([full(0)], tmp_path / "t.parquet")
    monkeypatch.setattr(table, "VERSION", 1)
    table._schema.cache_clear()
    with pytest.raises(ValueError, match="version 2, expected at most 1"):
        table.read(tmp_path / "t.parquet")
