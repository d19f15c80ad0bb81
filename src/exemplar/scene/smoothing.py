"""Filters on a fitted motion: one-euro, which knows the past alone, and Savitzky and Golay's."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from exemplar.fitting.names import Smoothing
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.motion import Motion, rotmats_of

SPAN_SECONDS = 0.25
"""Time that Savitzky and Golay's parabola is laid through."""

MIN_CUTOFF, SPEED_FACTOR, SPEED_CUTOFF = 4.0, 2.0, 1.0
"""Of the one-euro filter: Hz at rest, Hz for each unit a second, Hz of the speed itself."""

_Series = Float[np.ndarray, "t n"]


def smoothed(motion: Motion, kind: Smoothing) -> Motion:
    """The motion with its rotations, as 6D numbers, and its path filtered.

    Frames between which the person is missing are not neighbours.
    """
    if kind == "none":
        return motion
    rot6d = rotmat_to_rot6d(torch.from_numpy(rotmats_of(motion))).flatten(1).numpy()
    series = np.concatenate((rot6d, motion.translation), axis=1)
    for run in _runs(np.flatnonzero(motion.seen)):
        series[run] = _FILTERS[kind](series[run], motion.times[run])
    count = rot6d.shape[1]
    rotmats = rot6d_to_rotmat(torch.from_numpy(series[:, :count]).unflatten(1, (-1, 6))).numpy()
    return replace(
        motion,
        global_orient=rotmats[:, 0],
        body_pose=rotmats[:, 1:],
        translation=series[:, count:],
    )


def savitzky_golay(values: _Series, times: Float[np.ndarray, " t"]) -> _Series:
    """In each row's place the parabola through its neighbours, by least squares in time."""
    out = np.empty_like(values)
    for i, time in enumerate(times):
        near = np.abs(times - time) <= SPAN_SECONDS / 2 + 1e-9
        degree = min(2, int(near.sum()) - 1)
        powers = np.vander(times[near] - time, degree + 1, increasing=True)
        out[i] = np.linalg.lstsq(powers, values[near], rcond=None)[0][0]
    return out


def one_euro(values: _Series, times: Float[np.ndarray, " t"]) -> _Series:
    """Casiez, Roussel and Vogel, "1 euro filter", 2012."""
    out, speed = values.copy(), np.zeros(values.shape[1])
    for i in range(1, len(values)):
        step = float(times[i] - times[i - 1])
        change = (values[i] - out[i - 1]) / step
        speed += _share(SPEED_CUTOFF, step) * (change - speed)
        cutoff = MIN_CUTOFF + SPEED_FACTOR * np.abs(speed)
        out[i] = out[i - 1] + _share(cutoff, step) * (values[i] - out[i - 1])
    return out


_FILTERS: Mapping[str, Callable[[_Series, np.ndarray], _Series]] = {
    "savitzky-golay": savitzky_golay,
    "one-euro": one_euro,
}


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """How much of a new value a low pass of that frequency takes."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


def _runs(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []
