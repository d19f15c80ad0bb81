"""Series of numbers over time, made smooth."""

import math

import numpy as np
from jaxtyping import Float


def steady_series(
    values: Float[np.ndarray, "t ..."],
    weights: Float[np.ndarray, "t ..."],
    times: Float[np.ndarray, " t"],
    cutoff: float,
) -> Float[np.ndarray, "t ..."]:
    """The series x that minimises sum w (x - y)^2 + (2 pi cutoff)^-4 sum (x'')^2.

    (Whittaker 1923; Eilers, "A perfect smoother", 2003, with second differences over uneven
    times, in seconds.) Weights are of each value, or of each row. Movement of `cutoff` Hz keeps
    half its size where the weight is 1; values of little weight follow their neighbours, and those
    of weight 0 are bridged.
    """
    count = len(times)
    shape = values.shape
    y = values.reshape(count, -1).astype(np.float64)
    w = np.broadcast_to(weights.reshape(count, -1), y.shape).astype(np.float64)
    if count < 3:
        return values.astype(np.float64)
    # what stands nowhere must have a value, too
    w = w + 1e-6
    steps = np.diff(times)
    # second derivative by divided differences: rows of three numbers
    middle = (steps[:-1] + steps[1:]) / 2
    rows = np.stack(
        (
            1 / steps[:-1] / middle,
            -(1 / steps[:-1] + 1 / steps[1:]) / middle,
            1 / steps[1:] / middle,
        )
    )
    stiffness = (2 * math.pi * cutoff) ** -4
    rows = rows * np.sqrt(stiffness)
    diagonal, first, second = (np.zeros(count) for _ in range(3))
    for offset in range(3):
        diagonal[offset : offset + count - 2] += rows[offset] ** 2
    first[: count - 2] += rows[0] * rows[1]
    first[1 : count - 1] += rows[1] * rows[2]
    second[: count - 2] += rows[0] * rows[2]
    return _solved(diagonal[:, None] + w, first, second, w * y).reshape(shape)


def _solved(
    diagonal: Float[np.ndarray, "t n"],
    first: Float[np.ndarray, " t"],
    second: Float[np.ndarray, " t"],
    target: Float[np.ndarray, "t n"],
) -> Float[np.ndarray, "t n"]:
    """x of A x = target, A symmetric with two diagonals beside its main one, by L D L^T."""
    count = len(diagonal)
    d, lower, lowest, z = (np.zeros_like(diagonal) for _ in range(4))
    for i in range(count):
        d[i], z[i] = diagonal[i], target[i]
        if i > 0:
            d[i] -= d[i - 1] * lower[i - 1] ** 2
            z[i] -= lower[i - 1] * z[i - 1]
        if i > 1:
            d[i] -= d[i - 2] * lowest[i - 2] ** 2
            z[i] -= lowest[i - 2] * z[i - 2]
        lower[i] = first[i] / d[i]
        if i > 0:
            lower[i] -= d[i - 1] * lower[i - 1] * lowest[i - 1] / d[i]
        lowest[i] = second[i] / d[i]
    x = z / d
    for i in range(count - 2, -1, -1):
        x[i] -= lower[i] * x[i + 1]
        if i + 2 < count:
            x[i] -= lowest[i] * x[i + 2]
    return x
