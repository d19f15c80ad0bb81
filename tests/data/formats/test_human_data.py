"""MMHuman3D's HumanData."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import human_data, read, recognise
from exemplar.skeletons import GT_24, SMPL_49

ROWS = {"nose": 55, "left_shoulder": 16, "right_hip": 144, "left_hip": 145, "neck": 146,
        "head_top": 147, "left_ankle": 7, "op_nose": 153, "op_mid_hip": 161,
        "op_right_heel": 177}  # fmt: skip
"""Rows of the convention, counted in the published list of 190 names."""


def file(folder: Path, *, compressed: bool, **changed: Any) -> Path:
    points, points_3d = np.zeros((2, 190, 3)), np.zeros((2, 190, 4))
    mask = np.zeros(190)
    for row in ROWS.values():
        mask[row] = 1
        points[:, row] = [row, row + 1, 1]
        points_3d[:, row] = [row / 100, 0, 1, 1]
    points[1, 55] = [0, 0, 1]
    kept = mask > 0 if compressed else slice(None)
    arrays: dict[str, Any] = {
        "image_path": np.array(["a.jpg", "b.jpg"]),
        "bbox_xywh": np.array([[10.0, 20, 30, 80, 1]] * 2),
        "keypoints2d": points[:, kept],
        "keypoints2d_mask": mask,
        "keypoints3d": points_3d[:, kept],
        "keypoints3d_mask": mask,
        "smpl": np.array(
            {
                "global_orient": np.zeros((2, 3)),
                "body_pose": np.full((2, 23, 3), 0.1),
                "betas": np.arange(20.0).reshape(2, 10),
            }
        ),
        "meta": np.array({"gender": np.array(["f", "n"])}),
    }
    np.savez(folder / "set.npz", **(arrays | changed))
    return folder / "set.npz"


@pytest.mark.parametrize("compressed", [False, True])
def test_people_have_joints_and_bodies(tmp_path: Path, compressed: bool) -> None:
    path = file(tmp_path, compressed=compressed)
    assert recognise(Contents(path)) == "human_data"
    first, second = read(path, image_folder="images")
    for name, row in ROWS.items():
        assert first.keypoints_2d[SMPL_49.index(name, 25 * (not name.startswith("op_")))].tolist() \
            == [row, row + 1, 1], name  # fmt: skip
    assert (first.keypoints_2d[:, 2] > 0).sum() == len(ROWS)
    assert (first.image, second.image) == ("images/a.jpg", "images/b.jpg")
    assert first.box_centre.tolist() == [25, 60]
    assert second.keypoints_2d[SMPL_49.index("nose"), 2] == 0  # at (0, 0)
    assert first.joints_3d is not None
    assert first.joints_3d[GT_24.index("right_hip")].tolist() == [1.44, 0, 1, 1]
    assert first.body is not None
    assert first.body.gender == "female"
    assert first.body.betas.tolist() == list(range(10))
    assert second.body is not None
    assert second.body.gender == "neutral"


def test_arrays_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"keypoints2d is \(2, 144, 3\)"):
        human_data.read(file(tmp_path, compressed=False, keypoints2d=np.zeros((2, 144, 3))))
    with pytest.raises(ValueError, match="bbox_xywh"):
        human_data.read(file(tmp_path, compressed=True, bbox_xywh=np.zeros((3, 5))))
    wrong = {"global_orient": np.zeros((2, 3)), "body_pose": np.zeros((2, 5)), "betas": [[0], [0]]}
    people = list(human_data.read(file(tmp_path, compressed=True, smpl=np.array(wrong))))
    assert all("pose angles" in each.problem for each in people)


def test_a_person_without_an_image_costs_no_other(tmp_path: Path) -> None:
    path = file(tmp_path, compressed=True, image_path=np.array(["", "b.jpg"]))
    first, second = read(path)
    assert "name of an image" in first.problem
    assert (second.image, second.problem) == ("b.jpg", "")
