"""A smooth series is the least-squares one, and carries what is not seen."""

import math

import numpy as np

from exemplar.geometry.smoothing import steady_series


def second_derivatives(times: np.ndarray) -> np.ndarray:
    """Divided differences over uneven times, (T - 2, T)."""
    out = np.zeros((len(times) - 2, len(times)))
    for i, (a, b, c) in enumerate(zip(times, times[1:], times[2:], strict=False)):
        middle = (c - a) / 2
        out[i, i : i + 3] = [
            1 / (b - a) / middle,
            -(1 / (b - a) + 1 / (c - b)) / middle,
            1 / (c - b) / middle,
        ]
    return out


def test_it_is_the_minimum_over_uneven_times() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.05, 40))
    values, weights = rng.normal(size=(40, 3)), rng.uniform(0.01, 1, (40, 3))
    found = steady_series(values, weights, times, 5.0)
    bend = (2 * math.pi * 5.0) ** -4 * second_derivatives(times).T @ second_derivatives(times)
    for k in range(3):
        # of a system whose condition is about 1e6, in float64
        wanted = np.linalg.solve(
            np.diag(weights[:, k] + 1e-6) + bend, (weights[:, k] + 1e-6) * values[:, k]
        )
        np.testing.assert_allclose(found[:, k], wanted, atol=1e-8)


def test_movement_at_the_cutoff_keeps_half_its_size() -> None:
    times = np.arange(600) / 60
    wave = np.sin(2 * math.pi * 4.0 * times)
    found = steady_series(wave[:, None], np.ones(600), times, 4.0)[:, 0]
    inside = slice(100, 500)
    # differences of a sampled wave bend a little less than the wave
    assert abs(np.abs(found[inside]).max() - 0.5) < 0.02


def test_straight_movement_stays_and_gaps_are_bridged_by_it() -> None:
    times = np.arange(30) / 30
    line = (2.0 + 3.0 * times)[:, None]
    weights = np.ones((30, 1))
    weights[10:20] = 0.0
    broken = np.where(weights > 0, line, 50.0)
    # what is missing keeps a weight of 1e-6
    np.testing.assert_allclose(steady_series(broken, weights, times, 5.0), line, atol=5e-3)


def test_one_or_two_values_stay() -> None:
    for count in (1, 2):
        values = np.arange(count * 2.0).reshape(count, 2)
        kept = steady_series(values, np.ones(count), np.arange(count) / 30, 5.0)
        np.testing.assert_array_equal(kept, values)
