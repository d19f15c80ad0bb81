"""Clips with truth: what of an error stays the same, and which bones point the wrong way."""

import numpy as np
import pytest
import torch

from benchmarks.clips import BONES, depth_signs, error_parts
from benchmarks.tracking import judged
from exemplar.geometry.rotations import rotation_about_z
from exemplar.motion import Motion

FRAMES = 60
TIMES = np.arange(FRAMES) / 30
SEEN = np.ones(FRAMES, bool)


@pytest.fixture
def motion() -> Motion:
    """Somebody who turns in the picture."""
    turns = rotation_about_z(torch.linspace(0, 2, FRAMES, dtype=torch.float64)).numpy()
    still = np.tile(np.eye(3), (FRAMES, 23, 1, 1))
    place, sure = np.zeros((FRAMES, 3)), np.ones(FRAMES)
    return Motion(TIMES, 30.0, turns, still, np.zeros(10), place, ("ok",) * FRAMES, sure)


def off(motion: Motion, error: np.ndarray) -> dict[str, float]:
    """Parts of an error (m) that is given in the body's frame."""
    truth = np.tile(np.random.default_rng(0).normal(size=(12, 3)), (FRAMES, 1, 1)) * 0.4
    turns = motion.global_orient[:, None]
    truth, away = ((turns @ x[..., None])[..., 0] for x in (truth, truth + error))
    return error_parts(torch.from_numpy(away), torch.from_numpy(truth), SEEN, motion)


def test_an_error_of_the_body_stays_the_same_however_it_turns(motion: Motion) -> None:
    found = off(motion, np.random.default_rng(1).normal(size=(12, 3)) * 0.03)
    assert found["same_percent"] == pytest.approx(100, abs=1e-6)
    assert found["mm_of_same"] == pytest.approx(found["mm"])


def test_noise_is_gone_from_the_mean_over_time(motion: Motion) -> None:
    found = off(motion, np.random.default_rng(1).normal(size=(FRAMES, 12, 3)) * 0.03)
    assert found["rest_percent"] > 85
    assert found["mm_of_slow"] < 0.5 * found["mm"]


def test_a_vote_rights_a_bone_that_is_wrong_for_a_moment() -> None:
    truth = torch.zeros(FRAMES, 12, 3, dtype=torch.float64)
    truth[:, BONES[0][1], 2] = 0.2
    for wrong, left in ((slice(10, 13), 0.0), (slice(None), 100.0)):
        found = truth.clone()
        found[wrong, BONES[0][1], 2] *= -1
        told = depth_signs(found, truth, SEEN, TIMES)
        # the bone that begins where it ends is as long in depth, the other way
        assert told["wrong_percent"] == pytest.approx(100 * (found != truth).any(-1).sum() / FRAMES)
        assert told["wrong_after_vote_percent"] == left


def test_whose_a_sighting_is_may_be_unknown() -> None:
    tracks = [{0: 0, 1: 0, 2: 0}, {0: 1, 2: 1}, {1: 1}]
    whose = [[0, 1], [None, 1], [0, 1]]
    assert judged(tracks, whose) == {"switches": 0, "fragments": 1}
    assert judged([{0: 0, 1: 1}], whose) == {"switches": 1, "fragments": 0}
