"""MPI-INF-3DHP's two parts, from files of made-up numbers."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from exemplar.data.contents import Contents
from exemplar.data.formats import mpi_inf_3dhp

h5py = pytest.importorskip("h5py")

TRAIN_ROWS_OF_24 = {
    14: 4, 3: 18, 4: 19, 5: 20, 2: 23, 1: 24, 0: 25, 16: 3, 12: 5, 17: 6, 18: 7, 9: 9, 10: 10,
    11: 11, 8: 14, 7: 15, 6: 16,
}  # fmt: skip
"""24-index -> row of the 28, as the facts list them side by side."""
TEST_ROWS_OF_24 = {
    14: 14, 3: 11, 4: 12, 5: 13, 2: 8, 1: 9, 0: 10, 16: 15, 12: 1, 17: 16, 18: 0, 9: 5, 10: 6,
    11: 7, 8: 2, 7: 3, 6: 4,
}  # fmt: skip
"""24-index -> row of the test set's 17."""


def pixels(rows: int, frames: int) -> np.ndarray:
    """Row r of frame f at (200 + 10 r + f, 1000 - 20 r)."""
    row, frame = np.arange(float(rows)), np.arange(float(frames))[:, None]
    return np.stack([200 + 10 * row + frame, np.broadcast_to(1000 - 20 * row, (frames, rows))], -1)


def poses(rows: int, frames: int) -> np.ndarray:
    """Row r of frame f at (50 r, -100 r, 3000 + 10 r) mm."""
    row = np.arange(float(rows))
    return np.stack([np.stack([50 * row, -100 * row, 3000 + 10 * row], -1)] * frames)


def save_train(
    root: Path, frames: int = 25, cameras: int = 14, name: str = "S3/Seq2", **changed: np.ndarray
) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    cells = {}
    for key, values in (("annot2", pixels(28, frames)), ("annot3", poses(28, frames))):
        cell = np.empty((cameras, 1), dtype=object)
        for camera in range(cameras):
            cell[camera, 0] = changed.get(key, values).reshape(frames, -1)
        cells[key] = cell
    cells["univ_annot3"] = cells["annot3"]
    savemat(folder / "annot.mat", cells)
    return folder / "annot.mat"


def save_test(root: Path, name: str = "TS1", frames: int = 4, **changed: np.ndarray) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    arrays = {
        "valid_frame": np.ones((frames, 1)),
        "annot2": pixels(17, frames)[:, None],
        "univ_annot3": poses(17, frames)[:, None],
    } | changed
    with h5py.File(folder / "annot_data.mat", "w") as file:
        for key, values in arrays.items():
            file[key] = values
    return folder / "annot_data.mat"


def test_training_joints_land_where_the_facts_say(tmp_path: Path) -> None:
    save_train(tmp_path)
    sample = list(mpi_inf_3dhp.read(tmp_path, cameras=(5,)))[1]
    assert sample.image == "S3/Seq2/imageFrames/video_5/frame_000011.jpg"
    assert sample.subject == "S3"
    assert sample.body is None
    assert sample.joints_3d is not None
    for target, row in TRAIN_ROWS_OF_24.items():
        expected = [210 + 10 * row, 1000 - 20 * row, 1.0]
        assert sample.keypoints_2d[25 + target].tolist() == expected, target
        from_pelvis = [0.05 * (row - 4), -0.1 * (row - 4), 0.01 * (row - 4), 1.0]
        # mm over 1000 in float64
        assert sample.joints_3d[target] == pytest.approx(from_pelvis, abs=1e-12), target
    assert not sample.joints_3d[[13, 15, 19, 20, 21, 22, 23]].any()
    # rows 3..25: x 240..460, y 940..500
    assert sample.box_centre.tolist() == [350.0, 720.0]
    assert sample.box_size == pytest.approx(1.2 * 440)


def test_every_tenth_kept_frame_of_each_camera(tmp_path: Path) -> None:
    moved = pixels(28, 25)
    moved[3, 9] = (2048.0, 10.0)
    moved[4, 9] = (-0.5, 10.0)
    moved[5, 8] = (-0.5, 10.0)  # row 8 is none of the 17
    save_train(tmp_path, annot2=moved)
    images = [sample.image for sample in mpi_inf_3dhp.read(tmp_path, cameras=(0, 8))]
    # frames 3 and 4 are left out: kept are 0 1 2 5 .. 24, the tenth after 0 is 12, then 22
    assert images == [
        f"S3/Seq2/imageFrames/video_{camera}/frame_{number:06d}.jpg"
        for camera in (0, 8)
        for number in (1, 13, 23)
    ]
    every = mpi_inf_3dhp.read(tmp_path, cameras=(0,), every=1)
    assert len(list(every)) == 23


def test_the_published_cameras_and_folders_in_order(tmp_path: Path) -> None:
    for name in ("S2/Seq1", "S1/Seq2", "S1/Seq1"):
        save_train(tmp_path, frames=1, name=name)
    images = [sample.image for sample in mpi_inf_3dhp.read(tmp_path)]
    assert images[:8] == [
        f"S1/Seq1/imageFrames/video_{camera}/frame_000001.jpg"
        for camera in (0, 1, 2, 4, 5, 6, 7, 8)
    ]
    assert [image[:7] for image in images[::8]] == ["S1/Seq1", "S1/Seq2", "S2/Seq1"]


def test_bodies_come_by_the_names_of_the_published_file(tmp_path: Path) -> None:
    save_train(tmp_path / "set")
    name = "S3/Seq2/imageFrames/video_0/frame_{:06d}.jpg".format
    pose = np.zeros((3, 72))
    pose[0, 2], pose[1, 2] = np.pi, np.pi / 2
    fits, names = tmp_path / "fits.npz", tmp_path / "train.npz"
    np.savez(fits, pose=pose, shape=np.full((3, 10), 0.25), has_smpl=np.array([1, 1, 0]))
    np.savez(names, imgname=np.array([name(8), name(3), name(5)]))
    read = mpi_inf_3dhp.read(tmp_path / "set", smpl=fits, smpl_names=names)
    third, fifth, eighth = read
    assert [sample.image for sample in (third, fifth, eighth)] == [name(3), name(5), name(8)]
    assert fifth.body is None
    assert third.body is not None
    assert eighth.body is not None
    # a quarter and half a turn about z; Rodrigues' formula in float64
    assert third.body.pose[0] == pytest.approx(
        np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), abs=1e-12
    )
    assert eighth.body.pose[0] == pytest.approx(np.diag([-1.0, -1.0, 1.0]), abs=1e-12)
    assert third.body.betas.tolist() == [0.25] * 10
    with pytest.raises(ValueError, match="expected imgname, or smpl_names"):
        mpi_inf_3dhp.read(tmp_path / "set", smpl=fits)


def test_test_joints_land_where_the_facts_say(tmp_path: Path) -> None:
    valid = np.array([[1.0], [0.0], [1.0], [1.0]])
    points = pixels(17, 4)[:, None]
    points[3, 0, 6, 1] = 2048.0
    save_test(tmp_path / "mpi_inf_3dhp_test_set", valid_frame=valid, annot2=points)
    first, third = mpi_inf_3dhp.read(tmp_path)
    assert first.image == "mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg"
    assert third.image == "mpi_inf_3dhp_test_set/TS1/imageSequence/img_000003.jpg"
    assert third.subject == "TS1"
    assert third.joints_3d is not None
    for target, row in TEST_ROWS_OF_24.items():
        assert third.keypoints_2d[25 + target].tolist() == [202 + 10 * row, 1000 - 20 * row, 1.0]
        from_pelvis = [0.05 * (row - 14), -0.1 * (row - 14), 0.01 * (row - 14), 1.0]
        # mm over 1000 in float64
        assert third.joints_3d[target] == pytest.approx(from_pelvis, abs=1e-12), target


def test_outdoor_pictures_are_less_high(tmp_path: Path) -> None:
    points = pixels(17, 1)[:, None]
    points[0, 0, 3, 1] = 1080.0
    save_test(tmp_path, "TS4", 1, annot2=points)
    save_test(tmp_path, "TS5", 1, annot2=points)
    assert [sample.subject for sample in mpi_inf_3dhp.read(tmp_path)] == ["TS4"]


def test_a_folder_with_both_parts_needs_to_know_which(tmp_path: Path) -> None:
    save_train(tmp_path, frames=1)
    save_test(tmp_path / "mpi_inf_3dhp_test_set", frames=1)
    with pytest.raises(ValueError, match="got both: say which by split"):
        mpi_inf_3dhp.read(tmp_path)
    assert len(list(mpi_inf_3dhp.read(tmp_path, split="test"))) == 1
    assert len(list(mpi_inf_3dhp.read(tmp_path, split="train"))) == 8


def test_broken_files_and_frames_do_not_cost_the_rest(tmp_path: Path) -> None:
    joints = poses(28, 1)
    joints[0, 7, 1] = np.nan
    save_train(tmp_path, frames=1, name="S1/Seq1", annot3=joints)
    save_train(tmp_path, frames=1, name="S2/Seq1").write_bytes(b"MATLAB 5.0 MAT-file, cut")
    save_train(tmp_path, frames=1, name="S4/Seq1", annot2=np.zeros((1, 17, 2)))
    nan, cut, joints_17 = mpi_inf_3dhp.read(tmp_path, cameras=(0,))
    assert nan.problem == "broken annotation: 3D joints are not all finite"
    assert nan.image == "S1/Seq1/imageFrames/video_0/frame_000001.jpg"
    assert "is not a MATLAB file, or is cut short" in cut.problem
    assert "expected annot2 (frames, 56), got (1, 34)" in joints_17.problem
    with pytest.raises(ValueError, match="is not a MATLAB file"):
        list(mpi_inf_3dhp.read(tmp_path / "S2" / "Seq1" / "annot.mat"))


def test_a_test_file_of_other_shapes_is_told(tmp_path: Path) -> None:
    path = save_test(tmp_path, annot2=pixels(14, 4)[:, None])
    with pytest.raises(ValueError, match=r"expected \(4, 1, 17, 2\).* got \(4, 1, 14, 2\)"):
        list(mpi_inf_3dhp.read(path))


def test_only_its_own_files_match(tmp_path: Path) -> None:
    assert not mpi_inf_3dhp.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match="training or test part, got neither"):
        mpi_inf_3dhp.read(tmp_path)
    train = save_train(tmp_path / "a", frames=1, cameras=2)
    test = save_test(tmp_path / "b", frames=1)
    for path in (train, test, tmp_path / "a", tmp_path / "b"):
        assert mpi_inf_3dhp.matches(Contents(path)), path
    other = tmp_path / "joints.mat"
    savemat(other, {"joints": np.zeros((3, 14, 5))})
    assert not mpi_inf_3dhp.matches(Contents(other))
