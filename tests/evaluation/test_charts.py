"""Charts: what is counted, averaged and drawn."""

import re

import numpy as np
import pytest

from exemplar.evaluation.charts import (
    Axis,
    counted,
    curves,
    edges_of,
    histogram,
    mean_interval,
    nice_step,
    scatter,
)


@pytest.mark.parametrize(
    ("width", "step"), [(0.7, 1.0), (1.0, 1.0), (1.2, 2.0), (3.0, 5.0), (51.0, 100.0), (0.0, 1.0)]
)
def test_a_step_is_the_next_round_number(width: float, step: float) -> None:
    assert nice_step(width) == pytest.approx(step)


def test_an_axis_places_values_and_has_round_ticks() -> None:
    axis = Axis(-10.0, 30.0, 100.0, 20.0)
    assert axis(-10.0) == 100.0
    assert axis(30.0) == 20.0
    assert axis(10.0) == 60.0
    assert axis.ticks(4) == [-10.0, 0.0, 10.0, 20.0, 30.0]


def test_the_outer_bins_hold_what_is_beyond() -> None:
    edges = np.array([0.0, 10.0, 20.0])
    values = np.array([-5.0, 3.0, 12.0, 900.0, np.nan])
    assert counted(values, edges).tolist() == [0.5, 0.5]


def test_nobody_is_an_empty_histogram() -> None:
    edges = edges_of([np.full(3, np.nan)])
    assert counted(np.full(3, np.nan), edges).sum() == 0


def test_bins_are_shared_start_at_zero_and_leave_a_stray_value_out() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(20, 90, 400)
    values[0] = 1e6
    edges = edges_of([values, values / 2])
    assert edges[0] == 0
    assert 90 <= edges[-1] < 110
    assert np.ptp(np.diff(edges)) < 1e-9


def test_bins_of_changes_have_an_edge_at_zero_and_are_even() -> None:
    edges = edges_of([np.array([-3.0, 1.0, 8.0])], around_zero=True)
    assert 0.0 in edges
    assert edges[0] == -edges[-1]
    assert edges[-1] >= 7.9


def test_an_interval_is_as_wide_as_the_standard_error_says() -> None:
    """500 draws give a quantile of the interval to about 6 % of its half width: 15 % is enough."""
    values = np.random.default_rng(1).normal(50.0, 10.0, (400, 1))
    (mean,), ((low,), (high,)) = mean_interval(values)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)
    assert low < mean < high


def test_means_leave_out_what_is_unknown() -> None:
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    means, ends = mean_interval(values)
    assert means[:2].tolist() == [2.0, 5.0]
    assert np.isnan(means[2])
    assert np.isnan(ends[:, 2]).all()


def test_bars_above_zero_are_the_worse_ones_and_as_high_as_their_share() -> None:
    edges = np.array([-2.0, 0.0, 2.0])
    drawn = histogram(
        np.array([0.75, 0.25]), edges, top=0.75, colour="m2", unit="mm", label="", signed=True
    )
    bars = re.findall(r'class="bar (\w+)".*?height="([\d.]+)"', drawn)
    assert [name for name, _ in bars] == ["m2", "worse"]
    # heights are written to a tenth of a pixel
    assert float(bars[0][1]) == pytest.approx(3 * float(bars[1][1]), abs=0.3)


def test_a_dot_lies_below_the_diagonal_for_who_became_better() -> None:
    drawn = scatter(
        np.array([80.0, 50.0, np.nan]), np.array([40.0, 5000.0, 1.0]), limit=100.0,
        colour="m2", unit="mm", label="",
    )  # fmt: skip
    dots = re.search(r'class="dots m2" d="([^"]*)"', drawn)
    assert dots
    places = re.findall(r"M([\d.]+) ([\d.]+)h0", dots[1])
    assert len(places) == 2  # nan is no dot
    diagonal = re.search(r'diagonal" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', drawn)
    assert diagonal
    left, bottom, right, top = (float(x) for x in diagonal.groups())
    (x, y), (_, beyond) = ((float(a), float(b)) for a, b in places)
    assert x == pytest.approx(left + 0.8 * (right - left), abs=0.1)
    assert y == pytest.approx(bottom + 0.4 * (top - bottom), abs=0.1)
    assert beyond == top  # the limit


def test_a_curve_goes_through_the_means() -> None:
    values = np.array([[10.0, 6.0, 4.0], [20.0, 10.0, 8.0]])
    drawn = curves({"eft": ("m2", values)}, unit="mm", label="")
    assert re.findall(r"after (\d): ([\d.]+) mm", drawn) == [
        ("0", "15.00"),
        ("1", "8.00"),
        ("2", "6.00"),
    ]


def test_curves_of_one_update_and_of_equal_values_are_drawn() -> None:
    drawn = curves({"eft": ("m2", np.full((3, 1), 5.0))}, unit="px", label="a < b")
    assert "nan" not in drawn
    assert "a &lt; b" in drawn
