"""fit.json is strict JSON with the agreed names, units and digits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.export import write_json
from exemplar.results import FitResult
from exemplar.skeletons import SMPL_49
from tests.fixtures.made_results import made_result


@pytest.fixture(scope="module")
def result() -> FitResult:
    centres = [(100.0, 150.0), (300.0, 150.0)]
    return made_result(np.zeros((300, 400, 3), np.uint8), centres, 260.0, steps=2)


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


def loaded(result: FitResult, folder: Path) -> dict[str, Any]:
    write_json(result, folder / "fit.json")
    return json.loads((folder / "fit.json").read_text(), parse_constant=refuse)


def test_the_file_holds_what_was_fitted(tmp_path: Path, result: FitResult) -> None:
    """To the seven significant digits that are written."""
    data = loaded(result, tmp_path)
    assert set(data) == {"version", "body", "regressor", "image", "camera", "overlaps", "people"}
    assert data["image"] == {"width": 400, "height": 300}
    for person, written in zip(result.people, data["people"], strict=True):
        after = person.after
        assert tuple(written["joints_3d"]) == SMPL_49
        for name in ("joints_3d", "joints_2d"):
            values = np.array(list(written[name].values()))
            np.testing.assert_allclose(values, getattr(after, name), rtol=1e-6)
        for name in ("global_orient", "body_pose", "betas"):
            np.testing.assert_allclose(written[name], getattr(after, name), rtol=1e-6)
        for name in ("weak_camera", "translation"):
            np.testing.assert_allclose(written["camera"][name], getattr(after, name), rtol=1e-6)
        assert written["camera"]["principal_point"] == [200.0, 150.0]
        assert written["iterations"] == 2
        assert written["error_px_after"] == 0.0
        assert written["box"]["size"] == 260.0


def test_what_the_guard_chose_is_told(tmp_path: Path, result: FitResult) -> None:
    guarded = replace(result, people=(replace(result.people[0], made=20), result.people[1]))
    people = loaded(guarded, tmp_path)["people"]
    made = [(person["iterations"], person["iterations_made"]) for person in people]
    assert made == [(2, 20), (2, None)]


def test_only_given_keypoints_are_listed(tmp_path: Path, result: FitResult) -> None:
    listed = loaded(result, tmp_path)["people"][0]["keypoints_2d"]
    assert set(listed) == set(SMPL_49) - {"thorax"}
    expected = result.people[0].keypoints_2d[SMPL_49.index("nose")]
    np.testing.assert_allclose(listed["nose"], expected, rtol=1e-6)


def test_the_joints_project_to_their_pixels(tmp_path: Path, result: FitResult) -> None:
    """With the written pinhole camera, which is long: within 3% of a 2 m body's pixels."""
    person = loaded(result, tmp_path)["people"][0]
    joints = np.array(list(person["joints_3d"].values()))
    pixels = joints[:, :2] / joints[:, 2:] * person["camera"]["focal_length"]
    pixels += person["camera"]["principal_point"]
    distance = np.linalg.norm(pixels - np.array(list(person["joints_2d"].values())), axis=1)
    assert distance.max() < 0.03 * 260


def test_numbers_that_are_not_finite_are_null(tmp_path: Path, result: FitResult) -> None:
    person = result.people[0]
    lost = replace(person, steps=(replace(person.before, error_px=float("nan")),))
    data = loaded(replace(result, people=(lost,)), tmp_path)
    assert data["people"][0]["error_px_after"] is None


def test_numbers_have_seven_digits_and_vectors_one_line(tmp_path: Path, result: FitResult) -> None:
    write_json(result, tmp_path / "fit.json")
    text = (tmp_path / "fit.json").read_text()
    numbers = [part.strip("[],-+") for part in text.split() if "." in part]
    longest = max(len(n.split("e")[0].replace(".", "").lstrip("0")) for n in numbers)
    assert longest <= 8  # 7 digits, and the zero of a whole number such as 1234567.0
    assert '"principal_point": [200.0, 150.0]' in text


def test_nobody_is_an_empty_list(tmp_path: Path) -> None:
    nobody = made_result(np.zeros((300, 400, 3), np.uint8), [], 260.0)
    assert loaded(nobody, tmp_path)["people"] == []
