"""After a fit: feet, hands and head put where the picture shows them, by small turns of joints.

EFT leaves hips and ankles out, knows nothing of hands, and stops where the keypoints are as wrong
as the body. What is left is a matter of some degrees at each joint, and of the camera. Both are
found by maximum a posteriori: 2D points err by what their confidence tells, joints more about the
viewing axis than out of the picture's plane. So bones turn in the picture, and depth stays what
the network saw, which keypoints cannot better.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.fits import Fits
from exemplar.fitting.inputs import checked_keypoints
from exemplar.fitting.trace import Iterate
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.objectives import mean_error_px
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33, OPENPOSE_25, SMPL_24, SMPL_49

PX = crop_units_to_pixels(EFT_CROP)
"""Px of a 224 crop in a crop unit."""

HANDS = tuple(
    BLAZEPOSE_33.index(f"{side}_{finger}")
    for side in ("left", "right")
    for finger in ("index", "pinky")
)
"""Landmarks that tell how a hand is turned: the knuckles of index and little finger."""

POINTS = len(SMPL_49) + len(HANDS)
"""Points that a body is aligned to: the 49 joints, and `HANDS`."""


@dataclass(frozen=True)
class Turn:
    """How far a joint's rotation may be wrong: standard deviations, degrees."""

    in_plane: float
    """About the viewing axis."""
    out_of_plane: float
    """About axes of the picture's plane."""
    limit: float = math.inf
    """How far it turns from the rest pose, degrees; farther only where the start does."""


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
class AlignConfig:
    """Settings."""

    iterations: int = 4
    """Gauss-Newton steps."""
    scale: float = 0.1
    """Standard deviation of the camera's scale, share."""
    shift_px: float = 20.0
    """Of its translation, px of a 224 crop."""
    outlier: float = 3.0
    """Points that are off by more than this many of their standard deviations count less."""
    beyond: float = 5.0
    """Standard deviation of what a joint turns beyond its limit, degrees."""
    most_step: float = 0.5
    """Most that a joint turns in a step, radians."""
    nearest_px: float = 20.0
    """Bodies that are farther than this from what is seen, px of a 224 crop on average, stay: they
    are wrong by more than some degrees, and worse if they are bent towards it."""


def _part(name: str) -> str:
    return name.rpartition("_")[2]


_HAND_SET = "blazepose33"
_SHOWN = [*range(len(SMPL_49)), *(len(SMPL_49) + row for row in HANDS)]
_MOVED = [name for name in SMPL_24 if _part(name) in TURNS]
_JOINTS = [SMPL_24.index(name) for name in _MOVED]
_TURNS = [TURNS[_part(name)] for name in _MOVED]
_LIMITED = [place for place, turn in enumerate(_TURNS) if turn.limit < math.inf]
_COUNTED = [
    float(row >= len(OPENPOSE_25) or _part(name) in ("toe", "heel"))
    for row, name in enumerate(SMPL_49)
]
_WRISTS = [
    SMPL_49.index(f"{BLAZEPOSE_33[row].partition('_')[0]}_wrist", len(OPENPOSE_25)) for row in HANDS
]
_LANDMARK_WRISTS = [BLAZEPOSE_33.index(SMPL_49[row]) for row in _WRISTS]


@dataclass(frozen=True)
class Seen:
    """Where the picture shows a body's points."""

    points: Float[Tensor, "b points 2"]
    """Crop units."""
    precision: Float[Tensor, "b points"]
    """One over the variance, crop units; 0 for points that are not seen."""


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
    problem = _Problem(body, start, seen, config)
    unknowns = start.camera.new_zeros(len(start.camera), 3 * len(_JOINTS) + 3)
    now = problem.at(unknowns)
    first, near = problem.loss(now, unknowns), problem.is_near(now)
    for _ in range(config.iterations):
        step = problem.step(now, unknowns)
        unknowns = unknowns - step.clamp(-config.most_step, config.most_step)
        now = problem.at(unknowns)
    better = near & now.prediction.finite_rows() & (problem.loss(now, unknowns) < first)
    return _where(better, now.prediction, start)


@dataclass(frozen=True)
class _State:
    """Bodies at some unknowns."""

    prediction: Prediction
    local: Float[Tensor, "b moved 3 3"]
    """Rotations of the joints that move, relative to their parents."""
    axes: Float[Tensor, "b moved 3 3"]
    """Axes that each of them turns about, camera frame, one a row."""
    joints: Float[Tensor, "b moved 3"]
    points: Float[Tensor, "b points 3"]
    gaps: Float[Tensor, "b points 2"]
    """From where the points are seen to where the body has them, crop units."""


class _Problem:
    """Unknowns (b, 3 m + 3): rotation vectors of m joints, along the camera's axes at the start,
    the logarithm of the camera's scale, and its translation."""

    def __init__(self, body: Body, start: Prediction, seen: Seen, config: AlignConfig) -> None:
        self.body, self.start, self.seen, self.config = body, start, seen, config
        self.sets = tuple(name for name in ("smpl49", _HAND_SET) if name in body.keypoint_sets)
        self.shown = range(len(SMPL_49)) if len(self.sets) == 1 else _SHOWN
        self.carried = self._of_points(torch.cat([body.carried(name) for name in self.sets]))
        defined = self._of_points(torch.cat([body.available(name) for name in self.sets])[:, None])
        self.precision = seen.precision * defined[:, 0]
        self.rotmats = torch.cat((start.global_orient[:, None], start.body_pose), 1)
        world, _, _ = body.skeleton(start.body_params(), "smpl49")
        self.parents = self._parents(world)
        numbers = self.carried.new_tensor
        limits = numbers([_TURNS[place].limit for place in _LIMITED]).deg2rad()
        self.limits = (math.sqrt(8) * (limits / 2).sin()).maximum(
            _away(self.rotmats[:, [_JOINTS[place] for place in _LIMITED]])
        )
        self.beyond = math.sqrt(2) * math.radians(config.beyond)
        turns = numbers([[t.out_of_plane, t.out_of_plane, t.in_plane] for t in _TURNS]).deg2rad()
        camera = numbers([config.scale, config.shift_px / PX, config.shift_px / PX])
        self.prior = torch.cat((turns.flatten(), camera)).pow(-2)

    def _of_points(self, rows: Float[Tensor, "n k"]) -> Float[Tensor, "points k"]:
        """Of the body's keypoints those that may be seen, 0 for hands that it does not have."""
        shown = rows[list(self.shown)]
        return torch.nn.functional.pad(shown, (0, 0, 0, POINTS - len(shown)))

    def _parents(self, world: Float[Tensor, "b 24 3 3"]) -> Float[Tensor, "b moved 3 3"]:
        above = world[:, [max(self.body.parents[joint], 0) for joint in _JOINTS]]
        is_root = torch.tensor([self.body.parents[joint] < 0 for joint in _JOINTS])
        return torch.where(is_root.to(world.device)[:, None, None], torch.eye(3).to(world), above)

    def at(self, unknowns: Float[Tensor, "b u"]) -> _State:
        """The bodies."""
        turns = axis_angle_to_rotmat(unknowns[:, :-3].unflatten(-1, (-1, 3)))
        local = self.parents.mT @ turns @ self.parents @ self.rotmats[:, _JOINTS]
        rotmats = self.rotmats.index_copy(1, self._rows, local)
        camera = self.start.camera
        camera = torch.cat(
            (camera[:, :1] * unknowns[:, -3:-2].exp(), camera[:, 1:] + unknowns[:, -2:]), 1
        )
        found = Prediction(rotmats[:, 0], rotmats[:, 1:], self.start.betas, camera)
        world, joints, points = self.body.skeleton(found.body_params(), *self.sets)
        points = points[:, list(self.shown)]
        points = torch.nn.functional.pad(points, (0, 0, 0, POINTS - points.shape[1]))
        return _State(
            prediction=found,
            local=local,
            axes=self.parents @ self._parents(world).mT,
            joints=joints[:, _JOINTS],
            points=points,
            gaps=project_weak(points, camera) - self.seen.points,
        )

    @property
    def _rows(self) -> Tensor:
        return torch.tensor(_JOINTS, device=self.rotmats.device)

    def step(self, now: _State, unknowns: Float[Tensor, "b u"]) -> Float[Tensor, "b u"]:
        """What Gauss and Newton would take from the unknowns; outliers weigh less."""
        slopes = self._slopes(now).flatten(1, 2)
        squares = now.gaps.square().sum(-1) * self.precision
        weights = self.precision / (1.0 + squares / self.config.outlier**2)
        weighted = slopes * weights.repeat_interleave(2, dim=1)[..., None]
        normal = weighted.mT @ slopes + self.prior.diag()
        moment = (weighted.mT @ now.gaps.flatten(1)[..., None])[..., 0] + self.prior * unknowns
        slopes, excess = self._excess_slopes(now), self._excess(now)
        for number, place in enumerate(_LIMITED):
            span, slope = slice(3 * place, 3 * place + 3), slopes[:, number]
            normal[:, span, span] += slope[..., None] * slope[:, None]
            moment[:, span] += slope * excess[:, number, None]
        return torch.linalg.solve(normal, moment)

    def _slopes(self, now: _State) -> Float[Tensor, "b points 2 u"]:
        """Of the points in the picture, crop units: a point moves by axis x lever."""
        scale = now.prediction.camera[:, :1]
        lever = (now.points[:, :, None] - now.joints[:, None]) * self.carried[:, _JOINTS, None]
        lever = (lever * scale[..., None, None])[..., None, :]
        turned = torch.linalg.cross(now.axes[:, None].expand(-1, POINTS, -1, -1, -1), lever)
        turned = turned[..., :2].flatten(2, 3).mT
        grown = (scale[..., None] * now.points[..., :2])[..., None]
        shifted = torch.eye(2).to(grown).expand(*grown.shape[:2], 2, 2)
        return torch.cat((turned, grown, shifted), dim=-1)

    def _excess(self, now: _State) -> Float[Tensor, "b limited"]:
        """How far joints are beyond their limits, in standard deviations."""
        over = _away(now.local[:, _LIMITED]) - self.limits
        return over.clamp_min(0.0) / self.beyond

    def _excess_slopes(self, now: _State) -> Float[Tensor, "b limited 3"]:
        local, axes = now.local[:, _LIMITED], self.parents[:, _LIMITED]
        # a turn about an axis of the parent's frame moves each column of the rotation
        change = torch.linalg.cross(axes[..., None, :], local.mT[..., None, :, :])
        eye = torch.eye(3).to(local)
        away = (local - eye).mT[..., None, :, :]
        slope = (change * away).sum((-1, -2)) / _away(local)[..., None].clamp_min(1e-6)
        over = _away(local) > self.limits
        return slope * over[..., None] / self.beyond

    def is_near(self, now: _State) -> Bool[Tensor, " b"]:
        """Whether the bodies' points are near enough to what is seen."""
        weights = (self.precision > 0).to(now.gaps)
        mean = (now.gaps.norm(dim=-1) * weights).sum(1) / weights.sum(1).clamp_min(1.0)
        return mean * PX < self.config.nearest_px

    def loss(self, now: _State, unknowns: Float[Tensor, "b u"]) -> Float[Tensor, " b"]:
        """Twice the negative logarithm of the posterior, but for a constant."""
        most = self.config.outlier**2
        squares = now.gaps.square().sum(-1) * self.precision
        return (
            (most * torch.log1p(squares / most)).sum(1)
            + self._excess(now).square().sum(1)
            + (self.prior * unknowns.square()).sum(1)
        )


def _away(rotmats: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Distance of rotations from none: sqrt(8) times the sine of half the angle."""
    return (rotmats - torch.eye(3).to(rotmats)).flatten(-2).norm(dim=-1)


def _where(keep: Bool[Tensor, " b"], one: Prediction, other: Prediction) -> Prediction:
    """Row by row one or the other."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Prediction(*(torch.where(keep.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in pairs))


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
