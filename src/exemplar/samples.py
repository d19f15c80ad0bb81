"""What a data set says of a person, and the crops of people that a fit or a training step sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import Box

SCALE_UNIT = 200.0
"""Data sets give a box's side as a multiple of this many pixels (SPIN's `scale`)."""

Gender = Literal["neutral", "male", "female"]
"""Which of SMPL's bodies parameters are for."""


@dataclass(frozen=True)
class BodyTruth:
    """A body: annotated, or made by a fit."""

    pose: Float[np.ndarray, "24 3 3"]
    """Rotation matrices, root first: the root's from the body's frame to the camera's, the others
    relative to their parents."""
    betas: Float[np.ndarray, " shapes"]
    """Shape coefficients."""
    weak_camera: Float[np.ndarray, "3"] | None = None
    """(scale, tx, ty) in units of the sample's box, which spans [-1, 1]."""
    translation: Float[np.ndarray, "3"] | None = None
    """Of the body's origin in the camera of `Sample.intrinsics`, metres."""
    gender: Gender = "neutral"
    """Which body they are for."""


@dataclass(frozen=True)
class Sample:
    """One person of a data set. Pixels are the image's, as the data set counts them."""

    image: str
    """File of the image, relative to the data set's image folder, with forward slashes."""
    box_centre: Float[np.ndarray, "2"]
    """Centre of the person's square box, px."""
    box_scale: float
    """Side of the box over `SCALE_UNIT`."""
    keypoints_2d: Float[np.ndarray, "49 3"]
    """x, y in px and confidence in 0..1 of the 49 joints; 0 for those that are missing."""
    annotation_id: int | None = None
    """The data set's own number of this person in this image."""
    subject: str = ""
    """Who it is, in sets of sequences: "{sequence}-id{track}" or the like."""
    joints_3d: Float[np.ndarray, "24 4"] | None = None
    """The 24 annotated joints: x, y, z in metres along the camera's axes, about the data set's own
    origin, and confidence."""
    body: BodyTruth | None = None
    """The body, where it is known."""
    intrinsics: Float[np.ndarray, "3 3"] | None = None
    """The camera's matrix, px."""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What else the set has, under SPIN's names: kp_leftHand and kp_rightHand (21, 3), kp_face
    (68, 3), kp_foot (6, 3), lhand_3d, ..."""
    problem: str = ""
    """What is wrong with the annotation, in one line, if it could not be read as it should."""
    image_size: tuple[int, int] | None = None
    """Width and height (px) of the image that was annotated, where the data set says."""

    @property
    def box_size(self) -> float:
        """Side of the box, px."""
        return self.box_scale * SCALE_UNIT

    def check_image_size(self, width: int, height: int) -> None:
        """ValueError unless the image, as displayed, has the annotated size."""
        if self.image_size not in (None, (width, height)):
            annotated = " x ".join(map(str, self.image_size))
            raise ValueError(
                f"image size: annotated in {annotated} px, the file has {width} x {height}"
            )


@dataclass(frozen=True)
class Batch:
    """Cropped people, one a row."""

    image: Float[Tensor, "b 3 height width"]
    """RGB crops in 0..1, at the regressor's resolution."""
    box: Box
    """Where each crop lies in its image."""
    keypoints_2d: Float[Tensor, "b 49 3"]
    """The 49 joints in crop units ([-1, 1] across the box) and their confidence, 0 if missing."""
    joints_3d: Float[Tensor, "b 24 4"] | None = None
    """The 24 annotated joints in metres, about any origin, and their confidence, where known."""

    def __len__(self) -> int:
        return len(self.image)

    def with_keypoints_shown(self) -> "Batch":
        """The same people, for networks that read the keypoints that a person is given with."""
        return replace(self, box=replace(self.box, keypoints=self.keypoints_2d))
