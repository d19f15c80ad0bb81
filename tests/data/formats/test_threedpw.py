"""3DPW, from pickles of made-up numbers in its layout."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import threedpw

ROWS_OF_24 = {
    0: 10, 1: 9, 2: 8, 3: 11, 4: 12, 5: 13, 6: 4, 7: 3, 8: 2, 9: 5, 10: 6, 11: 7, 19: 0, 20: 15,
    21: 14, 22: 17, 23: 16,
}  # fmt: skip
"""24-index -> row of OpenPose's 18, as the facts list them side by side."""
QUARTER_ABOUT_X = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
QUARTER_ABOUT_Z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def keypoints(frames: int) -> np.ndarray:
    """Row r at (300 + 10 r, 500 + 20 r) with confidence 0.9: (frames, 3, 18)."""
    row = np.arange(18.0)
    return np.stack([np.stack([300 + 10 * row, 500 + 20 * row, np.full(18, 0.9)])] * frames)


def content(frames: int = 2, people: int = 1, **changed: Any) -> dict[str, Any]:
    """The root is turned a quarter about z, the camera a quarter about x."""
    poses = np.zeros((frames, 72))
    poses[:, 2] = np.pi / 2
    joints = np.zeros((frames, 72))
    joints[:, :3] = [1.0, 2.0, 3.0]
    to_camera = np.eye(4)
    to_camera[:3, :3] = QUARTER_ABOUT_X
    to_camera[:3, 3] = [0.5, 0.25, 4.0]
    plain = {
        "sequence": "downtown_walk_00",
        "poses": [poses] * people,
        "trans": [np.tile([1.0, 2.25, 2.875], (frames, 1))] * people,
        "jointPositions": [joints] * people,
        "betas": [np.arange(12.0)] * people,
        "genders": ["m", "f"][:people],
        "campose_valid": [np.ones(frames, dtype=int)] * people,
        "poses2d": [keypoints(frames)] * people,
        "cam_poses": np.stack([to_camera] * frames),
        "cam_intrinsics": np.array([[1960.0, 0.0, 540.0], [0.0, 1960.0, 960.0], [0.0, 0.0, 1.0]]),
    }
    return {key: value for key, value in (plain | changed).items() if value is not None}


def save(root: Path, data: object, split: str = "test", name: str = "downtown_walk_00") -> Path:
    folder = root / "sequenceFiles" / split
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pkl"
    path.write_bytes(pickle.dumps(data, protocol=2))
    return path


def test_joints_land_where_the_facts_say(tmp_path: Path) -> None:
    points = keypoints(1)
    points[0, 2, 10] = 0.3  # not above the threshold: 24-index 0
    save(tmp_path, content(1, poses2d=[points]))
    (sample,) = threedpw.read(tmp_path)
    assert sample.image == "imageFiles/downtown_walk_00/image_00000.jpg"
    assert sample.subject == "downtown_walk_00-id000"
    for target, row in ROWS_OF_24.items():
        seen = [300.0 + 10 * row, 500.0 + 20 * row, 1.0] if target else [0.0, 0.0, 0.0]
        assert sample.keypoints_2d[25 + target].tolist() == seen, target
    known = [i for i in range(49) if sample.keypoints_2d[i, 2]]
    assert known == [1, *(25 + target for target in sorted(ROWS_OF_24) if target)]
    assert sample.keypoints_2d[1].tolist() == [310.0, 520.0, 1.0]
    # the box has the uncertain ankle, too: x 300..470, y 500..840
    assert sample.box_centre.tolist() == [385.0, 670.0]
    assert sample.box_size == pytest.approx(1.2 * 340)
    assert sample.intrinsics is not None
    assert sample.intrinsics[0].tolist() == [1960.0, 0.0, 540.0]


def test_the_body_is_in_the_camera(tmp_path: Path) -> None:
    save(tmp_path, content(1))
    (sample,) = threedpw.read(tmp_path)
    body = sample.body
    assert body is not None
    assert body.gender == "male"
    assert body.betas.tolist() == list(range(10))
    # Rodrigues' formula and products in float64
    assert body.pose[0] == pytest.approx(
        np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), abs=1e-12
    )
    assert body.pose[1:] == pytest.approx(np.stack([np.eye(3)] * 23), abs=1e-12)
    # the pelvis (1, 2, 3) comes to (1.5, -2.75, 6); at rest it is at (0, -.25, .125)
    assert body.translation == pytest.approx([1.5, -2.5, 5.875], abs=1e-12)


def test_a_point_of_the_body_comes_to_the_same_place_either_way(tmp_path: Path) -> None:
    """In the world and then through the camera, or with the parameters that we give."""
    save(tmp_path, content(1))
    (sample,) = threedpw.read(tmp_path)
    assert sample.body is not None
    assert sample.body.translation is not None
    pelvis, hand = np.array([0.0, -0.25, 0.125]), np.array([0.6, 0.3, -0.1])
    in_world = QUARTER_ABOUT_Z @ (hand - pelvis) + pelvis + np.array([1.0, 2.25, 2.875])
    expected = QUARTER_ABOUT_X @ in_world + np.array([0.5, 0.25, 4.0])
    ours = sample.body.pose[0] @ (hand - pelvis) + pelvis + sample.body.translation
    # float64
    assert ours == pytest.approx(expected, abs=1e-12)


def test_without_joints_there_is_no_translation(tmp_path: Path) -> None:
    save(tmp_path, content(1, jointPositions=None))
    (sample,) = threedpw.read(tmp_path)
    assert sample.body is not None
    assert sample.body.translation is None


def test_people_and_valid_frames_in_order(tmp_path: Path) -> None:
    valid = [np.array([1, 0, 1]), np.array([0, 1, 0])]
    save(tmp_path, content(3, 2, campose_valid=valid))
    found = [(sample.subject[-5:], sample.image[-9:-4]) for sample in threedpw.read(tmp_path)]
    assert found == [("id000", "00000"), ("id000", "00002"), ("id001", "00001")]
    genders = [sample.body.gender for sample in threedpw.read(tmp_path) if sample.body is not None]
    assert genders == ["male", "male", "female"]


@pytest.mark.parametrize(("seen", "count"), [(6, 0), (7, 1)])
def test_vibes_rule_wants_more_than_six_limb_keypoints(
    tmp_path: Path, seen: int, count: int
) -> None:
    limbs = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    points = keypoints(1)
    points[0, 2, limbs[seen:]] = 0.3
    save(tmp_path, content(1, poses2d=[points]))
    assert len(list(threedpw.read(tmp_path))) == count
    assert len(list(threedpw.read(tmp_path, rule="all"))) == 1


def test_frames_without_any_keypoint_are_left_out(tmp_path: Path) -> None:
    save(tmp_path, content(1, poses2d=[np.zeros((1, 3, 18))]))
    assert list(threedpw.read(tmp_path, rule="all")) == []


def test_upper_body_boxes_have_no_knees_and_ankles(tmp_path: Path) -> None:
    points = keypoints(1)
    points[0, 1, [9, 10, 12, 13]] = 2000.0
    save(tmp_path, content(1, poses2d=[points]))
    (sample,) = threedpw.read(tmp_path, crop="upper")
    # without rows 9 10 12 13: x 300..470, y 500..840
    assert sample.box_centre.tolist() == [385.0, 670.0]
    assert sample.box_size == pytest.approx(1.2 * 340)
    assert not sample.keypoints_2d[[25, 26, 29, 30]].any()  # 24-indices 0 1 4 5
    assert sample.keypoints_2d[27].tolist() == [380.0, 660.0, 1.0]


def test_face_boxes_are_raised_by_their_own_height(tmp_path: Path) -> None:
    save(tmp_path, content(1))
    (sample,) = threedpw.read(tmp_path, crop="face")
    # rows 0 1 2 5 14 15 16 17 are left: x 300..470, y 500..840, so the top is at 160
    assert sample.box_centre.tolist() == [385.0, 500.0]
    assert sample.box_size == pytest.approx(1.2 * 680)
    known = [i for i in range(49) if sample.keypoints_2d[i, 2]]
    # the neck of OpenPose; shoulders (8, 9), nose, eyes and ears (19..23) of the 24
    assert known == [1, 33, 34, 44, 45, 46, 47, 48]


def test_splits_and_single_files_in_the_order_of_names(tmp_path: Path) -> None:
    for split, name in (("train", "b"), ("test", "z"), ("test", "a")):
        save(tmp_path, content(1, sequence=name), split, name)

    def sequences(path: Path, **options: Any) -> list[str]:
        return [sample.subject.split("-")[0] for sample in threedpw.read(path, **options)]

    folder = tmp_path / "sequenceFiles"
    assert sequences(tmp_path) == ["a", "z", "b"]
    assert sequences(tmp_path, split="train") == ["b"]
    assert sequences(folder, split="test") == ["a", "z"]
    assert sequences(folder / "test") == sequences(folder / "test", split="test") == ["a", "z"]
    assert sequences(folder / "test" / "z.pkl") == ["z"]


def test_broken_frames_people_and_files_do_not_cost_the_rest(tmp_path: Path) -> None:
    poses = content(2)["poses"][0].copy()
    poses[1, 7] = np.nan
    save(tmp_path, content(2, poses=[poses]), name="a")
    save(tmp_path, content(1, genders=["x"]), name="b")
    save(tmp_path, content(1, poses=None), name="c")
    save(tmp_path, content(1, trans=[np.zeros((1, 2))]), name="d")
    save(tmp_path, "no dict", name="e")
    save(tmp_path, content(2, cam_poses=content(1)["cam_poses"]), name="f")
    good, nan, gender, keys, rows, other, first, without_camera = threedpw.read(tmp_path)
    assert not good.problem
    assert nan.problem == "broken annotation: pose angles are not all finite"
    assert nan.image == "imageFiles/downtown_walk_00/image_00001.jpg"
    assert "person 0: expected gender m or f, got 'x'" in gender.problem
    assert "is not a sequence of 3DPW: it lacks poses" in keys.problem
    assert "person 0: expected trans (frames, 3), got (1, 2)" in rows.problem
    assert "expected a dict of arrays, got str" in other.problem
    assert not first.problem
    assert without_camera.problem.startswith("broken annotation: IndexError: index 1 is out of")
    with pytest.raises(ValueError, match="it lacks poses"):
        list(threedpw.read(tmp_path / "sequenceFiles" / "test" / "c.pkl"))


def test_only_its_own_files_match(tmp_path: Path) -> None:
    assert not threedpw.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match="expected 3DPW's sequenceFiles"):
        threedpw.read(tmp_path)
    other = tmp_path / "smpl.pkl"
    other.write_bytes(pickle.dumps({"v_template": np.zeros(3)}))
    assert not threedpw.matches(Contents(other))
    assert not threedpw.matches(Contents(tmp_path))
    path = save(tmp_path, content(1))
    assert threedpw.matches(Contents(path))
    assert threedpw.matches(Contents(tmp_path))
    (tmp_path / "empty.pkl").touch()
    assert not threedpw.matches(Contents(tmp_path / "empty.pkl"))
