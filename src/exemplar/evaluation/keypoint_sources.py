"""Where the 2D keypoints of a benchmark come from: people, the truth, or a detector in between.

A detector is imitated: errors are drawn on the exact keypoints, so that their size is known and
can be varied.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from exemplar.counting import counted
from exemplar.evaluation.config import KeypointSource
from exemplar.geometry.crops import EFT_CROP
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_PREFIX, SMPL_49
from exemplar.synth.annotations import ANNOTATED

EXACT = "exact_keypoints_2d"
"""The exact (49, 3) keypoints in `Sample.extra`, where `with_exact` put them."""

_GUESS = 0.5
"""Deviation of the logarithm of what a detector takes its error for, over what it is."""
_STREAMS = ("detected", "outliers")


@dataclass(frozen=True)
class KeypointNoise:
    """Errors of 2D keypoints. Pixels are those of a 224 crop of the person's box."""

    deviation_px: float = 0.0
    """Standard deviation of x and of y, px."""
    outlier_share: float = 0.0
    """Probability that a joint is an outlier, from 0 to 1."""
    outlier_px: float | None = 20.0
    """Standard deviation of x and of y of outliers, px; None: anywhere in the box."""
    outlier_confidence: float | None = None
    """Confidence of outliers, over 0 to 1; None: as that of the others."""
    missing_share: float = 0.0
    """Probability that a joint is not found, from 0 to 1."""
    confidence_px: float | None = None
    """Error that halves the confidence, px: it falls as 1 / (1 + (error / this)^2), where the
    error is mistaken by a factor exp(N(0, 0.5^2)). None leaves confidences as they are."""

    def __post_init__(self) -> None:
        """ValueError for numbers out of range."""
        for name in ("outlier_share", "missing_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} from 0 to 1, got {getattr(self, name)}")
        for name in ("deviation_px", "outlier_px"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"expected {name} of 0 or more, got {value}")
        if self.confidence_px is not None and not 0 < self.confidence_px < math.inf:
            raise ValueError(f"expected confidence_px over 0, got {self.confidence_px}")
        if self.outlier_confidence is not None and not 0 < self.outlier_confidence <= 1:
            raise ValueError(
                f"expected outlier_confidence over 0 to 1, got {self.outlier_confidence}"
            )


DETECTOR = KeypointNoise(
    deviation_px=3.0, outlier_share=0.05, missing_share=0.1, confidence_px=12.0
)
"""A good detector: 3 px, one joint in twenty off by 20 px, one in ten not found."""

THROWN = KeypointNoise(outlier_share=0.2, outlier_px=None, outlier_confidence=0.9)
"""A fifth of the joints anywhere in the box, and sure of it."""


def spoiled(
    keypoints: Float[np.ndarray, "49 3"],
    box_size: float,
    noise: KeypointNoise,
    rng: np.random.Generator,
    *,
    box_centre: Float[np.ndarray, "2"] | None = None,
) -> Float[np.ndarray, "49 3"]:
    """Keypoints with errors.

    A joint's two entries, OpenPose's and the annotated one, share their error, and joints without
    confidence stay without. The same random numbers are drawn whatever the noise: with generators
    of one seed, more noise moves the same joints the same way, further, and more missing joints
    include the fewer.

    Args:
        keypoints: x, y px and confidence of the 49 joints.
        box_size: side of the person's box, px.
        noise: how large the errors are.
        rng: decides them.
        box_centre: middle of the box, px; None: of the extent of the given keypoints.

    Returns:
        x, y px and confidence, all 0 for joints that are missing.

    Raises:
        ValueError: the box has no size, or numbers are not finite.
    """
    if not (0 < box_size < math.inf and np.isfinite(keypoints).all()):
        raise ValueError(f"expected finite keypoints and a box of over 0 px, got {box_size} px")
    draws = _Draws.of(rng)
    given = keypoints[:, 2] > 0
    outlier = draws.outlier < noise.outlier_share
    spread = np.full(len(keypoints), noise.deviation_px)
    if noise.outlier_px is not None:
        spread[outlier] = noise.outlier_px
    pixel = box_size / EFT_CROP
    out = keypoints.astype(np.float64)
    out[:, :2] += draws.offset * spread[:, None] * pixel
    if noise.outlier_px is None:
        centre = _middle(keypoints[given]) if box_centre is None else box_centre
        out[outlier, :2] = centre + (draws.place[outlier] - 0.5) * box_size
    error = np.linalg.norm(out[:, :2] - keypoints[:, :2], axis=1) / pixel
    if noise.confidence_px is not None:
        out[:, 2] /= 1 + (error * draws.guess / noise.confidence_px) ** 2
    if noise.outlier_confidence is not None:
        out[outlier, 2] = noise.outlier_confidence
    out[~given | (draws.missing < noise.missing_share)] = 0.0
    return out


@dataclass(frozen=True)
class _Draws:
    """Random numbers of 49 joints; twins have the same."""

    missing: np.ndarray
    outlier: np.ndarray
    offset: np.ndarray
    place: np.ndarray
    guess: np.ndarray

    @classmethod
    def of(cls, rng: np.random.Generator) -> "_Draws":
        missing, outlier = rng.random((2, len(SMPL_49)))
        offset = rng.standard_normal((len(SMPL_49), 2))
        place = rng.random((len(SMPL_49), 2))
        guess = np.exp(_GUESS * rng.standard_normal(len(SMPL_49)))
        return cls(*(values[_TWINS] for values in (missing, outlier, offset, place, guess)))


def _twins() -> list[int]:
    """For each of the 49 joints the first of the same body joint."""
    names = [name.removeprefix(OPENPOSE_PREFIX) for name in SMPL_49]
    return [names.index(name) for name in names]


def _middle(keypoints: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "2"]:
    if len(keypoints) == 0:
        return np.zeros(2)
    return (keypoints[:, :2].min(0) + keypoints[:, :2].max(0)) / 2


def with_exact(samples: Iterable[Sample], truth: Iterable[Sample]) -> list[Sample]:
    """Annotated people with their exact keypoints, which the other sources are made from.

    Args:
        samples: people as annotated.
        truth: the same people as they are (`truth.npz` of a synthetic set), in any order; there
            may be more.

    Raises:
        ValueError: somebody has no truth.
    """
    exact = {_name(sample): sample.keypoints_2d for sample in truth}
    people = list(samples)
    lacking = [sample.image for sample in people if _name(sample) not in exact]
    if lacking:
        raise ValueError(f"no truth of {counted(len(lacking))}, first {lacking[0]}")
    return [
        replace(sample, extra={**sample.extra, EXACT: exact[_name(sample)]}) for sample in people
    ]


def keypoints_from(sample: Sample, source: KeypointSource, seed: int) -> Sample:
    """A person with 2D keypoints of another source.

    All but "annotated" start from the exact places of the joints that people annotate
    (`ANNOTATED`), hidden ones as well, as far as they are in the picture: sources differ in
    errors, not in joints. Errors depend on the seed, the image's name and the person's number.

    Args:
        sample: the person; with exact keypoints (`with_exact`), unless source is "annotated".
        source: where the keypoints come from.
        seed: of the errors.

    Raises:
        ValueError: the source needs the exact keypoints and there are none.
    """
    if source == "annotated":
        return sample
    if EXACT not in sample.extra:
        raise ValueError(
            f"{sample.image} has no exact keypoints, which {source!r} needs: only synthetic sets "
            "have them (truth.npz)"
        )
    points = np.where(_MARKED[:, None], sample.extra[EXACT], 0.0)
    noises = {"true": (), "detected": (DETECTOR,), "outliers": (DETECTOR, THROWN)}[source]
    for stream, noise in zip(_STREAMS, noises, strict=False):
        rng = np.random.default_rng(_entropy(sample, seed, stream))
        points = spoiled(points, sample.box_size, noise, rng, box_centre=sample.box_centre)
    return replace(sample, keypoints_2d=points)


def _name(sample: Sample) -> tuple[str, int | None]:
    return sample.image, sample.annotation_id


def _entropy(sample: Sample, seed: int, stream: str) -> Sequence[int]:
    """A seed of this person's own."""
    text = "\0".join((stream, *map(str, _name(sample))))
    return [seed, *hashlib.sha256(text.encode()).digest()]


_TWINS = _twins()
_MARKED = np.array([name in ANNOTATED for name in SMPL_49])
