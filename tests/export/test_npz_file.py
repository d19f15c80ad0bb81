"""fit.npz holds the whole result but the pixels, as plain arrays."""

from pathlib import Path

import numpy as np
import pytest

from exemplar.export import write_npz
from exemplar.export.npz_file import fit_to_arrays
from exemplar.results import FitResult
from exemplar.skeletons import SMPL_49
from tests.fixtures.made_results import made_result


@pytest.fixture(scope="module")
def result() -> FitResult:
    centres = [(100.0, 150.0), (300.0, 150.0)]
    return made_result(np.zeros((300, 400, 3), np.uint8), centres, 260.0, steps=2)


def loaded(result: FitResult, folder: Path) -> dict[str, np.ndarray]:
    write_npz(result, folder / "fit.npz")
    with np.load(folder / "fit.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def test_people_are_stacked_in_order(tmp_path: Path, result: FitResult) -> None:
    arrays = loaded(result, tmp_path)
    for i, person in enumerate(result.people):
        assert arrays["status"][i] == person.status
        assert np.array_equal(arrays["keypoints_2d"][i], person.keypoints_2d)
        for name in ("vertices", "joints_3d", "joints_2d", "kinematic_joints", "betas",
                     "global_orient", "body_pose", "weak_camera", "translation"):  # fmt: skip
            assert np.array_equal(arrays[name][i], getattr(person.after, name)), name
    assert np.array_equal(arrays["faces"], result.faces)
    assert arrays["image_size"].tolist() == [400, 300]
    assert arrays["body"].item() == result.body
    assert tuple(arrays["joint_names"]) == SMPL_49


def test_every_iterate_is_there_with_its_person(tmp_path: Path, result: FitResult) -> None:
    arrays = loaded(result, tmp_path)
    assert arrays["step_person"].tolist() == [0, 0, 0, 1, 1, 1]
    assert arrays["step_iteration"].tolist() == [0, 1, 2, 0, 1, 2]
    row = 4
    state = result.people[1].steps[1]
    assert arrays["step_error_px"][row] == state.error_px
    assert np.array_equal(arrays["step_body_pose"][row], state.body_pose)


def test_nobody_gives_empty_arrays_of_the_same_names(tmp_path: Path, result: FitResult) -> None:
    nobody = made_result(np.zeros((300, 400, 3), np.uint8), [], 260.0)
    arrays = loaded(nobody, tmp_path)
    assert arrays.keys() == fit_to_arrays(result).keys()
    assert arrays["joints_3d"].shape == (0, 49, 3)
    assert arrays["status"].shape == (0,)


def test_every_array_is_documented(result: FitResult) -> None:
    for name in fit_to_arrays(result):
        assert f"`{name}`" in (fit_to_arrays.__doc__ or ""), name
