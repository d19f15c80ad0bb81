"""CrowdPose: 14 joints in COCO's style."""

import json
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import coco, crowdpose

REAL = Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "crowdpose_sample.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")

NAMES = (
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip "
    "left_knee right_knee left_ankle right_ankle head neck"
)
PLACES = [9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0, 13, 12]
"""Of the 24 joints: shoulders 9 and 8, ..., the top of the head 13, the neck 12."""


def person_file(folder: Path, names: str = NAMES) -> Path:
    keypoints = [value for i in range(14) for value in (10 + i, 50 + i, 1 + i % 2)]
    record = {"id": 8, "image_id": 2, "category_id": 1, "bbox": [10, 50, 13, 13], "iscrowd": 0}
    content = {
        "images": [{"id": 2, "file_name": "2.jpg", "crowdIndex": 0.4}],
        "annotations": [record | {"keypoints": keypoints}],
        "categories": [{"id": 1, "name": "person", "keypoints": names.split()}],
    }
    path = folder / "crowdpose_train.json"
    path.write_text(json.dumps(content))
    return path


def test_joints_have_their_places(tmp_path: Path) -> None:
    path = person_file(tmp_path)
    assert crowdpose.matches(Contents(path))
    assert not coco.matches(Contents(path))
    (person,) = crowdpose.read(path, image_folder="images")
    assert (person.image, person.annotation_id) == ("images/2.jpg", 8)
    expected = np.zeros((49, 3))
    expected[[25 + place for place in PLACES]] = [[10 + i, 50 + i, 1] for i in range(14)]
    assert (person.keypoints_2d == expected).all()


def test_another_order_of_joints_is_refused(tmp_path: Path) -> None:
    path = person_file(tmp_path, NAMES.replace("head neck", "neck head"))
    assert not crowdpose.matches(Contents(path))
    with pytest.raises(ValueError, match=r"head_top, neck; got .*neck, head_top"):
        crowdpose.read(path)


@needs_real
def test_real_people_with_enough_limbs_are_read() -> None:
    raw = json.loads(REAL.read_text())["annotations"]
    limbs = {each["id"]: sum(v > 0 for v in each["keypoints"][2:36:3]) for each in raw}
    found = list(crowdpose.read(REAL))
    assert [each.annotation_id for each in found] == [n for n, count in limbs.items() if count >= 6]
    assert 0 < len(found) < len(raw)


@needs_real
def test_a_real_person_is_upright() -> None:
    person = next(each for each in crowdpose.read(REAL) if each.annotation_id == 129014)
    assert person.keypoints_2d[25 + 13].tolist() == [312, 106, 1]  # the top of the head
    assert person.keypoints_2d[25 + 12].tolist() == [323, 137, 1]  # the neck
    assert person.keypoints_2d[25 + 6].tolist() == [291, 217, 1]  # the right wrist
    # bbox [279.68, 102.17, 81.13, 255.49]
    assert person.box_centre == pytest.approx([320.245, 229.915])
    assert person.box_scale == pytest.approx(1.53294)
