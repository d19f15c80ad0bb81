"""A person's frames read together: what the trunk saw, steady over time.

Landmarks shake from frame to frame by more than people do. They are brought to the image's axes,
made smooth by `steady_series` with their confidences for weights, so that a joint that is hidden
for some frames is carried by those around them, and brought into crops that move smoothly, too.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import Box, crop_to_image, image_to_crop
from exemplar.geometry.rotations import rotation_about_z
from exemplar.geometry.smoothing import steady_series
from exemplar.regressors.landmark_reader import Landmarks

LEAST_WEIGHT = 0.05
"""Of a landmark that is not seen at all: its reading is a guess, but one from the picture."""


def steady_box(box: Box, times: Float[np.ndarray, " t"], cutoff: float) -> Box:
    """Boxes that move, grow and turn smoothly."""
    one = np.ones(len(times))
    heading = np.stack((box.angle.double().cos().cpu(), box.angle.double().sin().cpu()), 1)
    turned = steady_series(heading, one, times, cutoff)
    return replace(
        box,
        centre=_like(steady_series(_array(box.centre), one, times, cutoff), box.centre),
        size=_like(np.exp(steady_series(np.log(_array(box.size)), one, times, cutoff)), box.size),
        angle=_like(np.arctan2(turned[:, 1], turned[:, 0]), box.angle),
    )


def steady_landmarks(
    landmarks: Landmarks, box: Box, to: Box, times: Float[np.ndarray, " t"], cutoff: float
) -> Landmarks:
    """Landmarks of the crops `box`, made smooth, in the crops `to`."""
    seen = _array(landmarks.visibility)
    weight, one = np.clip(seen, LEAST_WEIGHT, 1.0), np.ones(len(times))
    points = _array(crop_to_image(landmarks.points, box))
    world = _array(landmarks.world @ rotation_about_z(box.angle).mT)
    points = _like(steady_series(points, _each(weight, 2), times, cutoff), landmarks.points)
    world = _like(steady_series(world, _each(weight, 3), times, cutoff), landmarks.world)
    return Landmarks(
        points=image_to_crop(points, to),
        world=world @ rotation_about_z(to.angle),
        visibility=_like(steady_series(seen, one, times, cutoff).clip(0, 1), points),
        spread=_like(steady_series(_array(landmarks.spread), one, times, cutoff).clip(0), points),
    )


def steady_keypoints(
    keypoints_2d: Float[np.ndarray, "t 49 3"], times: Float[np.ndarray, " t"], cutoff: float
) -> Float[np.ndarray, "t 49 3"]:
    """Keypoints (image px, confidence) made smooth; those that are missing stay so."""
    confidence = keypoints_2d[..., 2]
    known = np.where(confidence[..., None] > 0, keypoints_2d[..., :2], 0.0)
    smooth = steady_series(known, _each(confidence, 2), times, cutoff)
    return np.concatenate((smooth, keypoints_2d[..., 2:]), -1)


def _each(weights: Float[np.ndarray, "t k"], count: int) -> Float[np.ndarray, "t k n"]:
    return np.repeat(weights[..., None], count, axis=-1)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


def _like(values: np.ndarray, other: Tensor) -> Tensor:
    return torch.from_numpy(values).to(other)
