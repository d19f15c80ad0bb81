"""The people of one photo in any keypoint file: which image, which joints, wrong files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data import people_files
from exemplar.data.people_files import KeypointFile, people_of_photo
from exemplar.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    GT_24,
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
    path.parent.mkdir(parents=True, exist_ok=True)
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


def results(*images: object) -> list[dict[str, Any]]:
    """COCO results: person i, of image i, has its nose at (i, 20)."""
    return [
        {"image_id": image, "category_id": 1, "keypoints": [i, 20.0, 1.0, *numbers(16)]}
        for i, image in enumerate(images, start=1)
    ]


def joint(person: Any, name: str) -> list[float]:
    return person.keypoints_2d[SMPL_49.index(name)].tolist()


def test_openpose_people_are_read_in_order(tmp_path: Path) -> None:
    people = [
        {"person_id": [-1], "pose_keypoints_2d": numbers(25, 0.5)},
        {"person_id": [3], "pose_keypoints_2d": numbers(25, 0.4)},
    ]
    first, second = people_of_photo(written(tmp_path, {"people": people}), image="p.jpg")
    assert joint(first, "right_shoulder") == [12.0, 22.0, 0.5]
    assert (first.subject, second.subject) == ("", "3")
    assert joint(second, "op_neck") == [11.0, 21.0, pytest.approx(0.4)]
    assert joint(second, "neck") == [0, 0, 0]


def test_people_without_keypoints_are_left_out(tmp_path: Path) -> None:
    people = [{"pose_keypoints_2d": numbers(25, 0)}, {"pose_keypoints_2d": numbers(25)},
              {"pose_keypoints_2d": []}]  # fmt: skip
    assert len(people_of_photo(written(tmp_path, {"people": people}))) == 1


def test_a_coco_image_is_picked_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, coco("a.jpg", "b.jpg"))
    (person,) = people_of_photo(path, image="b.jpg")
    assert person.annotation_id == 1
    assert set(person.keypoints_2d[:, 2].tolist()) == {0, 1}
    assert people_of_photo(path, image="/photos/b.jpg")[0].annotation_id == 1


def test_a_name_with_folders_picks_by_as_many_folders(tmp_path: Path) -> None:
    path = written(tmp_path, coco("one/0.jpg", "two/0.jpg"))
    assert people_of_photo(path, image="/data/two/0.jpg")[0].annotation_id == 1
    with pytest.raises(ValueError, match="may mean any of 2 images"):
        people_of_photo(path, image="0.jpg")


def test_a_dataset_of_one_image_needs_no_name(tmp_path: Path) -> None:
    assert len(people_of_photo(written(tmp_path, coco("a.jpg")), size=(64, 48))) == 1


def test_few_joints_are_enough_but_crowds_are_nobody(tmp_path: Path) -> None:
    data = coco("a.jpg", "b.jpg")
    data["annotations"][0]["keypoints"][9:] = [0] * 42
    data["annotations"][1]["iscrowd"] = 1
    path = written(tmp_path, data)
    assert (people_of_photo(path, image="a.jpg")[0].keypoints_2d[:, 2] > 0).sum() == 3
    message = r"nobody with keypoints in image .b.jpg. .*, only in a.jpg: give"
    with pytest.raises(ValueError, match=message):
        people_of_photo(path, image="b.jpg")
    crowd = written(tmp_path, [{**results("a.jpg")[0], "iscrowd": 1}])
    with pytest.raises(ValueError, match="nobody with keypoints"):
        people_of_photo(crowd, image="a.jpg")


def test_results_are_matched_by_name_and_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, results(785, 42))
    assert [joint(one, "nose")[0] for one in people_of_photo(path, image="000000000785.jpg")] == [1]
    with pytest.raises(ValueError, match=r"image 'x.jpg' .*, only in 000000000785.jpg, 0000000"):
        people_of_photo(path, image="x.jpg")
    path = written(tmp_path, results("b.png", "cam/a.jpg"))
    assert joint(people_of_photo(path, image="photos/cam/a.jpg")[0], "nose")[0] == 2
    assert joint(people_of_photo(path, image="b.jpg")[0], "nose")[0] == 1


def test_a_file_of_one_photo_that_it_does_not_name_is_of_any(tmp_path: Path) -> None:
    for data in ({"people": [{"pose_keypoints_2d": numbers(25)}]}, {"keypoints": numbers(17)}):
        path = written(tmp_path, data)
        assert people_of_photo(path, image="p.jpg")[0].image == "p.jpg"
        assert len(people_of_photo(path)) == 1
        assert not KeypointFile(path).says_image()
    assert KeypointFile(written(tmp_path, results("a.jpg"))).says_image()
    assert KeypointFile(written(tmp_path, coco("a.jpg"))).says_image()


def test_a_folder_has_a_file_for_each_photo(tmp_path: Path) -> None:
    for i, name in enumerate(("cam/0001", "cam/0002"), start=1):
        values = [float(i), 5.0, 1.0, *numbers(24)]
        written(tmp_path, {"people": [{"pose_keypoints_2d": values}]}, f"op/{name}_keypoints.json")
    assert KeypointFile(tmp_path / "op").says_image()
    for i, photo in enumerate(("cam/0001.jpg", "cam/0002.png"), start=1):
        (person,) = people_of_photo(tmp_path / "op", image=tmp_path / photo)
        assert joint(person, "nose")[0] == i
    with pytest.raises(ValueError, match=r"nobody with keypoints in image '3.jpg'"):
        people_of_photo(tmp_path / "op", image="3.jpg")


def test_joints_may_be_named_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path, {"people": [{"pose_keypoints_2d": numbers(25)}]})
    (person,) = people_of_photo(path, joints="openpose25b")
    assert joint(person, "left_shoulder")[0] == 15
    assert joint(person, "head_top")[0] == 28
    with pytest.raises(ValueError, match=r"^unknown joint set 'openpose', expected one of c"):
        people_of_photo(path, joints="openpose")
    with pytest.raises(ValueError, match=r"coco, which names its joints itself"):
        people_of_photo(written(tmp_path, coco("a.jpg")), joints="halpe26")


@pytest.mark.parametrize(
    "names", [COCO_17, GT_24, OPENPOSE_25, BLAZEPOSE_33, SMPL_49], ids=lambda names: len(names)
)
def test_npz_arrays_tell_their_joints_by_their_number(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    points = np.array(numbers(len(names))).reshape(1, -1, 3).astype(np.float32)
    (person,) = people_of_photo(saved(tmp_path, keypoints=points))
    wanted = names.index("op_left_knee" if names == SMPL_49 else "left_knee")
    target = "op_left_knee" if names == SMPL_49 else "left_knee"
    assert joint(person, target) == points[0, wanted].tolist()


def test_the_49_joints_stay_where_they_are(tmp_path: Path) -> None:
    points = np.array(numbers(49)).reshape(49, 3)
    (person,) = people_of_photo(saved(tmp_path, keypoints=points))
    assert np.array_equal(person.keypoints_2d, points)
    (person,) = people_of_photo(saved(tmp_path, keypoints=points, names=SMPL_49))
    assert np.array_equal(person.keypoints_2d, points)


def test_npz_names_images_and_scores_are_used(tmp_path: Path) -> None:
    points = np.array(numbers(2)).reshape(1, 2, 3)
    names = ["LHip", "left knee"]
    (person,) = people_of_photo(saved(tmp_path, keypoints=points, names=names))
    assert joint(person, "left_knee") == [11, 21, 1]
    path = saved(
        tmp_path,
        keypoints=np.concatenate([points, points + 5])[..., :2],
        scores=np.full((2, 2), 0.5),
        names=names,
        imgname=np.array(["a.jpg", "b.jpg"]),
    )
    (person,) = people_of_photo(path, image="b.jpg")
    assert joint(person, "left_hip") == [15, 25, 0.5]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("hello", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[" * 900 + "]" * 900, "none of the known formats"),
        ({"people": []}, "nobody with keypoints"),
        ({"people": 3}, "none of the known formats"),
        ({"something": 1}, "none of the known formats"),
        (3, "none of the known formats"),
        ([1, 2], "none of the known formats"),
        ({"keypoints": numbers(17, 0)}, "nobody with keypoints"),
        (results(1, 2, 3, 4), "4 images, expected the name of one: .* and 1 more"),
    ],
)
def test_wrong_json_is_refused_in_one_line_with_its_name(
    tmp_path: Path, data: Any, says: str
) -> None:
    path = written(tmp_path, data)
    with pytest.raises(ValueError, match=says) as caught:
        people_of_photo(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"points": np.zeros((17, 3))}, "none of the known formats"),
        ({"keypoints": np.zeros((17, 4))}, r"\(17, 4\), expected \(K, 3\)"),
        ({"keypoints": np.full((17, 3), "a")}, "numbers"),
        ({"keypoints": np.zeros(3)}, "expected"),
        ({"keypoints": np.ones((2, 3)), "names": ["left_hip"]}, "1 names for 2 keypoints"),
        ({"keypoints": np.full((17, 3), np.nan)}, "nobody with keypoints"),
        ({"keypoints": np.array([{"a": 1}], dtype=object)}, "keypoints are object"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        people_of_photo(saved(tmp_path, **arrays))


def test_another_image_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64 x 48 px, the photo has 640 x 480"):
        people_of_photo(written(tmp_path, coco("a.jpg")), size=(640, 480))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.json"):
        people_of_photo(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="there is nothing in this folder"):
        people_of_photo(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="this folder is of none"):
        people_of_photo(tmp_path)


@needs_photos
def test_the_coco_photo_has_one_whole_person() -> None:
    path = PHOTOS / "coco_785.json"
    (person,) = people_of_photo(path, image="000000000785.jpg", size=(640, 425))
    assert joint(person, "left_ankle") == [466.0, 362.0, 1.0]
    assert (person.keypoints_2d[:, 2] > 0).sum() == 17


@needs_photos
@pytest.mark.parametrize("dataset", ["coco_val2017", "coco_wholebody", "crowdpose", "ochuman",
                                     "posetrack18"])  # fmt: skip
def test_every_image_of_the_public_datasets_is_read(dataset: str) -> None:
    path = PHOTOS / "annotations" / f"{dataset}_sample.json"
    for image in json.loads(path.read_text())["images"]:
        people = people_of_photo(path, image=image["file_name"])
        assert all((person.keypoints_2d[:, 2] > 0).sum() >= 5 for person in people)


def test_a_file_is_parsed_once_for_all_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = people_files.read
    monkeypatch.setattr(people_files, "read", lambda *a, **k: read.append(k) or real(*a, **k))
    file = KeypointFile(written(tmp_path, results(1, 2, 3)))
    assert file.says_image()
    for number, size in ((1, (640, 480)), (2, (640, 480)), (3, (480, 640))):
        (person,) = file.people(f"photos/{number:012}.jpg", size)
        assert not person.problem
    assert len(read) == 1


def test_a_file_of_fractions_is_read_again_for_each_size_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = people_files.read
    monkeypatch.setattr(people_files, "read", lambda *a, **k: read.append(k) or real(*a, **k))
    points = [value for _ in range(25) for value in (0.5, 0.25, 1.0)]
    for name in ("a", "b"):
        data = {"people": [{"pose_keypoints_2d": points}]}
        written(tmp_path, data, f"{name}_keypoints.json")
    file = KeypointFile(tmp_path)
    assert file.says_image()
    for name, size in (("a", (100, 80)), ("b", (100, 80)), ("a", (200, 80))):
        (person,) = file.people(f"{name}.jpg", size)
        assert joint(person, "nose")[0] == size[0] / 2
    assert len(read) == 3
