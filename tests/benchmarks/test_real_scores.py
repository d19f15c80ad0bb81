"""Errors, intervals, what is held out, and files of results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.real_fits import LoadedMethods
from benchmarks.real_people import People, is_held_out
from benchmarks.real_scores import (
    Group,
    Scores,
    aligned,
    distance_px,
    flipped,
    interval,
    measure,
    view_pairs,
)
from benchmarks.real_sequences import FOURTEEN, LIMBS
from benchmarks.real_tables import as_json, compared, print_group, read_groups
from exemplar.evaluation.config import MethodConfig
from exemplar.regressors.checkpoints import body_for, load_regressor
from exemplar.samples import Sample
from exemplar.skeletons import LSP_14

UP = np.array([[0.0, -1.0, 0.0]])


def sample(image: str) -> Sample:
    """Somebody in an image."""
    return Sample(image, np.zeros(2), 1.0, np.zeros((49, 3)))


def turned(joints: np.ndarray, degrees: float) -> np.ndarray:
    """Joints turned about the camera's y axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return joints @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def standing() -> np.ndarray:
    """(1, 14, 3) somebody who stands: left joints at +x."""
    joints = np.random.default_rng(0).uniform(-0.1, 0.1, (1, len(LSP_14), 3))
    for row, name in enumerate(LSP_14):
        joints[0, row, 0] += {"left": 0.3, "right": -0.3}.get(name.split("_")[0], 0.0)
    return joints


@pytest.mark.parametrize(
    ("image", "held"),
    [
        ("im00007.jpg", True),
        ("images/im00047.jpg", True),
        ("im00008.jpg", False),
        ("000000000003.jpg", True),
        ("COCO_train2014_000000000007.jpg", True),
        ("000000000004.jpg", False),
        ("somebody.jpg", False),
    ],
)
def test_the_image_s_number_tells_who_is_held_out(image: str, held: bool) -> None:
    assert is_held_out(sample(image)) is held


@pytest.mark.parametrize(("degrees", "expected"), [(80, 0), (-80, 0), (100, 1), (180, 1)])
def test_a_body_is_flipped_beyond_a_right_angle(degrees: float, expected: int) -> None:
    joints = standing()
    assert flipped(turned(joints, degrees), joints, UP).tolist() == [expected]


def test_nobody_is_flipped_whose_sides_are_above_each_other() -> None:
    lying = standing()[..., [1, 0, 2]]
    assert np.isnan(flipped(standing(), lying, UP)).all()


def test_errors_are_of_joints_that_both_have() -> None:
    truth = standing()
    joints = 2.0 * turned(truth, 30) + 1.0
    truth[0, 0] = np.nan
    joints[0, 1] = np.nan
    # a similarity transform is no error: rounding of metres in float64
    assert aligned(joints, truth)[0] < 1e-6


def test_2d_errors_are_px_of_a_224_crop() -> None:
    points = np.zeros((2, len(LSP_14), 2))
    marked = np.zeros((2, len(LSP_14), 3))
    marked[0, :2] = (0.5, 0.0, 1.0)
    assert distance_px(points, marked)[0] == pytest.approx(56.0)
    assert np.isnan(distance_px(points, marked)[1])


def test_moments_are_resampled_whole() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    # one moment of each: with two moments a quarter of the resamples is all 0 and a quarter all 1
    found = interval(values, np.array([3, 3, 3, 9, 9, 9]))
    assert (found.mean, found.low, found.high, found.count) == (0.5, 0.0, 1.0, 6)
    assert np.isnan(interval(np.array([np.nan]), np.array([1])).mean)


def people() -> People:
    """Two views of somebody at one moment; the crops are noise."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([standing(), turned(standing(), 90)])
    truth[:, ~LIMBS] = np.nan
    keypoints = np.zeros((2, 49, 3))
    keypoints[:, np.array(FOURTEEN)[LIMBS]] = np.append(truth[:, LIMBS, :2], np.ones((2, 12, 1)), 2)
    return People(
        crops=rng.integers(0, 255, (2, 256, 256, 3), dtype=np.uint8),
        around=np.zeros((2, 410, 410, 3), np.uint8),
        boxes=np.array([[100.0, 100, 200, 0, 500, 100, 100]] * 2),
        keypoints_2d=keypoints,
        left_out=np.zeros((2, 14, 3)),
        truth=truth,
        up=np.repeat(UP, 2, 0),
        moment=np.array([5, 5]),
        camera=np.array([0, 1]),
        person=np.array([0, 0]),
    )


def test_views_of_a_moment_are_compared_both_ways() -> None:
    assert view_pairs(people()).tolist() == [[0, 1], [1, 0]]
    assert len(view_pairs(replace(people(), moment=np.array([5, 6])))) == 0


def test_networks_in_memory_are_measured_and_the_numbers_are_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    regressor, info = load_regressor("mobile")
    methods = LoadedMethods(
        regressor, info, body_for(info), MethodConfig(iterations=1, looks=False)
    )
    group = measure(methods, people(), ["none", "eft", "eft+guard", "oracle", "landmarks"])
    assert list(group.methods) == ["none", "eft", "eft+guard", "oracle", "landmarks"]
    errors = {name: scores.values["pa_mm"] for name, scores in group.methods.items()}
    # mm, from float32 bodies that were posed in other company: 3e-6 was seen
    assert (errors["oracle"] <= np.minimum(errors["none"], errors["eft"]) + 1e-4).all()
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"results": as_json({"two, true keypoints": group})}))
    (again,) = read_groups(path).values()
    assert again.keys == group.keys
    for name, scores in group.methods.items():
        # two decimals are written
        np.testing.assert_allclose(again.methods[name].values["pa_mm"], errors[name], atol=6e-3)
        for key, values in scores.between.items():
            np.testing.assert_allclose(again.methods[name].between[key], values, atol=6e-3)
    print_group("two", again)


def test_a_comparison_pairs_what_both_runs_have() -> None:
    def group(frames: list[int], values: list[float]) -> Group:
        scores = Scores({"pa_mm": np.array(values)}, {})
        keys = [(frame, 0, 0) for frame in frames]
        return Group(keys, np.zeros((0, 2), int), {"none": scores})

    one, other = group([0, 5, 10], [100, 90, 80]), group([10, 5, 15], [75, 80, 1])
    found = compared(one, other, "none", "pa_mm")
    assert found is not None
    before, after, difference = found
    assert (before.mean, after.mean, difference.mean) == (85.0, 77.5, -7.5)
    assert difference.count == 2
    assert compared(one, group([20], [1]), "none", "pa_mm") is None
