"""Made-up objects in front of people."""

import cv2
import numpy as np
import pytest

from exemplar.training.occluders import paste_occluders

GREY = 128


def covered(seed: int, shape: tuple[int, int, int] = (224, 224, 3)) -> np.ndarray:
    """Which pixels of a grey crop the objects change."""
    crop = np.full(shape, GREY, np.uint8)
    found = paste_occluders(crop, np.random.default_rng(seed))
    assert found.shape == shape
    assert (crop == GREY).all()
    return (found != GREY).any(2)


def test_objects_cover_some_of_the_picture() -> None:
    shares = np.array([covered(seed).mean() for seed in range(60)])
    # up to seven objects of 10 to 190 px beside 224: seldom nothing, never everything
    assert 0.03 < shares.mean() < 0.3
    assert shares.max() < 0.8
    assert (shares > 0.001).mean() > 0.9


def test_there_are_one_to_seven_of_them() -> None:
    # those that overlap or are grey count as fewer, so nothing is said of the least
    counts = [cv2.connectedComponents(covered(seed).astype(np.uint8))[0] - 1 for seed in range(60)]
    assert max(counts) >= 4
    assert len(set(counts)) >= 4


def test_the_same_seed_draws_the_same_objects() -> None:
    assert np.array_equal(covered(5), covered(5))
    assert not np.array_equal(covered(5), covered(6))


@pytest.mark.parametrize("shape", [(256, 192, 3), (16, 16, 3), (40, 300, 3)])
def test_crops_of_any_shape_will_do(shape: tuple[int, int, int]) -> None:
    assert any(covered(seed, shape).any() for seed in range(20))


def test_edges_are_soft() -> None:
    black = np.zeros((224, 224, 3), np.uint8)
    crop = paste_occluders(black, np.random.default_rng(3)).astype(int)
    steps = np.abs(np.diff(crop.max(2), axis=1))
    # the outline of a hard object against black would be a step of its full brightness
    assert crop.max() > 60
    assert steps.max() < crop.max()
