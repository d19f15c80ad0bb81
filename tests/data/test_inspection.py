"""Counts over a file, what looks wrong, and people spread over it."""

import numpy as np
import pytest

from exemplar.data.inspection import doubts, summarise
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import SMPL_49

IDENTITY = np.tile(np.eye(3), (24, 1, 1))


def person(number: int = 0, **changes: object) -> Sample:
    keypoints = np.zeros((49, 3))
    keypoints[SMPL_49.index("nose")] = (100, 50, 1)
    keypoints[SMPL_49.index("left_knee")] = (110, 150, 0.5)
    values = {
        "image": f"{number // 2}.jpg",
        "box_centre": np.array([105.0, 100.0]),
        "box_scale": 0.6,
        "keypoints_2d": keypoints,
    }
    return Sample(**(values | changes))  # pyright: ignore


def test_counts_are_those_of_the_file() -> None:
    samples = [
        person(0, subject="a"),
        person(1, joints_3d=np.ones((24, 4)), subject="a"),
        person(2, body=BodyTruth(IDENTITY, np.zeros(10))),
        person(3, problem="broken annotation: x", keypoints_2d=np.zeros((49, 3))),
    ]
    summary = summarise(samples)
    assert (summary.people, summary.with_3d, summary.with_body, summary.broken) == (4, 1, 1, 1)
    assert len(summary.images) == 2
    assert summary.subjects == {"a"}
    assert summary.visible[SMPL_49.index("nose")] == 3
    assert summary.visible.sum() == 6
    assert summary.doubtful == {}
    assert summary.problems == {"broken annotation: x": 1}


@pytest.mark.parametrize("count", [0, 1, 5, 24, 25, 97, 1000, 5000])
def test_people_are_spread_over_the_whole_file(count: int) -> None:
    summary = summarise((person(i) for i in range(count)), spread=24)
    numbers = [number for number, _ in summary.spread]
    assert len(numbers) == min(24, count)
    assert numbers == sorted(set(numbers))
    if count > 24:
        gaps = np.diff([0, *numbers, count])
        assert gaps.max() < 3.1 * count / 24  # 24 even ones, of every second that was kept


def moved(x: float, y: float) -> np.ndarray:
    keypoints = person().keypoints_2d.copy()
    keypoints[SMPL_49.index("nose"), :2] = x, y
    return keypoints


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, []),
        ({"box_scale": 0.0}, ["box without extent"]),
        ({"box_scale": float("nan")}, ["box without extent"]),
        ({"keypoints_2d": np.zeros((49, 3))}, ["no keypoint"]),
        ({"keypoints_2d": moved(-5, 50)}, ["keypoints left of or above the image"]),
        ({"keypoints_2d": moved(400, 50)}, ["keypoints far outside the box"]),
        ({"keypoints_2d": moved(110, 150)}, ["all keypoints in one place"]),
        ({"keypoints_2d": moved(np.nan, 150)}, ["keypoints that are not finite"]),
        ({"keypoints_2d": person().keypoints_2d * [1, 1, 2]}, ["confidences over 1"]),
        ({"joints_3d": np.eye(24, 4) * 900 + [0, 0, 0, 1]}, ["3D joints over 4 m apart"]),
        (
            {"body": BodyTruth(IDENTITY * 1.1, np.zeros(10))},
            ["pose matrices that are no rotations"],
        ),
        ({"body": BodyTruth(IDENTITY, np.full(10, 6.0))}, ["shape coefficients over 5"]),
    ],
)
def test_doubts_name_what_looks_wrong(changes: dict, says: list[str]) -> None:
    assert doubts(person(**changes)) == says
