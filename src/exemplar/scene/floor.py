"""The floor that people of one photo stand on, and what it says of their sizes.

Whose feet would hang in the air, or be in the ground, is smaller or larger than taken to be: a
child among adults is put to where the child stands.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from exemplar.scene.clip_world import spatial_median

SIZES = 0.15
"""Deviation of the logarithm of a size that the network tells: of adults 0.06, of children more."""

UNEVEN = 0.05
"""Deviation of the logarithm of feet's height under the camera: floors and fits are uneven."""

LEANING = np.deg2rad(5.0)
"""Deviation of the floor's up from where people's bodies point."""

ODD = 3.0
"""Deviations at which somebody is believed half: who jumps or stands on a step is not told by the
floor (Cauchy's weight)."""

LEAST_HEIGHT = 0.4
"""The camera is higher above feet than this, metres, or the floor is not seen as one."""

MOST = 0.4
"""Largest logarithm of a factor."""

_ROUNDS = 8


@dataclass(frozen=True)
class Floor:
    """A plane under the camera."""

    up: Float[np.ndarray, "3"]
    """In the camera's frame."""
    log_height: float
    """Logarithm of the camera's height above it, metres."""

    def rise(self, feet: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, " people"]:
        """Logarithm of each one's height under the camera, less the floor's; NaN where the feet
        are not clearly below."""
        below = -feet @ self.up
        return np.log(np.where(below > LEAST_HEIGHT, below, np.nan)) - self.log_height


def floor_factors(
    feet: Float[np.ndarray, "people 3"], ups: Float[np.ndarray, "people 3"]
) -> Float[np.ndarray, " people"]:
    """Factors of size and distance with which feet come nearer to one floor.

    `feet` are the lowest points of people and `ups` where their bodies point, in the camera's frame
    (metres). The floor is the most likely one, by Gauss-Newton with Cauchy's weights; a size is
    changed by the share of what is missing that sizes are likelier to err by than floors. All 1
    where no floor is seen.
    """
    none = np.ones(len(feet))
    start = spatial_median(ups)
    across = np.linalg.svd(start[None])[2][1:]
    floor = Floor(start, 0.0)
    floor = Floor(start, float(floor.rise(feet).mean()))
    tilt, variance = np.zeros(2), SIZES**2 + UNEVEN**2
    for _ in range(_ROUNDS):
        rise = floor.rise(feet)
        if not np.isfinite(rise).all():
            return none
        weights = _believed(rise, variance) / variance
        slopes = np.column_stack(
            (feet @ across.T / (feet @ floor.up)[:, None], -np.ones(len(feet)))
        )
        curvature = (slopes * weights[:, None]).T @ slopes + np.diag([LEANING**-2] * 2 + [1e-3])
        gradient = slopes.T @ (weights * rise) + np.append(tilt / LEANING**2, 0.0)
        step = np.linalg.solve(curvature, gradient)
        tilt = tilt - step[:2]
        up = start + tilt @ across
        floor = Floor(up / np.linalg.norm(up), floor.log_height - float(step[2]))
    rise = floor.rise(feet)
    if not np.isfinite(rise).all():
        return none
    logs = -rise * _believed(rise, variance) * SIZES**2 / variance
    return np.exp(np.clip(logs, -MOST, MOST))


def _believed(rise: np.ndarray, variance: float) -> np.ndarray:
    return 1 / (1 + rise**2 / variance / ODD**2)
