"""Bodies brought to 2D points by small turns of their joints.

The most probable of bodies, by steps of Gauss and Newton: points err by what their precision tells,
joints by the standard deviations of their turns, and the camera by its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import Body
from exemplar.geometry.cameras import project_near
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33, SMPL_24, SMPL_49

PX = crop_units_to_pixels(EFT_CROP)
"""Px of a 224 crop in a crop unit."""

HANDS = tuple(
    BLAZEPOSE_33.index(f"{side}_{finger}")
    for side in ("left", "right")
    for finger in ("index", "pinky")
)
"""Landmarks that tell how a hand is turned: the knuckles of index and little finger."""

POINTS = len(SMPL_49) + len(HANDS)
"""Points that a body is brought to: the 49 joints, and `HANDS`."""


@dataclass(frozen=True)
class Turn:
    """How far a joint's rotation may be wrong: standard deviations, degrees."""

    in_plane: float
    """About the viewing axis."""
    out_of_plane: float
    """About axes of the picture's plane."""
    limit: float = math.inf
    """How far it turns from the rest pose, degrees; farther only where the start does."""


@dataclass(frozen=True)
class TurnConfig:
    """What may be wrong, by how much, and how it is sought."""

    turns: Mapping[str, Turn]
    """Of joints of either side by their name in `SMPL_24`; others stay."""
    iterations: int = 4
    """Gauss-Newton steps."""
    scale: float = 0.1
    """Standard deviation of the camera's scale, share."""
    shift_px: float = 20.0
    """Of its translation, px of a 224 crop."""
    outlier: float = math.inf
    """Points that are off by more than this many of their standard deviations count less."""
    beyond: float = 5.0
    """Standard deviation of what a joint turns beyond its limit, degrees."""
    most_step: float = 0.5
    """Most that a joint turns in a step, radians."""


@dataclass(frozen=True)
class Seen:
    """Where the picture shows a body's points."""

    points: Float[Tensor, "b points 2"]
    """Crop units."""
    precision: Float[Tensor, "b points"]
    """One over the variance, crop units; 0 for points that are not seen."""


@dataclass(frozen=True)
class State:
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


class SmallTurns:
    """Unknowns (b, 3 m + 3): rotation vectors of m joints, along the camera's axes at the start,
    the logarithm of the camera's scale, and its translation.

    `near` (b) is what makes the camera one with perspective (`cameras.project_near`); None is a
    weak camera.
    """

    def __init__(
        self,
        body: Body,
        start: Prediction,
        seen: Seen,
        config: TurnConfig,
        near: Float[Tensor, " b"] | None = None,
    ) -> None:
        self.body, self.start, self.seen, self.config = body, start, seen, config
        self.near = torch.zeros_like(start.camera[:, 0]) if near is None else near
        moved = [name for name in SMPL_24 if _part(name) in config.turns]
        turns = [config.turns[_part(name)] for name in moved]
        self.joints = [SMPL_24.index(name) for name in moved]
        self.limited = [place for place, turn in enumerate(turns) if turn.limit < math.inf]
        self.sets = tuple(name for name in ("smpl49", _HAND_SET) if name in body.keypoint_sets)
        self.shown = range(len(SMPL_49)) if len(self.sets) == 1 else _SHOWN
        self.carried = self._of_points(torch.cat([body.carried(name) for name in self.sets]))
        defined = self._of_points(torch.cat([body.available(name) for name in self.sets])[:, None])
        self.precision = seen.precision * defined[:, 0]
        self.rotmats = torch.cat((start.global_orient[:, None], start.body_pose), 1)
        world, _, _ = body.skeleton(start.body_params(), "smpl49")
        self.parents = self._parents(world)
        numbers = self.carried.new_tensor
        limits = numbers([turns[place].limit for place in self.limited]).deg2rad()
        self.limits = (math.sqrt(8) * (limits / 2).sin()).maximum(
            _away(self.rotmats[:, [self.joints[place] for place in self.limited]])
        )
        self.beyond = math.sqrt(2) * math.radians(config.beyond)
        sigmas = numbers([[t.out_of_plane, t.out_of_plane, t.in_plane] for t in turns]).deg2rad()
        camera = numbers([config.scale, config.shift_px / PX, config.shift_px / PX])
        self.prior = torch.cat((sigmas.flatten(), camera)).pow(-2)
        self.first = self.at(self.start_at())

    def start_at(self) -> Float[Tensor, "b u"]:
        """The unknowns of the bodies as they were."""
        return self.start.camera.new_zeros(len(self.start.camera), 3 * len(self.joints) + 3)

    def solved(self) -> tuple[Float[Tensor, "b u"], State]:
        """Unknowns and bodies after all steps."""
        unknowns = self.start_at()
        now, most = self.first, self.config.most_step
        for _ in range(self.config.iterations):
            unknowns = unknowns - self._step(now, unknowns).clamp(-most, most)
            now = self.at(unknowns)
        return unknowns, now

    def at(self, unknowns: Float[Tensor, "b u"]) -> State:
        """The bodies."""
        turns = axis_angle_to_rotmat(unknowns[:, :-3].unflatten(-1, (-1, 3)))
        local = self.parents.mT @ turns @ self.parents @ self.rotmats[:, self.joints]
        rows = torch.tensor(self.joints, device=self.rotmats.device)
        rotmats = self.rotmats.index_copy(1, rows, local)
        camera = self.start.camera
        camera = torch.cat(
            (camera[:, :1] * unknowns[:, -3:-2].exp(), camera[:, 1:] + unknowns[:, -2:]), 1
        )
        found = Prediction(rotmats[:, 0], rotmats[:, 1:], self.start.betas, camera)
        world, joints, points = self.body.skeleton(found.body_params(), *self.sets)
        points = points[:, list(self.shown)]
        points = torch.nn.functional.pad(points, (0, 0, 0, POINTS - points.shape[1]))
        return State(
            prediction=found,
            local=local,
            axes=self.parents @ self._parents(world).mT,
            joints=joints[:, self.joints],
            points=points,
            gaps=project_near(points, camera, self.near) - self.seen.points,
        )

    def loss(self, now: State, unknowns: Float[Tensor, "b u"]) -> Float[Tensor, " b"]:
        """Twice the negative logarithm of the posterior, but for a constant."""
        squares = now.gaps.square().sum(-1) * self.precision
        if self.config.outlier < math.inf:
            most = self.config.outlier**2
            squares = most * torch.log1p(squares / most)
        return (
            squares.sum(1)
            + self._excess(now).square().sum(1)
            + (self.prior * unknowns.square()).sum(1)
        )

    def _of_points(self, rows: Float[Tensor, "n k"]) -> Float[Tensor, "points k"]:
        """Of the body's keypoints those that may be seen, 0 for hands that it does not have."""
        shown = rows[list(self.shown)]
        return torch.nn.functional.pad(shown, (0, 0, 0, POINTS - len(shown)))

    def _parents(self, world: Float[Tensor, "b 24 3 3"]) -> Float[Tensor, "b moved 3 3"]:
        above = world[:, [max(self.body.parents[joint], 0) for joint in self.joints]]
        is_root = torch.tensor([self.body.parents[joint] < 0 for joint in self.joints])
        return torch.where(is_root.to(world.device)[:, None, None], torch.eye(3).to(world), above)

    def _step(self, now: State, unknowns: Float[Tensor, "b u"]) -> Float[Tensor, "b u"]:
        """What Gauss and Newton would take from the unknowns; outliers weigh less."""
        slopes = self._slopes(now).flatten(1, 2)
        squares = now.gaps.square().sum(-1) * self.precision
        weights = self.precision / (1.0 + squares / self.config.outlier**2)
        weighted = slopes * weights.repeat_interleave(2, dim=1)[..., None]
        normal = weighted.mT @ slopes + self.prior.diag()
        moment = (weighted.mT @ now.gaps.flatten(1)[..., None])[..., 0] + self.prior * unknowns
        slopes, excess = self._excess_slopes(now), self._excess(now)
        for number, place in enumerate(self.limited):
            span, slope = slice(3 * place, 3 * place + 3), slopes[:, number]
            normal[:, span, span] += slope[..., None] * slope[:, None]
            moment[:, span] += slope * excess[:, number, None]
        return torch.linalg.solve(normal, moment)

    def _slopes(self, now: State) -> Float[Tensor, "b points 2 u"]:
        """Of the points in the picture, crop units: a point moves by axis x lever."""
        scale, near = now.prediction.camera[:, :1, None, None], self.near[:, None, None, None]
        lever = (now.points[:, :, None] - now.joints[:, None]) * self.carried[:, self.joints, None]
        axes = now.axes[:, None].expand(-1, POINTS, -1, -1, -1)
        turned = scale[..., None] * torch.linalg.cross(axes, lever[..., None, :].expand_as(axes))
        grown = scale * now.points[:, :, None]
        # by each unknown: x, y and depth of scaled points, then of where the camera sees them
        moved = torch.cat((turned.flatten(2, 3), grown), dim=2)
        seen = (now.gaps + self.seen.points)[:, :, None]
        nearer = 1.0 + near * grown[..., 2:]
        slopes = (moved[..., :2] - seen * near * moved[..., 2:]) / nearer
        shifted = torch.eye(2).to(slopes) / nearer
        return torch.cat((slopes.mT, shifted), dim=-1)

    def _excess(self, now: State) -> Float[Tensor, "b limited"]:
        """How far joints are beyond their limits, in standard deviations."""
        over = _away(now.local[:, self.limited]) - self.limits
        return over.clamp_min(0.0) / self.beyond

    def _excess_slopes(self, now: State) -> Float[Tensor, "b limited 3"]:
        local, axes = now.local[:, self.limited], self.parents[:, self.limited]
        # a turn about an axis of the parent's frame moves each column of the rotation
        change = torch.linalg.cross(axes[..., None, :], local.mT[..., None, :, :])
        eye = torch.eye(3).to(local)
        away = (local - eye).mT[..., None, :, :]
        slope = (change * away).sum((-1, -2)) / _away(local)[..., None].clamp_min(1e-6)
        over = _away(local) > self.limits
        return slope * over[..., None] / self.beyond


def _part(name: str) -> str:
    return name.rpartition("_")[2]


def _away(rotmats: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Distance of rotations from none: sqrt(8) times the sine of half the angle."""
    return (rotmats - torch.eye(3).to(rotmats)).flatten(-2).norm(dim=-1)


_HAND_SET = "blazepose33"
_SHOWN = [*range(len(SMPL_49)), *(len(SMPL_49) + row for row in HANDS)]
