"""Sources as written, and their people as arrays."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.formats import read, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.skeletons import OPENPOSE_25
from exemplar.training.sources import SourceConfig, load_people, parse_source, parse_sources
from tests.training.people_files import write_people


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=x.npz", SourceConfig("a", Path("x.npz"))),
        ("a=d/x.npz:im/g", SourceConfig("a", Path("d/x.npz"), Path("im/g"))),
        ("a=x.npz@0.25", SourceConfig("a", Path("x.npz"), ratio=0.25)),
        (
            "a=x.npz:i@.5#keypoints",
            SourceConfig("a", Path("x.npz"), Path("i"), 0.5, use_body=False, use_3d=False),
        ),
        ("a=x.npz#no-body", SourceConfig("a", Path("x.npz"), use_body=False)),
        ("a=x.npz#no-3d", SourceConfig("a", Path("x.npz"), use_3d=False)),
        ("a=/mnt/me@host/x.npz", SourceConfig("a", Path("/mnt/me@host/x.npz"))),
        ("a=/mnt/a=b/x.npz", SourceConfig("a", Path("/mnt/a=b/x.npz"))),
    ],
)
def test_a_source_is_read_as_it_is_documented(text: str, expected: SourceConfig) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x.npz", "NAME=PATH.*got 'x.npz'"),
        ("a=", "NAME=PATH.*got 'a='"),
        ("=x.npz", "name is a word"),
        ("a+b=x.npz", "name is a word.*'a.b'"),
        ("a=x.npz@half", "expected a number after @, got 'half'"),
        ("a=x.npz@1.5", "a: expected a ratio over 0 and up to 1, got 1.5"),
        ("a=x.npz@nan", "a: expected a ratio over 0 and up to 1, got nan"),
        ("a=x.npz#joints", "expected keypoints, no-body, no-3d after #, got 'joints'"),
        ("a=x.npz:", "NAME=PATH"),
        ("a=x:y:z", "NAME=PATH"),
    ],
)
def test_a_source_that_is_written_wrong_is_one_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_source(text)
    assert "\n" not in str(caught.value)


def test_a_file_of_sources_has_paths_relative_to_it_and_may_give_ratios(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(
        json.dumps(
            {
                "sources": [
                    {"name": "a", "annotations": "a.json", "options": ["min_keypoints=12"]},
                    {"name": "b", "annotations": "/abs/b.npz", "images": "b", "use_3d": False},
                ],
                "ratios": {"a": 0.4, "b": 0.6},
            }
        )
    )
    sources, ratios = parse_sources([str(tmp_path / "d.json"), "c=c.npz"])
    assert sources == (
        SourceConfig("a", tmp_path / "a.json", options=("min_keypoints=12",)),
        SourceConfig("b", Path("/abs/b.npz"), tmp_path / "b", use_3d=False),
        SourceConfig("c", Path("c.npz")),
    )
    assert ratios == {"a": 0.4, "b": 0.6}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "not JSON"),
        ("3", "expected a list of sources"),
        ('[{"name": "a"}]', "lacks annotations"),
        ('[{"name": "a", "annotations": "x", "ration": 1}]', "has no 'ration'"),
        ('[{"name": "a", "annotations": "x", "use_body": "no"}]', "expected bool as use_body"),
        ('[{"name": "a", "annotations": "x", "ratio": "1"}]', "expected float as ratio"),
        ('[{"name": "\\ud800", "annotations": "x"}]', "expected str as name"),
        ('{"sorces": []}', "expected sources and ratios, got 'sorces'"),
        ('{"sources": [], "ratios": {"a": "x"}}', "expected ratios as name to number"),
    ],
)
def test_a_file_of_sources_that_is_wrong_is_one_line(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ValueError, match=says):
        parse_sources([str(tmp_path / "d.json")])


def test_a_name_given_twice_and_a_missing_file_of_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'a' is given twice"):
        parse_sources(["a=x.npz", "a=y.npz"])
    with pytest.raises(FileNotFoundError, match="no file of data sources"):
        parse_sources([str(tmp_path / "none.json")])


def test_people_are_the_samples_of_the_file(tmp_path: Path) -> None:
    path = write_people(tmp_path, 3, bodies=True)
    people = load_people(SourceConfig("a", path))
    assert len(people) == 3
    assert not people.left_out
    for person, sample in enumerate(read(path)):
        got = people.sample(person)
        assert got.image == sample.image
        assert people.image(person).is_file()
        np.testing.assert_array_equal(got.box_centre, sample.box_centre)
        assert got.box_scale == sample.box_scale
        assert got.body is not None
        assert sample.body is not None
        assert got.joints_3d is not None
        assert sample.joints_3d is not None
        # Kept in float32: half a unit in the last place of numbers up to 48 px is 2e-6.
        np.testing.assert_allclose(got.keypoints_2d, sample.keypoints_2d, atol=2e-6)
        np.testing.assert_allclose(got.joints_3d, sample.joints_3d, atol=1e-6)
        np.testing.assert_allclose(got.body.pose, sample.body.pose, atol=1e-7)
        np.testing.assert_allclose(got.body.betas, sample.body.betas, atol=1e-7)


def test_supervision_that_is_not_used_is_not_there(tmp_path: Path) -> None:
    path = write_people(tmp_path, 2, bodies=True)
    only = load_people(SourceConfig("a", path, use_body=False, use_3d=False)).sample(1)
    assert only.body is None
    assert only.joints_3d is None
    assert load_people(SourceConfig("a", path, use_3d=False)).sample(1).body is not None


def test_rows_with_and_without_bodies_stay_apart(tmp_path: Path) -> None:
    has = np.array([0, 1, 0, 1])
    people = load_people(SourceConfig("a", write_people(tmp_path, 4, bodies=True, has_smpl=has)))
    bodies = [people.sample(person).body for person in range(4)]
    betas = [None if body is None else body.betas[0] for body in bodies]
    assert betas == [None, pytest.approx(0.1, abs=1e-7), None, pytest.approx(0.3, abs=1e-7)]


def test_broken_people_are_left_out_and_counted(tmp_path: Path) -> None:
    scale = np.full(8, 0.1)
    scale[0] = 0.0
    path = write_people(tmp_path, 8, scale=scale)
    part = np.load(path)["part"].copy()
    part[1, 3, 0] = np.nan
    part[2, :, 2] = 0.0
    part[7, 3] = (np.nan, 0.0, 0.0)
    path = write_people(tmp_path, 8, scale=scale, part=part)
    (tmp_path / "images/003.png").unlink()
    (tmp_path / "images/004.png").write_bytes(b"")
    (tmp_path / "images/005.png").write_bytes(b"not a picture")
    by_file = load_people(SourceConfig("a", path))
    by_header = load_people(SourceConfig("a", path), check="header")
    assert [name.decode()[-7:-4] for name in by_file.names] == ["005", "006", "007"]
    assert [name.decode()[-7:-4] for name in by_header.names] == ["006", "007"]
    assert sum(by_header.left_out.values()) == 6
    assert by_header.left_out["missing image"] == 1
    assert by_header.left_out["unreadable image"] == 2
    assert "left out: " in by_header.summary()
    # a missing joint's coordinates may be anything
    assert np.isfinite(by_file.keypoints).all()


def test_refused_fits_train_keypoints_only(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = list(read(write_people(tmp_path, 4, bodies=True)))
    states = ("imported", "rejected", "ok", "rejected")
    decisions = ("", "", "rejected", "accepted")
    truths = [
        PseudoTruth(sample, status=status, decision=decision)  # pyright: ignore[reportArgumentType]
        for sample, status, decision in zip(rows, states, decisions, strict=True)
    ]
    table.write(truths, tmp_path / "t.parquet")
    source = SourceConfig("a", tmp_path / "t.parquet")
    people = load_people(source)
    assert [name.decode()[-7:-4] for name in people.names] == ["000", "003"]
    assert people.left_out == {"refused fit": 2}
    assert len(load_people(replace(source, use_body=False))) == 4


def test_images_may_be_in_a_folder_beside_or_named(tmp_path: Path) -> None:
    path = write_people(tmp_path, 2, imgname=np.array(["000.png", "001.png"]))
    assert load_people(SourceConfig("a", path)).images == tmp_path / "images"
    (tmp_path / "people.npz").rename(tmp_path / "images" / "p.npz")
    inside = SourceConfig("a", tmp_path / "images" / "p.npz")
    assert load_people(inside).images == tmp_path / "images"
    with pytest.raises(FileNotFoundError, match="a: no folder of images at"):
        load_people(replace(inside, images=tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"no folder of images at .*no ne$"):
        load_people(replace(inside, images=tmp_path / "no\nne"))


def test_data_that_are_missing_or_of_nobody_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a: no annotations at"):
        load_people(SourceConfig("a", tmp_path / "none.npz"))
    path = write_people(tmp_path, 2, scale=np.zeros(2))
    with pytest.raises(ValueError, match=r"nobody to train on \(a: 0 people.*2 empty box\)"):
        load_people(SourceConfig("a", path))


def test_the_digest_tells_people_apart_but_not_places(tmp_path: Path) -> None:
    first = load_people(SourceConfig("a", write_people(tmp_path / "1", 3)))
    same = load_people(SourceConfig("a", write_people(tmp_path / "2", 3)))
    other = load_people(SourceConfig("a", write_people(tmp_path / "3", 3, scale=np.full(3, 0.5))))
    fewer = load_people(SourceConfig("a", write_people(tmp_path / "4", 2)))
    assert first.digest() == same.digest()
    assert len({first.digest(), other.digest(), fewer.digest()}) == 3


def test_people_of_many_chunks_stay_in_order_and_take_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exemplar.training.sources._CHUNK", 16)
    count = 40  # two chunks and a half
    part = np.ones((count, 24, 3))
    part[:, 0, 0] = np.arange(count)
    path = write_people(
        tmp_path, 1, imgname=np.array(["images/000.png"] * count), part=part,
        center=np.full((count, 2), 20.0), scale=np.ones(count),
    )  # fmt: skip
    people = load_people(SourceConfig("a", path))
    first = len(OPENPOSE_25)
    assert [people.sample(i).keypoints_2d[first, 0] for i in range(count)] == list(range(count))
    size = sum(a.nbytes for a in (people.names, people.boxes, people.keypoints, people.genders))
    assert size / count < 700  # 49 x 3 x 4 bytes, and a hundred for the rest
