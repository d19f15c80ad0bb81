"""Body poses by family: everyday ones from the pose prior, the rest from joint-wise ranges.

World frame: y up, metres. A body at rest stands upright and faces +z; its left is +x. Angles are
radians. Left-side values are given; the right side's are their mirror image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from exemplar.priors import load_pose_prior
from exemplar.skeletons import SMPL_24, flip_permutation, indices
from exemplar.synth.config import PoseConfig
from exemplar.synth.contact import penetration

Range = tuple[float, float]
"""Mean and standard deviation of an angle."""

JOINTS = SMPL_24[1:]
"""The joints that have a body pose."""

MAX_TRIES = 8
"""Draws made to get a body that does not run through itself."""

_MIRROR_AXIS_ANGLE = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Leg:
    """A leg: the hip flexed, swung outwards and twisted, and the knee bent."""

    flex: Range = (0.0, 0.1)
    """Thigh forwards; pi/2 is sitting."""
    spread: Range = (0.0, 0.12)
    """The flexed thigh swung outwards about the trunk's axis."""
    twist: Range = (0.0, 0.15)
    """Turn about the thigh, toes outwards."""
    abduct: Range = (0.04, 0.08)
    """Leg raised sideways."""
    knee: Range = (0.1, 0.1)
    """Knee bent."""


@dataclass(frozen=True)
class Arm:
    """An arm from the T-pose: raised, swung forwards, twisted, and the elbow bent."""

    lift: Range = (-0.9, 0.4)
    """Above the horizontal."""
    forward: Range = (0.3, 0.4)
    """Swung to the front."""
    twist: Range = (0.0, 0.5)
    """Turn about the upper arm."""
    elbow: Range = (0.7, 0.5)
    """Elbow bent."""


@dataclass(frozen=True)
class Family:
    """Ranges that override a draw of the pose prior; None keeps the draw."""

    left_leg: Leg | None = None
    """The left leg, or both legs when there is no right one."""
    right_leg: Leg | None = None
    """The right leg where it differs; left and right are swapped half of the time."""
    arms: Arm | None = None
    """Both arms."""
    arms_share: float = 1.0
    """Probability that `arms` applies; else the prior's arms stay."""
    bend: Range = (0.0, 0.0)
    """Added bend of the spine, forwards."""
    pitch: Range = (0.0, 0.08)
    """Pelvis tipped forwards in the world."""
    roll: Range = (0.0, 0.05)
    """Pelvis tipped sideways in the world."""
    prior_scale: float = 1.0
    """The prior's draw is multiplied by this (under 1: calmer)."""


_BENT = Leg(flex=(1.5, 0.3), spread=(0.15, 0.25), knee=(1.45, 0.35))
_STRAIGHT = Leg(flex=(0.0, 0.12), knee=(0.12, 0.12))

FAMILIES: Mapping[str, Family] = {
    "everyday": Family(),
    "standing": Family(left_leg=_STRAIGHT, arms=Arm(), arms_share=0.7, prior_scale=0.7),
    "sitting_chair": Family(left_leg=_BENT, arms=Arm(lift=(-1.0, 0.35)), arms_share=0.6,
                            bend=(0.1, 0.25), pitch=(-0.05, 0.2)),
    "sitting_ground": Family(
        left_leg=Leg(flex=(1.6, 0.3), spread=(0.2, 0.3), knee=(0.9, 0.8)),
        arms=Arm(lift=(-1.0, 0.3), forward=(0.0, 0.7), elbow=(0.4, 0.4)), arms_share=0.6,
        bend=(0.2, 0.3), pitch=(-0.2, 0.25)),
    "cross_legged": Family(
        left_leg=Leg(flex=(1.5, 0.15), spread=(0.75, 0.15), twist=(0.6, 0.2), knee=(2.2, 0.2)),
        arms=Arm(lift=(-1.1, 0.2), forward=(0.5, 0.3), elbow=(0.8, 0.5)), arms_share=0.6,
        bend=(0.2, 0.2), pitch=(-0.05, 0.1)),
    "crouching": Family(left_leg=Leg(flex=(1.9, 0.25), spread=(0.3, 0.25), knee=(2.1, 0.3)),
                        bend=(0.3, 0.3), pitch=(0.45, 0.25), arms_share=0.6,
                        arms=Arm(lift=(-0.6, 0.4), forward=(1.0, 0.4))),
    "kneeling": Family(left_leg=Leg(flex=(0.2, 0.35), knee=(1.8, 0.35)),
                       right_leg=Leg(flex=(1.0, 0.7), knee=(1.7, 0.3)),
                       bend=(0.1, 0.25), pitch=(0.05, 0.2)),
    "all_fours": Family(left_leg=Leg(flex=(1.35, 0.3), knee=(1.45, 0.3)),
                        arms=Arm(lift=(0.0, 0.25), forward=(1.45, 0.15), elbow=(0.15, 0.2)),
                        bend=(0.0, 0.2), pitch=(1.35, 0.2)),
    "lying": Family(prior_scale=0.75, left_leg=Leg(flex=(0.35, 0.5), knee=(0.6, 0.6)),
                    right_leg=Leg(flex=(0.35, 0.5), knee=(0.6, 0.6)),
                    arms=Arm(lift=(-0.3, 0.8), forward=(0.3, 0.6)), arms_share=0.6),
    "arms_overhead": Family(arms=Arm(lift=(1.15, 0.3), forward=(0.2, 0.4), elbow=(0.4, 0.5))),
    "lunging": Family(left_leg=Leg(flex=(1.3, 0.3), knee=(1.3, 0.35)),
                      right_leg=Leg(flex=(-0.35, 0.2), knee=(0.4, 0.35)),
                      arms=Arm(lift=(-0.2, 0.7), forward=(0.3, 0.6)), arms_share=0.6,
                      bend=(0.1, 0.2), pitch=(0.15, 0.25)),
    "bending": Family(left_leg=Leg(flex=(1.1, 0.4), knee=(0.25, 0.3)),
                      arms=Arm(lift=(0.0, 0.5), forward=(1.2, 0.4), elbow=(0.3, 0.3)),
                      arms_share=0.7, bend=(0.5, 0.3), pitch=(0.95, 0.35)),
    "kicking": Family(left_leg=Leg(flex=(1.2, 0.6), abduct=(0.4, 0.4), knee=(0.5, 0.5)),
                      right_leg=_STRAIGHT, arms=Arm(lift=(0.0, 0.6)), arms_share=0.7,
                      bend=(0.0, 0.2), pitch=(-0.05, 0.3), roll=(0.0, 0.2)),
    "inverted": Family(left_leg=Leg(flex=(0.2, 0.5), abduct=(0.15, 0.25), knee=(0.3, 0.5)),
                       right_leg=Leg(flex=(0.2, 0.5), abduct=(0.15, 0.25), knee=(0.3, 0.5)),
                       arms=Arm(lift=(1.3, 0.2), forward=(0.1, 0.2), elbow=(0.2, 0.2)),
                       pitch=(np.pi, 0.3), roll=(0.0, 0.2)),
    "acrobatic": Family(),
}  # fmt: skip
"""Everything that people are seen doing."""

_WIDER: Mapping[str, tuple[Range, Range, Range]] = {
    "hip": ((-2.6, 0.7), (-0.9, 1.3), (-0.9, 1.6)),
    "knee": ((-0.1, 2.6), (-0.25, 0.25), (-0.3, 0.3)),
    "shoulder": ((-1.9, 1.9), (-2.3, 1.2), (-1.8, 1.6)),
    "elbow": ((-1.1, 0.9), (-2.5, 0.1), (-0.4, 1.4)),
    "spine1": ((-0.45, 1.1), (-0.4, 0.4), (-0.45, 0.45)),
    "spine2": ((-0.35, 0.6), (-0.4, 0.4), (-0.35, 0.35)),
    "spine3": ((-0.6, 0.5), (-0.35, 0.35), (-0.45, 0.45)),
}
"""Joint limits beyond those of the motion capture: (x, y, z) axis-angle of the left side."""


@dataclass(frozen=True)
class _Mixture:
    means: np.ndarray
    cholesky: np.ndarray
    cumulative: np.ndarray
    lower: np.ndarray = field(repr=False)
    upper: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class PoseDraw:
    """A body in the world."""

    family: str
    """Name in `FAMILIES`."""
    body_pose: np.ndarray
    """float64 (23, 3), axis-angle."""
    world_orient: np.ndarray
    """float64 (3, 3): body frame to world frame (y up), heading left at zero."""


def pose_limits() -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper axis-angle (23, 3) that every drawn pose respects, radians."""
    prior = _mixture()
    return prior.lower.reshape(-1, 3), prior.upper.reshape(-1, 3)


def draw_pose(rng: np.random.Generator, rest_joints: np.ndarray, config: PoseConfig) -> PoseDraw:
    """Draw a family, and from it a pose that does not run through itself.

    Args:
        rng: source of everything random here.
        rest_joints: (24, 3) joints of the body at rest, for the contact check, metres.
        config: frequencies of the families.
    """
    names = list(config.families)
    weights = np.array([config.families[name] for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    best, least = None, np.inf
    for _ in range(MAX_TRIES):
        pose = _draw_body_pose(rng, name)
        depth = penetration(axis_angle_to_rotmat(pose), rest_joints)
        if depth < least:
            best, least = pose, depth
        if depth <= 0:
            break
    assert best is not None
    return PoseDraw(name, best, _draw_orientation(rng, name))


def axis_angle_to_rotmat(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: (..., 3) radians to (..., 3, 3)."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    cross = cross.reshape(*axis_angle.shape, 3)
    safe = np.maximum(angle, 1e-8)
    sine, cosine = np.sin(safe) / safe, (1 - np.cos(safe)) / safe**2
    return np.eye(3) + sine * cross + cosine * (cross @ cross)


def rotmat_to_axis_angle(rotmat: np.ndarray) -> np.ndarray:
    """One rotation (3, 3) to its vector (3,), angle in [0, pi] radians."""
    skew = np.array(
        [rotmat[2, 1] - rotmat[1, 2], rotmat[0, 2] - rotmat[2, 0], rotmat[1, 0] - rotmat[0, 1]]
    )
    angle = np.arctan2(np.linalg.norm(skew), np.trace(rotmat) - 1)
    if np.pi - angle < 1e-4:
        outer = (rotmat + np.eye(3)) / 2
        axis = outer[:, np.diag(outer).argmax()]
        return axis / np.linalg.norm(axis) * (angle if axis @ skew >= 0 else -angle)
    return skew / 2 * (angle / np.sin(angle) if angle > 1e-8 else 1.0)


def turn(axis: str, angle: float) -> np.ndarray:
    """Rotation by `angle` radians about x, y or z."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.eye(3)
    out[first, first] = out[second, second] = np.cos(angle)
    out[second, first] = np.sin(angle)
    out[first, second] = -out[second, first]
    return out


@cache
def _mixture() -> _Mixture:
    prior = load_pose_prior()
    lower, upper = (a.double().numpy().reshape(-1, 3).copy() for a in (prior.lower, prior.upper))
    for part, ranges in _WIDER.items():
        for row, name in enumerate(JOINTS):
            if name.split("_")[-1] != part:
                continue
            low, high = np.array(ranges).T
            if name.startswith("right"):
                low, high = low * _MIRROR_AXIS_ANGLE, high * _MIRROR_AXIS_ANGLE
                low, high = np.minimum(low, high), np.maximum(low, high)
            lower[row], upper[row] = np.minimum(lower[row], low), np.maximum(upper[row], high)
    return _Mixture(
        means=prior.means.double().numpy(),
        cholesky=prior.cholesky.double().numpy(),
        cumulative=np.cumsum(prior.weights.double().numpy()),
        lower=lower.ravel(),
        upper=upper.ravel(),
    )


def _draw_prior(rng: np.random.Generator) -> np.ndarray:
    prior = _mixture()
    chosen = int(np.searchsorted(prior.cumulative, rng.random() * prior.cumulative[-1]))
    noise = rng.standard_normal(prior.means.shape[1])
    return (prior.means[chosen] + prior.cholesky[chosen] @ noise).reshape(-1, 3)


def _draw_body_pose(rng: np.random.Generator, name: str) -> np.ndarray:
    family = FAMILIES[name]
    pose = _draw_prior(rng) * family.prior_scale
    prior = _mixture()
    lower, upper = prior.lower.reshape(-1, 3), prior.upper.reshape(-1, 3)
    if name == "acrobatic":
        anywhere = lower + (upper - lower) * rng.beta(2, 2, pose.shape)
        share = rng.uniform(0.3, 1.0)
        pose = pose + share * (anywhere - pose)
    if family.left_leg is not None:
        swap = rng.random() < 0.5
        same = rng.random() < 0.5 and family.right_leg is None
        legs = (family.left_leg, family.right_leg or family.left_leg)
        state = rng.bit_generator.state
        for side, leg in zip(("left", "right"), legs[::-1] if swap else legs, strict=True):
            if same:
                rng.bit_generator.state = state
            _set_leg(rng, pose, side, leg)
    if family.arms is not None and rng.random() < family.arms_share:
        for side in ("left", "right"):
            _set_arm(rng, pose, side, family.arms)
    if family.bend != (0.0, 0.0):
        bend = rng.normal(*family.bend)
        for joint, share in (("spine1", 0.5), ("spine2", 0.25), ("spine3", 0.25)):
            pose[JOINTS.index(joint)] = pose[JOINTS.index(joint)] * 0.7
            pose[JOINTS.index(joint), 0] += bend * share
    return np.clip(pose, lower, upper)


def _set_leg(rng: np.random.Generator, pose: np.ndarray, side: str, leg: Leg) -> None:
    hip = (
        turn("z", rng.normal(*leg.abduct))
        @ turn("y", rng.normal(*leg.spread))
        @ turn("x", -rng.normal(*leg.flex))
        @ turn("y", rng.normal(*leg.twist))
    )
    knee = np.array([max(rng.normal(*leg.knee), 0.0), 0.0, 0.0])
    _set_side(pose, side, "hip", rotmat_to_axis_angle(hip))
    _set_side(pose, side, "knee", knee)
    pose[JOINTS.index(f"{side}_ankle")] *= 0.7


def _set_arm(rng: np.random.Generator, pose: np.ndarray, side: str, arm: Arm) -> None:
    shoulder = (
        turn("y", -rng.normal(*arm.forward))
        @ turn("z", rng.normal(*arm.lift))
        @ turn("x", rng.normal(*arm.twist))
    )
    elbow = np.array([0.0, -max(rng.normal(*arm.elbow), 0.0), 0.0])
    _set_side(pose, side, "shoulder", rotmat_to_axis_angle(shoulder))
    _set_side(pose, side, "elbow", elbow)


def _set_side(pose: np.ndarray, side: str, part: str, left_value: np.ndarray) -> None:
    value = left_value if side == "left" else left_value * _MIRROR_AXIS_ANGLE
    pose[indices([f"{side}_{part}"], JOINTS)[0]] = value


def _draw_orientation(rng: np.random.Generator, name: str) -> np.ndarray:
    if name == "lying":
        side = rng.choice(["back", "front", "left", "right"], p=[0.4, 0.25, 0.175, 0.175])
        base = {
            "back": turn("x", -np.pi / 2),
            "front": turn("x", np.pi / 2),
            "left": turn("z", -np.pi / 2),
            "right": turn("z", np.pi / 2),
        }[str(side)]
        return axis_angle_to_rotmat(rng.normal(0, 0.15, 3)) @ base
    if name == "acrobatic" and rng.random() < 0.6:
        vector = rng.standard_normal(4)
        return _quaternion_to_rotmat(vector / np.linalg.norm(vector))
    family = FAMILIES[name]
    return turn("z", rng.normal(*family.roll)) @ turn("x", rng.normal(*family.pitch))


def _quaternion_to_rotmat(q: np.ndarray) -> np.ndarray:
    w, v = q[0], q[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """A pose (23, 3) reflected left to right."""
    return pose[flip_permutation(JOINTS)] * _MIRROR_AXIS_ANGLE
