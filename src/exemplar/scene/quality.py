"""How far a fit to the built-in keypoints is to be believed.

Two readings of a person are at hand: the keypoints, and the body that the regressor sees without
them. Where these two disagree, one is wrong, and nothing tells which. And people of whom the finder
is not sure are hidden, cut off or small: the regressor sees no more of them. How often a fit is
wrong then was counted on photographs with annotated joints (`python -m benchmarks.quality`).
"""

import math

import numpy as np
from jaxtyping import Float

SLOPE, SURENESS, OFFSET = -2.398, 4.925, -9.857
"""Of the logarithm of odds, by the logarithm of the disagreement and by the finder's score: fitted
to 322 people of LSPet and COCO."""

LEAST_DISAGREEMENT = 0.01
"""Added to it: nobody's keypoints are better."""


def quality_of(disagreement: float, score: float) -> float:
    """Share of people with such a disagreement, found with such a score (0..1), whose fit is right:
    the joints off by less than a tenth of the person's visible size, on average.
    """
    if not math.isfinite(disagreement):
        return 0.0
    odds = OFFSET + SLOPE * math.log(disagreement + LEAST_DISAGREEMENT) + SURENESS * score
    return 1.0 / (1.0 + math.exp(-odds))


def disagreement_of(
    keypoints_2d: Float[np.ndarray, "49 3"], box_size: float, error_px: float
) -> float:
    """How far the regressor's joints are from the keypoints, in visible sizes of the person.

    `error_px` is the regressor's, px of a 224 crop; `box_size` the crop's side and `keypoints_2d`
    the built-in ones, image px.
    """
    seen = keypoints_2d[keypoints_2d[:, 2] > 0, :2]
    size = float(np.ptp(seen, axis=0).max()) / box_size
    return error_px / 224.0 / max(size, LEAST_DISAGREEMENT)
