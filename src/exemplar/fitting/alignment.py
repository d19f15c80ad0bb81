"""After a fit: feet, hands and head put where the picture shows them, by small turns of joints.

EFT leaves hips and ankles out, knows nothing of hands, and stops where the keypoints are as wrong
as the body. What is left is a matter of some degrees at each joint, and of the camera. Both are
found by maximum a posteriori: 2D points err by what their confidence tells, joints more about the
viewing axis than out of the picture's plane. So bones turn in the picture, and depth stays what
the network saw, which keypoints cannot better.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.fits import Fits
from exemplar.fitting.inputs import checked_keypoints
from exemplar.fitting.small_turns import HANDS, PX, Seen, SmallTurns, Turn, TurnConfig
from exemplar.fitting.trace import Iterate
from exemplar.geometry.cameras import project_weak
from exemplar.objectives import mean_error_px
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33, OPENPOSE_25, SMPL_49

TURNS: Mapping[str, Turn] = {
    "pelvis": Turn(6.0, 0.5),
    "spine1": Turn(6.0, 0.5),
    "spine2": Turn(6.0, 0.5),
    "neck": Turn(10.0, 6.0),
    "head": Turn(10.0, 6.0),
    "hip": Turn(15.0, 0.5),
    "knee": Turn(15.0, 0.5),
    "ankle": Turn(20.0, 10.0, 50.0),
    "collar": Turn(6.0, 0.5),
    "shoulder": Turn(15.0, 5.0),
    "elbow": Turn(15.0, 5.0),
    "wrist": Turn(30.0, 20.0, 70.0),
}
"""By joint, of either side. Chosen on real people (`benchmarks.real`): with 5 degrees out of the
picture's plane legs reach their keypoints as well, and the body's error in 3D grows by 3 mm."""

SIGMA_PX = 2.5
"""Standard deviation of a keypoint of confidence 1, px of a 224 crop."""

FALL = 1.3
"""... which is divided by the confidence to this power. Both were read off the built-in keypoints
of LSPet and COCO: where the confidence is 0.95 or more, half of the wrists and ankles are within
4 px of the annotated ones, from 0.4 to 0.6 within 7."""

HAND_SIGMA_PX = 4.0
"""Standard deviation of `HANDS` from the wrist."""

SAME_PX = 15.0
"""Hands are read where landmarks and keypoints put the wrist in one place, to within this."""


@dataclass(frozen=True)
class AlignConfig(TurnConfig):
    """Settings."""

    turns: Mapping[str, Turn] = field(default_factory=lambda: TURNS)
    outlier: float = 3.0
    nearest_px: float = 20.0
    """Bodies that are farther than this from what is seen, px of a 224 crop on average, stay: they
    are wrong by more than some degrees, and worse if they are bent towards it."""


_COUNTED = [
    float(row >= len(OPENPOSE_25) or name.endswith(("toe", "heel")))
    for row, name in enumerate(SMPL_49)
]
_WRISTS = [
    SMPL_49.index(f"{BLAZEPOSE_33[row].partition('_')[0]}_wrist", len(OPENPOSE_25)) for row in HANDS
]
_LANDMARK_WRISTS = [BLAZEPOSE_33.index(SMPL_49[row]) for row in _WRISTS]


def seen_points(keypoints_2d: Float[Tensor, "b 49 3"], landmarks: Landmarks | None = None) -> Seen:
    """Keypoints (crop units, confidence), and hands from a trunk's landmarks of the same crop.

    OpenPose's block repeats the annotated one, so of it the feet alone count.
    """
    points, confidence = keypoints_2d.split((2, 1), dim=-1)
    counted = points.new_tensor(_COUNTED)
    precision = counted * (PX / SIGMA_PX * confidence[..., 0].clamp(0, 1) ** FALL) ** 2
    hands, sure = points.new_zeros(len(points), len(HANDS), 2), precision[:, : len(HANDS)] * 0
    if landmarks is not None:
        wrists, read = points[:, _WRISTS], landmarks.points[:, _LANDMARK_WRISTS]
        is_same = (wrists - read).norm(dim=-1) * PX < SAME_PX
        known = is_same & (keypoints_2d[:, _WRISTS, 2] > 0)
        hands = wrists + landmarks.points[:, HANDS] - read
        sure = landmarks.visibility[:, HANDS] * known * (PX / HAND_SIGMA_PX) ** 2
    return Seen(torch.cat((points, hands), 1), torch.cat((precision, sure), 1))


@torch.no_grad()
def aligned(
    body: Body, start: Prediction, seen: Seen, config: AlignConfig | None = None
) -> Prediction:
    """Bodies of weak cameras that lie on what is seen. Those that would not lie better stay."""
    config = config or AlignConfig()
    problem = SmallTurns(body, start, seen, config)
    first = problem.first
    unknowns, last = problem.solved()
    weights = (problem.precision > 0).to(first.gaps)
    mean = (first.gaps.norm(dim=-1) * weights).sum(1) / weights.sum(1).clamp_min(1.0)
    is_less = problem.loss(last, unknowns) < problem.loss(first, problem.start_at())
    is_near = mean * PX < config.nearest_px
    return last.prediction.where(is_near & last.prediction.finite_rows() & is_less, start)


def aligned_fits(
    body: Body,
    fits: Fits,
    keypoints_2d: Float[Tensor, "b 49 3"],
    landmarks: Landmarks | None = None,
    config: AlignConfig | None = None,
) -> Iterate:
    """Fits of weak cameras put onto the picture (`aligned`); those without a body stay."""
    last = fits.after
    keypoints_2d, _ = checked_keypoints(keypoints_2d)
    seen = seen_points(keypoints_2d, landmarks)
    found = aligned(body, last.prediction, seen, config)
    points = project_weak(body.keypoints(found.body_params(), "smpl49"), found.camera)
    error = mean_error_px(points, keypoints_2d[..., :2], fits.fitted)
    return Iterate(found, replace(last.evaluation, error_px=error))
