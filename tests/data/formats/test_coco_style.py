"""What files in COCO's style share: which people are read, and what broken records cost."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, coco_wholebody, crowdpose, ochuman, posetrack
from exemplar.data.formats.coco_style import labelled
from exemplar.data.records import image_path
from exemplar.skeletons import COCO_17

READERS = (coco, coco_wholebody, crowdpose, ochuman, posetrack)


def annotation(number: int, **changed: Any) -> dict[str, Any]:
    """A person of image 7 with all 17 joints at (10 + i, 20 + 2 i)."""
    keypoints = [value for i in range(17) for value in (10 + i, 20 + 2 * i, 1 + i % 2)]
    good = {
        "id": number,
        "image_id": 7,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [10, 20, 30, 80],
        "keypoints": keypoints,
    }
    return good | changed


def write_file(folder: Path, annotations: list[Any], **changed: Any) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "street\\7.jpg"}, {"file_name": "nobody.jpg"}, 3],
        "annotations": annotations,
        "categories": [
            {"id": 4, "name": "cat"},
            {"id": 1, "name": "person", "keypoints": list(COCO_17)},
        ],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content | changed))
    return path


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}


def test_a_person_is_read(tmp_path: Path) -> None:
    (person,) = coco.read(write_file(tmp_path, [annotation(5)]), image_folder="val2017/")
    assert (person.image, person.annotation_id, person.problem) == ("val2017/street/7.jpg", 5, "")
    assert person.box_centre.tolist() == [25.0, 60.0]
    assert person.box_scale == pytest.approx(1.2 * 80 / 200)
    assert (person.keypoints_2d[:25] == 0).all()
    assert person.keypoints_2d[25 + 19].tolist() == [10.0, 20.0, 1.0]  # the nose comes first
    assert set(person.keypoints_2d[:, 2].tolist()) == {0.0, 1.0}


def test_joints_that_nobody_labelled_are_nowhere() -> None:
    points = labelled([5, 6, 2, 7, 8, 0, 9, 10, 1], 3, "keypoints")
    assert points.tolist() == [[5, 6, 1], [0, 0, 0], [9, 10, 1]]


def test_crowds_and_other_categories_are_left_out(tmp_path: Path) -> None:
    people = [annotation(1, iscrowd=1), annotation(2, category_id=4), annotation(3)]
    assert [each.annotation_id for each in coco.read(write_file(tmp_path, people))] == [3]


BROKEN: dict[str, tuple[Any, str]] = {
    "a number": (17, "expected an annotation with keys"),
    "null": (None, "expected an annotation with keys"),
    "one joint short": (annotation(2, keypoints=[1] * 48), "(51,) numbers as keypoints, got (48,)"),
    "text for numbers": (annotation(2, keypoints=["1"] * 51), "expected numbers as keypoints"),
    "text among numbers": (annotation(2, keypoints=[1] * 50 + ["x"]), "expected numbers"),
    "null keypoints": (annotation(2, keypoints=None), "expected numbers"),
    "nested keypoints": (annotation(2, keypoints=[[1, 2, 2]] * 17), "got (17, 3)"),
    "ragged keypoints": (annotation(2, keypoints=[[1, 2], [3]]), "broken annotation"),
    "a huge number": (annotation(2, keypoints=[10**400] + [1] * 50), "expected numbers"),
    "no keypoints": (without(annotation(2), "keypoints"), "KeyError: 'keypoints'"),
    "no box": (without(annotation(2), "bbox"), "KeyError: 'bbox'"),
    "three numbers of a box": (annotation(2, bbox=[1, 2, 3]), "(4,) numbers as bbox, got (3,)"),
    "a box with NaN": (annotation(2, bbox=[1, 2, 3, float("nan")]), "bbox are not all finite"),
    "a box of text": (annotation(2, bbox=["1", "2", "3", "4"]), "expected numbers as bbox"),
    "an unknown image": (annotation(2, image_id=8), "the file has no image 8"),
    "no image": (without(annotation(2), "image_id"), "KeyError: 'image_id'"),
    "a list for an image": (annotation(2, image_id=[7]), "the file has no image [7]"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_person_is_told_and_costs_nobody_else(name: str, tmp_path: Path) -> None:
    record, problem = BROKEN[name]
    path = write_file(tmp_path, [annotation(1), copy.deepcopy(record), annotation(3)])
    first, broken, last = coco.read(path, image_folder="train")
    assert (first.annotation_id, first.problem) == (1, "")
    assert (last.annotation_id, last.problem) == (3, "")
    assert problem in broken.problem
    assert "\n" not in broken.problem
    assert (broken.keypoints_2d == 0).all()
    if isinstance(record, dict):
        assert broken.annotation_id == 2
        assert broken.image == ("train/street/7.jpg" if record.get("image_id") == 7 else "")


@pytest.mark.parametrize(("image", "of_person"), [(7, "7"), ("7", 7), ("a7", "a7")])
def test_numbers_of_images_and_categories_may_be_text(
    tmp_path: Path, image: Any, of_person: Any
) -> None:
    people = [annotation(1, image_id=of_person, category_id="1")]
    path = write_file(tmp_path, people, images=[{"id": image, "file_name": "7.jpg"}])
    (person,) = coco.read(path)
    assert (person.image, person.problem) == ("7.jpg", "")


def test_a_box_without_extent_has_no_scale(tmp_path: Path) -> None:
    (person,) = coco.read(write_file(tmp_path, [annotation(1, bbox=[10, 20, 0, 80])]))
    assert person.box_scale == 0.0


@pytest.mark.parametrize("module", READERS)
@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[1]", "3", "null", '{"images": [], "annotations": []}',
     '{"images": 1, "annotations": 2, "categories": 3}',
     '{"images": [], "annotations": [], "categories": [{"id": 1}]}',
     '{"images": [], "annotations": [], "categories": [{"id": [], "keypoints": [1]}, 4]}'],
)  # fmt: skip
def test_other_json_is_refused_in_one_line(module: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert not module.matches(Contents(path))
    with pytest.raises(ValueError, match=r"other\.json") as caught:
        module.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", READERS)
def test_what_is_no_json_file_is_refused(module: Any, tmp_path: Path) -> None:
    picture = tmp_path / "picture.json"
    picture.write_bytes(b"\xff\xd8\xff\xe0 no text")
    assert not module.matches(Contents(picture))
    with pytest.raises(ValueError, match="not JSON"):
        module.read(picture)
    folder = tmp_path / "empty"
    folder.mkdir()
    assert not module.matches(Contents(folder))
    with pytest.raises(ValueError, match=r"folder|got none"):
        module.read(folder)
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        module.read(tmp_path / "missing.json")


@pytest.mark.parametrize("number", [-1, 13])
@pytest.mark.parametrize("module", READERS)
def test_a_person_has_12_limb_joints(module: Any, number: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="from 0 to 12"):
        module.read(write_file(tmp_path, [annotation(1)]), min_keypoints=number)


def test_image_names_are_joined_with_forward_slashes() -> None:
    assert image_path("", "a\\b.jpg") == "a/b.jpg"
    assert image_path("train\\", "b.jpg") == image_path("train/", "b.jpg") == "train/b.jpg"
    for wrong in ("", None, 3):
        with pytest.raises(ValueError, match="name of an image"):
            image_path("train", wrong)


def test_reading_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert np.isfinite(next(coco.read(write_file(tmp_path, [annotation(1)]))).box_scale)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "wrong", [[None, None, None], [float("nan"), 5, 2], [0, 0, 2], [-1, -1, 2], [5, 5, 0]]
)
def test_a_joint_that_is_null_or_in_the_corner_is_missing(tmp_path: Path, wrong: list[Any]) -> None:
    record = annotation(1)
    (person,) = coco.read(
        write_file(tmp_path, [record | {"keypoints": wrong + record["keypoints"][3:]}])
    )
    assert person.keypoints_2d[25 + 19].tolist() == [0, 0, 0]  # the nose comes first
    assert (person.keypoints_2d[:, 2] > 0).sum() == 16


def test_a_fraction_is_a_score(tmp_path: Path) -> None:
    record = annotation(1)
    (person,) = coco.read(
        write_file(tmp_path, [record | {"keypoints": [5, 6, 0.25, *record["keypoints"][3:]]}])
    )
    assert person.keypoints_2d[25 + 19].tolist() == [5, 6, 0.25]


def test_images_may_have_texts_as_ids(tmp_path: Path) -> None:
    images = [{"id": "a7", "file_name": "7.jpg", "width": 64, "height": 48}]
    (person,) = coco.read(
        write_file(tmp_path, [annotation(1, image_id="a7", id="x")], images=images)
    )
    assert (person.image, person.annotation_id, person.image_size) == ("7.jpg", None, (64, 48))
