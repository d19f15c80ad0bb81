"""Pieces that pictures of people are drawn with."""

import numpy as np

from exemplar.render.drawing import LEFT, RIGHT, draw_keypoints, from_the_side, view_of, with_body
from exemplar.skeletons import SMPL_49

GREY = np.full((80, 100, 3), 128, np.uint8)


def test_a_view_keeps_places() -> None:
    """A white block of the photo stays under its corners' view coordinates."""
    image = np.zeros((60, 90, 3), np.uint8)
    image[20:30, 40:60] = 255
    view = view_of(image, (30, 10, 40, 40), 120)
    assert view.photo.shape == (120, 120, 3)
    low, high = view.points(np.array([40.0, 20.0])), view.points(np.array([60.0, 30.0]))
    assert np.array_equal([low, high], [[30.0, 30.0], [90.0, 60.0]])
    assert (view.photo[35:55, 35:85] > 250).all()
    assert (view.photo[65:] < 5).all()


def test_a_body_covers_its_triangle_only_and_the_given_picture_stays() -> None:
    points = np.array([[10.0, 10.0], [10.0, 70.0], [60.0, 10.0]])
    drawn = with_body(GREY, points, np.zeros(3), np.array([[0, 1, 2]]), pixels_per_metre=1.0)
    changed = (drawn != GREY).any(2)
    assert changed[20, 20]
    assert not changed[70, 60]
    assert abs(changed.sum() - 50 * 60 / 2) < 120  # half a pixel along the edges
    assert (GREY == 128).all()


def test_a_body_that_is_not_finite_or_not_in_sight_is_not_drawn() -> None:
    points, faces = np.array([[10.0, 10.0], [10.0, 70.0], [60.0, np.nan]]), np.array([[0, 1, 2]])
    for place in (points, np.nan_to_num(points) - 500):
        drawn = with_body(GREY, place, np.zeros(3), faces, pixels_per_metre=1.0)
        assert np.array_equal(drawn, GREY)


def test_seen_from_the_side_the_front_is_right_and_the_far_side_is_deeper() -> None:
    """Camera frame: z forward, so what is nearer to the camera (smaller z) is to the right."""
    pelvis = np.array([1.0, 2.0, 5.0])
    nose_and_left_hand = pelvis + np.array([[0.0, -0.6, -0.2], [0.3, 0.0, 0.0]])
    side = from_the_side(nose_and_left_hand, pelvis)
    assert np.allclose(side, [[0.2, -0.6, 0.0], [0.0, 0.0, 0.3]])


def test_keypoints_are_drawn_at_their_places_in_their_colours() -> None:
    picture, points = GREY.copy(), np.zeros((49, 3))
    points[SMPL_49.index("left_wrist")] = 20.0, 30.0, 1.0
    points[SMPL_49.index("right_wrist")] = 30.0, 10.0, 0.4
    points[SMPL_49.index("nose")] = 25.0, 35.0, 0.0
    draw_keypoints(picture, points, lambda place: place * 2)
    assert tuple(picture[60, 40]) == LEFT
    assert tuple(picture[20, 60]) == RIGHT
    assert tuple(picture[70, 50]) == (128, 128, 128)
