"""Filters on a fitted motion: calmer, and still the same motion."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from exemplar.fitting.names import Smoothing
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.motion import MISSING, Motion
from exemplar.results import OK
from exemplar.scene.smoothing import one_euro, savitzky_golay, smoothed
from tests.fixtures.made_motions import made_motion


def shaking(motion: Motion) -> Motion:
    """The motion with noise of 2 degrees and 1 cm."""
    rng = np.random.default_rng(0)
    noise = axis_angle_to_rotmat(torch.from_numpy(rng.normal(0, 0.035, (len(motion.times), 3))))
    return replace(
        motion,
        global_orient=motion.global_orient @ noise.numpy(),
        translation=motion.translation + rng.normal(0, 0.01, motion.translation.shape),
    )


@pytest.mark.parametrize("kind", ["one-euro", "savitzky-golay"])
def test_a_filter_takes_away_most_of_the_shaking(kind: Smoothing) -> None:
    true = made_motion(60, fps=30.0)
    shaken = shaking(true)
    calm = smoothed(shaken, kind)

    def acceleration(motion: Motion) -> float:
        gap = motion.translation - true.translation
        return float(np.linalg.norm(np.diff(gap, 2, axis=0), axis=1).mean())

    assert acceleration(calm) < 0.4 * acceleration(shaken)
    # the motion's own speed is 0.6 m/s: a filter of the past alone lags by some hundredths
    assert np.linalg.norm(calm.translation - true.translation, axis=1).mean() < 0.03


def test_a_parabola_goes_through_savitzky_and_golay_unchanged() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 40))
    parabola = (1 + 2 * times - 3 * times**2)[:, None]
    np.testing.assert_allclose(savitzky_golay(parabola, times), parabola, atol=1e-9)


def test_one_euro_knows_the_past_alone() -> None:
    times = np.arange(20) / 30
    values = np.random.default_rng(0).normal(size=(20, 2))
    later = values.copy()
    later[10:] += 5
    np.testing.assert_array_equal(one_euro(values, times)[:10], one_euro(later, times)[:10])


@pytest.mark.parametrize("kind", ["one-euro", "savitzky-golay"])
def test_gaps_stay_and_part_what_is_smoothed(kind: Smoothing) -> None:
    motion = made_motion(30)
    status = tuple(MISSING if 10 <= i < 20 else OK for i in range(30))
    place = motion.translation.copy()
    place[20:] += 100.0
    found = smoothed(replace(motion, status=status, translation=place), kind)
    assert found.status == status
    assert (np.abs(found.translation[:10] - place[:10]) < 0.2).all()
    assert (np.abs(found.translation[20:] - place[20:]) < 0.2).all()
