"""People are found once, with landmarks in the right places, whichever way up they are."""

import math

import numpy as np
import pytest
import skimage.data

from exemplar.detect.landmarks import (
    DetectedPerson,
    as_rgb,
    box_of,
    distinct,
    find_people,
    first_box,
    read_landmarks,
)
from exemplar.detect.pose_finder import Sighting, square
from exemplar.skeletons import BLAZEPOSE_33, COCO_17

FACE = {"nose": (224, 127), "left_eye": (243, 108), "right_eye": (204, 110)}
"""Read off the picture of the astronaut by eye, px; her left is on the right."""


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
    return DetectedPerson(keypoints, score, square(0.0, 0.0, 100.0))


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
    seen = np.minimum(upright.keypoints[:, 2], found.keypoints[:, 2]) > 0.5
    assert seen.sum() >= 9
    # The whole picture is seen the other way up, so that crops differ: 30 px is 6 of her crop's.
    # Landmarks that are not seen (her feet, far outside the photo) are guesses and move more.
    assert np.abs(back - upright.keypoints[:, :2])[seen].max() < 30


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1), (4000, 1, 3), (90, 90, 1), (0, 5, 3)])
def test_odd_images_hold_nobody(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert find_people(image) == []


def test_a_grey_image_will_do():
    (person,) = find_people(skimage.data.astronaut().mean(axis=2).astype(np.uint8))
    assert person.score > 0.5


def test_a_picture_with_two_channels_is_refused():
    with pytest.raises(ValueError, match=r"expected a uint8 image .* got uint8 \(4, 4, 2\)"):
        as_rgb(np.zeros((4, 4, 2), np.uint8))


def test_both_networks_agree_about_the_astronaut():
    (found,) = find_people(skimage.data.astronaut())
    assert found.agreement > 0.8


def test_a_small_person_is_found():
    image = np.full((1200, 1600, 3), 90, np.uint8)
    image[820:948, 1200:1328] = skimage.data.astronaut()[::4, ::4]
    (person,) = find_people(image)
    assert 1200 < point(person, "nose")[0] < 1328


def test_the_first_crop_holds_what_is_seen():
    keypoints = stick_person(0.7, shift=(300.0, 200.0))
    common = keypoints[[BLAZEPOSE_33.index(name) for name in COCO_17]]
    box = first_box(Sighting(0.9, np.array([200.0, 100, 400, 300]), common))
    assert box is not None
    assert float(box.angle) == pytest.approx(0.7, abs=1e-5)
    reach = np.linalg.norm(common[:, :2] - (300, 200), axis=1).max()
    assert float(box.size) == pytest.approx(2 * 1.25 * 1.1 * reach, rel=1e-5)


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


def test_two_people_side_by_side_are_both_kept():
    both = [person(stick_person(), 0.9), person(stick_person(shift=(60, 0)), 0.8)]
    assert distinct(both) == both
