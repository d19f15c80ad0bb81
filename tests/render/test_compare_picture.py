"""Pictures of a blind comparison: what is in them, and what is not."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.bodies import Body
from exemplar.bodies.open_body import load_open_body
from exemplar.render.compare_picture import (
    extent_of,
    overlay_picture,
    person_photo,
    plain_picture,
    views_of,
)
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from tests.fixtures.made_results import made_result

GREY = np.full((300, 400, 3), 120, np.uint8)
SIZE = 96


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


@pytest.fixture(scope="module")
def sample() -> Sample:
    person = made_result(GREY, [(200.0, 150.0)], 260.0).people[0]
    fit = person.after
    return Sample(
        image="a.png",
        box_centre=np.array([200.0, 150.0]),
        box_scale=260.0 / SCALE_UNIT,
        keypoints_2d=person.keypoints_2d.astype(np.float64),
        body=BodyTruth(
            pose=np.concatenate([fit.global_orient[None], fit.body_pose]).astype(np.float64),
            betas=fit.betas.astype(np.float64),
            weak_camera=fit.weak_camera.astype(np.float64),
        ),
    )


def covered(picture: np.ndarray) -> np.ndarray:
    """Pixels that are not white."""
    return (picture != 255).any(-1)


def test_the_photo_has_no_keypoints_on_it(sample: Sample) -> None:
    photo = person_photo(sample, GREY, SIZE)
    assert photo.min() > 110  # resampling darkens the photo's edge a little; keypoints are 20..245
    assert photo.max() == 120


def test_bodies_are_whole_on_white_whatever_their_camera(sample: Sample, body: Body) -> None:
    views = views_of(sample, body)
    picture = plain_picture(views, body.faces.numpy(), SIZE, extent=extent_of(views))
    assert picture.shape == (SIZE, 2 * SIZE, 3)
    for panel in (picture[:, :SIZE], picture[:, SIZE:]):
        seen = covered(panel)
        assert 0.05 < seen.mean() < 0.6
        assert not np.concatenate([seen[[0, -1]].ravel(), seen[:, [0, -1]].ravel()]).any()
    assert sample.body is not None
    elsewhere = replace(sample.body, weak_camera=np.array([0.2, 0.9, -0.9]))
    moved = views_of(replace(sample, body=elsewhere), body)
    np.testing.assert_array_equal(moved, views)


def test_a_view_is_the_cameras_and_the_other_is_turned_by_a_quarter(
    sample: Sample, body: Body
) -> None:
    front, side = views_of(sample, body)
    # float64 of the same vertices, moved
    np.testing.assert_allclose(np.ptp(front[:, 2]), np.ptp(side[:, 0]), atol=1e-9)
    np.testing.assert_allclose(front[:, 1], side[:, 1], atol=1e-9)
    assert front[:, 1].argmin() == side[:, 1].argmin()
    for view in (front, side):
        np.testing.assert_allclose(view.min(0), -view.max(0), atol=1e-9)


def test_one_extent_draws_bodies_to_one_scale(sample: Sample, body: Body) -> None:
    views = views_of(sample, body)
    extent, faces = extent_of(views), body.faces.numpy()
    assert 1.4 < extent < 2.2  # a standing person's height, metres
    whole = plain_picture(views, faces, SIZE, extent=extent)
    half = plain_picture(views, faces, SIZE, extent=2 * extent)
    # areas go with the square of the scale; edges of a small picture are a tenth of a body
    assert covered(whole).sum() / covered(half).sum() == pytest.approx(4, rel=0.1)


def test_the_overlay_is_the_photo_with_the_body_in_place(sample: Sample, body: Body) -> None:
    extent = extent_of(views_of(sample, body))
    picture = overlay_picture(sample, GREY, body, SIZE, extent=extent)
    photo = person_photo(sample, GREY, SIZE)
    drawn = (picture[:, :SIZE] != photo).any(-1)
    assert drawn.any()
    assert (~drawn).any()
    plain = plain_picture(views_of(sample, body), body.faces.numpy(), SIZE, extent=extent)
    np.testing.assert_array_equal(picture[:, SIZE:], plain[:, SIZE:])


def test_what_cannot_be_drawn_is_one_line(sample: Sample, body: Body) -> None:
    with pytest.raises(ValueError, match=r"a\.png cannot be drawn: it has no body"):
        views_of(replace(sample, body=None), body)
    assert sample.body is not None
    short = replace(sample, body=replace(sample.body, betas=np.zeros(3)))
    with pytest.raises(ValueError, match="3 betas"):
        views_of(short, body)
