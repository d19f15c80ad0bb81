"""Human3.6M's test poses, from files of made-up numbers."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from exemplar.data.contents import Contents
from exemplar.data.formats import h36m
from exemplar.samples import Sample

cdfwrite = pytest.importorskip("cdflib.cdfwrite")

ROWS_OF_24 = {
    14: 11, 3: 6, 4: 7, 5: 8, 2: 1, 1: 2, 0: 3, 16: 12, 12: 24, 17: 14, 18: 15, 9: 17, 10: 18,
    11: 19, 8: 25, 7: 26, 6: 27,
}  # fmt: skip
"""24-index -> row of the 32, as the facts list them side by side."""
ACTION = "Directions 1"


def poses(frames: int) -> np.ndarray:
    """Row r of frame f lies at (10 r, 1000 - 20 r, 5000 + f) mm."""
    rows = np.arange(32.0)
    out = np.zeros((frames, 32, 3))
    out[..., 0], out[..., 1] = 10 * rows, 1000 - 20 * rows
    out[..., 2] = 5000 + np.arange(frames)[:, None]
    return out


def pixels(frames: int) -> np.ndarray:
    """Row r of frame f is at pixel (100 + 2 r + f, 500 - 3 r)."""
    rows = np.arange(32.0)
    out = np.zeros((frames, 32, 2))
    out[..., 0] = 100 + 2 * rows + np.arange(frames)[:, None]
    out[..., 1] = 500 - 3 * rows
    return out


def write_cdf(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = values.reshape(1, len(values), -1).astype(np.float32)
    file = cdfwrite.CDF(str(path), delete=True)
    spec = {
        "Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True,
        "Var_Type": "zVariable", "Dim_Sizes": list(flat.shape[1:]),
    }  # fmt: skip
    file.write_var(spec, var_attrs={}, var_data=flat)
    file.close()


def recording(root: Path, name: str, frames: int = 12, *, with_pixels: bool = True) -> Path:
    path = root / "S9" / "MyPoseFeatures" / "D3_Positions_mono" / f"{name}.cdf"
    write_cdf(path, poses(frames))
    if with_pixels:
        write_cdf(root / "S9" / "MyPoseFeatures" / "D2_Positions" / f"{name}.cdf", pixels(frames))
    return path


def test_every_fifth_frame_in_metres_from_the_pelvis(tmp_path: Path) -> None:
    recording(tmp_path, f"{ACTION}.60457274")
    samples = list(h36m.read(tmp_path))
    assert [sample.image for sample in samples] == [
        f"S9_Directions_1.60457274_{number:06d}.jpg" for number in (1, 6, 11)
    ]
    assert {sample.subject for sample in samples} == {"S9"}
    joints = samples[1].joints_3d
    assert joints is not None
    for target, row in ROWS_OF_24.items():
        # the pelvis is row 11: 110 mm, 780 mm
        expected = [(10 * row - 110) / 1000, (1000 - 20 * row - 780) / 1000, 0.0, 1.0]
        # files hold float32 of some metres: 1e-6 m
        assert joints[target] == pytest.approx(expected, abs=1e-6), target
    others = [i for i in range(24) if i not in ROWS_OF_24]
    assert not joints[others].any()


def test_keypoints_and_box_are_those_of_the_same_frame(tmp_path: Path) -> None:
    recording(tmp_path, f"{ACTION}.60457274")
    sample = list(h36m.read(tmp_path))[1]
    for target, row in ROWS_OF_24.items():
        expected = [100 + 2 * row + 5, 500 - 3 * row, 1.0]
        assert sample.keypoints_2d[25 + target] == pytest.approx(expected, abs=1e-4), target
    assert not sample.keypoints_2d[:25].any()
    # rows 1..27: x 107..159, y 497..419: 78 px, 1.2 times
    assert sample.box_centre == pytest.approx([133.0, 458.0], abs=1e-4)
    assert sample.box_size == pytest.approx(1.2 * 78, abs=1e-4)


def test_released_shows_the_next_picture_in_a_tight_box(tmp_path: Path) -> None:
    recording(tmp_path, f"{ACTION}.60457274")
    sample = next(iter(h36m.read(tmp_path, released=True)))
    assert sample.image == "S9_Directions_1.60457274_000002.jpg"
    assert sample.box_size == pytest.approx(0.9 * 78, abs=1e-4)
    assert sample.keypoints_2d[25] == pytest.approx([106.0, 491.0, 1.0], abs=1e-4)


def test_protocols_choose_cameras_and_leave_all_out(tmp_path: Path) -> None:
    for name in ("Eating.60457274", "Eating.54138969", "_ALL.60457274"):
        recording(tmp_path, name, frames=1)

    def images(samples: list[Sample]) -> list[str]:
        return [sample.image for sample in samples]

    frontal, other = "S9_Eating.60457274_000001.jpg", "S9_Eating.54138969_000001.jpg"
    assert images(list(h36m.read(tmp_path))) == [frontal]
    assert images(list(h36m.read(tmp_path, protocol=1))) == [other, frontal]
    with_folder = h36m.read(tmp_path, image_folder="images", every=1)
    assert images(list(with_folder)) == [f"images/{frontal}"]


def test_conversions_to_matlab_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "S11" / "MyPoseFeatures"
    for name, values in (("D3_Positions_mono", poses(3)), ("D2_Positions", pixels(3))):
        (folder / name).mkdir(parents=True)
        flat = np.empty((1, 1), dtype=object)
        flat[0, 0] = values.reshape(3, -1)
        savemat(folder / name / "Waiting.60457274.cdf.mat", {"data": flat}, appendmat=False)
    (sample,) = h36m.read(tmp_path)
    assert sample.image == "S11_Waiting.60457274_000001.jpg"
    assert sample.keypoints_2d[25].tolist() == [106.0, 491.0, 1.0]


def test_conversions_to_hdf5_are_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "S11" / "MyPoseFeatures"
    for name, values in (("D3_Positions_mono", poses(3)), ("D2_Positions", pixels(3))):
        (folder / name).mkdir(parents=True)
        with h5py.File(folder / name / "Waiting.60457274.h5", "w") as file:
            file["Pose"] = values.reshape(3, -1)
    (sample,) = h36m.read(tmp_path)
    assert sample.keypoints_2d[25].tolist() == [106.0, 491.0, 1.0]
    with h5py.File(folder / "D2_Positions" / "Waiting.60457274.h5", "w") as file:
        file["other"] = [1.0]
    (sample,) = h36m.read(tmp_path)
    assert "expected Pose or data, got other" in sample.problem


def test_without_2d_poses_a_sample_says_that_it_has_no_box(tmp_path: Path) -> None:
    recording(tmp_path, f"{ACTION}.60457274", with_pixels=False)
    sample = next(iter(h36m.read(tmp_path)))
    assert sample.problem == "no box: the recording has no file in D2_Positions"
    assert sample.box_scale == 0
    assert not sample.keypoints_2d.any()
    assert sample.joints_3d is not None


def test_a_broken_recording_or_frame_does_not_cost_the_rest(tmp_path: Path) -> None:
    path = recording(tmp_path, "Eating.60457274")
    path.write_bytes(path.read_bytes()[:300])
    whole = poses(6)
    whole[5, 3, 0] = np.nan
    name = "Walking.60457274.cdf"
    write_cdf(tmp_path / "S9" / "MyPoseFeatures" / "D3_Positions_mono" / name, whole)
    write_cdf(tmp_path / "S9" / "MyPoseFeatures" / "D2_Positions" / name, pixels(6))
    broken, good, nan = h36m.read(tmp_path)
    assert "Eating.60457274.cdf is not a CDF file" in broken.problem
    assert broken.image == "S9/MyPoseFeatures/D3_Positions_mono/Eating.60457274.cdf"
    assert not good.problem
    assert nan.problem == "broken annotation: 3D joints are not all finite"


def test_other_numbers_of_joints_or_frames_are_told(tmp_path: Path) -> None:
    recording(tmp_path, "Eating.60457274", frames=6)
    write_cdf(
        tmp_path / "S9" / "MyPoseFeatures" / "D2_Positions" / "Eating.60457274.cdf", pixels(5)
    )
    recording(tmp_path, "Waiting.60457274")
    folder = tmp_path / "S9" / "MyPoseFeatures" / "D3_Positions_mono"
    write_cdf(folder / "Waiting.60457274.cdf", np.zeros((2, 17, 3)))
    frames, joints = h36m.read(tmp_path)
    assert "expected 6 frames, got 5" in frames.problem
    assert "expected (1, frames, 96) numbers, got (1, 2, 51)" in joints.problem


def test_only_its_own_folder_matches(tmp_path: Path) -> None:
    assert not h36m.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match=r"is not Human3\.6M: expected a folder such as"):
        h36m.read(tmp_path)
    path = recording(tmp_path, "Eating.60457274", frames=1)
    assert h36m.matches(Contents(tmp_path))
    assert not h36m.matches(Contents(path))
    with pytest.raises(FileNotFoundError, match="no annotation file at"):
        h36m.read(tmp_path / "missing")
