"""Annotation against a teacher: sides that were exchanged, wrong clicks, and people to doubt."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.skeletons import GT_24, LIMBS_12, flip_permutation, indices

_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")

_EXCHANGES: Mapping[str, list[int]] = {
    "all limbs": indices(LIMBS_12, GT_24),
    "arms": indices([name for name in LIMBS_12 if name.endswith(_ARM)], GT_24),
    "legs": indices([name for name in LIMBS_12 if name.endswith(_LEG)], GT_24),
}
"""Joints whose left and right an annotator exchanges together, the most first."""

_MIRRORED = flip_permutation(GT_24)


@dataclass(frozen=True)
class TeacherCheck:
    """When an annotation is not believed. Distances are parts of the person's extent: the larger
    side of the box about the annotated joints."""

    least_visible: float = 0.5
    """Joints are compared that the teacher sees with a larger probability, ..."""
    least_sure: float = 0.3
    """... and whose 3D confidence is larger than this. By visibility alone 14 of LSPet's first 258
    people have wrong clicks; for 13 the teacher's readings contradict each other there, and in the
    7 of these that were looked at the annotation is right."""
    fewest_joints: int = 4
    """With fewer joints to compare nothing is said."""
    agreed: float = 0.08
    """Annotation and teacher agree where their median distance is below this."""
    swap_factor: float = 2.0
    """The sides are exchanged if the annotation with its sides exchanged is nearer by this factor
    to the teacher, the median distance of the exchanged joints, where as it stands they do not
    agree (`agreed`) ..."""
    swap_within: float = 0.1
    """... and is nearer than this."""
    wrong_click: float = 0.25
    """A joint farther off is a wrong click if the others agree."""
    most_wrong: int = 2
    """People with more wrong clicks are rejected."""
    doubtful: float = 0.2
    """People whose median distance is larger are rejected."""


@dataclass(frozen=True)
class Verdict:
    """What the comparison found."""

    reason: str = ""
    """Why the person is rejected: kind, colon, details; "" if not."""
    wrong_clicks: tuple[str, ...] = ()
    """Joints of `GT_24` that are not to be fitted."""


def compare(
    annotated: Float[Tensor, "24 3"],
    taught: Float[Tensor, "24 3"],
    sure: Float[Tensor, "24"],
    check: TeacherCheck,
) -> Verdict:
    """Hold annotated joints against a teacher's, where both have them.

    `GT_24` joints: x, y in one frame, and confidence or visibility. `sure` is the confidence of the
    teacher's 3D joints.
    """
    known = annotated[:, 2] > 0
    shared = known & (taught[:, 2] > check.least_visible) & (sure > check.least_sure)
    if int(shared.sum()) < check.fewest_joints:
        return Verdict()
    places = annotated[known, :2]
    extent = (places.amax(0) - places.amin(0)).max().clamp_min(torch.finfo(places.dtype).tiny)
    apart = (annotated[:, :2] - taught[:, :2]).norm(dim=-1) / extent
    exchanged = (annotated[_MIRRORED, :2] - taught[:, :2]).norm(dim=-1) / extent
    swapped = _swapped(apart, exchanged, shared & known[_MIRRORED], check)
    if swapped:
        return Verdict(swapped)
    wrong = shared & (apart > check.wrong_click)
    others = shared & ~wrong
    if int(others.sum()) >= check.fewest_joints and _median(apart, others) < check.agreed:
        names = tuple(GT_24[row] for row in wrong.nonzero()[:, 0].tolist())
        if len(names) <= check.most_wrong:
            return Verdict(wrong_clicks=names)
        return Verdict(f"annotation against teacher: far apart in {', '.join(names)}")
    median = _median(apart, shared)
    if median > check.doubtful:
        return Verdict(f"annotation against teacher: {median:.0%} of the extent apart")
    return Verdict()


def _swapped(
    apart: Float[Tensor, "24"],
    exchanged: Float[Tensor, "24"],
    shared: Bool[Tensor, "24"],
    check: TeacherCheck,
) -> str:
    """Why the annotation is taken for one of the other side, or ""."""
    for what, rows in _EXCHANGES.items():
        group = torch.zeros_like(shared)
        group[rows] = shared[rows]
        if int(group.sum()) < check.fewest_joints:
            continue
        before, after = _median(apart, group), _median(exchanged, group)
        closer = after * check.swap_factor <= before and after < check.swap_within
        if closer and before > check.agreed:
            return f"left/right swapped: {what}, {before:.0%} of the extent apart, else {after:.0%}"
    return ""


def _median(values: Float[Tensor, "24"], rows: Bool[Tensor, "24"]) -> float:
    """The mean of the middle two where the number is even."""
    return float(values[rows].quantile(0.5))
