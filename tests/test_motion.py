"""Motions: what makes one, other axes, gaps, and files that give back what was written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.bodies import load_open_body
from exemplar.export import write_npz
from exemplar.motion import (
    MISSING,
    Motion,
    kinematic_joints,
    motions_of,
    steady,
    vertices_at,
    y_up,
)
from exemplar.motion_files import read_motions, write_motions
from exemplar.results import OK
from exemplar.skeletons import SMPL_24
from tests.fixtures.made_motions import made_motion
from tests.fixtures.made_results import made_result

BODY = load_open_body()


def without(motion: Motion, *rows: int) -> Motion:
    """The motion with frames in which nobody is seen; what lies there are no numbers."""
    arrays = {
        name: np.where(
            np.isin(np.arange(len(motion.times)), rows).reshape(-1, *[1] * (array.ndim - 1)),
            np.nan,
            array,
        )
        for name in ("global_orient", "body_pose", "translation", "confidence")
        for array in [getattr(motion, name)]
    }
    status = tuple(MISSING if i in rows else one for i, one in enumerate(motion.status))
    return replace(motion, status=status, **arrays)


def test_a_photo_is_a_motion_of_one_frame() -> None:
    """Joints and vertices are the fit's; float32 holds 3 m to a micrometre."""
    result = made_result(np.zeros((300, 400, 3), np.uint8), [(100.0, 150.0), (250.0, 90.0)], 260.0)
    for motion, person in zip(motions_of(result), result.people, strict=True):
        assert len(motion.times) == 1
        joints, vertices = kinematic_joints(motion, BODY)[0], vertices_at(motion, BODY, 0)
        np.testing.assert_allclose(joints, person.after.kinematic_joints, atol=5e-6)
        np.testing.assert_allclose(vertices, person.after.vertices, atol=5e-6)
        assert motion.camera is not None
        assert motion.camera.image_size == (400, 300)


def test_a_person_of_a_photo_without_numbers_is_missing() -> None:
    """Others of the photo, and what is not seen of it, cost nothing."""
    result = made_result(np.zeros((300, 400, 3), np.uint8), [(100.0, 150.0)] * 2, 260.0, steps=0)
    bad, good = result.people
    state = replace(bad.after, translation=np.full(3, np.nan), betas=np.full(10, np.inf))
    points = good.keypoints_2d.copy()
    points[points[:, 2] == 0] = np.nan
    people = (replace(bad, steps=(state,)), replace(good, keypoints_2d=points))
    first, second = motions_of(replace(result, people=people))
    assert first.status == (MISSING,)
    assert second.status == (OK,)
    assert second.keypoints_2d is not None
    assert np.isfinite(second.keypoints_2d).all()


def test_a_camera_is_turned_to_y_up_about_x() -> None:
    motion = made_motion()
    world = y_up(motion, BODY)
    assert world.frame == "world"
    expected = kinematic_joints(motion, BODY) * [1, -1, -1]
    np.testing.assert_allclose(kinematic_joints(world, BODY), expected, atol=5e-6)
    assert y_up(world, BODY) is world
    head, pelvis = (SMPL_24.index(name) for name in ("head", "pelvis"))
    assert (expected[:, head, 1] > expected[:, pelvis, 1]).all()


def test_a_motion_at_its_own_rate_stays_as_it_is() -> None:
    motion = made_motion()
    same = steady(motion)
    for name in ("times", "global_orient", "body_pose", "translation"):
        np.testing.assert_allclose(getattr(same, name), getattr(motion, name), atol=1e-6)


def test_gaps_are_bridged_and_ends_held() -> None:
    motion = made_motion(frames=20, fps=50.0)
    filled = steady(without(motion, 0, 1, 7, 8, 19))
    assert filled.seen.all()
    np.testing.assert_allclose(filled.times, motion.times, atol=1e-9)
    true = kinematic_joints(motion, BODY)
    gaps = np.linalg.norm(kinematic_joints(filled, BODY) - true, axis=-1).max(1)
    assert gaps[2:7].max() < 1e-5
    assert gaps[7:9].max() < 0.01  # a bent path, bridged by straight ones
    np.testing.assert_allclose(filled.translation[:2], motion.translation[[2, 2]])
    np.testing.assert_allclose(filled.translation[19], motion.translation[18])


def test_uneven_times_become_even() -> None:
    """Of a person who moves at constant speed nothing is lost."""
    even = made_motion(frames=9, fps=10.0)
    times = even.times.copy()
    times[1:-1] += 0.03 * np.array([1, -1, 1, 0, -1, 1, -1])
    speed = np.array([1.0, 0.5, -0.2])
    motion = replace(even, times=times, translation=times[:, None] * speed)
    found = steady(motion)
    np.testing.assert_allclose(np.diff(found.times), 0.1)
    np.testing.assert_allclose(found.translation, found.times[:, None] * speed, atol=1e-9)


def test_nobody_seen_cannot_be_made_steady() -> None:
    with pytest.raises(ValueError, match="in none of the frames"):
        steady(without(made_motion(frames=2), 0, 1))


def with_entry(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed.flat[0] = value
    return changed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: {"translation": with_entry(m.translation, np.nan)}, "not finite"),
        (lambda m: {"translation": with_entry(m.translation, 1e30)}, "too large"),
        (lambda m: {"body_pose": with_entry(m.body_pose, 3.0)}, "not rotations"),
        (lambda m: {"global_orient": -m.global_orient}, "not rotations"),
        (lambda m: {"times": m.times[::-1].copy()}, "do not grow"),
        (lambda m: {"fps": 0.0}, "frames a second"),
        (lambda m: {"fps": 1000.0}, "do not go with 1000 a second"),
        (lambda m: {"betas": with_entry(m.betas, np.inf)}, "betas"),
        (lambda m: {"status": m.status[1:]}, "12 times and 11 statuses"),
    ],
)
def test_what_is_no_motion_is_refused(change, says: str) -> None:
    motion = made_motion()
    with pytest.raises(ValueError, match=says):
        replace(motion, **change(motion))


def test_a_clip_is_read_as_it_was_written(tmp_path: Path) -> None:
    first = made_motion()
    people = (first, without(replace(made_motion(seed=1), times=first.times), 3))
    write_motions(people, tmp_path / "motion.npz")
    for path in (tmp_path, tmp_path / "motion.npz"):
        read = read_motions(path)
        assert [person.status for person in read] == [person.status for person in people]
        for got, person in zip(read, people, strict=True):
            for name in ("times", "global_orient", "body_pose", "betas", "translation"):
                assert np.array_equal(getattr(got, name), getattr(person, name), equal_nan=True)
            assert (got.fps, got.frame, got.body) == (24.0, "camera", "open")
            assert got.camera is not None
            assert got.camera.image_size == (640, 480)
            assert got.keypoints_2d is None


def test_keypoints_are_kept_and_a_camera_may_lack(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (12, 49, 3))
    motion = replace(made_motion(), camera=None, keypoints_2d=points)
    write_motions([motion], tmp_path / "motion.npz")
    (read,) = read_motions(tmp_path)
    assert read.camera is None
    assert read.keypoints_2d is not None
    assert np.array_equal(read.keypoints_2d, points)


def test_people_of_two_clips_are_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one clip"):
        write_motions([made_motion(), made_motion(frames=5)], tmp_path / "motion.npz")
    with pytest.raises(ValueError, match="nobody"):
        write_motions([], tmp_path / "motion.npz")
    assert not list(tmp_path.iterdir())


def test_a_fit_is_read_as_motions(tmp_path: Path) -> None:
    result = made_result(np.zeros((300, 400, 3), np.uint8), [(100.0, 150.0), (250.0, 90.0)], 260.0)
    write_npz(result, tmp_path / "fit.npz")
    read, made = read_motions(tmp_path), motions_of(result)
    assert len(read) == 2
    for got, person in zip(read, made, strict=True):
        assert got.status == (OK,)
        np.testing.assert_allclose(got.body_pose, person.body_pose)
        np.testing.assert_allclose(got.translation, person.translation)
        np.testing.assert_allclose(got.confidence, person.confidence)


def test_a_file_that_is_no_motion_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    with pytest.raises(FileNotFoundError, match=r"no motion.npz or fit.npz in"):
        read_motions(tmp_path)
    with pytest.raises(FileNotFoundError, match="no result at"):
        read_motions(path)
    path.write_text("text")
    with pytest.raises(ValueError, match=r"motion.npz is not a readable .npz"):
        read_motions(tmp_path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"motion.npz: it lacks global_orient"):
        read_motions(tmp_path)
    write_motions([made_motion()], path)
    with np.load(path) as file:
        arrays = dict(file)
    for name, value, says in (
        ("body_pose", arrays["body_pose"] * 2, "not rotations"),
        ("betas", arrays["betas"][:0], "different numbers of people"),
        ("principal_point", None, "camera lacks principal_point"),
        ("image_size", np.array([0, 1]), "is not a camera"),
        ("principal_point", np.array([1e12, 0.0]), "numbers that no camera has"),
        ("focal", np.array(0.0), "no camera matrix"),
        ("translation", arrays["translation"][..., :2], "translation"),
        ("times", arrays["times"][:, None], "expected one a frame"),
    ):
        np.savez(path, **{k: v for k, v in (arrays | {name: value}).items() if v is not None})
        with pytest.raises(ValueError, match=says) as caught:
            read_motions(tmp_path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
