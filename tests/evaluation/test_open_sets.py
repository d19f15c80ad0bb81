"""The open benchmark's sets: always the same people, and anything else is noticed."""

import json
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.formats import spin_npz
from exemplar.evaluation import open_sets
from exemplar.evaluation.keypoint_sources import EXACT, keypoints_from
from exemplar.evaluation.open_sets import (
    OPEN_SETS,
    Fingerprint,
    fingerprints,
    open_people,
    open_set,
)
from exemplar.files.image_files import read_image, write_image
from exemplar.synth import SynthBatch, SynthConfig, draw_samples, folders
from exemplar.synth.domains import DOMAINS, Domain
from exemplar.synth.folders import DatasetPlan, write_dataset

CONFIG = SynthConfig(image_size=48, antialias=1)
ENDS = [4, 8]


def draw(count: int, seed: int, start: int) -> SynthBatch:
    """Small pictures."""
    return draw_samples(count, seed=seed, start=start, config=CONFIG)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set `tiny`, which has 8 people."""
    folder = tmp_path_factory.mktemp("open")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DOMAINS, "tiny", Domain("small", CONFIG, draw))  # pyright: ignore
        write_dataset(DatasetPlan("tiny", folder / "tiny", 8, open_sets.SEED, truth="give"))
    return folder


@pytest.fixture(scope="module")
def prints(drawn: Path) -> dict[int, Fingerprint]:
    """What the set must be."""
    return fingerprints(drawn / "tiny", ENDS)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, prints: dict[int, Fingerprint]) -> None:
    """The set is published, and drawn in small parts."""
    monkeypatch.setitem(DOMAINS, "tiny", Domain("small", CONFIG, draw))  # pyright: ignore
    monkeypatch.setitem(OPEN_SETS, "tiny", prints)  # pyright: ignore
    monkeypatch.setattr(folders, "BLOCK", 4)


@pytest.fixture
def own(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the set that a test may change."""
    for path in (p for p in drawn.rglob("*") if p.is_file()):
        target = tmp_path / path.relative_to(drawn)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


def change(path: Path, name: str, row: int, by: float) -> None:
    """Add to the first number of a person's row of an array."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays[name].reshape(len(arrays[name]), -1)[row, 0] += by
    np.savez(path, **arrays)  # pyright: ignore


def test_every_set_has_the_three_sizes() -> None:
    assert set(OPEN_SETS) == {"lab", "wild", "wild-crop", "odd", "tiny"}
    for name, sizes in OPEN_SETS.items():
        assert name == "tiny" or list(sizes) == [100, 500, open_sets.PEOPLE]


def test_no_fingerprint_is_twice() -> None:
    found = [p.pixels for name, s in OPEN_SETS.items() if name != "tiny" for p in s.values()]
    assert len(set(found)) == 12


def test_a_set_is_drawn_where_it_is_missing(tmp_path: Path) -> None:
    heard: list[int] = []
    files = open_set("tiny", tmp_path, 3, report=heard.append)
    assert (files.checked, files.differences, sum(heard)) == (4, (), 4)
    assert files.images == tmp_path / "tiny"
    files = open_set("tiny", tmp_path, report=heard.append)
    assert (files.checked, files.differences, sum(heard)) == (8, (), 8)
    open_set("tiny", tmp_path, report=heard.append)
    assert sum(heard) == 8


def test_a_finished_set_is_not_written_to(drawn: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    open_set("tiny", drawn)
    open_set("tiny", drawn, 2)
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


def test_people_have_annotations_bodies_and_the_truth(drawn: Path) -> None:
    files = open_set("tiny", drawn)
    people = open_people(files, 6)
    assert [person.annotation_id for person in people] == [0, 1, 2, 3, 4, 5]
    exact = [person.keypoints_2d for person in spin_npz.read(files.truth)]
    for person, points in zip(people, exact, strict=False):
        assert person.body is not None
        assert person.joints_3d is not None
        assert (files.images / person.image).is_file()
        np.testing.assert_array_equal(person.extra[EXACT], points)
        assert not np.array_equal(person.keypoints_2d, points)
        assert (keypoints_from(person, "detected", 0).keypoints_2d[:, 2] > 0).any()
    assert len(open_people(files)) == 8
    assert len(open_people(open_set("tiny", drawn, 4))) == 4


@pytest.mark.parametrize(
    ("array", "kind", "by"),
    [("pose", "poses", 0.05), ("shape", "shapes", 0.01), ("focal", "cameras", 1.0),
     ("S", "joints", 0.005), ("part", "keypoints", 2.0)],
)  # fmt: skip
def test_another_truth_is_refused(own: Path, array: str, kind: str, by: float) -> None:
    change(own / "tiny" / "truth.npz", array, 5, by)
    assert open_set("tiny", own, 4).differences == ()
    message = rf"^tiny, people 4 to 7 are not .*: other {kind} \("
    with pytest.raises(ValueError, match=message) as caught:
        open_set("tiny", own)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("array", "by"), [("pose", 3e-7), ("focal", 3e-5), ("part", 3e-5)])
def test_last_bits_of_the_truth_are_forgiven(own: Path, array: str, by: float) -> None:
    """float32 has 24 bits: 6e-8 of 1, 3e-5 of 320 px."""
    for row in range(8):
        change(own / "tiny" / "truth.npz", array, row, by)
    assert open_set("tiny", own).differences == ()


def test_other_pixels_or_marks_are_told(own: Path) -> None:
    image = own / "tiny" / "images" / "00000006.jpg"
    write_image(255 - read_image(image), image)
    change(own / "tiny" / "annotations.npz", "part", 1, 50.0)
    assert open_set("tiny", own).differences == (
        "tiny, people 0 to 3: other marks than in the published set",
        "tiny, people 4 to 7: other pixels than in the published set",
    )


def test_people_in_another_order_are_other_people(own: Path) -> None:
    path = own / "tiny" / "truth.npz"
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(path, **(arrays | {"pose": arrays["pose"][::-1]}))  # pyright: ignore
    with pytest.raises(ValueError, match="other poses"):
        open_set("tiny", own)


def test_a_folder_that_says_more_than_it_holds_is_refused(own: Path) -> None:
    for name in ("truth.npz", "annotations.npz"):
        with np.load(own / "tiny" / name) as file:
            arrays = {key: file[key][1:] for key in file.files}
        np.savez(own / "tiny" / name, **arrays)  # pyright: ignore
    with pytest.raises(ValueError, match=r"truth\.npz is not a whole synthetic set of 8 people"):
        open_set("tiny", own)


@pytest.mark.parametrize(
    "header", ["", "{}", '{"domain": "tiny", "seed": 3}', '{"domain": "odd", "seed": 7}']
)
def test_another_data_set_in_the_folder_is_refused(own: Path, header: str) -> None:
    (own / "tiny" / "dataset.json").write_text(header)
    with pytest.raises(ValueError, match=r"another data set|not the header"):
        open_set("tiny", own)


def test_hidden_truth_is_given_by_joining_again(own: Path) -> None:
    write_dataset(DatasetPlan("tiny", own / "tiny", 8, open_sets.SEED, truth="hide"))
    assert json.loads((own / "tiny" / "dataset.json").read_text())["truth"] == "hide"
    assert all(person.body is not None for person in open_people(open_set("tiny", own)))


def test_wrong_names_and_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no open set 'street', expected one of"):
        open_set("street", tmp_path)
    for limit in (0, 9):
        with pytest.raises(ValueError, match=f"tiny has 8 people, got a limit of {limit}"):
            open_set("tiny", tmp_path, limit)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lab", "wild", "wild-crop", "odd"])
def test_the_published_people_are_drawn_again(tmp_path: Path, name: str) -> None:
    assert open_set(name, tmp_path, 100).checked == 100
