"""Human3.6M's training package, from pickles of made-up numbers."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import h36m_train

ROWS_OF_24 = {
    14: 0, 3: 4, 4: 5, 5: 6, 2: 1, 1: 2, 0: 3, 16: 7, 12: 8, 17: 9, 18: 10, 9: 11, 10: 12, 11: 13,
    8: 14, 7: 15, 6: 16,
}  # fmt: skip
"""24-index -> row of the 17, as the facts list them side by side."""


def content(frames: int = 2) -> dict[str, Any]:
    """Row r of frame f: pixel (50 + 10 r, 400 - 20 r), (100 r, -200 r, 4000 + 30 r) mm."""
    rows = np.arange(17.0)
    pixels = np.stack([50 + 10 * rows, 400 - 20 * rows], axis=-1)
    points = np.stack([100 * rows, -200 * rows, 4000 + 30 * rows], axis=-1)
    pose = np.zeros((frames, 72))
    pose[:, 0] = np.pi / 2
    return {
        "2d": np.stack([pixels] * frames),
        "3d": np.stack([points] * frames),
        "smplParms": {"poses_camCoord": pose, "betas": np.arange(10.0) / 10},
    }


def save(folder: Path, data: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gt_poses_coco_smpl.pkl"
    path.write_bytes(pickle.dumps(data, protocol=2))
    return path


def test_joints_land_where_the_facts_say(tmp_path: Path) -> None:
    save(tmp_path / "S1_Eating_1" / "cam_2", content(1))
    (sample,) = h36m_train.read(tmp_path)
    assert sample.image == "S1_Eating_1/cam_2/000001.jpg"
    assert sample.subject == "S1"
    assert sample.joints_3d is not None
    for target, row in ROWS_OF_24.items():
        assert sample.keypoints_2d[25 + target].tolist() == [50 + 10 * row, 400 - 20 * row, 1.0]
        expected = [0.1 * row, -0.2 * row, 0.03 * row, 1.0]
        # mm over 1000 in float64
        assert sample.joints_3d[target] == pytest.approx(expected, abs=1e-12), target
    # x 50..210, y 80..400
    assert sample.box_centre.tolist() == [130.0, 240.0]
    assert sample.box_size == pytest.approx(1.2 * 320)


def test_the_body_is_in_rotation_matrices(tmp_path: Path) -> None:
    save(tmp_path / "S1", content(1))
    (sample,) = h36m_train.read(tmp_path)
    assert sample.body is not None
    quarter_about_x = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    # Rodrigues' formula in float64
    assert sample.body.pose[0] == pytest.approx(np.array(quarter_about_x), abs=1e-12)
    assert sample.body.pose[1:] == pytest.approx(np.stack([np.eye(3)] * 23), abs=1e-12)
    assert sample.body.betas.tolist() == [i / 10 for i in range(10)]


def test_shapes_may_differ_between_frames(tmp_path: Path) -> None:
    data = content(2)
    data["smplParms"]["betas"] = np.stack([np.zeros(10), np.ones(10)])
    save(tmp_path / "S5", data)
    bodies = [sample.body for sample in h36m_train.read(tmp_path)]
    assert [float(body.betas.sum()) for body in bodies if body is not None] == [0.0, 10.0]


def test_only_training_subjects_in_the_order_of_folders(tmp_path: Path) -> None:
    for folder in ("S8_Walking", "S11_Walking", "S1_Walking", "S9_Walking"):
        save(tmp_path / folder, content(1))
    assert [sample.subject for sample in h36m_train.read(tmp_path)] == ["S1", "S8"]
    assert [sample.subject for sample in h36m_train.read(tmp_path, subjects=(9, 11))] == [
        "S11",
        "S9",
    ]


def test_images_that_are_there_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    path = save(tmp_path / "S1_Eating", content(2))
    images = path.parent / "frames"
    images.mkdir()
    for name in ("b_07.png", "a_03.png"):
        (images / name).touch()
    names = [sample.image for sample in h36m_train.read(tmp_path)]
    assert names == ["S1_Eating/frames/a_03.png", "S1_Eating/frames/b_07.png"]
    (images / "c.png").touch()
    templated = h36m_train.read(tmp_path, image_name="{folder}_{number}.jpg")
    assert [sample.image for sample in templated] == ["S1_Eating_1.jpg", "S1_Eating_2.jpg"]


def test_one_pickle_is_read_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "S1", content(2))
    assert [sample.image for sample in h36m_train.read(path)] == ["000001.jpg", "000002.jpg"]


def test_broken_frames_and_files_do_not_cost_the_rest(tmp_path: Path) -> None:
    data = content(2)
    data["smplParms"]["poses_camCoord"][1, 5] = np.inf
    save(tmp_path / "S1", data)
    save(tmp_path / "S5", {"2d": data["2d"]})
    save(tmp_path / "S6", {**data, "3d": data["3d"][:, :14]})
    good, infinite, keys, joints = h36m_train.read(tmp_path)
    assert not good.problem
    assert infinite.problem == "broken annotation: pose angles are not all finite"
    assert "expected the keys 2d, 3d, smplParms, got ['2d']" in keys.problem
    assert "expected (N, 17, 3), got (2, 14, 3)" in joints.problem
    with pytest.raises(ValueError, match="expected the keys 2d, 3d, smplParms"):
        list(h36m_train.read(tmp_path / "S5" / "gt_poses_coco_smpl.pkl"))


def test_only_its_own_files_match(tmp_path: Path) -> None:
    assert not h36m_train.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match=r"expected gt_poses_coco_smpl\.pkl in some folder"):
        h36m_train.read(tmp_path)
    path = save(tmp_path / "S1" / "cam", content(1))
    assert h36m_train.matches(Contents(tmp_path))
    assert h36m_train.matches(Contents(path))
    other = path.with_name("other.pkl")
    path.rename(other)
    assert not h36m_train.matches(Contents(other))
