"""Who is who in several views, and where."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from exemplar.bodies import Body, load_body
from exemplar.geometry.rigs import LensCamera
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.scene.association import Person, agrees, associate, person_of
from tests.fixtures.made_rig import joints_of, made_body, made_rig, seen_by

PLACES = ((0.0, 0.9, 0.0), (0.9, 0.9, 0.3), (-0.5, 0.9, 0.8))


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def crowd(body: Body, cameras: list[LensCamera], *, noise: float = 2.0) -> np.ndarray:
    """(people, views, 49, 3): three people, seen with errors of some px."""
    rng = np.random.default_rng(0)
    out = []
    for seed, place in enumerate(PLACES):
        points = seen_by(cameras, joints_of(body, made_body(body, seed=seed, place=place)))
        points[..., :2] += rng.normal(0, noise, points[..., :2].shape)
        out.append(np.where(points[..., 2:] > 0, points, 0.0))
    return np.stack(out)


def truth(body: Body, person: int) -> np.ndarray:
    return joints_of(body, made_body(body, seed=person, place=PLACES[person]))


def shuffled(points: np.ndarray) -> list[list[np.ndarray]]:
    """What is found in each view, in another order in each."""
    rng = np.random.default_rng(1)
    return [[points[n, v] for n in rng.permutation(len(points))] for v in range(points.shape[1])]


def matched(body: Body, found: list) -> list[int]:
    """Which person of the truth each is; an error of more than 5 cm is nobody's."""
    gaps = [
        [np.nanmean(np.linalg.norm(each.joints - truth(body, n), axis=1)) for n in range(3)]
        for each in found
    ]
    return [int(np.argmin(own)) if min(own) < 0.05 else -1 for own in gaps]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_people_are_told_apart_whatever_their_order(body: Body, count: int) -> None:
    cameras = made_rig(count)
    found = associate(shuffled(crowd(body, cameras)), cameras)
    assert sorted(matched(body, found)) == [0, 1, 2]
    assert all(person.seen.all() for person in found)


def test_somebody_whom_a_view_lacks_is_found_in_the_others(body: Body) -> None:
    cameras = made_rig(4)
    views = shuffled(crowd(body, cameras))
    views[2] = [crowd(body, cameras)[1, 2]]
    found = associate(views, cameras)
    assert sorted(matched(body, found)) == [0, 1, 2]
    assert sorted(int(person.seen.sum()) for person in found) == [3, 3, 4]


def test_a_mistaken_detection_is_nobody(body: Body) -> None:
    cameras = made_rig(4)
    points = crowd(body, cameras)
    wrong = points[0, 1].copy()
    wrong[:, 0] = 640 - wrong[:, 0]
    wrong[:, 1] = 480 - wrong[:, 1]
    found = associate([[points[0, 0]], [wrong], [points[0, 2]], [points[0, 3]]], cameras)
    assert matched(body, found) == [0]
    assert found[0].seen.tolist() == [True, False, True, True]


def test_what_two_views_agree_on_by_chance_gives_way(body: Body) -> None:
    """Of two proposals of two views each the one is taken that a third view turns out to see."""
    cameras = made_rig(3)
    points = crowd(body, cameras, noise=1.0)[0]
    wrong = seen_by(cameras, joints_of(body, made_body(body, place=(0.3, 0.9, -0.4))))
    views = [[points[0]], [points[1]], [wrong[2]]]
    real = person_of(np.stack((points[0], points[1], np.zeros((49, 3)))), cameras)

    def improve(person: Person) -> Person:
        near = np.nanmedian(np.linalg.norm(person.joints - real.joints, axis=1)) < 0.05
        return person_of(points, cameras) if near else person

    (found,) = associate(views, cameras, improve)
    assert found.seen.all()
    assert matched(body, [found]) == [0]


def test_people_of_one_view_are_nobody(body: Body) -> None:
    cameras = made_rig(3)
    points = crowd(body, cameras)
    assert associate([[points[0, 0], points[1, 0]], [], []], cameras) == []


def test_two_people_are_not_joined_to_one(body: Body) -> None:
    """One person in one view, another, who lies, in the second."""
    cameras = made_rig(2)
    lying = made_body(body, seed=1)
    turn = axis_angle_to_rotmat(torch.tensor([[0.0, 0.0, 1.5]]))
    lying = replace(lying, global_orient=turn @ lying.global_orient)
    other = seen_by(cameras, joints_of(body, lying))
    assert associate([[crowd(body, cameras)[0, 0]], [other[1]]], cameras) == []


def test_a_limb_that_one_view_takes_for_another_does_not_count(body: Body) -> None:
    cameras = made_rig(4)
    points = crowd(body, cameras, noise=0.5)[0]
    points[1, 30:33, :2] += 70
    person = person_of(points, cameras)
    assert not person.supports[1, 30:33].any()
    gaps = np.linalg.norm(person.joints - truth(body, 0), axis=1)
    assert float(np.nanmax(gaps)) < 0.03


def test_how_far_a_view_is_off_is_a_part_of_the_person(body: Body) -> None:
    cameras = made_rig(3)
    points = crowd(body, cameras, noise=0.0)[0]
    person = person_of(points, cameras)
    moved = points[0].copy()
    height = np.ptp(moved[moved[:, 2] > 0, 1])
    moved[:, 1] += 0.1 * height
    assert agrees(person, 0, points[0], cameras) < 1e-3
    assert agrees(person, 0, moved, cameras) == pytest.approx(0.1, abs=0.005)
