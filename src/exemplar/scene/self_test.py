"""A small fit that says whether fitting works at all."""

import time

import numpy as np

from exemplar.counting import counted
from exemplar.results import OK
from exemplar.scene.options import FitOptions
from exemplar.scene.photo import Fitter

STANDING = (
    (128, 40), (134, 34), (122, 34), (140, 38), (116, 38), (152, 80), (104, 80), (160, 116),
    (96, 116), (162, 148), (94, 148), (144, 146), (112, 146), (146, 190), (110, 190), (146, 232),
    (110, 232),
)  # fmt: skip
"""Somebody who stands, in a picture of 256 x 256 px: COCO's 17 keypoints."""


def small_fit(device: str) -> str:
    """A person in an empty picture is fitted; ValueError if that gives nonsense."""
    began = time.monotonic()
    keypoints = np.array([(x, y, 1.0) for x, y in STANDING])
    fitter = Fitter("mobile", FitOptions(iterations=2, looks=False, device=device))
    result = fitter.fit(np.full((256, 256, 3), 128, np.uint8), keypoints)
    (person,) = result.people
    state = person.after
    if person.iterations < 1 or not np.isfinite(state.vertices).all() or person.status != OK:
        raise ValueError(f"status {person.status}, expected {OK} and finite numbers")
    seconds = time.monotonic() - began
    return (
        f"{person.before.error_px:.1f} px before and {state.error_px:.1f} px after"
        f" {counted(person.iterations, 'iteration')}, {seconds:.1f} s"
    )
