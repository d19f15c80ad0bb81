"""Calibrated cameras: lenses, rays, and points where rays meet."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.geometry.rigs import LensCamera, misses, triangulate, triangulate_robust
from tests.fixtures.made_rig import made_rig

POINTS = np.random.default_rng(0).normal(size=(12, 3)) * 0.4 + (0, 0.9, 0)


def fisheye(camera: LensCamera) -> LensCamera:
    return replace(camera, distortion=np.array([0.05, -0.01, 0.002, 0.0]), fisheye=True)


def seen(cameras: list[LensCamera]) -> np.ndarray:
    points = [np.column_stack((c.project(POINTS), np.ones(len(POINTS)))) for c in cameras]
    return np.stack(points)


@pytest.mark.parametrize("kind", [lambda c: c, fisheye])
def test_a_ray_goes_through_the_point_that_is_seen_there(kind) -> None:
    for camera in map(kind, made_rig()):
        away = POINTS - camera.centre
        expected = away / np.linalg.norm(away, axis=1, keepdims=True)
        # OpenCV takes the lens away step by step, to about a hundredth of a px
        assert camera.directions(camera.project(POINTS)) == pytest.approx(expected, abs=2e-5)


def test_the_lens_moves_what_is_seen() -> None:
    camera = made_rig()[0]
    pinhole = replace(camera, distortion=np.zeros(0))
    assert np.abs(camera.project(POINTS) - pinhole.project(POINTS)).max() > 0.3
    assert camera.straight(camera.project(POINTS)) == pytest.approx(
        pinhole.project(POINTS), abs=0.05
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_points_are_where_the_rays_meet(count: int) -> None:
    cameras = made_rig(count)
    assert triangulate(seen(cameras), cameras) == pytest.approx(POINTS, abs=1e-4)


def test_a_camera_that_is_wrong_about_a_point_is_left_out() -> None:
    cameras = made_rig(4)
    points = seen(cameras)
    points[2, 5, :2] += 80
    found, supports = triangulate_robust(points, cameras, np.full(4, 5.0))
    assert found == pytest.approx(POINTS, abs=1e-3)
    assert not supports[2, 5]
    assert supports.sum() == supports.size - 1
    assert misses(found, points, cameras)[2, 5] > 50


def test_two_cameras_that_disagree_make_no_point() -> None:
    cameras = made_rig(2)
    points = seen(cameras)
    points[1, 3, 1] += 90
    found, supports = triangulate_robust(points, cameras, np.full(2, 5.0))
    assert np.isnan(found[3]).all()
    assert not supports[:, 3].any()
    assert np.isfinite(np.delete(found, 3, axis=0)).all()


def test_what_fewer_than_two_cameras_see_is_unknown() -> None:
    cameras = made_rig()
    points = seen(cameras)
    points[1:, 4, 2] = 0
    points[:, 7] = 0
    assert np.isnan(triangulate(points, cameras)[[4, 7]]).all()


def test_nearly_parallel_rays_do_not_meet() -> None:
    camera = made_rig(1)[0]
    beside = replace(camera, translation=camera.translation + np.array([0.02, 0, 0]))
    assert np.isnan(triangulate(seen([camera, beside]), [camera, beside])).all()


def test_what_is_behind_a_camera_is_not_seen() -> None:
    camera = made_rig()[0]
    behind = 2 * camera.centre - POINTS
    assert np.isnan(camera.project(behind)).all()


def test_pictures_of_half_the_size_are_seen_at_half_the_place() -> None:
    camera = made_rig()[0]
    assert camera.of_size(320, 240).project(POINTS) == pytest.approx(camera.project(POINTS) / 2)


def test_a_few_columns_less_are_a_codecs() -> None:
    camera = made_rig()[0]
    assert camera.of_size(632, 480).project(POINTS) == pytest.approx(camera.project(POINTS))
    with pytest.raises(ValueError, match="calibrated for pictures of 640x480 px, got 480x640"):
        camera.of_size(480, 640)


def test_another_world_is_seen_alike() -> None:
    camera = made_rig()[0]
    turn = np.roll(np.eye(3), 1, axis=0)
    moved = camera.in_world(turn, 1000.0)
    assert moved.project(POINTS @ turn.T * 1000) == pytest.approx(camera.project(POINTS))


@pytest.mark.parametrize(
    "change",
    [
        {"intrinsics": np.zeros((3, 3))},
        {"rotation": np.eye(3) * 2},
        {"rotation": np.diag([1.0, 1, -1])},
        {"translation": np.array([0, np.nan, 0])},
        {"distortion": np.zeros(3)},
        {"fisheye": True},
    ],
)
def test_what_is_no_camera_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="camera cam0"):
        replace(made_rig()[0], **change)
