"""PoseTrack 2018: sequences, labelled frames, tracks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, posetrack

REAL = Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "posetrack18_sample.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")

NAMES = (
    "nose head_bottom head_top left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
)
PLACES = [19, 12, 13, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]
"""EFT's list of places among the 24, with its two ears the right way round."""


def person(number: int, image: int = 1, **changed: Any) -> dict[str, Any]:
    keypoints = [value for i in range(17) for value in (10 + i, 50 + i, 1)]
    record = {"id": number, "image_id": image, "category_id": 1, "track_id": 4}
    return record | {"bbox": [10, 50, 16, 16], "keypoints": keypoints} | changed


def sequence(path: Path, *people: Any) -> Path:
    frames = [
        {"id": 1, "file_name": f"images/val/{path.stem}/000000.jpg", "is_labeled": True},
        {"id": 2, "file_name": f"images/val/{path.stem}/000001.jpg", "is_labeled": False},
    ]
    category = {"id": 1, "name": "person", "keypoints": NAMES.split()}
    content = {"images": frames, "annotations": list(people), "categories": [category]}
    path.write_text(json.dumps(content))
    return path


def test_joints_have_their_places(tmp_path: Path) -> None:
    path = sequence(tmp_path / "000342_mpii_test.json", person(30))
    assert posetrack.matches(Contents(path))
    assert not coco.matches(Contents(path))
    (read,) = posetrack.read(path)
    assert read.image == "images/val/000342_mpii_test/000000.jpg"
    assert (read.annotation_id, read.subject) == (30, "000342_mpii_test-id004")
    expected = np.zeros((49, 3))
    expected[[25 + place for place in PLACES]] = [[10 + i, 50 + i, 1] for i in range(17)]
    assert (read.keypoints_2d == expected).all()
    assert read.box_centre.tolist() == [18, 58]
    assert read.box_scale == pytest.approx(1.2 * 16 / 200)


def test_people_need_all_limbs_and_a_labelled_frame(tmp_path: Path) -> None:
    eleven = [*person(1)["keypoints"][:-3], 0, 0, 0]
    path = sequence(tmp_path / "a.json", person(1, keypoints=eleven), person(2, image=2), person(3))
    assert [each.annotation_id for each in posetrack.read(path)] == [3]
    assert [each.annotation_id for each in posetrack.read(path, min_keypoints=11)] == [1, 3]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("000999_b", "000001_a"):
        sequence(tmp_path / f"{name}.json", person(1), person(2, track_id=12))
    assert posetrack.matches(Contents(tmp_path))
    assert [each.subject for each in posetrack.read(tmp_path)] == [
        "000001_a-id004",
        "000001_a-id012",
        "000999_b-id004",
        "000999_b-id012",
    ]


def test_a_broken_sequence_costs_no_other(tmp_path: Path) -> None:
    sequence(tmp_path / "a.json", person(1))
    (tmp_path / "b.json").write_text('{"images": [')
    sequence(tmp_path / "c.json", person(3), person(4, track_id="x"), person(5, track_id=None))
    read = list(posetrack.read(tmp_path))
    assert [each.annotation_id for each in read] == [1, None, 3, 4, 5]
    assert "b.json: not JSON" in read[1].problem
    assert [bool(each.problem) for each in read] == [False, True, False, True, True]
    assert "number as track_id, got x" in read[3].problem


@needs_real
def test_real_people_with_all_limbs_are_read() -> None:
    raw = json.loads(REAL.read_text())["annotations"]
    full = [each["id"] for each in raw if sum(v > 0 for v in each["keypoints"][17::3]) == 12]
    people = list(posetrack.read(REAL))
    assert [each.annotation_id for each in people] == full
    assert len(full) == 3
    last = people[-1]
    assert last.subject == "009473_mpii_test-id001"
    assert last.keypoints_2d[25 + 12, :2].tolist() == [905.657959, 322.6206665]  # the neck
    assert last.keypoints_2d[25 + 6].tolist() == [704, 374, 1]  # the right wrist
    # bbox [656.45, 127.83342511500007, 412.1, 791.4926498699999]
    assert last.box_centre == pytest.approx([862.5, 523.57975])
    assert last.box_scale == pytest.approx(4.7489559)
