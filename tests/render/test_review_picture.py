"""The picture by which a fit is accepted or rejected."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.bodies import Body, load_open_body
from exemplar.render.drawing import BACKDROP, LEFT, RIGHT
from exemplar.render.review_picture import _MARGIN, picture_width, review_picture
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.skeletons import SMPL_49
from tests.fixtures.made_results import made_result

SIZE = 160
PHOTO = np.full((300, 400, 3), 120, np.uint8)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A person at (200, 150) in a box of 260 px, fitted exactly; the body's camera is both the
    weak one and a long lens."""
    result = made_result(PHOTO, [(200.0, 150.0)], 260.0)
    person = result.people[0]
    fit = person.after
    pose = np.concatenate([fit.global_orient[None], fit.body_pose]).astype(np.float64)
    focal = result.focal
    x, y = result.principal_point
    return Sample(
        image="a.jpg",
        box_centre=np.array([200.0, 150.0]),
        box_scale=260.0 / SCALE_UNIT,
        keypoints_2d=person.keypoints_2d.astype(np.float64),
        body=BodyTruth(
            pose,
            fit.betas.astype(np.float64),
            fit.weak_camera.astype(np.float64),
            fit.translation.astype(np.float64),
        ),
        intrinsics=np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]]),
    )


def panels(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints, body and side view of a picture of height SIZE."""
    third = picture.shape[1] - round(0.62 * SIZE)
    gap = (third - 2 * SIZE) // 2
    return picture[:, :SIZE], picture[:, SIZE + gap : third - gap], picture[:, third:]


def place(sample: Sample, name: str) -> tuple[int, int]:
    """Row and column of a keypoint in a panel, worked out from the box."""
    side = 260.0 * _MARGIN
    point = sample.keypoints_2d[SMPL_49.index(name), :2]
    x, y = (point - (np.array([200.0, 150.0]) - side / 2)) * SIZE / side
    return int(y), int(x)


def without_camera(sample: Sample, **gone: None) -> Sample:
    assert sample.body is not None
    return replace(sample, body=replace(sample.body, **gone))


def test_it_has_three_panels_of_the_agreed_size(sample: Sample, body: Body) -> None:
    picture = review_picture(sample, PHOTO, body, SIZE)
    assert picture.shape == (SIZE, picture_width(SIZE), 3)
    first, second, third = panels(picture)
    assert first.shape == second.shape == (SIZE, SIZE, 3)
    assert third.shape[1] == round(0.62 * SIZE)


def test_keypoints_and_body_lie_where_the_box_says(sample: Sample, body: Body) -> None:
    first, second, _ = panels(review_picture(sample, PHOTO, body, SIZE))
    for name, colour in (("left_wrist", LEFT), ("right_knee", RIGHT)):
        row, column = place(sample, name)
        assert np.abs(first[row, column].astype(int) - colour).max() < 12, name
        assert second[row, column, 2] > second[row, column, 0] + 20, name  # the body is blue
    assert (second[5, SIZE // 2] == 120).all()


def test_the_full_camera_shows_what_the_weak_one_shows(sample: Sample, body: Body) -> None:
    """Its focal length is 5 diagonals, so perspective moves a limb by a few percent."""
    _, weak, _ = panels(review_picture(sample, PHOTO, body, SIZE))
    full_only = without_camera(sample, weak_camera=None)
    _, full, _ = panels(review_picture(full_only, PHOTO, body, SIZE))
    drawn = [(panel != 120).any(2) for panel in (weak, full)]
    assert (drawn[0] & drawn[1]).sum() > 0.85 * (drawn[0] | drawn[1]).sum()


def test_the_side_view_holds_the_whole_body(sample: Sample, body: Body) -> None:
    _, _, side = panels(review_picture(sample, PHOTO, body, SIZE))
    drawn = (side != BACKDROP).any(2)
    assert 0.05 < drawn.mean() < 0.6
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert not any(edge.any() for edge in edges)


def test_a_body_without_a_camera_is_shown_from_the_side_alone(sample: Sample, body: Body) -> None:
    bare = without_camera(sample, weak_camera=None, translation=None)
    _, second, side = panels(review_picture(bare, PHOTO, body, SIZE))
    assert (second == BACKDROP).all(2).mean() > 0.9
    assert (side != BACKDROP).any(2).mean() > 0.05


def test_without_an_image_everything_is_drawn_on_grey(sample: Sample, body: Body) -> None:
    first, second, _ = panels(review_picture(sample, None, body, SIZE))
    row, column = place(sample, "left_wrist")
    assert np.abs(first[row, column].astype(int) - LEFT).max() < 12
    assert (second[3, 3] == first[3, 3]).all()
    assert np.ptp(first[3, 3].astype(int)) < 16


def test_a_failed_fit_shows_keypoints_and_its_reason(sample: Sample, body: Body) -> None:
    failed = replace(sample, body=None)
    picture = review_picture(failed, PHOTO, body, SIZE, reason="rejected: a beta of 6.1")
    shown = review_picture(sample, PHOTO, body, SIZE)
    assert np.array_equal(picture[:, :SIZE], shown[:, :SIZE])
    text = picture[:, SIZE + 4 :]
    assert (text == BACKDROP).all(2).mean() > 0.9
    assert (text < 90).all(2).sum() > 50
    other = review_picture(failed, PHOTO, body, SIZE, reason="nothing to fit")
    assert not np.array_equal(picture, other)


def test_bodies_that_cannot_be_drawn_are_told_as_text(sample: Sample, body: Body) -> None:
    truth = sample.body
    assert truth is not None
    for broken in (
        replace(truth, betas=np.zeros(40)),
        replace(truth, pose=np.full((24, 3, 3), np.nan)),
    ):
        picture = review_picture(replace(sample, body=broken), PHOTO, body, SIZE)
        assert (picture[:, SIZE + 4 :] == BACKDROP).all(2).mean() > 0.85
    lost = replace(truth, weak_camera=np.full(3, np.nan))
    _, second, _ = panels(review_picture(replace(sample, body=lost), PHOTO, body, SIZE))
    assert (second == 120).all(2).mean() > 0.5


@pytest.mark.parametrize("centre", [(np.nan, 3.0), (200.0, 150.0), (-1e5, 1e7)])
@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, 1e9, 1.3])
@pytest.mark.parametrize("image", [None, PHOTO])
def test_broken_boxes_still_give_a_picture(
    sample: Sample,
    body: Body,
    centre: tuple[float, float],
    scale: float,
    image: np.ndarray | None,
) -> None:
    broken = replace(sample, box_centre=np.array(centre), box_scale=scale, body=None)
    assert review_picture(broken, image, body, SIZE).shape == (SIZE, picture_width(SIZE), 3)
    nobody = replace(broken, keypoints_2d=np.full((49, 3), np.nan))
    assert review_picture(nobody, image, body, SIZE).shape == (SIZE, picture_width(SIZE), 3)


def test_a_broken_box_is_replaced_by_the_keypoints(sample: Sample, body: Body) -> None:
    broken = replace(sample, box_scale=0.0, body=None)
    first = review_picture(broken, PHOTO, body, SIZE)[:, :SIZE]
    blue = (np.abs(first.astype(int) - LEFT).max(2) < 12).nonzero()
    assert len(blue[0]) > 30
    assert 0.1 * SIZE < blue[0].min() < blue[0].max() < 0.95 * SIZE


def test_a_picture_too_small_to_see_is_refused(sample: Sample, body: Body) -> None:
    with pytest.raises(ValueError, match="8 px"):
        review_picture(sample, PHOTO, body, 8)
