"""People are found once, with landmarks in the right places, whichever way up they are."""

import math

import numpy as np
import pytest
import skimage.data

from exemplar.detect.landmarks import (
    DetectedPerson,
    box_of,
    distinct,
    find_people,
    read_landmarks,
    without_shared,
)
from exemplar.detect.person_detector import Detection, square
from exemplar.skeletons import BLAZEPOSE_33, flip_permutation

FACE = {"nose": (224, 127), "left_eye": (243, 108), "right_eye": (204, 110)}
"""Read off the picture of the astronaut by eye, px; her left is on the right."""


LEGS = ("knee", "ankle", "heel", "foot_index")


def point(person: DetectedPerson, name: str) -> np.ndarray:
    return person.keypoints[BLAZEPOSE_33.index(name)]


def stick_person(angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """33 landmarks: hips at the origin, shoulders 50 px above, the rest up to 100 px away."""
    points = np.zeros((33, 2))
    points[:, 1] = np.linspace(-100, 100, 33)
    for side, x in (("left", 15), ("right", -15)):
        points[BLAZEPOSE_33.index(f"{side}_shoulder")] = (x, -50)
        points[BLAZEPOSE_33.index(f"{side}_hip")] = (x, 0)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = points @ np.array([[cos, sin], [-sin, cos]]) + shift
    return np.column_stack((turned, np.ones(33)))


def person(keypoints: np.ndarray, score: float) -> DetectedPerson:
    box = square(0.0, 0.0, 100.0)
    return DetectedPerson(keypoints, score, box, Detection(score, keypoints[0, :2], box))


def test_finds_exactly_one_astronaut():
    (found,) = find_people(skimage.data.astronaut())
    for name, expected in FACE.items():
        # Her crop is over 1,000 px wide for 256: an error of 6 of its pixels is 25 here.
        assert np.abs(point(found, name)[:2] - expected).max() < 25, name
    assert point(found, "left_shoulder")[0] > point(found, "right_shoulder")[0]
    assert point(found, "left_ankle")[2] < 0.5  # below the picture


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_seen_landmarks_turn_with_the_image(quarters):
    image = skimage.data.astronaut()
    (upright,) = find_people(image)
    (found,) = find_people(np.rot90(image, -quarters))
    x, y = found.keypoints[:, 0] - 256, found.keypoints[:, 1] - 256
    for _ in range(quarters):
        x, y = y, -x
    back = np.stack((x, y), axis=1) + 256
    above = [row for row, name in enumerate(BLAZEPOSE_33) if name in FACE or "shoulder" in name]
    assert upright.keypoints[above, 2].min() > 0.5
    # Her crop is over 1,000 px wide for 256, and another one in each turn: 15 px are 4 there.
    # What is at the photo's edge or outside is a guess and moves more.
    assert np.abs(back - upright.keypoints[:, :2])[above].max() < 15


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1), (4000, 1, 3), (90, 90, 1), (0, 5, 3)])
def test_odd_images_hold_nobody(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert find_people(image) == []


def test_a_cat_is_not_a_person():
    assert find_people(skimage.data.chelsea()) == []


def test_no_boxes_give_no_readings():
    assert read_landmarks(skimage.data.astronaut(), []) == []


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, -2.0])
def test_the_crop_of_landmarks_is_turned_with_the_torso(angle):
    box = box_of(stick_person(angle, shift=(300.0, 200.0)))
    assert box is not None
    np.testing.assert_allclose(box.centre, (300, 200), atol=1e-3)  # float32 px
    assert float(box.angle) == pytest.approx(angle, abs=1e-5)
    assert float(box.size) == pytest.approx(2 * 1.25 * 100, rel=1e-5)


def test_landmarks_in_one_point_ask_for_no_crop():
    assert box_of(np.ones((33, 3))) is None


def test_one_person_found_twice_is_kept_once():
    first, second = person(stick_person(), 0.8), person(stick_person(shift=(3, 0)), 0.9)
    assert distinct([first, second]) == [second]


def test_one_person_read_upside_down_is_kept_once():
    right, wrong = person(stick_person(), 0.9), person(stick_person(math.pi), 0.8)
    assert distinct([wrong, right]) == [right]


def test_a_narrow_body_upside_down_within_a_wide_one_is_the_same():
    """As it was with a man who holds out an arm: the narrow one fills a quarter of his place."""
    right, wrong = stick_person(), stick_person(math.pi)
    right[BLAZEPOSE_33.index("left_wrist"), :2] = (300, -50)
    assert [one.score for one in distinct([person(wrong, 0.8), person(right, 0.9)])] == [0.9]


def test_one_person_read_with_left_for_right_is_kept_once():
    right = person(stick_person(), 0.9)
    exchanged = person(stick_person()[flip_permutation(BLAZEPOSE_33)], 0.8)
    assert distinct([exchanged, right]) == [right]


def test_two_sizes_of_one_face_are_kept_once():
    face = stick_person()[0, :2]
    larger = stick_person()
    larger[:, :2] = face + 2 * (larger[:, :2] - face)
    larger[:11, :2] = stick_person()[:11, :2]
    both = [person(larger, 0.9), person(stick_person(), 0.8)]
    assert distinct(both) == both[:1]


def test_two_people_side_by_side_are_both_kept():
    both = [person(stick_person(), 0.9), person(stick_person(shift=(60, 0)), 0.8)]
    assert distinct(both) == both
    assert without_shared(both) == both


def test_legs_that_two_people_claim_are_the_surer_ones():
    sure, mixed = stick_person(), stick_person(shift=(60, 0))
    legs = [BLAZEPOSE_33.index(f"{s}_{part}") for s in ("left", "right") for part in LEGS]
    mixed[legs] = sure[legs]
    first, second = without_shared([person(sure, 0.9), person(mixed, 0.8)])
    assert first.keypoints[legs, 2].min() == 1.0
    assert second.keypoints[legs, 2].max() == 0.0
    assert second.keypoints[:11, 2].min() == 1.0
    # of 12 limb joints the 4 of the legs are lost
    assert second.score == pytest.approx(0.8 * 8 / 12)


@pytest.mark.slow
def test_three_people_in_a_row_are_found():
    image = np.full((480, 960, 3), 90, np.uint8)
    places = (40, 350, 660)
    for x in places:
        image[224:480, x : x + 256] = skimage.data.astronaut()[::2, ::2]
    found = find_people(image)
    noses = sorted(point(each, "nose")[0] for each in found)
    np.testing.assert_allclose(noses, np.array(places) + FACE["nose"][0] / 2, atol=15)
