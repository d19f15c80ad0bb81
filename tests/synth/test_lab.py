"""The lab's cameras see one body in one room."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.skeletons import SMPL_49, indices
from exemplar.synth.dataset import SynthBatch
from exemplar.synth.lab import CAMERAS, SUBJECTS, actor_name, draw_lab_samples, lab_of
from exemplar.synth.rooms import TEXTURE_SIZE, see_room

SEED = 4
MOMENTS = 2


@pytest.fixture(scope="module")
def batch() -> SynthBatch:
    return draw_lab_samples(MOMENTS * CAMERAS, SEED, 0)


def in_world(batch: SynthBatch, row: int) -> np.ndarray:
    """Keypoints (49, 3) of a picture in the room, metres; nothing turns the lab's crops."""
    camera = lab_of(SEED).cameras[row % CAMERAS]
    points = (batch.keypoints_3d[row] + batch.root[row]).astype(np.float64)
    return points @ camera.rotation + camera.centre


def test_four_cameras_agree_on_the_body(batch: SynthBatch) -> None:
    """Stored as float32 at some metres: 1e-5 m."""
    for moment in range(MOMENTS):
        rows = range(moment * CAMERAS, (moment + 1) * CAMERAS)
        seen = np.stack([in_world(batch, row) for row in rows])
        assert np.abs(seen - seen[0]).max() < 1e-5
        assert all(np.array_equal(batch.body_pose[r], batch.body_pose[rows[0]]) for r in rows)
        assert np.linalg.norm(seen[0, :, [0, 2]].mean(1)) < 3


def test_marks_of_four_cameras_meet_in_the_room(batch: SynthBatch) -> None:
    """Rays through the true pixels meet; float32 pixels at 6 m and 300 px focal: 1 mm."""
    joint = indices(["left_knee"], SMPL_49)[0]
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for row in range(CAMERAS):
        camera = lab_of(SEED).cameras[row]
        pixel = batch.keypoints_2d[row, joint, :2] - batch.principal_point[row]
        ray = camera.rotation.T @ np.array([*pixel / batch.focal[row], 1.0])
        across = np.eye(3) - np.outer(ray, ray) / (ray @ ray)
        normal, right = normal + across, right + across @ camera.centre
    met = np.linalg.solve(normal, right)
    assert np.abs(met - in_world(batch, 0)[joint]).max() < 1e-3


def test_the_lowest_point_stands_on_the_floor(batch: SynthBatch) -> None:
    """The heel's or toe's joint lies some centimetres within the foot, so the lowest keypoint is
    near the floor unless a hand or the seat is lowest."""
    for row in (0, CAMERAS):
        lowest = in_world(batch, row)[:, 1].min()
        assert 0.0 < lowest < 0.12


def test_people_and_clothes_come_again() -> None:
    names = [actor_name(index) for index in range(CAMERAS * (SUBJECTS + 1))]
    assert len(set(names)) == SUBJECTS
    assert len(set(names[:CAMERAS])) == 1
    assert names[:CAMERAS] == names[-CAMERAS:]
    one, again = draw_lab_samples(1, SEED, 0), draw_lab_samples(1, SEED, CAMERAS * SUBJECTS)
    assert np.array_equal(one.betas, again.betas)
    assert not np.array_equal(one.body_pose, again.body_pose)


def test_every_camera_sees_the_same_wall_at_the_same_place() -> None:
    """Walls painted with their own coordinates, looked up where known places are projected; a
    texel is 1/512 of the way from the middle of a wall to its edge, a pixel some more."""
    grid = (np.arange(TEXTURE_SIZE) + 0.5) / TEXTURE_SIZE
    chart = np.stack([*np.meshgrid(grid, grid), np.zeros((TEXTURE_SIZE,) * 2)], -1)
    sides = np.stack([chart + np.array([0, 0, side]) for side in range(6)]).astype(np.float32)
    lab = lab_of(SEED)
    room = replace(lab.room, sides=sides)
    x, y, z = room.half
    places = [((x, y, 0.3 * z), 1, 0.65, 0.5), ((0.4 * x, y, -z), 4, 0.7, 0.5),
              ((0.2 * x, 0.0, 0.4 * z), 2, 0.6, 0.3), ((-x, 1.5 * y, 0), 0, 0.5, 0.25)]  # fmt: skip
    seen = 0
    for camera in lab.cameras:
        middle = np.array([200.0, 200.0])
        image = see_room(room, camera.rotation, camera.centre, 200.0, middle, 400)
        for place, side, across, down in places:
            point = camera.rotation @ (np.array(place) - camera.centre)
            pixel = point[:2] / point[2] * 200 + middle
            if point[2] > 1 and (pixel > 1).all() and (pixel < 399).all():
                column, row = pixel.astype(int)
                assert np.abs(image[row, column] - (across, down, side)).max() < 0.02
                seen += 1
    assert seen >= 6


def test_other_seeds_have_other_rooms() -> None:
    assert not np.array_equal(lab_of(SEED).room.half, lab_of(SEED + 1).room.half)
