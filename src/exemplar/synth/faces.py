"""Painted faces: brows, eyes, lips, beard and glasses, so that one sees where a head points."""

import numpy as np

from exemplar.synth.garments import Outfit
from exemplar.synth.regions import Landmarks


def face_marks(rng: np.random.Generator, outfit: Outfit, marks: Landmarks) -> np.ndarray:
    """Ellipses on the front of the head, mirrored left to right.

    Returns float32 (M, 8): centre x, y and radii on the template, metres; linear colour; opacity.
    Later ones lie on top.
    """
    eye_x, eye_y = float(marks.eye[0]), float(marks.eye[1])
    mouth_y = float(marks.nose[1]) - 0.037
    lips, flush = np.square(outfit.skin.second), np.square(outfit.skin.third)
    brow = np.square(outfit.hair.first) * 0.8
    iris = np.square(rng.choice([(0.16, 0.1, 0.07), (0.25, 0.35, 0.45), (0.2, 0.25, 0.12)]))
    socket = np.square(outfit.skin.first) * 0.55
    rows = [
        (0.04, mouth_y + 0.018, 0.022, 0.022, *flush, 0.5),
        (0.0, float(marks.nose[1]) - 0.002, 0.012, 0.012, *flush, 0.4),
        (0.008, float(marks.nose[1]) - 0.010, 0.005, 0.003, *(socket * 0.3), 0.8),
    ]
    if outfit.beard > 0:
        rows.append((0.0, mouth_y - 0.015, 0.07, 0.038, *brow, 0.75 * outfit.beard))
        rows.append((0.06, mouth_y - 0.002, 0.03, 0.045, *brow, 0.6 * outfit.beard))
    rows += [
        (0.0, mouth_y, 0.026, 0.009, *lips, 0.9),
        (0.0, mouth_y, 0.022, 0.0018, *(lips * 0.2), 0.8),
        (eye_x, eye_y + 0.001, 0.021, 0.013, *socket, 0.7),
        (eye_x, eye_y - 0.001, 0.0135, 0.0065, 0.72, 0.70, 0.68, 1.0),
        (eye_x, eye_y - 0.001, 0.0068, 0.0068, *(iris * 0.6), 1.0),
        (eye_x, eye_y + 0.0055, 0.015, 0.003, 0.01, 0.01, 0.01, 0.8),
        (eye_x + 0.002, eye_y + 0.0215, 0.020, 0.0055, *brow, 0.9),
    ]
    if outfit.glasses > 0:
        lens = (eye_x, eye_y - 0.004, 0.026, 0.021)
        rows.append((*lens, 0.01, 0.01, 0.012, outfit.glasses))
        rows.append((0.0, eye_y + 0.004, 0.016, 0.003, 0.01, 0.01, 0.01, 1.0))
    return np.array(rows, np.float32)
