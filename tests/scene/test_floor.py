"""The floor tells whose size was taken wrong."""

import numpy as np
import pytest

from exemplar.scene.floor import floor_factors

UP = np.array([0.0, -np.cos(0.1), -np.sin(0.1)])
"""Of a camera that looks down by 6 degrees."""


def standing(*places: tuple[float, float], height: float = 1.5) -> np.ndarray:
    """Feet on a floor under the camera, right of it and in front of it."""
    ahead = np.array([0.0, -UP[2], UP[1]]) * -1.0
    return np.array([x * np.array([1.0, 0.0, 0.0]) + z * ahead - height * UP for x, z in places])


PLACES = ((-1.0, 3.0), (0.0, 4.0), (0.8, 3.5), (1.5, 5.0))


def ups(count: int) -> np.ndarray:
    """Bodies that point up to within some degrees."""
    tilted = UP + np.random.default_rng(0).normal(0, 0.05, (count, 3))
    return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)


def test_people_on_one_floor_stay() -> None:
    factors = floor_factors(standing(*PLACES), ups(4))
    assert factors == pytest.approx(np.ones(4), abs=0.02)


def test_a_child_taken_for_an_adult_is_found() -> None:
    """Seen as an adult, it is as much farther away; its feet are under the floor."""
    feet = standing(*PLACES)
    feet[2] /= 0.75
    factors = floor_factors(feet, ups(4))
    assert factors[2] == pytest.approx(0.8, abs=0.06)
    assert factors[[0, 1, 3]] == pytest.approx(np.ones(3), abs=0.1)


def test_somebody_in_the_air_moves_the_others_little() -> None:
    feet = standing(*PLACES)
    feet[3] += 0.9 * UP
    assert floor_factors(feet, ups(4))[:3] == pytest.approx(np.ones(3), abs=0.1)


def test_feet_beside_or_above_the_camera_tell_nothing() -> None:
    feet = standing(*PLACES, height=0.2)
    assert (floor_factors(feet, ups(4)) == 1.0).all()
    assert (floor_factors(-standing(*PLACES), ups(4)) == 1.0).all()
