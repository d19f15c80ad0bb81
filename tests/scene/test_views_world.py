"""Units and up of a calibration, who is who over time, and which frames are looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.bodies import Body, load_body
from exemplar.data.footage import Footage
from exemplar.motion import MISSING, Motion
from exemplar.results import OK, REJECTED
from exemplar.scene.association import Person, person_of
from exemplar.scene.moments import moments_of
from exemplar.scene.tracks3d import tracked
from exemplar.scene.view_people import Found, distinct
from exemplar.scene.views import carried, checked, world_of
from exemplar.scene.views_options import ViewsOptions
from exemplar.scene.world import named_up, parsed_unit, turn_to_y, unit_of
from tests.fixtures.made_rig import joints_of, made_body, made_rig, seen_by


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def somebody(body: Body, *, seed: int = 0, place=(0.0, 0.9, 0.0), up: int = 1, unit: float = 1.0):
    """A person as cameras of a world of another up and unit find them, and the cameras."""
    points = seen_by(made_rig(), joints_of(body, made_body(body, seed=seed, place=place)))
    cameras = made_rig(up=up, unit=unit)
    return person_of(points, cameras), cameras


def person(body: Body, **changes) -> Person:
    return somebody(body, **changes)[0]


@pytest.mark.parametrize(("name", "unit"), [("m", 1.0), ("cm", 0.01), ("mm", 0.001)])
def test_people_tell_the_unit(body: Body, name: str, unit: float) -> None:
    found, metres = unit_of([person(body, unit=unit)])
    assert found == name
    assert metres == pytest.approx(0.5, abs=0.1)


def test_a_unit_that_nobody_uses_is_asked_for(body: Body) -> None:
    with pytest.raises(ValueError, match="none of m, cm, mm: give --unit"):
        unit_of([person(body, unit=0.03)])


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_world_is_turned_y_up_in_metres(body: Body, up: int) -> None:
    found, cameras = somebody(body, up=up, unit=0.01)
    world = world_of([found], cameras, ViewsOptions())
    assert world.unit == "cm"
    assert world.up == tuple(np.eye(3)[up])
    moved = person_of(found.points, world.cameras)
    feet = moved.joints[:, 1]
    truth = joints_of(body, made_body(body))
    assert feet == pytest.approx(truth[:, 1], abs=2e-3, nan_ok=True)


def test_up_can_be_named(body: Body) -> None:
    found, cameras = somebody(body)
    world = world_of([found], cameras, ViewsOptions(up="-z", unit="0.5"))
    assert world.up == (0, 0, -1)
    assert world.cameras[0].centre == pytest.approx(
        turn_to_y(named_up("-z")) @ cameras[0].centre / 2
    )


def test_axes_become_those_of_trc_files() -> None:
    assert turn_to_y(named_up("z")) @ (1, 2, 3) == pytest.approx([2, 3, 1])
    for name in ("x", "-x", "y", "-y", "z", "-z"):
        turn = turn_to_y(named_up(name))
        assert turn @ named_up(name) == pytest.approx([0, 1, 0])
        assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize("text", ["inch", "0", "-1", "nan", "inf"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unit"):
        parsed_unit(text)


def test_people_keep_their_numbers_through_gaps_and_orders(body: Body) -> None:
    times = [0.1 * k for k in range(8)]
    moments = []
    for k in range(8):
        walker = person(body, seed=0, place=(-0.8 + 0.2 * k, 0.9, 0.6))
        stander = person(body, seed=1, place=(0.0, 0.9, -0.6))
        moments.append([walker, stander] if k % 2 else [stander, walker])
    moments[3] = moments[3][1:]
    first, second = tracked(moments, times)
    assert len(first) == 8
    assert len(second) == 7
    assert 3 not in second
    for track in (first, second):
        places = np.array([np.nanmean(track[k].joints, axis=0) for k in sorted(track)])
        assert np.abs(np.diff(places, axis=0)).max() < 0.5


def test_who_is_seen_once_in_many_moments_is_a_mistake(body: Body) -> None:
    moments = [[person(body)] for _ in range(12)]
    moments[5] = [*moments[5], person(body, seed=1, place=(1.2, 0.9, 0.8))]
    assert len(tracked(moments, [0.1 * k for k in range(12)])) == 1


def test_one_place_is_one_person(body: Body) -> None:
    whole = person(body)
    points = whole.points.copy()
    points[0, :, 2] = 0
    twice = person_of(points, made_rig())
    other = person(body, seed=1, place=(0.9, 0.9, 0.0))
    assert distinct([twice, whole, other]) == [whole, other]


def walk(confidence: list[float], status: list[str]) -> Motion:
    """Somebody who walks 0.1 m a frame, and is said to be far away where the status is not ok."""
    count = len(status)
    good = np.array([each == OK for each in status])
    places = np.where(good, 0.1 * np.arange(count), 50.0)
    eye = np.eye(3)
    return Motion(
        times=np.arange(count) / 10,
        fps=10.0,
        global_orient=np.tile(eye, (count, 1, 1)),
        body_pose=np.tile(eye, (count, 23, 1, 1)),
        betas=np.zeros(10),
        translation=np.stack((places, places * 0, places * 0), axis=1),
        status=tuple(status),
        confidence=np.array(confidence),
        frame="world",
    )


def test_doubtful_moments_are_carried_by_those_around_them() -> None:
    status = [OK, OK, REJECTED, OK, MISSING, MISSING, OK, OK]
    motion = walk([0.9, 0.9, 0.8, 0.9, 0, 0, 0.9, 0.1], status)
    found = carried(motion)
    assert found.translation[:, 0] == pytest.approx(0.1 * np.arange(8))
    assert found.status == (OK,) * 8
    assert found.confidence.tolist() == motion.confidence.tolist()


def test_long_gaps_and_ends_stay_open() -> None:
    status = [MISSING, OK, *[MISSING] * 9, OK, REJECTED]
    motion = walk([0.9] * len(status), status)
    assert carried(motion).status == tuple(status)
    nobody = walk([0.0] * 3, [MISSING] * 3)
    assert carried(nobody) is nobody


def footage(count: int, fps: float = 30.0) -> Footage:
    return Footage(Path("x.mp4"), "video", count, fps, (640, 480))


def test_the_common_part_is_looked_at() -> None:
    moments = moments_of([footage(30), footage(20)], ViewsOptions())
    assert len(moments) == 20
    assert moments[-1].frames == (19, 19)


def test_cameras_of_other_rates_show_the_nearest_frame() -> None:
    moments = moments_of([footage(30, 30.0), footage(60, 60.0)], ViewsOptions(every=3, start=0.1))
    assert [m.frames for m in moments[:2]] == [(3, 6), (6, 12)]
    assert [m.time for m in moments[:2]] == pytest.approx([0.1, 0.2])


def test_moments_are_those_that_late_and_early_cameras_show() -> None:
    three = [footage(30), footage(30), footage(30)]
    moments = moments_of(three, ViewsOptions(), (0.0, 0.1, -1 / 15))
    assert [moment.frames for moment in (moments[0], moments[-1])] == [(2, 5, 0), (26, 29, 24)]
    assert moments[0].time == pytest.approx(2 / 30)
    halves = moments_of(three, ViewsOptions(every=2), (0.0, 0.1, -1 / 15))
    assert [moment.frames[0] for moment in halves[:2]] == [2, 4]


def test_no_common_moment_is_one_line() -> None:
    with pytest.raises(ValueError, match="no moment from 2 s to"):
        moments_of([footage(30)], ViewsOptions(start=2.0))
    with pytest.raises(ValueError, match="the cameras share 0 s"):
        moments_of([footage(30), footage(30)], ViewsOptions(), (0.0, 2.0))


def test_cameras_that_see_different_worlds_are_refused() -> None:
    none = [Found((), (1, 1, 1), 212.0)] * 5
    with pytest.raises(ValueError, match="agree in 0 of 5 moments, else they are 212 px apart"):
        checked(none, made_rig())
    with pytest.raises(ValueError, match="in no moment are people found in two"):
        checked([Found((), (1, 0, 0), np.nan)], made_rig())


def test_cameras_that_agree_poorly_are_told_of(body: Body) -> None:
    poor = replace(person(body), error=0.041)
    (warning,) = checked([Found((poor,), (1, 1, 1), np.nan)], made_rig())
    assert "keypoints are 4.1 % of a person's height off" in warning


def test_a_camera_that_agrees_with_no_other_is_named(body: Body) -> None:
    whole = person(body)
    points = whole.points.copy()
    points[1] = 0
    found = Found((person_of(points, made_rig()),), (1, 1, 1), np.nan)
    (warning,) = checked([found] * 4, made_rig())
    assert "camera cam1 agrees with the others in 0 of 4 moments" in warning
    assert checked([replace(found, people=(whole,))] * 4, made_rig()) == []


def test_pairs_of_cameras_with_nobody_in_common_are_told_of(body: Body) -> None:
    one, rig = person(body), made_rig(4)
    points = one.points[[0, 1, 2, 2]]
    whole = replace(one, points=points, supports=np.ones((4, 49), bool))
    pairs = [np.isin(np.arange(4), pair)[:, None, None] for pair in ((0, 1), (2, 3))]
    alone = [replace(whole, points=points * pair) for pair in pairs]
    (warning,) = checked([Found(tuple(alone), (2, 2, 1, 1), np.nan)] * 2, rig)
    assert warning.startswith("cam0 and cam1 see nobody whom cam2 and cam3 see")
    assert checked([Found((*alone, whole), (2, 2, 2, 2), np.nan)], rig) == []
