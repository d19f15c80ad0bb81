"""Several people of one photo in one space: sizes that agree, bodies beside each other.

One photo does not tell a large person far away from a small one nearby: a body and its distance may
grow by one factor about the camera, and the picture stays as it is. So everybody has a factor, and
what is known of people together chooses it: the floor that they stand on (`scene.floor`), and that
bodies do not run through each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float

from exemplar.bodies import Body, BodyParams
from exemplar.bodies.capsules import Capsules, capsules_of, depth_between
from exemplar.bodies.scaling import scaled_betas
from exemplar.bodies.shape_prior import height_at_rest
from exemplar.fitting.projections import UNSEEN
from exemplar.geometry.cameras import fit_weak_camera, full_translation, project_weak
from exemplar.geometry.crops import EFT_CROP
from exemplar.results import DOUBTFUL, OK, BodyState, Overlap, PersonFit
from exemplar.scene.clip_world import SOLES, spatial_median
from exemplar.scene.floor import floor_factors
from exemplar.skeletons import SMPL_24, SMPL_49, indices

HAND_WIDTH = 0.09
"""Depth to which one body may run through another, metres: flesh gives way, and fits err by as
much."""

STEP = 0.0025
"""By which the logarithm of a factor is changed at a time."""

MOST_STEPS = 48
"""Steps that bring two people apart, at most: the sizes of adults differ by as much."""

LEAST_CHANGE = 0.001
"""Factors nearer to 1 than this leave somebody as they are."""

LEAST_UPRIGHT = 0.5
"""Cosine of the picture's up and the way from ankles to neck, above which somebody stands or sits:
who lies or stands on their hands does not tell of the floor."""

ROUNDS = 4
"""How often all pairs are gone through: who leaves one body may come into another."""

_UP = np.array([0.0, -1.0, 0.0])
_NECK = SMPL_24.index("neck")
_ANKLES = indices(("left_ankle", "right_ankle"), SMPL_24)
_FEET = [i for i, name in enumerate(SMPL_49) if {"ankle", "heel", "toe"} & set(name.split("_"))]

Factors = Float[np.ndarray, " people"]


def overlaps_of(crowd: Sequence[Capsules], factors: Factors) -> dict[tuple[int, int], float]:
    """Depth (metres) of each pair that runs through each other by more than `HAND_WIDTH`."""
    bodies = [each.scaled(factor) for each, factor in zip(crowd, factors.tolist(), strict=True)]
    pairs = combinations(range(len(bodies)), 2)
    depths = {(i, j): depth_between(bodies[i], bodies[j]) for i, j in pairs}
    return {pair: depth for pair, depth in depths.items() if depth > HAND_WIDTH}


def apart(
    crowd: Sequence[Capsules], factors: Factors, free: Bool[np.ndarray, " people"] | None = None
) -> Factors:
    """Factors, changed as little as may be, with which bodies do not run through each other.

    Pair after pair, the deepest first, the one comes nearer and the other goes away, by equal
    parts, whichever of the two orders is nearer. Who is not `free` stays (by default all are), and
    so does a pair that no allowed factors part.
    """
    free = np.ones(len(crowd), dtype=bool) if free is None else free
    steps = np.zeros(len(crowd))
    for _ in range(ROUNDS):
        deep = overlaps_of(crowd, factors * np.exp(STEP * steps))
        for i, j in sorted(deep, key=lambda pair: -deep[pair]):
            steps[[i, j]] += _parting(crowd, factors, steps, free, i, j)
        if not deep:
            break
    return factors * np.exp(STEP * steps)


def _parting(
    crowd: Sequence[Capsules], factors: Factors, steps: Factors, free: np.ndarray, i: int, j: int
) -> Float[np.ndarray, "2"]:
    """Steps of two people that bring them apart; none if these cannot be made."""
    for count in range(2 * MOST_STEPS + 1):
        for sign in (1, -1):
            more = np.array([1.0, -1.0]) * sign * count * free[[i, j]]
            moved = steps[[i, j]] + more
            first, second = factors[[i, j]] * np.exp(STEP * moved)
            near = depth_between(crowd[i].scaled(first), crowd[j].scaled(second))
            if np.abs(moved).max() <= MOST_STEPS and near <= HAND_WIDTH:
                return more
    return np.zeros(2)


@dataclass(frozen=True)
class Together:
    """A photo's people in one space."""

    people: tuple[PersonFit, ...]
    overlaps: tuple[Overlap, ...]
    """Who still runs through whom."""


def stand_together(
    people: Sequence[PersonFit],
    body: Body,
    focal: float,
    principal_point: Float[np.ndarray, "2"],
) -> Together:
    """A photo's people with sizes and distances that agree.

    The picture stays as it is. People whose fit is not `OK` stay where they are, and are in
    nobody's way; those whose age or height was said keep their size.
    """
    rows = _believed(people)
    if len(rows) < 2:
        return Together(tuple(people), ())
    some = [people[row] for row in rows]
    free = np.array([person.traits.age is None and person.traits.height is None for person in some])
    factors = np.where(free, _on_the_floor(some, body), 1.0)
    factors = apart(_crowd(some, body), factors, free)
    placed = list(people)
    for row, factor in zip(rows, factors.tolist(), strict=True):
        if abs(factor - 1.0) > LEAST_CHANGE:
            placed[row] = resized(people[row], body, factor, focal, principal_point)
    return Together(tuple(placed), overlaps_among(placed, body))


def _on_the_floor(people: Sequence[PersonFit], body: Body) -> Factors:
    """Factors of those who stand and whose feet are seen; 1 for the others, whose size the picture
    cannot tell, and for everybody where fewer than two stand."""
    factors = np.ones(len(people))
    joints = np.stack([person.after.kinematic_joints for person in people]).astype(np.float64)
    ways = joints[:, _NECK] - joints[:, _ANKLES].mean(1)
    ups = ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-6)
    seen = [bool((person.keypoints_2d[_FEET, 2] > 0).any()) for person in people]
    standing = np.flatnonzero(seen & (ups @ _UP > LEAST_UPRIGHT)).tolist()
    known = [row for row in SOLES if body.available("smpl49")[row] > 0]
    if known and len(standing) > 1:
        soles = np.stack([people[i].after.joints_3d[known] for i in standing]).astype(np.float64)
        lowest = (soles @ spatial_median(ups[standing])).argmin(1)
        factors[standing] = floor_factors(soles[np.arange(len(soles)), lowest], ups[standing])
    return factors


def overlaps_among(people: Sequence[PersonFit], body: Body) -> tuple[Overlap, ...]:
    """Whose bodies run through each other by more than `HAND_WIDTH`, of those that are not
    rejected."""
    rows = _believed(people)
    crowd = _crowd([people[row] for row in rows], body)
    deep = overlaps_of(crowd, np.ones(len(rows)))
    return tuple(Overlap((rows[i], rows[j]), depth) for (i, j), depth in deep.items())


def _believed(people: Sequence[PersonFit]) -> list[int]:
    return [row for row, person in enumerate(people) if person.status in (OK, DOUBTFUL)]


def _crowd(people: Sequence[PersonFit], body: Body) -> list[Capsules]:
    weights = body.skinning_weights.cpu().numpy()
    states = (person.after for person in people)
    return [capsules_of(state.kinematic_joints, state.vertices, weights) for state in states]


_CHANGING = (
    "global_orient", "body_pose", "betas", "weak_camera", "translation", "joints_3d", "joints_2d",
)  # fmt: skip


@torch.no_grad()
def resized(
    person: PersonFit,
    body: Body,
    factor: float,
    focal: float,
    principal_point: Float[np.ndarray, "2"],
) -> PersonFit:
    """Somebody `factor` times as large and as far away, in all iterates; seen as before, to what
    the body's shapes allow."""
    old = {
        name: torch.from_numpy(np.stack([getattr(state, name) for state in person.steps])).float()
        for name in _CHANGING
    }
    device = body.v_template.device
    betas = scaled_betas(body, old["betas"].to(device), factor)
    params = BodyParams(old["global_orient"].to(device), old["body_pose"].to(device), betas)
    posed, joints = body(params), body.keypoints(params, "smpl49").cpu()
    count = len(person.steps)
    weights = body.available("smpl49").cpu().expand(count, -1)
    shown = project_weak(old["joints_3d"] - old["translation"][:, None], old["weak_camera"])
    weak_camera = fit_weak_camera(joints, shown, weights)
    change = (project_weak(joints, weak_camera) - shown) * person.box_size / 2
    joints_2d = old["joints_2d"] + change
    seen = torch.from_numpy(person.keypoints_2d[:, 2] > 0).float().clamp_min(UNSEEN)
    translation = full_translation(
        joints,
        joints_2d,
        weights * seen,
        torch.full((count,), focal),
        torch.from_numpy(principal_point).float().expand(count, 2),
        old["translation"] * factor,
    )
    away = translation[:, None]
    columns = {
        "betas": betas.cpu(),
        "weak_camera": weak_camera,
        "translation": translation,
        "joints_3d": joints + away,
        "joints_2d": joints_2d,
        "kinematic_joints": posed.joints.cpu() + away,
        "vertices": posed.vertices.cpu() + away,
    }
    arrays = {name: value.numpy() for name, value in columns.items()}
    steps = tuple(
        _with_error(replace(state, **{name: value[k] for name, value in arrays.items()}), person)
        for k, state in enumerate(person.steps)
    )
    height = float(height_at_rest(body, betas[-1]))
    return replace(person, steps=steps, size_factor=factor, height=height)


def _with_error(state: BodyState, person: PersonFit) -> BodyState:
    used = person.fitted > 0
    gaps = np.linalg.norm(state.joints_2d - person.keypoints_2d[:, :2], axis=1)[used]
    error = float(gaps.mean()) * EFT_CROP / person.box_size if used.any() else 0.0
    return replace(state, error_px=error)
