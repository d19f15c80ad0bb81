"""How good fits of real people are: against the truth, between views, in the picture.

Intervals are 95 % by bootstrap over moments: views and people of a moment are resampled together.
Moments of one video are alike, so the intervals say nothing of other people and places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float, Int

from benchmarks.real_fits import Found, RealMethod, fit_people
from benchmarks.real_people import People
from benchmarks.real_sequences import LIMBS
from exemplar.evaluation.methods import Methods
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.metrics import pa_mpjpe
from exemplar.scene.placing import FIELD_OF_VIEW
from exemplar.skeletons import LSP_14

RESAMPLES = 2_000
SEED = 0

BETWEEN = "between"
"""How measures of pairs of views are called."""

WORSE_MM = 0.1
"""Fits whose error grew by less are not worse: rounding, and what nobody sees."""

LEAST_LATERAL = 0.3
"""Where the truth's left-right axis has less than this share of its length in the horizontal
plane, there is no front and no back."""

Numbers = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Scores:
    """A method's errors; NaN where something is not known."""

    values: Mapping[str, Numbers]
    """By measure, one a fit: pa_mm, error_px (limb joints given), left_out_px, flipped (0 or 1),
    updates."""
    between: Mapping[str, Numbers]
    """By measure, one an ordered pair of views, PA mm: between_mm over the 14 joints (NaN for
    landmarks, which lack two), between_limbs_mm over the 12 limb joints."""


@dataclass(frozen=True)
class Group:
    """Fits of people of one sequence or set with one kind of keypoints."""

    keys: list[tuple[int, int, int]]
    """(moment, camera, person) of each fit."""
    pairs: Int[np.ndarray, "pairs 2"]
    """Fits that are compared: the same person at the same moment by two cameras."""
    methods: Mapping[str, Scores]

    @property
    def moments(self) -> Int[np.ndarray, " n"]:
        """Of each fit."""
        return np.array([key[0] for key in self.keys])

    @property
    def pair_moments(self) -> Int[np.ndarray, " pairs"]:
        """Of each pair."""
        return self.moments[self.pairs[:, 0]]

    def differences(self, method: str, measure: str, base: str = "none") -> Numbers:
        """Of a method from another, by a measure of `Scores`."""
        return of(self.methods[method], measure) - of(self.methods[base], measure)


def of(scores: Scores, measure: str) -> Numbers:
    """Errors by name; none where it was not measured."""
    table = scores.between if measure.startswith(BETWEEN) else scores.values
    return table.get(measure, np.zeros(0))


def measure(
    methods: Methods,
    people: People,
    wanted: Sequence[RealMethod],
    field_of_view: float = FIELD_OF_VIEW,
) -> Group:
    """Fit people and score the fits; `real_fits.LoadedMethods` takes networks from memory, and
    `fit_people` says what the field of view is."""
    pairs = view_pairs(people)
    found = fit_people(methods, people, wanted, field_of_view)
    scored = {name: score(each, people, pairs) for name, each in found.items()}
    return Group(people.keys, pairs, scored)


def view_pairs(people: People) -> Int[np.ndarray, "pairs 2"]:
    """Ordered pairs of fits of one person at one moment by different cameras."""
    views: dict[tuple[int, int], list[int]] = {}
    for row, (moment, _, person) in enumerate(people.keys):
        views.setdefault((moment, person), []).append(row)
    cameras = people.camera
    pairs = [
        pair
        for rows in views.values()
        for pair in permutations(rows, 2)
        if cameras[pair[0]] != cameras[pair[1]]
    ]
    return np.array(pairs, int).reshape(-1, 2)


def score(found: Found, people: People, pairs: Int[np.ndarray, "pairs 2"]) -> Scores:
    """Errors of a method's answers."""
    values = {
        "pa_mm": aligned(found.joints, people.truth),
        "flipped": flipped(found.joints, people.truth, people.up),
        "error_px": distance_px(found.points, people.given),
        "left_out_px": distance_px(found.points, people.left_out),
        "updates": found.updates.astype(float),
    }
    one, other = (found.joints[pairs[:, side]] for side in (0, 1))
    limbs = np.where(LIMBS[:, None], one, np.nan)
    whole = np.isfinite(one).all((1, 2)) & np.isfinite(other).all((1, 2))
    between = {
        "between_mm": np.where(whole, aligned(one, other), np.nan),
        "between_limbs_mm": aligned(limbs, other),
    }
    return Scores(values, between)


def aligned(joints: Float[np.ndarray, "n 14 3"], truth: Float[np.ndarray, "n 14 3"]) -> Numbers:
    """PA-MPJPE over the joints that both have, mm; NaN with none."""
    valid = np.isfinite(joints).all(-1) & np.isfinite(truth).all(-1)
    one, other = (torch.from_numpy(np.nan_to_num(x)).double() for x in (joints, truth))
    return pa_mpjpe(one, other, torch.from_numpy(valid)).numpy()


def flipped(
    joints: Float[np.ndarray, "n 14 3"],
    truth: Float[np.ndarray, "n 14 3"],
    up: Float[np.ndarray, "n 3"],
) -> Numbers:
    """1 for bodies that face more than 90 degrees away from the truth about the vertical, else 0.

    Both in the camera's frame. The facing direction is horizontal and square to the left-right
    axes of hips and shoulders, so the angle is that between these axes in the horizontal plane.
    NaN where the truth is not known or has no such direction.
    """
    own, (true, whole) = _lateral(joints, up)[0], _lateral(truth, up)
    length = np.linalg.norm(true, axis=-1)
    turned = ((own * true).sum(-1) < 0).astype(float)
    clear = length > LEAST_LATERAL * np.linalg.norm(whole, axis=-1)
    return np.where(clear & np.isfinite(own).all(-1), turned, np.nan)


def _lateral(joints: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left-right axis of hips and shoulders: its horizontal part, and all of it."""
    axis = sum(
        joints[:, LSP_14.index(f"left_{part}")] - joints[:, LSP_14.index(f"right_{part}")]
        for part in ("hip", "shoulder")
    )
    assert isinstance(axis, np.ndarray)
    return axis - (axis * up).sum(-1, keepdims=True) * up, axis


def distance_px(
    points: Float[np.ndarray, "n 14 2"], marked: Float[np.ndarray, "n 14 3"]
) -> Numbers:
    """Mean distance from the marked joints, px of a 224 crop; NaN where none is marked."""
    known = marked[..., 2] > 0
    distance = np.linalg.norm(points - marked[..., :2], axis=-1) * crop_units_to_pixels(EFT_CROP)
    count = known.sum(1)
    total = np.where(known, distance, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int
    """Numbers behind it."""

    def scaled(self, factor: float) -> "Interval":
        """In another unit."""
        return replace(
            self, mean=self.mean * factor, low=self.low * factor, high=self.high * factor
        )


def interval(values: Numbers, moments: Int[np.ndarray, " n"]) -> Interval:
    """Mean of the finite values, resampled by moment."""
    known = np.isfinite(values)
    values, moments = values[known], moments[known]
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    _, which = np.unique(moments, return_inverse=True)
    sums, counts = np.bincount(which, values), np.bincount(which)
    rng = np.random.default_rng(SEED)
    draws = rng.integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high), len(values))


def summary(group: Group) -> dict[str, dict[str, Interval]]:
    """By method and measure: those of `Scores`, how often the truth is farther than from
    the regressor's answer (worse, 0..1), and differences from it (pa_gain_mm, between_gain_mm,
    left_out_gain_px; negative is better)."""
    out = {}
    for name, scores in group.methods.items():
        row = {key: interval(values, group.moments) for key, values in scores.values.items()}
        row |= {key: interval(x, group.pair_moments) for key, x in scores.between.items()}
        if name != "none" and "none" in group.methods:
            pa = group.differences(name, "pa_mm")
            worse = np.where(np.isfinite(pa), pa > WORSE_MM, np.nan)
            left = group.differences(name, "left_out_px")
            between = group.differences(name, "between_mm")
            row["worse"] = interval(worse, group.moments)
            row["pa_gain_mm"] = interval(pa, group.moments)
            row["left_out_gain_px"] = interval(left, group.moments)
            row["between_gain_mm"] = interval(between, group.pair_moments)
        out[name] = row
    return out
