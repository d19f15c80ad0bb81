"""Bodies as capsules about their bones: whether two run through each other, quickly."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from exemplar.skeletons import SMPL_24, indices

_LIMBS = {
    f"{side}_{name}": (f"{side}_{start}", f"{side}_{end}", (f"{side}_{start}",))
    for side in ("left", "right")
    for name, start, end in (
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "hand"),
        ("thigh", "hip", "knee"),
        ("shin", "knee", "ankle"),
    )
}
CAPSULES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "trunk": ("pelvis", "neck", ("spine1", "spine2", "spine3")),
    "hips": ("left_hip", "right_hip", ("pelvis",)),
    "chest": ("left_shoulder", "right_shoulder", ("left_collar", "right_collar")),
    "head": ("neck", "head", ("head",)),
    **_LIMBS,
}
"""Ends of each, and the joints that carry the flesh about it."""

NARROW = 0.25
"""Share of a capsule's flesh that lies in it: of a trunk, which is wider than deep, the depth."""

_ALONG = np.linspace(0.0, 1.0, 7)


@dataclass(frozen=True)
class Capsules:
    """One posed body."""

    points: Float[np.ndarray, "n 3"]
    """Along the bones, metres."""
    radii: Float[np.ndarray, " n"]
    """About the points, metres."""

    def scaled(self, factor: float) -> "Capsules":
        """As much larger and as much farther away."""
        return Capsules(self.points * factor, self.radii * factor)


def capsules_of(
    joints: Float[np.ndarray, "24 3"],
    vertices: Float[np.ndarray, "v 3"],
    skinning_weights: Float[np.ndarray, "v 24"],
) -> Capsules:
    """Capsules of a posed mesh (metres) by the joint that carries most of each vertex."""
    carriers = skinning_weights.argmax(1)
    points, radii = [], []
    for start, end, flesh in CAPSULES.values():
        first, last = joints[indices((start, end), SMPL_24)]
        bone = first + _ALONG[:, None] * (last - first)
        own = vertices[np.isin(carriers, indices(flesh, SMPL_24))]
        away = np.linalg.norm(own[:, None] - bone, axis=2).min(1)
        points.append(bone)
        radii.append(np.full(len(bone), np.quantile(away, NARROW) if len(own) else 0.0))
    return Capsules(np.concatenate(points), np.concatenate(radii))


def depth_between(first: Capsules, second: Capsules) -> float:
    """How far the one runs through the other where it does most, metres; 0 or less if they don't:
    the way by which the two nearest bones would have to part."""
    away = np.linalg.norm(first.points[:, None] - second.points, axis=2)
    return float((first.radii[:, None] + second.radii - away).max())
