"""Lags of cameras: found where people move, left alone where nothing tells them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from exemplar.bodies import Body, load_body
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.scene.offsets import FEWEST_LOOKS, lags_of
from tests.fixtures.made_rig import joints_of, made_body, made_rig, seen_by

STEP = 1 / 30
LOOKS = 64


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def walk(body: Body, seed: int, moves: bool = True) -> Callable[[float], np.ndarray]:
    """Where somebody's joints are at a time: arms and legs swing, and they go to and fro."""
    params = made_body(body, seed=seed)
    rng = np.random.default_rng(seed)
    swing = torch.from_numpy(rng.normal(0, 0.35, (1, 23, 3))).float()
    pace = torch.from_numpy(rng.uniform(2, 6, (1, 23, 1))).float()

    def at(time: float) -> np.ndarray:
        now = time if moves else 0.0
        turn = axis_angle_to_rotmat(swing * (pace * now + seed).sin())
        place = torch.tensor([[seed - 0.5 + 0.4 * np.sin(2 * now), 0.9, 0.3 * np.cos(3 * now)]])
        moved = type(params)(
            params.global_orient, turn @ params.body_pose, params.betas, place.float()
        )
        return joints_of(body, moved)

    return at


def found(
    people: list[Callable[[float], np.ndarray]], lags: tuple[float, ...], noise: float = 1.5
) -> list[list[list[np.ndarray]]]:
    """What a rig's cameras that lag find of people; one look in twenty misses somebody."""
    rng = np.random.default_rng(5)
    out = []
    for camera, lag in zip(made_rig(len(lags)), lags, strict=True):
        looks = []
        for t in range(LOOKS):
            points = [seen_by([camera], person(t * STEP - lag))[0] for person in people]
            for each in points:
                each[:, :2] += rng.normal(0, noise, (49, 2))
            looks.append([each for each in points if rng.random() > 0.05])
        out.append(looks)
    return out


@pytest.mark.parametrize("lags", [(0.0, 0.0, 0.1), (0.05, 0.0, -0.2, 0.0), (0.0, 0.25)])
def test_lags_of_cameras_are_found(body: Body, lags: tuple[float, ...]) -> None:
    told = lags_of(found([walk(body, 0)], lags), made_rig(len(lags)), STEP)
    # lags are among each other, so two cameras' are of either
    apart = np.array(told) - told[0] - (np.array(lags) - lags[0])
    # a third of a look
    assert np.abs(apart).max() < STEP / 3


def test_lags_are_found_where_two_people_are_seen(body: Body) -> None:
    lags = (0.0, 0.1, 0.0)
    told = lags_of(found([walk(body, 0), walk(body, 1)], lags), made_rig(3), STEP)
    assert told == pytest.approx(lags, abs=STEP / 3)


def test_cameras_that_show_one_time_are_left_alone(body: Body) -> None:
    assert lags_of(found([walk(body, 0)], (0.0,) * 3), made_rig(3), STEP) == (0, 0, 0)


def test_nothing_is_told_of_people_who_stand_still(body: Body) -> None:
    still = found([walk(body, 0, moves=False)], (0.0, 0.1, 0.0))
    assert lags_of(still, made_rig(3), STEP) == (0, 0, 0)


def test_nothing_is_told_of_cameras_in_one_place(body: Body) -> None:
    twins = [made_rig(2)[0]] * 2
    seen = found([walk(body, 0)], (0.0, 0.1))
    assert lags_of([seen[0], seen[0]], twins, STEP) == (0, 0)


def test_nothing_is_told_without_people_or_time(body: Body) -> None:
    nobody = [[[] for _ in range(LOOKS)] for _ in range(3)]
    assert lags_of(nobody, made_rig(3), STEP) == (0, 0, 0)
    brief = [own[: FEWEST_LOOKS - 1] for own in found([walk(body, 0)], (0.0, 0.1, 0.0))]
    assert lags_of(brief, made_rig(3), STEP) == (0, 0, 0)


def test_a_camera_of_another_place_is_not_shifted(body: Body) -> None:
    """What no shift mends is no lag: people who are elsewhere in one picture."""
    seen = found([walk(body, 0)], (0.0, 0.0, 0.0))
    rng = np.random.default_rng(1)
    for look in seen[2]:
        for person in look:
            person[:, :2] += rng.normal(0, 60, 2)
    assert lags_of(seen, made_rig(3), STEP) == (0, 0, 0)
