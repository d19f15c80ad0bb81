"""Who is who in the cameras' pictures of one moment, and where their joints are."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from exemplar.geometry.rigs import LensCamera, misses, triangulate_robust
from exemplar.skeletons import OPENPOSE_25, SMPL_49

OUTLIER = 0.06
"""Views see a joint of theirs no farther off than this part of the person's extent in them. The
built-in keypoints err by about 2 % in the median; another limb is 4 to 15 % away."""

FEWEST_JOINTS = 6
"""Joints that two views of a person must have in common."""

LARGEST_SKEW = 0.35
"""Median of |log(left / right)| over the lengths of upper and lower arms and legs, above which two
views' detections are not of one person."""

ALONE = 0.5
"""Part of `OUTLIER` within which two views must agree where further cameras could tell, too."""

Joints49 = Float[np.ndarray, "49 3"]

MOST_PROPOSALS = 12
"""So many proposals that lack a view are improved, the best ones."""

_BONES = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))

Choice = tuple[int | None, ...]
"""Which detection of each view, None for none."""

Pictures = Sequence[UInt8[np.ndarray, "_ _ 3"]]
"""What the cameras saw at one moment."""


@dataclass(frozen=True)
class Person:
    """Somebody at one moment."""

    points: Float[np.ndarray, "views 49 3"]
    """Keypoints by camera: x, y px and confidence; 0 in views without the person."""
    joints: Float[np.ndarray, "49 3"]
    """Triangulated, the world's unit; NaN where no two views agree."""
    supports: Bool[np.ndarray, "views 49"]
    """Which keypoints agree with the joints."""
    error: float
    """Median distance of the keypoints from the joints over the person's extent in the views."""

    @property
    def skew(self) -> float:
        """Median of |log(left / right)| over the lengths of limbs; 0 where none is known."""
        ratios = np.abs(np.log(_lengths(self.joints, "left") / _lengths(self.joints, "right")))
        return float(np.nanmedian(ratios)) if np.isfinite(ratios).any() else 0.0

    @property
    def seen(self) -> Bool[np.ndarray, " views"]:
        """Which views have the person."""
        return np.any(self.points[..., 2] > 0, axis=1)


def associate(
    views: Sequence[Sequence[Joints49]],
    cameras: Sequence[LensCamera],
    improve: Callable[[Person], Person] = lambda person: person,
) -> list[Person]:
    """The people that at least two cameras see alike, those that most cameras see first.

    `views` are the people found in each camera's picture. Every pair of detections that agrees is
    extended by what agrees best in each other view. Of these proposals those of all views are taken
    first, the least error before the others. The rest are improved (somebody may be found in the
    views that lack), since two views can agree by chance: then those that most views have, and of
    them the least error, come first. No detection is two people's.
    """
    known: dict[Choice, Person] = {}
    proposals: dict[Choice, Person] = {}
    for a, b in itertools.combinations(range(len(views)), 2):
        for i, j in itertools.product(range(len(views[a])), range(len(views[b]))):
            pair = tuple({a: i, b: j}.get(view) for view in range(len(views)))
            choice = _extended(pair, views, cameras, known)
            if choice is not None:
                proposals[choice] = known[choice]
    taken: set[tuple[int, int]] = set()

    def chosen(ranked: Sequence[tuple[Choice, Person]]) -> Iterator[Person]:
        for choice, person in sorted(ranked, key=lambda p: (-p[1].seen.sum(), p[1].error)):
            own = _detections(choice)
            alone = person.seen.sum() == 2 < len(cameras) and person.error > ALONE * OUTLIER
            if not own & taken and not alone:
                taken.update(own)
                yield person

    whole = [each for each in proposals.items() if each[1].seen.all()]
    people = [improve(person) for person in chosen(whole)]
    rest = [each for each in proposals.items() if not _detections(each[0]) & taken]
    rest.sort(key=lambda each: (-each[1].seen.sum(), each[1].error))
    return [*people, *chosen([(choice, improve(p)) for choice, p in rest[:MOST_PROPOSALS]])]


def person_of(points: Float[np.ndarray, "views 49 3"], cameras: Sequence[LensCamera]) -> Person:
    """Somebody whose keypoints in each view are known."""
    extents = extents_of(points)
    joints, supports = triangulate_robust(points, cameras, OUTLIER * extents)
    gaps = misses(joints, points, cameras) / extents[:, None]
    error = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else np.inf
    return Person(points, joints, supports, error)


def extents_of(points: Float[np.ndarray, "views 49 3"]) -> Float[np.ndarray, " views"]:
    """The longer side of the person in each view, px; 1 where there is none."""
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(1)
    high = np.where(seen, points[..., :2], -np.inf).max(1)
    return np.where(seen.any((1, 2)), (high - low).max(1), 1.0).clip(1.0)


def agrees(person: Person, view: int, points: Joints49, cameras: Sequence[LensCamera]) -> float:
    """Median distance of a view's keypoints from the person's joints, over their extent there."""
    gaps = misses(person.joints, points[None], cameras[view : view + 1])[0]
    if np.isfinite(gaps).sum() < FEWEST_JOINTS:
        return np.inf
    return float(np.nanmedian(gaps)) / float(extents_of(points[None])[0])


def _detections(choice: Choice) -> set[tuple[int, int]]:
    """(view, number) of each detection of a choice."""
    return {(view, number) for view, number in enumerate(choice) if number is not None}


def _lengths(joints: Joints49, side: str) -> Float[np.ndarray, "4"]:
    """Of the upper and lower arm and leg of a side, in the joints' unit; at least a millionth."""
    rows = [[SMPL_49.index(f"{side}_{end}", len(OPENPOSE_25)) for end in bone] for bone in _BONES]
    ends = joints[np.array(rows)]
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).clip(1e-6)


def _extended(
    choice: Choice,
    views: Sequence[Sequence[Joints49]],
    cameras: Sequence[LensCamera],
    known: dict[Choice, Person],
) -> Choice | None:
    """The pair of a choice and what agrees with it in the other views; None if it is no pair.

    People of choices are kept in `known`: several pairs lead to the same.
    """

    def person() -> Person:
        if choice not in known:
            empty = np.zeros((49, 3))
            points = [empty if n is None else views[v][n] for v, n in enumerate(choice)]
            known[choice] = person_of(np.stack(points), cameras)
        return known[choice]

    common = ((person().points[..., 2] > 0).sum(0) >= 2).sum()
    if common < FEWEST_JOINTS or person().supports.any(0).sum() < common / 2:
        return None
    if person().skew > LARGEST_SKEW:
        return None
    for view, people in enumerate(views):
        if choice[view] is not None or not people:
            continue
        gaps = [agrees(person(), view, each, cameras) for each in people]
        nearest = int(np.argmin(gaps))
        if gaps[nearest] < OUTLIER:
            choice = (*choice[:view], nearest, *choice[view + 1 :])
            person()
    return choice
