"""Panoptic Studio as its toolbox downloads it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import hd_pose3d, read, recognise
from exemplar.skeletons import GT_24, SMPL_49

FOCAL, MIDDLE = 1000.0, (960.0, 540.0)


def sequence(folder: Path, bodies: Any) -> Path:
    """Two cameras three metres from the studio's middle, the second looking away."""
    root = folder / "170407_haggling"
    (root / "hdPose3d_stage1_coco19").mkdir(parents=True)
    turns = {"00_00": np.eye(3), "00_03": np.diag([-1.0, 1.0, -1.0]), "01_01": np.eye(3)}
    cameras = [
        {
            "name": name, "type": "hd", "resolution": [1920, 1080],
            "K": [[FOCAL, 0, MIDDLE[0]], [0, FOCAL, MIDDLE[1]], [0, 0, 1]],
            "distCoef": [0.0] * 5, "R": turn.tolist(),
            "t": [[0], [0], [300 if name != "00_03" else -300]],
        }
        for name, turn in turns.items()
    ]  # fmt: skip
    (root / "calibration_170407_haggling.json").write_text(json.dumps({"cameras": cameras}))
    scene = {"version": 0.7, "bodies": bodies}
    for frame in (100, 101):
        path = root / "hdPose3d_stage1_coco19" / f"body3DScene_{frame:08}.json"
        path.write_text(json.dumps(scene))
    return root


def joints(**changed: Any) -> list[float]:
    """Joint k (neck, nose, ...) at (5 k, -2 k, 0) cm with a score of 0.7."""
    rows = [[5.0 * k, -2.0 * k, 0.0, 0.7] for k in range(19)]
    rows[1] = changed.get("nose", rows[1])
    return [value for row in rows for value in row]


def test_a_person_is_projected_into_the_cameras_that_see_it(tmp_path: Path) -> None:
    root = sequence(tmp_path, [{"id": 4, "joints19": joints(nose=[0, 0, 0, -1])}])
    assert recognise(Contents(root)) == recognise(Contents(tmp_path)) == "hd_pose3d"
    first, second = read(tmp_path, cameras=(0, 3), every=1)
    assert first.image == "170407_haggling/hdImgs/00_00/00_00_00000100.jpg"
    assert second.image.endswith("00000101.jpg")
    assert first.subject == "170407_haggling-id004"
    # the left shoulder is the fourth: (15, -6, 300) cm
    shoulder = first.keypoints_2d[SMPL_49.index("left_shoulder")]
    assert shoulder == pytest.approx([960 + FOCAL * 15 / 300, 540 - FOCAL * 6 / 300, 1])
    assert first.keypoints_2d[SMPL_49.index("nose")].tolist() == [0, 0, 0]
    assert first.joints_3d is not None
    assert first.joints_3d[GT_24.index("left_shoulder")] == pytest.approx([0.15, -0.06, 3, 1])
    assert len(list(read(root, cameras=(0,)))) == 1  # every tenth frame


def test_broken_people_cost_nobody_else(tmp_path: Path) -> None:
    bodies = [{"id": 1, "joints19": [1, 2]}, {"id": 2, "joints19": joints()}]
    root = sequence(tmp_path, bodies)
    broken, good = list(read(root, cameras=(0,), every=2))
    assert "joints19" in broken.problem
    assert not good.problem
    (root / "hdPose3d_stage1_coco19" / "body3DScene_00000100.json").write_text("{")
    assert "not JSON" in next(read(root, every=2)).problem
    (root / "calibration_170407_haggling.json").write_text('{"cameras": [{"name": "00_00"}]}')
    with pytest.raises(ValueError, match="not a calibration"):
        hd_pose3d.read(root)
    with pytest.raises(ValueError, match="expected a folder with hdPose3d"):
        hd_pose3d.read(root / "hdPose3d_stage1_coco19")
