"""The figure and the animation of a fitted photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.render import overlay
from exemplar.render.drawing import BACKDROP, BODY_COLOURS, LEFT, RIGHT, View, view_of
from exemplar.render.overlay import overlay_picture, steps_gif
from exemplar.results import DIVERGED, NOTHING_TO_FIT, FitResult
from exemplar.skeletons import SMPL_49
from tests.fixtures.made_results import made_result

GREY = 120


def photo(width: int = 400, height: int = 300) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


@pytest.fixture(scope="module")
def one_person() -> FitResult:
    return made_result(photo(), [(200.0, 150.0)], 260.0)


@pytest.fixture(scope="module")
def three_people() -> FitResult:
    return made_result(photo(900, 300), [(150.0, 150.0), (450.0, 150.0), (750.0, 150.0)], 240.0)


def region_view(result: FitResult, height: int) -> View:
    return view_of(result.image, overlay._region(result), height)


def test_the_figure_has_the_agreed_size(one_person: FitResult, three_people: FitResult) -> None:
    """Wide groups of people may need lower panels to stay within the width."""
    for result in (one_person, three_people):
        picture = overlay_picture(result)
        assert picture.dtype == np.uint8
        assert picture.shape[1] <= overlay.FIGURE_WIDTH
    assert 480 <= overlay_picture(one_person).shape[0] <= 640 + 100


def test_a_photo_without_people_is_shown_alone() -> None:
    picture = overlay_picture(made_result(photo(), [], 200.0))
    assert picture.shape[1] < 700
    assert (picture == GREY).all(2).mean() > 0.7


def test_bodies_are_drawn_where_their_joints_project(one_person: FitResult) -> None:
    """Pelvis, knees and shoulders lie inside the body's silhouette."""
    view = region_view(one_person, 480)
    states = [person.after for person in one_person.people]
    picture = overlay._with_bodies(one_person, view, one_person.people, states)
    drawn = (picture != view.photo).any(2)
    for name in ("pelvis", "left_knee", "right_knee", "left_shoulder", "head"):
        x, y = view.points(states[0].joints_2d[SMPL_49.index(name)]).astype(int)
        assert drawn[y, x], name
    assert 0.02 < drawn.mean() < 0.5


def test_the_nearer_person_hides_the_farther_one() -> None:
    result = made_result(photo(), [(200.0, 150.0), (200.0, 150.0)], 260.0, turn=0.0)
    far, near = result.people
    behind = np.array([0.0, 0.0, 9.0])
    moved = [
        replace(state, translation=state.translation + behind, vertices=state.vertices + behind)
        for state in far.steps
    ]
    far = replace(far, steps=tuple(moved))
    view = region_view(result, 200)
    x, y = view.points(near.after.joints_2d[SMPL_49.index("pelvis")]).astype(int)
    people = (far, near)
    for order, owner in ((people, 1), (people[::-1], 0)):
        states = [person.after for person in order]
        pixel = overlay._with_bodies(result, view, order, states)[y, x].astype(float)
        hue = pixel / pixel.max()
        expected = np.array(BODY_COLOURS[owner])
        assert np.abs(hue - expected / expected.max()).max() < 0.05


def test_left_and_right_keypoints_have_their_colours(one_person: FitResult) -> None:
    view = region_view(one_person, 480)
    picture = overlay._with_keypoints(view, one_person.people)
    for name, colour in (("left_wrist", LEFT), ("right_knee", RIGHT)):
        x, y = view.points(one_person.people[0].keypoints_2d[SMPL_49.index(name), :2]).astype(int)
        assert np.abs(picture[y, x].astype(int) - colour).max() < 3


def test_missing_keypoints_are_not_drawn(one_person: FitResult) -> None:
    person = replace(one_person.people[0], keypoints_2d=np.zeros((49, 3)))
    view = region_view(one_person, 480)
    assert np.array_equal(overlay._with_keypoints(view, [person]), view.photo)


def test_from_the_side_a_person_who_faces_the_camera_looks_to_the_right() -> None:
    """The toes are right of the heels, the head is up, and the camera sees the right side."""
    result = made_result(photo(), [(200.0, 150.0)], 260.0, turn=0.0)
    state = result.people[0].before
    joints = replace(state, vertices=state.joints_3d)
    side = dict(zip(SMPL_49, overlay._from_the_side(joints), strict=True))
    assert side["op_left_big_toe"][0] > side["op_left_heel"][0]
    assert side["nose"][0] > side["left_ear"][0]
    assert side["head"][1] < side["left_knee"][1]
    assert side["right_hip"][2] < side["left_hip"][2]


def test_side_views_hold_everyone_whole_and_apart(three_people: FitResult) -> None:
    before, after = overlay._side_views(three_people.people, three_people.faces, 500, 480)
    for picture in (before, after):
        drawn = (picture != BACKDROP).any(2)
        assert not drawn[[0, -1]].any()
        assert not drawn[:, [0, -1]].any()
        edges = np.diff(drawn.any(0).astype(int))
        assert (edges == 1).sum() == 3


def test_titles_tell_errors_and_failures(one_person: FitResult) -> None:
    people = one_person.people
    error = people[0].before.error_px
    assert overlay._outcome(people, [people[0].before]) == f"mean 2D error {error:.1f} px"
    (lost,) = (replace(person, status=DIVERGED) for person in people)
    assert overlay._outcome([lost], [lost.before]).endswith(", diverged")
    (idle,) = (replace(person, status=NOTHING_TO_FIT) for person in people)
    assert overlay._outcome([idle], [idle.before]) == "nothing to fit"
    overlay_picture(replace(one_person, people=(lost, idle)))


def test_a_box_beyond_the_photo_still_gives_a_figure(one_person: FitResult) -> None:
    person = replace(one_person.people[0], box_centre=np.array([-900.0, 5000.0]))
    assert overlay_picture(replace(one_person, people=(person,))).shape[1] > 100


def test_the_animation_shows_every_iterate_and_rests_on_the_last(
    tmp_path: Path, one_person: FitResult
) -> None:
    steps_gif(one_person, tmp_path / "steps.gif", fps=10.0)
    with Image.open(tmp_path / "steps.gif") as gif:
        assert gif.n_frames == len(one_person.people[0].steps)
        assert max(gif.size) <= overlay.GIF_SIDE
        durations = []
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
    assert durations == [100, 100, 100, 1500]


def test_the_animation_ends_on_the_fit(tmp_path: Path, one_person: FitResult) -> None:
    """A palette of 256 colours for a grey photo and one body is near exact."""
    steps_gif(one_person, tmp_path / "steps.gif")
    with Image.open(tmp_path / "steps.gif") as gif:
        gif.seek(gif.n_frames - 1)
        last = np.asarray(gif.convert("RGB"))
    view = region_view(one_person, last.shape[0] - overlay._CAPTION)
    expected = overlay._step_frame(one_person, view, 3, 3)
    assert np.abs(last.astype(float) - expected).mean() < 3


def test_long_fits_and_textured_photos_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 480, 3), dtype=np.uint8)
    result = made_result(noise, [(240.0, 240.0)], 480.0, steps=20)
    long = replace(result.people[0], steps=result.people[0].steps * 5)
    steps_gif(replace(result, people=(long,)), tmp_path / "steps.gif")
    assert (tmp_path / "steps.gif").stat().st_size < 3_000_000
    with Image.open(tmp_path / "steps.gif") as gif:
        assert gif.n_frames <= overlay.GIF_FRAMES


def test_an_animation_of_nobody_or_at_no_rate_is_refused(
    tmp_path: Path, one_person: FitResult
) -> None:
    with pytest.raises(ValueError, match="no people"):
        steps_gif(replace(one_person, people=()), tmp_path / "steps.gif")
    with pytest.raises(ValueError, match="fps"):
        steps_gif(one_person, tmp_path / "steps.gif", fps=0.0)
    assert not list(tmp_path.iterdir())
