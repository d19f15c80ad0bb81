"""What a regressor is shown of a sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.files.image_store_files import FolderImages
from exemplar.geometry.crops import crop_to_image
from exemplar.lift.prepare import Preparer, Shown, fitted_3d, without_border_ankles
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49
from tests.lift.toy import sample

UPRIGHT = Shown(256, 256, framing="upright")
HIPS = Shown(256, 256, framing="hips")
SQUARE = Shown(224, 224, framing="level")
ROW = {name: len(OPENPOSE_25) + i for i, name in enumerate(GT_24)}


def joints_3d(nose: float) -> np.ndarray:
    joints = np.random.default_rng(0).normal(size=(len(GT_24), 4))
    joints[:, 3] = 1.0
    joints[GT_24.index("nose"), 3] = nose
    return joints


@pytest.mark.parametrize("shown", [UPRIGHT, HIPS, SQUARE])
def test_keypoints_lie_where_the_crop_shows_them(photographs: Path, shown: Shown) -> None:
    ready = Preparer(photographs, shown)(5, sample(1))
    assert (ready.number, ready.message) == (5, "")
    assert ready.person is not None
    assert ready.person.crop.shape == (shown.resolution, shown.resolution, 3)
    known = sample(1).keypoints_2d[:, 2] > 0
    back = crop_to_image(ready.person.keypoints_2d[:, :2], ready.person.box).numpy()
    # float32 pixels of a picture some hundred px wide
    np.testing.assert_allclose(back[known], sample(1).keypoints_2d[known, :2], atol=1e-3)


def test_a_regressor_of_square_crops_is_shown_the_annotated_box(photographs: Path) -> None:
    given = sample(1, box_centre=np.array([100.0, 90.0]), box_scale=0.5)
    person = Preparer(photographs, SQUARE)(0, given).person
    assert person is not None
    assert person.box.centre.tolist() == [100.0, 90.0]
    assert (float(person.box.size), float(person.box.angle)) == (100.0, 0.0)
    for shown in (UPRIGHT, HIPS):
        other = Preparer(photographs, shown)(0, given).person
        assert other is not None
        assert other.box.centre.tolist() != [100.0, 90.0]


def test_the_camera_is_the_annotations_or_a_wide_one(photographs: Path) -> None:
    size = 256.0
    box = Preparer(photographs, SQUARE)(0, sample(1)).person.box  # type: ignore[union-attr]
    assert float(box.focal) == pytest.approx(np.hypot(size, size))  # type: ignore[arg-type]
    assert box.principal_point.tolist() == [size / 2, size / 2]  # type: ignore[union-attr]
    known = np.array([[900.0, 0, 120], [0, 901, 130], [0, 0, 1]])
    given = sample(1, intrinsics=known)
    box = Preparer(photographs, SQUARE)(0, given).person.box  # type: ignore[union-attr]
    assert float(box.focal) == 900.0  # type: ignore[arg-type]
    assert box.principal_point.tolist() == [120.0, 130.0]  # type: ignore[union-attr]


def test_3d_joints_turn_with_the_crop(photographs: Path) -> None:
    given = sample(1, joints_3d=joints_3d(1.0))
    person = Preparer(photographs, UPRIGHT)(0, given).person
    assert person is not None
    assert person.joints_3d is not None
    angle = float(person.box.angle)
    assert abs(angle) > 0.02, "the test needs a turned crop"
    x, y, z, _ = joints_3d(1.0)[3]
    expected = [np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x, z, 1]
    np.testing.assert_allclose(person.joints_3d[3].numpy(), expected, atol=1e-6)
    flat = Preparer(photographs, replace(UPRIGHT, use_3d=False))(0, given).person
    assert flat is not None
    assert flat.joints_3d is None


def test_3d_joints_without_a_nose_are_not_fitted() -> None:
    assert fitted_3d(sample(1)) is None
    assert fitted_3d(sample(1, joints_3d=joints_3d(0.0))) is None
    assert fitted_3d(sample(1, joints_3d=joints_3d(1.0))) is not None
    assert fitted_3d(sample(1, joints_3d=joints_3d(0.0)), "mean") is not None
    assert fitted_3d(sample(1, joints_3d=np.zeros((len(GT_24), 4))), "mean") is None


def test_ankles_at_the_lower_border_are_dropped_unless_openpose_sees_them() -> None:
    joints = torch.ones(len(SMPL_49), 3)
    joints[ROW["left_ankle"], 1] = 471.0
    joints[ROW["right_ankle"], 1] = 489.0
    joints[SMPL_49.index("op_left_ankle"), 2] = 0.05
    joints[SMPL_49.index("op_right_ankle"), 2] = 0.05
    left, right = ROW["left_ankle"], ROW["right_ankle"]
    found = without_border_ankles(joints, 480)
    assert (float(found[left, 2]), float(found[right, 2])) == (0.0, 0.0)
    assert float(without_border_ankles(joints, 481)[left, 2]) == 1.0, "10 px away"
    joints[SMPL_49.index("op_left_ankle"), 2] = 0.5
    found = without_border_ankles(joints, 480)
    assert (float(found[left, 2]), float(found[right, 2])) == (1.0, 0.0)


def test_people_of_one_image_share_its_decoding(photographs: Path) -> None:
    read: list[str] = []

    class Counted(FolderImages):
        def read(self, name: str) -> np.ndarray:
            read.append(name)
            return super().read(name)

    prepare = Preparer(Counted(photographs), SQUARE)
    for i in (0, 0, 0, 1, 1, 0):
        prepare(0, sample(i))
    assert read == ["0.png", "1.png", "0.png"]
