"""What detectors' numbers become: scores, missing points, joints by name."""

import numpy as np
import pytest

from exemplar.data.detections import (
    Detection,
    detected_joints,
    detections_of,
    scale_of,
    score_scale,
    triplets,
    unit_of,
    with_scores,
)
from exemplar.skeletons import COCO_17, OPENPOSE_18, SMPL_49

NOSE, LEFT_EYE = (SMPL_49.index(name) for name in ("nose", "left_eye"))


def points(*first: list[float]) -> np.ndarray:
    """COCO's 17 at (10, 20), (11, 21), ... with score 1, the first ones as given."""
    rows = np.array([[10.0 + i, 20.0 + i, 1.0] for i in range(17)])
    rows[: len(first)] = np.array(first).reshape(-1, 3)
    return rows


@pytest.mark.parametrize(
    "missing",
    [[0, 0, 0.9], [-1, -1, 0.9], [5, 5, 0], [5, 5, -1], [5, 5, -0.004], [np.nan, 5, 1],
     [5, 5, np.nan], [np.inf, 5, 1], [5, 5, 0.29]],
)  # fmt: skip
def test_what_is_missing(missing: list[float]) -> None:
    joints = detected_joints(Detection(points(missing), COCO_17))
    assert joints[NOSE].tolist() == [0, 0, 0]
    assert (joints[:, 2] > 0).sum() == 16


def test_a_point_on_one_edge_is_known() -> None:
    joints = detected_joints(Detection(points([0, 7, 0.9], [7, 0, 1.04]), COCO_17))
    assert joints[NOSE].tolist() == [0, 7, 0.9]
    assert joints[LEFT_EYE].tolist() == [7, 0, 1]


def test_large_scores_are_brought_to_0_1_by_the_file_s_high_ones() -> None:
    first, second = points([1, 2, 1.4], [3, 4, 3.5]), points()
    first[2:, 2], second[:, 2] = 7.0, 7.0
    people = [Detection(first, COCO_17), Detection(second, COCO_17)]
    scale = scale_of(people)
    assert scale == 7
    joints = detected_joints(people[0], scale=scale)
    assert joints[NOSE, 2] == 0  # 0.2 is below the least confidence
    assert joints[LEFT_EYE, 2] == 0.5
    assert detected_joints(people[1], scale=scale)[NOSE, 2] == 1


def test_one_odd_score_does_not_make_the_others_small() -> None:
    assert score_scale(np.array([*[0.9] * 16, 11.0])) == 1
    assert score_scale(np.array([2.0, 1.0, 2.0, 0.0, np.nan])) == 1
    assert score_scale(np.array([95.0, 80.0, 99.0])) == pytest.approx(98.2)
    assert score_scale(np.array([])) == 1


def test_fractions_are_of_the_image_s_size() -> None:
    person = Detection(points() / [100, 200, 1], COCO_17, is_fraction=True)
    joints = detected_joints(person, unit=unit_of(person, (100, 200)))
    assert joints[NOSE] == pytest.approx([10, 20, 1])
    with pytest.raises(ValueError, match="fractions of the image's size"):
        unit_of(person, None)


def test_the_neck_of_openpose_18_is_not_the_annotated_neck() -> None:
    joints = detected_joints(detections_of(np.ones((18, 3)) * [3, 4, 1])[0])
    assert joints[SMPL_49.index("op_neck")].tolist() == [3, 4, 1]
    assert joints[SMPL_49.index("neck"), 2] == 0
    assert OPENPOSE_18[1] == "op_neck"


def test_joint_sets_by_hand_count_more_than_names() -> None:
    person = Detection(points(), COCO_17)
    assert detected_joints(person, joints="h36m17")[SMPL_49.index("pelvis"), 0] == 10
    with pytest.raises(ValueError, match="17 keypoints, expected the 26 of halpe26"):
        detected_joints(person, joints="halpe26")
    with pytest.raises(ValueError, match="unknown joint set tail, wing"):
        detected_joints(Detection(np.ones((2, 3)), ("tail", "wing")))
    with pytest.raises(ValueError, match="--joints lsp14 or crowdpose14 or aic14"):
        detected_joints(Detection(np.ones((14, 3))))


def test_lists_of_numbers_are_checked() -> None:
    assert np.isnan(triplets([None, 2, 3, [4, 5, 6]][:3], "k")[0, 0])
    assert triplets([[1, 2, 3], [4, 5, 6]], "k").tolist() == [[1, 2, 3], [4, 5, 6]]
    for wrong in ([1, 2], ["a", 2, 3], [[1, 2], [3]], {"a": 1}, [10**400, 1, 1]):
        with pytest.raises(ValueError, match="k"):
            triplets(wrong, "k")
    assert with_scores([[1, 2]], [0.5], "k").tolist() == [[1, 2, 0.5]]
    assert with_scores([[1, 2]], None, "k").tolist() == [[1, 2, 1]]
    assert with_scores([[1, 2, 0.4]], None, "k").tolist() == [[1, 2, 0.4]]
    for points_, scores in (([[1, 2]], [1, 2]), ([1, 2], None), ([["a", 1]], None)):
        with pytest.raises(ValueError, match="k"):
            with_scores(points_, scores, "k")
