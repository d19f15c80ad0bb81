"""Panoptic Studio, from pickles of made-up numbers."""

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import panoptic

ROWS_OF_24 = {
    0: 14, 1: 13, 2: 12, 3: 6, 4: 7, 5: 8, 6: 11, 7: 10, 8: 9, 9: 3, 10: 4, 11: 5, 14: 2, 12: 0,
    19: 1, 20: 15, 22: 16, 21: 17, 23: 18,
}  # fmt: skip
"""24-index -> row of the 19, as the facts list them side by side."""
BODY = np.stack([5.0 * np.arange(19), -4.0 * np.arange(19), np.zeros(19)], axis=-1)
"""Row r at (5 r, -4 r, 0) cm."""
LENS = np.array([-0.2, 0.1, 0.003, -0.002, 0.05])


def camera(**changed: Any) -> dict[str, Any]:
    """Four metres before the studio's origin, without distortion."""
    plain = {
        "K": np.array([[1000.0, 0.0, 960.0], [0.0, 1000.0, 540.0], [0.0, 0.0, 1.0]]),
        "R": np.eye(3),
        "t": np.array([[0.0], [0.0], [400.0]]),
        "distCoef": np.zeros(5),
    }
    return plain | changed


def person(**changed: Any) -> dict[str, Any]:
    hand = {"landmarks": (np.ones((21, 3)) * [10.0, 20.0, 0.0]).reshape(-1).tolist()}
    plain = {
        "seqName": "171204_pose1",
        "frame_str": "00001234",
        "body": {"landmarks": BODY.reshape(-1).tolist()},
        "left_hand": hand,
        "right_hand": hand,
    }
    return {key: value for key, value in (plain | changed).items() if value is not None}


def save(
    folder: Path, people: list[Any], cameras: dict[int, Any] | None = None, split: str = "training"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotation.pkl"
    path.write_bytes(pickle.dumps({f"{split}_data": people}, protocol=2))
    studio = {"171204_pose1": cameras or {0: camera()}}
    (folder / "camera_data.pkl").write_bytes(pickle.dumps(studio, protocol=2))
    return path


def test_joints_land_where_the_facts_say(tmp_path: Path) -> None:
    save(tmp_path, [person()])
    (sample,) = panoptic.read(tmp_path, cameras=(0,))
    assert sample.image == "hdImgs/171204_pose1/00001234/00_00_00001234.jpg"
    assert sample.subject == "171204_pose1"
    assert sample.joints_3d is not None
    for target, row in ROWS_OF_24.items():
        # 1000 px at 400 cm: 2.5 px a cm
        expected = [960 + 12.5 * row, 540 - 10.0 * row, 1.0]
        assert sample.keypoints_2d[25 + target] == pytest.approx(expected, abs=1e-9), target
        metres = [0.05 * row, -0.04 * row, 4.0, 1.0]
        # float64
        assert sample.joints_3d[target] == pytest.approx(metres, abs=1e-12), target
    assert not sample.joints_3d[[13, 15, 16, 17, 18]].any()
    assert sample.intrinsics is not None
    assert sample.intrinsics.tolist() == camera()["K"].tolist()
    # x 960..1185, y 360..540
    assert sample.box_centre == pytest.approx([1072.5, 450.0])
    assert sample.box_size == pytest.approx(1.2 * 225)


def test_hands_are_kept_in_pixels_and_metres(tmp_path: Path) -> None:
    save(tmp_path, [person()])
    (sample,) = panoptic.read(tmp_path, cameras=(0,))
    assert sorted(sample.extra) == ["lhand_2d", "lhand_3d", "rhand_2d", "rhand_3d"]
    assert sample.extra["lhand_2d"].shape == (21, 3)
    assert sample.extra["lhand_2d"][20].tolist() == [985.0, 590.0, 1.0]
    assert sample.extra["rhand_3d"][0] == pytest.approx([0.1, 0.2, 4.0, 1.0], abs=1e-12)


def test_the_lens_bends_as_opencv_has_it() -> None:
    points = np.array([[0.5, -0.8, 2.0], [-1.2, 0.4, 2.5], [0.0, 0.0, 3.0], [1.0, 1.0, 2.0]])
    matrix = np.array([[1400.0, 2.0, 950.0], [0.0, 1390.0, 530.0], [0.0, 0.0, 1.0]])
    straight = matrix.copy()
    straight[0, 1] = 0.0  # OpenCV's camera has no skew
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), straight, LENS)
    ours = panoptic.project(points, straight, LENS)
    # the same formula in float64
    assert ours == pytest.approx(expected[:, 0], abs=1e-9)
    skewed = panoptic.project(points, matrix, np.zeros(5))
    assert skewed[0] == pytest.approx([1400 * 0.25 + 2 * -0.4 + 950, 1390 * -0.4 + 530])


def test_the_tangential_term_is_of_x_times_y() -> None:
    point = np.array([[0.5, 0.4, 1.0]])
    bent = panoptic.project(point, np.eye(3), np.array([0.0, 0.0, 0.01, 0.0, 0.0]))
    # x + 2 p1 x y = .5 + .02 * .2; y + p1 (r2 + 2 y^2) = .4 + .01 (.41 + .32)
    assert bent[0] == pytest.approx([0.504, 0.4073], abs=1e-12)


def test_a_turned_camera(tmp_path: Path) -> None:
    left = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    save(tmp_path, [person()], {3: camera(R=left)})
    (sample,) = panoptic.read(tmp_path, cameras=(3,))
    # row 14 at (70, -56, 0) cm comes to (0, -56, 330)
    assert sample.joints_3d is not None
    assert sample.joints_3d[0] == pytest.approx([0.0, -0.56, 3.3, 1.0], abs=1e-12)
    assert sample.keypoints_2d[25] == pytest.approx([960.0, 540 - 56000 / 330, 1.0], abs=1e-9)


def test_the_published_cameras(tmp_path: Path) -> None:
    save(tmp_path, [person()], {number: camera() for number in range(31)})
    names = [sample.image for sample in panoptic.read(tmp_path)]
    cameras = [int(name.split("/")[-1][3:5]) for name in names]
    assert cameras == [
        0,
        3,
        5,
        8,
        9,
        10,
        11,
        12,
        14,
        15,
        16,
        18,
        20,
        21,
        22,
        23,
        24,
        25,
        26,
        27,
        29,
    ]


def test_boxes_end_at_the_edge_of_the_picture(tmp_path: Path) -> None:
    save(tmp_path, [person()], {0: camera(t=np.array([300.0, 0.0, 400.0]))})
    (sample,) = panoptic.read(tmp_path, cameras=(0,))
    # joints from x 1710 to 1935, of which 1920 are in the picture; y 360..540
    assert sample.box_centre == pytest.approx([1815.0, 450.0])
    assert sample.box_size == pytest.approx(1.2 * 210)
    assert sample.keypoints_2d[25 + 23].tolist() == [1935.0, 360.0, 1.0]


def test_people_behind_a_camera_or_beside_its_picture_are_left_out(tmp_path: Path) -> None:
    behind, beside = (
        camera(R=np.diag([-1.0, 1.0, -1.0]), t=np.array([0.0, 0.0, -400.0])),
        camera(t=np.array([400.0, 0.0, 400.0])),
    )
    save(tmp_path, [person()], {0: behind, 3: beside, 5: camera()})
    (sample,) = panoptic.read(tmp_path, cameras=(0, 3, 5))
    assert "/00_05_" in sample.image


def test_people_with_one_hand_only_on_demand(tmp_path: Path) -> None:
    save(tmp_path, [person(left_hand=None)])
    assert list(panoptic.read(tmp_path, cameras=(0,))) == []
    (sample,) = panoptic.read(tmp_path, cameras=(0,), hands="any")
    assert sorted(sample.extra) == ["rhand_2d", "rhand_3d"]


def test_the_test_part_and_the_folder_of_annotations(tmp_path: Path) -> None:
    save(tmp_path / "annotation", [person()], split="testing")
    assert len(list(panoptic.read(tmp_path, split="test", cameras=(0,)))) == 1
    with pytest.raises(ValueError, match="expected a list training_data"):
        panoptic.read(tmp_path)


def test_broken_people_do_not_cost_the_rest(tmp_path: Path) -> None:
    short = {"landmarks": [1.0, 2.0, 3.0]}
    holes = {"landmarks": [float("nan")] * 57}
    people = [person(body=short), person(body=None), "nobody", person(body=holes), person()]
    save(tmp_path, people)
    problems = [sample.problem for sample in panoptic.read(tmp_path, cameras=(0,))]
    assert problems[0] == "broken annotation: expected (57,) numbers as body landmarks, got (3,)"
    assert problems[1] == "broken annotation: KeyError: 'body'"
    assert problems[2].startswith("broken annotation: TypeError: string indices must be integers")
    assert problems[3] == "broken annotation: body landmarks are not all finite"
    assert problems[4] == ""


def test_a_camera_that_the_studio_lacks_is_a_problem(tmp_path: Path) -> None:
    save(tmp_path, [person()])
    (sample,) = panoptic.read(tmp_path, cameras=(9,))
    assert sample.problem == "broken annotation: KeyError: 9"
    assert sample.image.endswith("00_09_00001234.jpg")


def test_only_its_own_files_match(tmp_path: Path) -> None:
    assert not panoptic.matches(Contents(tmp_path))
    path = save(tmp_path, [person()])
    assert panoptic.matches(Contents(tmp_path))
    assert panoptic.matches(Contents(path))
    (tmp_path / "camera_data.pkl").unlink()
    assert not panoptic.matches(Contents(path))
    with pytest.raises(ValueError, match=r"expected annotation\.pkl with camera_data\.pkl beside"):
        panoptic.read(tmp_path)
