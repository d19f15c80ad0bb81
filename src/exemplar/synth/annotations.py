"""Keypoints as people annotate them: imprecise, incomplete, now and then left for right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from exemplar.data.records import BOX_MARGIN
from exemplar.skeletons import BONES, GT_24, LSP_ANNOTATED_14, flip_permutation, indices

ANNOTATED = (*LSP_ANNOTATED_14, "nose", "left_eye", "right_eye", "left_ear", "right_ear")
"""The joints that people mark in data sets: LSP's 14 and COCO's face."""

_STREAM = 0x2D
"""Apart from the stream of random numbers that draws the photograph."""


@dataclass(frozen=True)
class AnnotatorConfig:
    """How people annotate."""

    noise: float = 0.015
    """Standard deviation of a mark, in sides of the box about the person."""
    hip_factor: float = 1.7
    """Factor on it for hips, which nothing on the surface marks."""
    hidden_factor: float = 1.7
    """Factor on it for hidden joints."""
    face_factor: float = 0.5
    """Factor on it for eyes, ears and nose, which are small and sharp."""
    hidden_missing: float = 0.15
    """Probability that a hidden joint is left out although a neighbour on the body is seen."""
    buried_missing: float = 0.8
    """Probability that a joint is left out if its neighbours are hidden, too."""
    forgotten: float = 0.03
    """Probability that any joint is left out."""
    swapped: float = 0.01
    """Probability that all left joints are called right."""
    fewest: int = 6
    """People with fewer marks are not annotated: joints in the picture are marked until it is so
    many."""


def annotate(
    keypoints: Float[np.ndarray, "24 3"],
    visible: Bool[np.ndarray, "24"],
    *,
    seed: Sequence[int],
    config: AnnotatorConfig | None = None,
) -> Float[np.ndarray, "24 3"]:
    """The marks that somebody would set on a photograph.

    Args:
        keypoints: where the 24 joints are: x, y px and confidence, 0 outside the picture.
        visible: which of them can be seen.
        seed: decides every random number.
        config: how people annotate.

    Returns:
        x, y px and confidence 1, all 0 where there is no mark.
    """
    config = AnnotatorConfig() if config is None else config
    rng = np.random.default_rng([*seed, _STREAM])
    inside = (keypoints[:, 2] > 0) & _MARKED
    seen_beside = (_NEIGHBOURS & visible).any(1)
    missing = np.where(seen_beside, config.hidden_missing, config.buried_missing)
    missing = np.where(visible, 0.0, missing)
    missing = 1 - (1 - missing) * (1 - config.forgotten)
    luck = rng.random(len(GT_24))
    marked = inside & (luck >= missing)
    lacking = max(0, config.fewest - int(marked.sum()))
    # the joints that came nearest to being marked; marked ones and those outside come last
    order = np.argsort(np.where(inside & ~marked, missing - luck, np.inf))
    marked[order[: min(lacking, int((inside & ~marked).sum()))]] = True
    factor = np.where(visible, 1.0, config.hidden_factor)
    factor = factor * np.where(_HIPS, config.hip_factor, np.where(_FACE, config.face_factor, 1.0))
    extent = keypoints[inside, :2].max(0) - keypoints[inside, :2].min(0) if inside.any() else 0.0
    spread = config.noise * BOX_MARGIN * float(np.max(extent)) * factor
    out = np.zeros((len(GT_24), 3))
    out[:, :2] = keypoints[:, :2] + rng.standard_normal((len(GT_24), 2)) * spread[:, None]
    out[:, 2] = 1.0
    out[~marked] = 0.0
    return out[_MIRRORED] if rng.random() < config.swapped else out


def _neighbours() -> Bool[np.ndarray, "24 24"]:
    """Which joints a bone joins; those of the face have none, as nobody guesses where they are."""
    out = np.zeros((len(GT_24), len(GT_24)), bool)
    for bone in (*BONES, ("left_shoulder", "neck"), ("right_shoulder", "neck")):
        if set(bone) <= set(LSP_ANNOTATED_14):
            i, j = indices(bone, GT_24)
            out[i, j] = out[j, i] = True
    return out


_MARKED = np.array([name in ANNOTATED for name in GT_24])
_HIPS = np.array([name.endswith("hip") for name in GT_24])
_FACE = np.array([name in ANNOTATED and name not in LSP_ANNOTATED_14 for name in GT_24])
_NEIGHBOURS = _neighbours()
_MIRRORED = flip_permutation(GT_24)
