"""COCO person keypoints: who is read, where each joint goes, and files that others can read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, coco_wholebody, crowdpose, ochuman, posetrack
from exemplar.data.formats.coco_style import minimum_of
from exemplar.samples import Sample
from exemplar.skeletons import COCO_17

REAL = Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "coco_val2017_sample.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")

PLACES = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]
"""Where EFT's reader puts COCO's 17 joints among the 24 (its list)."""


def person_file(folder: Path, *limbs_known: int) -> Path:
    """One person each, with so many of the 12 limb joints and no face."""
    annotations = []
    for number, limbs in enumerate(limbs_known, start=1):
        joints = [[0, 0, 0]] * 5 + [[10 * i, 5 * i, 2] for i in range(1, limbs + 1)]
        joints += [[0, 0, 0]] * (17 - len(joints))
        keypoints = [value for joint in joints for value in joint]
        record = {"id": number, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 20]}
        annotations.append(record | {"keypoints": keypoints})
    content = {
        "images": [{"id": 1, "file_name": "000000000001.jpg"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17)}],
    }
    path = folder / "person_keypoints.json"
    path.write_text(json.dumps(content))
    return path


def numbers(samples: Any) -> list[int]:
    return [sample.annotation_id for sample in samples]


def test_subsets_are_those_of_eft(tmp_path: Path) -> None:
    path = person_file(tmp_path, 12, 11, 6, 5, 0)
    assert numbers(coco.read(path, subset="part")) == [1]
    assert numbers(coco.read(path, subset="all")) == numbers(coco.read(path)) == [1, 2, 3]
    assert numbers(coco.read(path, subset="part", min_keypoints=5)) == [1, 2, 3, 4]
    assert numbers(coco.read(path, min_keypoints=0)) == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="subset of part, all, got 'some'"):
        minimum_of("some", None)


def test_only_limb_joints_count(tmp_path: Path) -> None:
    """A face and five limb joints are ten labelled joints, and not enough."""
    path = person_file(tmp_path, 5)
    content = json.loads(path.read_text())
    content["annotations"][0]["keypoints"][:15] = [9, 9, 2] * 5
    path.write_text(json.dumps(content))
    assert numbers(coco.read(path)) == []


@needs_real
def test_every_joint_of_a_real_person_is_where_eft_puts_it() -> None:
    raw = json.loads(REAL.read_text())["annotations"][0]
    person = next(coco.read(REAL))
    assert (person.image, person.annotation_id) == ("000000000785.jpg", 442619)
    # bbox [280.79, 44.73, 218.7, 346.68]
    assert person.box_centre == pytest.approx([390.14, 218.07])
    assert person.box_scale == pytest.approx(2.08008)
    expected = np.zeros((49, 3))
    for i, place in enumerate(PLACES):
        x, y, visibility = raw["keypoints"][3 * i : 3 * i + 3]
        expected[25 + place] = [x, y, 1] if visibility > 0 else 0
    assert (person.keypoints_2d == expected).all()
    assert person.keypoints_2d[25 + 11].tolist() == [449, 165, 1]  # the left wrist


@needs_real
def test_real_people_with_enough_limbs_are_read() -> None:
    raw = json.loads(REAL.read_text())["annotations"]
    limbs = {each["id"]: sum(v > 0 for v in each["keypoints"][17::3]) for each in raw}
    all_of_them = [number for number, count in limbs.items() if count >= 6]
    assert numbers(coco.read(REAL)) == all_of_them
    part = [number for number, count in limbs.items() if count == 12]
    assert numbers(coco.read(REAL, subset="part")) == part
    assert 0 < len(part) < len(all_of_them) < len(raw)


@needs_real
def test_neighbours_are_told_apart() -> None:
    modules = {
        "coco_val2017": coco,
        "coco_wholebody": coco_wholebody,
        "crowdpose": crowdpose,
        "ochuman": ochuman,
        "posetrack18": posetrack,
        "mpii": None,
    }
    for name, expected in modules.items():
        contents = Contents(REAL.parent / f"{name}_sample.json")
        found = [each for each in modules.values() if each and each.matches(contents)]
        assert found == ([expected] if expected else [])


def sample(name: str, number: int | None = None, **changed: Any) -> Sample:
    """A person with a nose, a left wrist and a neck, which COCO does not have."""
    keypoints = np.zeros((49, 3))
    keypoints[25 + 19] = [101.5, 52.25, 1]
    keypoints[25 + 11] = [130, 90, 0.5]
    keypoints[25 + 12] = [100, 70, 1]
    fields = {"box_centre": np.array([110.0, 75.5]), "box_scale": 0.6} | changed
    return Sample(image=name, keypoints_2d=keypoints, annotation_id=number, **fields)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "people.json"
    written = [sample("a.jpg", 5), sample("b/c.jpg", 9), sample("a.jpg", 7)]
    assert coco.write(iter(written), path) == 3
    assert coco.matches(Contents(path))
    for before, after in zip(written, coco.read(path, min_keypoints=0), strict=True):
        assert (after.image, after.annotation_id) == (before.image, before.annotation_id)
        # a float64's rounding on the way from the box to x, y, width, height and back
        assert after.box_centre == pytest.approx(before.box_centre, abs=1e-9)
        assert after.box_scale == pytest.approx(before.box_scale, abs=1e-12)
        expected = before.keypoints_2d.copy()
        expected[25 + 12] = 0  # COCO has no neck
        expected[25 + 11, 2] = 1  # and no half confidence
        assert (after.keypoints_2d == expected).all()


@needs_real
def test_real_people_survive_writing(tmp_path: Path) -> None:
    before = list(coco.read(REAL))
    coco.write(before, tmp_path / "again.json")
    after = list(coco.read(tmp_path / "again.json"))
    assert numbers(after) == numbers(before)
    for one, other in zip(before, after, strict=True):
        assert (one.keypoints_2d == other.keypoints_2d).all()
        assert other.box_centre == pytest.approx(one.box_centre, abs=1e-9)  # as above


def test_pycocotools_reads_what_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "people.json"
    coco.write([sample("a.jpg", 5), sample("b.jpg")], path)
    index = COCO(str(path))
    capsys.readouterr()
    (person,) = index.loadAnns([5])
    assert person["num_keypoints"] == 2
    assert person["keypoints"][:3] == [101.5, 52.25, 2]
    assert person["keypoints"][3 * 9 : 3 * 10] == [130, 90, 2]
    # scale 0.6 is a side of 120 px, 1.2 times that of the square (60, 25.5) to (160, 125.5)
    assert person["bbox"] == pytest.approx([60, 25.5, 100, 100])
    assert person["area"] == pytest.approx(100 * 100)
    assert index.loadImgs(person["image_id"])[0]["file_name"] == "a.jpg"
    assert index.loadCats(index.getCatIds(catNms=["person"]))[0]["keypoints"] == list(COCO_17)


def test_everybody_gets_a_number_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    coco.write([sample("a", n) for n in (None, 4, 4, 0, 2)], path)
    assert numbers(coco.read(path, min_keypoints=0)) == [5, 4, 6, 7, 2]
    assert coco.write([], path) == 0
    assert list(coco.read(path)) == []


def test_people_who_could_not_be_read_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    assert coco.write([sample("a", 1, problem="no"), sample("b", 2)], path) == 1
    assert numbers(coco.read(path, min_keypoints=0)) == [2]


def test_numbers_that_json_lacks_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        coco.write([sample("a", 1, box_scale=float("nan"))], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
