"""Keypoint files of every format: tiny literal records, the real ones, and wrong ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.detect.keypoint_files import Keypoints, read_keypoints, to_joints49
from exemplar.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    GT_24,
    OPENPOSE_18,
    OPENPOSE_25,
    SMPL_49,
)

PHOTOS = Path(__file__).parents[3] / "shared" / "photos"
needs_photos = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason="the sample annotations are not part of the repository"
)


def numbers(count: int, confidence: float = 1.0) -> list[float]:
    """x, y, confidence of `count` joints at (10, 20), (11, 21), ..."""
    return [value for i in range(count) for value in (10.0 + i, 20.0 + i, confidence)]


def written(folder: Path, data: Any, name: str = "keypoints.json") -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "keypoints.npz"
    np.savez(path, **arrays)
    return path


def coco(*names: str) -> dict[str, Any]:
    """A COCO dataset with one person on each image, named by its index."""
    return {
        "images": [
            {"id": 7 + i, "file_name": name, "width": 64, "height": 48}
            for i, name in enumerate(names)
        ],
        "annotations": [
            {"id": i, "image_id": 7 + i, "category_id": 1, "keypoints": numbers(17, 2),
             "bbox": [1, 2, 30, 40]}
            for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17)}],
    }  # fmt: skip


@pytest.mark.parametrize(("count", "names"), [(25, OPENPOSE_25), (18, OPENPOSE_18)])
def test_openpose_people_are_read_in_order(
    tmp_path: Path, count: int, names: tuple[str, ...]
) -> None:
    people = [
        {"person_id": [-1], "pose_keypoints_2d": numbers(count, 0.5)},
        {"person_id": [3], "pose_keypoints_2d": numbers(count, 0.25)},
    ]
    first, second = read_keypoints(written(tmp_path, {"version": 1.3, "people": people}))
    assert first.names == names
    assert first.points[2].tolist() == [12.0, 22.0, 0.5]
    assert (first.id, second.id) == (None, 3)
    assert second.points[0, 2] == 0.25


def test_an_empty_openpose_file_is_no_people(tmp_path: Path) -> None:
    assert read_keypoints(written(tmp_path, {"people": []})) == []


def test_people_without_keypoints_are_left_out(tmp_path: Path) -> None:
    people = [{"pose_keypoints_2d": numbers(25, 0)}, {"pose_keypoints_2d": numbers(25)},
              {"pose_keypoints_2d": []}]  # fmt: skip
    assert len(read_keypoints(written(tmp_path, {"people": people}))) == 1


def test_openpose_goes_to_the_49_joints_by_name(tmp_path: Path) -> None:
    people = [{"pose_keypoints_2d": numbers(25)}]
    (person,) = read_keypoints(written(tmp_path, {"people": people}))
    joints = dict(zip(SMPL_49, to_joints49(person), strict=True))
    for name, target in [("right_wrist", "right_wrist"), ("neck", "op_neck"),
                         ("left_heel", "op_left_heel"), ("mid_hip", "op_mid_hip")]:  # fmt: skip
        assert joints[target].tolist() == person.points[OPENPOSE_25.index(name)].tolist()
    assert joints["neck"].tolist() == [0, 0, 0]


def test_the_neck_of_openpose_18_is_not_the_annotated_neck() -> None:
    points = np.array(numbers(18)).reshape(-1, 3)
    joints = dict(zip(SMPL_49, to_joints49(Keypoints(OPENPOSE_18, points)), strict=True))
    assert joints["op_neck"].tolist() == [11.0, 21.0, 1.0]
    assert joints["neck"][2] == 0


def test_a_coco_image_is_picked_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, coco("a.jpg", "b.jpg"))
    (person,) = read_keypoints(path, image_name="b.jpg")
    assert person.id == 1
    assert person.names == COCO_17
    assert person.box == (1.0, 2.0, 30.0, 40.0)
    assert (person.points[:, 2] == 1).all()
    assert read_keypoints(path, image_name="/photos/b.jpg")[0].id == 1


def test_a_name_with_folders_picks_by_as_many_folders(tmp_path: Path) -> None:
    path = written(tmp_path, coco("one/0.jpg", "two/0.jpg"))
    assert read_keypoints(path, image_name="/data/two/0.jpg")[0].id == 1
    with pytest.raises(ValueError, match="may mean any of 2 images"):
        read_keypoints(path, image_name="0.jpg")


def test_a_dataset_of_one_image_needs_no_name(tmp_path: Path) -> None:
    assert len(read_keypoints(written(tmp_path, coco("a.jpg")), image_size=(64, 48))) == 1


def test_an_image_without_people_gives_none(tmp_path: Path) -> None:
    data = coco("a.jpg")
    data["annotations"] = []
    assert read_keypoints(written(tmp_path, data)) == []


def test_visibility_becomes_confidence(tmp_path: Path) -> None:
    values = numbers(17, 2)
    values[2], values[5] = 0, 1
    (person,) = read_keypoints(written(tmp_path, {"keypoints": values}))
    assert person.points[:3, 2].tolist() == [0.0, 1.0, 1.0]
    assert to_joints49(person)[SMPL_49.index("nose")].tolist() == [0, 0, 0]


def test_scores_are_kept_and_peaks_over_one_are_one(tmp_path: Path) -> None:
    values = numbers(17, 0.7)
    values[2] = 1.04
    (person,) = read_keypoints(written(tmp_path, [{"keypoints": values, "score": 0.9}]))
    assert person.points[:2, 2].tolist() == [1.0, 0.7]


def test_results_are_matched_by_the_number_in_the_name(tmp_path: Path) -> None:
    results = [{"image_id": i, "keypoints": numbers(17), "id": i} for i in (785, 42)]
    path = written(tmp_path, results)
    assert [one.id for one in read_keypoints(path, image_name="000000000785.jpg")] == [785]
    with pytest.raises(ValueError, match=r"no annotation for image 'x.jpg', only 785, 42"):
        read_keypoints(path, image_name="x.jpg")


def test_categories_name_unusual_joints(tmp_path: Path) -> None:
    data = coco("a.jpg")
    data["categories"][0]["keypoints"] = ["left_knee", "right_knee"]
    data["annotations"][0]["keypoints"] = [1, 2, 2, 3, 4, 1]
    (person,) = read_keypoints(written(tmp_path, data))
    assert to_joints49(person)[SMPL_49.index("right_knee")].tolist() == [3, 4, 1]


@pytest.mark.parametrize(
    "names", [COCO_17, GT_24, OPENPOSE_25, BLAZEPOSE_33, SMPL_49], ids=lambda names: len(names)
)
def test_npz_arrays_tell_their_joints_by_their_number(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    points = np.array(numbers(len(names))).reshape(1, -1, 3).astype(np.float32)
    (person,) = read_keypoints(saved(tmp_path, keypoints=points))
    assert person.names == names
    assert person.points.dtype == np.float64
    assert np.array_equal(person.points, points[0])


def test_the_49_joints_stay_where_they_are(tmp_path: Path) -> None:
    points = np.array(numbers(49)).reshape(49, 3)
    (person,) = read_keypoints(saved(tmp_path, keypoints=points))
    assert np.array_equal(to_joints49(person), points)


def test_npz_names_are_used(tmp_path: Path) -> None:
    points = np.array(numbers(2)).reshape(2, 3)
    path = saved(tmp_path, keypoints=points, names=["left_hip", "left_knee"])
    (person,) = read_keypoints(path)
    assert to_joints49(person)[SMPL_49.index("left_knee")].tolist() == [11, 21, 1]


def with_value(position: int, value: float) -> dict[str, Any]:
    values = numbers(17)
    values[position] = value
    return {"keypoints": values}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("hello", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"people": [{"pose_keypoints_2d": numbers(24)}]}, "72 numbers, expected 75"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "2 keypoint numbers"),
        ({"people": [{"face": []}]}, "no 'pose_keypoints_2d'"),
        ({"people": 3}, "list of records"),
        ({"people": [{"pose_keypoints_2d": ["a", 1, 2]}]}, "list of numbers"),
        ({"keypoints": numbers(19)}, "unknown joint set of 19"),
        ({"keypoints": None}, "expected"),
        (with_value(0, float("nan")), "keypoint 0 is"),
        (with_value(4, float("inf")), "keypoint 1 is"),
        (with_value(2, -0.5), "confidence is -0.5"),
        (with_value(2, 11.0), "confidence is 11"),
        ({"keypoints": numbers(17, 0)}, "every keypoint has confidence 0"),
        ({"keypoints": numbers(17), "bbox": [1, 2]}, "bbox"),
        ([{"joints": []}], "no 'keypoints', only joints"),
        ({"something": 1}, "expected OpenPose's"),
        (3, "expected OpenPose's"),
        ([1, 2], "list of records"),
        (coco("a.jpg", "b.jpg", "c.jpg", "d.jpg"), "4 images.*a.jpg, b.jpg, c.jpg and 1 more"),
    ],
)
def test_wrong_json_is_refused_in_one_line_with_its_name(
    tmp_path: Path, data: Any, says: str
) -> None:
    path = written(tmp_path, data)
    with pytest.raises(ValueError, match=says) as caught:
        read_keypoints(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"points": np.zeros((17, 3))}, "no array 'keypoints', only points"),
        ({"keypoints": np.zeros((17, 2))}, r"\(17, 2\), expected \(K, 3\)"),
        ({"keypoints": np.full((17, 3), "a")}, "numbers"),
        ({"keypoints": np.zeros(3)}, "expected"),
        ({"keypoints": np.ones((19, 3))}, "unknown joint set of 19"),
        ({"keypoints": np.ones((2, 3)), "names": ["left_hip"]}, "1 names for 2 keypoints"),
        ({"keypoints": np.ones((2, 3)), "names": ["tail", "wing"]}, "unknown joint set tail, wing"),
        ({"keypoints": np.full((17, 3), np.nan)}, "finite"),
        ({"keypoints": np.array([{"a": 1}], dtype=object)}, "keypoints are object"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_keypoints(saved(tmp_path, **arrays))


def test_a_name_that_the_file_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image 'z.jpg', only a.jpg, b.jpg"):
        read_keypoints(written(tmp_path, coco("a.jpg", "b.jpg")), image_name="z.jpg")


def test_another_image_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64 x 48 px, the photo has 640 x 480"):
        read_keypoints(written(tmp_path, coco("a.jpg")), image_size=(640, 480))


def test_missing_files_folders_and_broken_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.json"):
        read_keypoints(tmp_path / "none.json")
    with pytest.raises(ValueError, match="is a folder"):
        read_keypoints(tmp_path)
    with pytest.raises(ValueError, match=r"not a readable .npz"):
        read_keypoints(written(tmp_path, "hello", "a.npz"))
    (tmp_path / "binary.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not JSON"):
        read_keypoints(tmp_path / "binary.json")


@needs_photos
def test_the_coco_photo_has_one_whole_person() -> None:
    path = PHOTOS / "coco_785.json"
    (person,) = read_keypoints(path, image_name="000000000785.jpg", image_size=(640, 425))
    joints = dict(zip(SMPL_49, to_joints49(person), strict=True))
    assert joints["left_ankle"].tolist() == [466.0, 362.0, 1.0]
    assert sum(joint[2] > 0 for joint in joints.values()) == 17


@needs_photos
@pytest.mark.parametrize("dataset", ["coco_val2017", "coco_wholebody", "crowdpose", "ochuman",
                                     "posetrack18"])  # fmt: skip
def test_every_image_of_the_public_datasets_is_read(dataset: str) -> None:
    path = PHOTOS / "annotations" / f"{dataset}_sample.json"
    for image in json.loads(path.read_text())["images"]:
        people = read_keypoints(path, image_name=image["file_name"])
        assert people
        assert all((to_joints49(person)[:, 2] > 0).sum() >= 5 for person in people)
