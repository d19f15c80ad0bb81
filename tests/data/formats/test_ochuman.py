"""OCHuman: its own format with 19 joints, and COCO's style."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, ochuman
from exemplar.skeletons import COCO_17

REAL = Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "ochuman_sample.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")

NAMES = (
    "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle head neck right_ear left_ear nose "
    "right_eye left_eye"
)
PLACES = [8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 13, 12, 23, 22, 19, 21, 20]
"""Where EFT's reader puts OCHuman's 19 joints among the 24 (its list)."""


def keypoints(known: int = 19) -> list[float]:
    """The first joints at (100 + i, 200 + i), visible or hidden; the others missing."""
    flags = [1 + i % 3 if i < known else 0 for i in range(19)]
    return [value for i, flag in enumerate(flags) for value in (100.5 + i, 200.5 + i, flag)]


def own_file(folder: Path, *people: Any, **changed: Any) -> Path:
    image = {"file_name": "000123.jpg", "image_id": "000123", "width": 900, "height": 800}
    content = {
        "keypoint_names": NAMES.split(),
        "keypoint_visible": {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3},
        "images": [image | {"annotations": list(people)}],
    }
    path = folder / "ochuman.json"
    path.write_text(json.dumps(content | changed))
    return path


def person(**changed: Any) -> dict[str, Any]:
    good = {"bbox": [90, 180, 130, 260], "keypoints": keypoints(), "segms": None, "max_iou": 0.6}
    return good | changed


def test_joints_of_the_own_format_have_their_places(tmp_path: Path) -> None:
    path = own_file(tmp_path, person())
    assert ochuman.matches(Contents(path))
    assert not coco.matches(Contents(path))
    (read,) = ochuman.read(path, image_folder="images")
    assert (read.image, read.annotation_id) == ("images/000123.jpg", None)
    expected = np.zeros((49, 3))
    expected[[25 + place for place in PLACES]] = [[100.5 + i, 200.5 + i, 1] for i in range(19)]
    assert (read.keypoints_2d == expected).all()
    # x1, y1, x2, y2 = 90, 180, 130, 260: 40 x 80
    assert read.box_centre.tolist() == [110, 220]
    assert read.box_scale == pytest.approx(1.2 * 80 / 200)


def test_joints_are_where_the_file_names_them(tmp_path: Path) -> None:
    names = NAMES.split()
    (read,) = ochuman.read(own_file(tmp_path, person(), keypoint_names=names[::-1]))
    assert read.keypoints_2d[25 + 20].tolist() == [100.5, 200.5, 1]  # the left eye is first now


def test_people_with_six_limbs_are_read(tmp_path: Path) -> None:
    """The first six joints are limbs; counted from the sixth on, as in COCO's order, one is."""
    people = [person(keypoints=keypoints(n)) for n in (6, 5)] + [person(keypoints=None)]
    path = own_file(tmp_path, *people)
    assert len(list(ochuman.read(path))) == 1
    assert len(list(ochuman.read(path, min_keypoints=5))) == 2


def test_broken_people_and_images_cost_nobody_else(tmp_path: Path) -> None:
    path = own_file(
        tmp_path,
        person(keypoints=[1] * 20),
        person(bbox=["90", 180, 130, 260]),
        {"bbox": [1, 2, 3, 4]},
        5,
        person(),
    )
    content = json.loads(path.read_text())
    good = content["images"][0]
    nameless = {"annotations": [person()]}
    content["images"] = [7, nameless, {"file_name": "a.jpg"}, good]
    path.write_text(json.dumps(content))
    read = list(ochuman.read(path))
    assert [bool(each.problem) for each in read] == [True] * 7 + [False]
    assert [each.image for each in read] == ["", "", "a.jpg"] + ["000123.jpg"] * 5
    assert "(57,) numbers as keypoints, got (20,)" in read[3].problem


def test_other_joints_are_refused(tmp_path: Path) -> None:
    path = own_file(tmp_path, person(), keypoint_names=["nose", "tail"])
    assert not ochuman.matches(Contents(path))
    with pytest.raises(ValueError, match=r"expected the joints right_shoulder.*tail"):
        ochuman.read(path)
    with pytest.raises(ValueError, match="list of images"):
        ochuman.read(own_file(tmp_path, images={"a": 1}))


@pytest.mark.parametrize(
    ("name", "segmentation", "is_ochuman"),
    [
        ("000123.jpg", {"counts": "abc", "size": [8, 9]}, True),
        ("000123.jpg", [[1, 2, 3, 4, 5, 6]], False),
        ("000000000123.jpg", {"counts": "abc", "size": [8, 9]}, False),
    ],
)
def test_files_in_cocos_style_are_told_from_coco(
    name: str, segmentation: Any, is_ochuman: bool, tmp_path: Path
) -> None:
    """OCHuman's converter encodes everybody's mask as runs, and names have six digits."""
    record = {"id": 1, "image_id": 1, "iscrowd": 0, "bbox": [0, 0, 9, 9], "keypoints": [1] * 51}
    content = {
        "images": [{"id": 1, "file_name": name}],
        "annotations": [record | {"segmentation": segmentation}],
        "categories": [{"id": 1, "keypoints": list(COCO_17)}],
    }
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    assert ochuman.matches(Contents(path)) == is_ochuman
    assert coco.matches(Contents(path)) != is_ochuman


@needs_real
def test_a_real_file_is_read() -> None:
    people = list(ochuman.read(REAL))
    assert [each.annotation_id for each in people] == [1, 2, 3, 4, 5]
    first = people[0]
    assert first.image == "003799.jpg"
    # bbox [250, 112, 475, 751]
    assert first.box_centre.tolist() == [487.5, 487.5]
    assert first.box_scale == pytest.approx(4.506)
    assert first.keypoints_2d[25 + 8].tolist() == [302, 285, 1]  # the right shoulder
    assert first.keypoints_2d[25 + 11].tolist() == [661, 282, 1]  # the left wrist
