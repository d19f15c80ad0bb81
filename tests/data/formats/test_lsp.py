"""Leeds Sports Pose: three sets of labels that differ in arrangement, names and meaning."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from exemplar.data.contents import Contents
from exemplar.data.formats import lsp, mpii


def people(count: int) -> np.ndarray:
    """(count, 14, 3): joint j of person n at (100 n + 10 j, 50 + j), every third flagged 0."""
    number, joint = np.mgrid[:count, :14]
    return np.stack([100 * number + 10 * joint, 50 + joint, joint % 3 > 0], axis=-1).astype(float)


def lsp_file(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "joints.mat", {"joints": people(count).transpose(2, 1, 0)})
    return folder / "joints.mat"


def lspet_file(folder: Path, joints: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    return folder / "joints.mat"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_lsp_is_the_first_14_of_the_24(tmp_path: Path) -> None:
    path = lsp_file(tmp_path)
    assert lsp.matches(Contents(path))
    assert lsp.matches(Contents(tmp_path))
    assert not mpii.matches(Contents(path))
    read = list(lsp.read(tmp_path, image_folder="images"))
    assert [each.image for each in read] == [f"images/im000{i}.jpg" for i in (1, 2, 3)]
    expected = np.zeros((49, 3))
    expected[25:39] = [[200 + 10 * j, 50 + j, 1] for j in range(14)]
    assert (read[2].keypoints_2d == expected).all()  # hidden joints (flag 0) count as well
    # x from 200 to 330, y from 50 to 63
    assert read[2].box_centre.tolist() == [265, 56.5]
    assert read[2].box_scale == pytest.approx(1.2 * 130 / 200)


def test_the_first_thousand_are_for_training(tmp_path: Path) -> None:
    path = lsp_file(tmp_path, 1003)
    train = [each.image for each in lsp.read(path, split="train")]
    test = [each.image for each in lsp.read(path, split="test")]
    assert (len(train), train[-1]) == (1000, "im1000.jpg")
    assert test == ["im1001.jpg", "im1002.jpg", "im1003.jpg"]
    assert len(list(lsp.read(path))) == 1003


def test_joints_of_lspet_that_have_no_place_are_unknown(tmp_path: Path) -> None:
    path = lspet_file(tmp_path, people(2))
    assert lsp.matches(Contents(path))
    read = list(lsp.read(path, labels="lspet"))
    assert [each.image for each in read] == ["im00001.jpg", "im00002.jpg"]
    flags = [0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1]
    assert read[1].keypoints_2d[25:39, 2].tolist() == flags
    assert (read[1].keypoints_2d[25::3][:5] == 0).all()
    # x from 110 to 230 (joints 1 to 13), y from 51 to 63
    assert read[1].box_centre.tolist() == [170, 57]
    assert read[1].box_scale == pytest.approx(1.2 * 120 / 200)
    assert len(list(lsp.read(path, labels="lspet", min_keypoints=9))) == 2
    assert list(lsp.read(path, labels="lspet", min_keypoints=10)) == []


def test_somebody_without_a_joint_has_no_box(tmp_path: Path) -> None:
    joints = people(2)
    joints[0, :, 2] = 0
    first, _ = lsp.read(lspet_file(tmp_path, joints), labels="lspet")
    assert (first.box_scale, first.problem) == (0.0, "")


@pytest.mark.parametrize("folder", ["", "images"])
def test_hr_lspet_is_named_by_its_pictures(folder: str, tmp_path: Path) -> None:
    path = lspet_file(tmp_path, people(3))
    touch(tmp_path / folder, "im00007.png", "im00002.png", "im10000.png", "notes.txt")
    read = list(lsp.read(path))
    assert [each.image for each in read] == ["im00002.png", "im00007.png", "im10000.png"]
    assert (read[0].keypoints_2d[25:39, 2] == 1).all()
    touch(tmp_path / folder, "im00003.png")
    with pytest.raises(ValueError, match=r"expected 3 \*.png images beside it, got 4"):
        lsp.read(path)


def test_labels_are_told_or_asked_for(tmp_path: Path) -> None:
    path = lspet_file(tmp_path / "a", people(2))
    with pytest.raises(ValueError, match="cannot tell the labels of the 2 people"):
        lsp.read(path)
    whole = lspet_file(tmp_path / "b", np.broadcast_to(people(1), (10_000, 14, 3)))
    assert next(lsp.read(whole)).image == "im00001.jpg"
    with pytest.raises(ValueError, match="'lsp' are not arranged as"):
        lsp.read(path, labels="lsp")
    with pytest.raises(ValueError, match="'hr_lspet' are not arranged as"):
        lsp.read(lsp_file(tmp_path / "c"), labels="hr_lspet")
    with pytest.raises(ValueError, match="'lspet' have no split 'train'"):
        lsp.read(path, labels="lspet", split="train")
    with pytest.raises(ValueError, match="from 0 to 14, got 15"):
        lsp.read(path, labels="lspet", min_keypoints=15)


def test_one_person_is_a_set_too(tmp_path: Path) -> None:
    """MATLAB drops the last axis of one."""
    path = lspet_file(tmp_path, people(1))
    assert lsp.matches(Contents(path))
    (read,) = lsp.read(path, labels="lspet")
    assert read.keypoints_2d[25 + 13].tolist() == [130, 63, 1]


def test_a_broken_person_costs_nobody_else(tmp_path: Path) -> None:
    joints = people(3)
    joints[1, 5, 0] = np.nan
    read = list(lsp.read(lspet_file(tmp_path, joints), labels="lspet"))
    assert [bool(each.problem) for each in read] == [False, True, False]
    assert read[1].image == "im00002.jpg"
    assert "not all finite" in read[1].problem


def test_other_files_are_refused(tmp_path: Path) -> None:
    assert not lsp.matches(Contents(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"joints\.mat in"):
        lsp.read(tmp_path)
    path = tmp_path / "joints.mat"
    path.write_bytes(b"\x00 nothing of the kind")
    assert not lsp.matches(Contents(path))
    with pytest.raises(ValueError, match="not a MATLAB file"):
        lsp.read(path)
    scipy.io.savemat(path, {"joints": np.zeros((16, 3, 4))})
    assert not lsp.matches(Contents(path))
    with pytest.raises(ValueError, match=r"expected joints .* got \(16, 3, 4\)"):
        lsp.read(path)
    scipy.io.savemat(path, {"other": np.zeros((14, 3, 4))})
    assert not lsp.matches(Contents(path))
    with pytest.raises(ValueError, match="'joints'"):
        lsp.read(path)
    scipy.io.savemat(path, {"joints": np.full((14, 3, 2), "a", dtype=object)})
    with pytest.raises(ValueError, match="cannot tell"):
        lsp.read(path)
    assert "expected numbers" in next(lsp.read(path, labels="lspet")).problem
