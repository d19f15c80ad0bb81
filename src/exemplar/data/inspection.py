"""What is in an annotation file: counts, what looks wrong, and people spread over it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int

from exemplar.files.image_files import image_size, image_within, read_image
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49

LARGEST_BODY = 4.0
"""3D joints that are farther apart are hardly in metres, m."""

EXTREME_BETA = 5.0
"""EFT's limit for a shape coefficient."""

_FAR_OUTSIDE = 1.0
_ROTATION_ERROR = 1e-3


@dataclass
class Summary:
    """Counts over an annotation file."""

    people: int = 0
    """People, broken ones included."""
    with_3d: int = 0
    """People with 3D joints."""
    with_body: int = 0
    """People with a body."""
    broken: int = 0
    """People whose annotation could not be read."""
    images: set[str] = field(default_factory=set)
    """Names of the images."""
    subjects: set[str] = field(default_factory=set)
    """Who they are, in sets that say so."""
    visible: Int[np.ndarray, " 49"] = field(
        default_factory=lambda: np.zeros(len(SMPL_49), np.int64)
    )
    """People who have each of the 49 joints."""
    doubtful: Counter[str] = field(default_factory=Counter)
    """People with something that looks wrong, by what it is."""
    problems: Counter[str] = field(default_factory=Counter)
    """Broken people by what is wrong, in the reader's words."""
    spread: list[tuple[int, Sample]] = field(default_factory=list)
    """People evenly spread over the file, with their number from 0."""


def summarise(samples: Iterable[Sample], *, spread: int = 24) -> Summary:
    """Go through an annotation once; `spread` people (fewer if there are fewer) are kept."""
    summary, stride = Summary(), 1
    whole = 0
    for number, sample in enumerate(samples):
        _count(summary, sample)
        if sample.problem:
            continue
        if whole % stride == 0:
            summary.spread.append((number, sample))
        whole += 1
        if len(summary.spread) > 4 * spread:  # every other one: memory stays what it is
            summary.spread, stride = summary.spread[::2], 2 * stride
    kept = summary.spread
    chosen = np.linspace(0, len(kept) - 1, min(spread, len(kept))).round().astype(int)
    summary.spread = [kept[i] for i in chosen]
    return summary


def _count(summary: Summary, sample: Sample) -> None:
    summary.people += 1
    summary.images.add(sample.image)
    if sample.problem:
        summary.broken += 1
        summary.problems[sample.problem] += 1
        return
    if sample.subject:
        summary.subjects.add(sample.subject)
    summary.with_3d += sample.joints_3d is not None
    summary.with_body += sample.body is not None
    summary.visible += sample.keypoints_2d[:, 2] > 0
    summary.doubtful.update(doubts(sample))


def doubts(sample: Sample) -> list[str]:
    """What looks wrong with a sample that could be read."""
    found = []
    if not np.isfinite(sample.box_scale) or sample.box_size <= 0:
        found.append("box without extent")
    known = sample.keypoints_2d[sample.keypoints_2d[:, 2] > 0]
    if len(known) == 0:
        found.append("no keypoint")
    elif not np.isfinite(known).all():
        found.append("keypoints that are not finite")
    else:
        if (known[:, :2] < -1).any():
            found.append("keypoints left of or above the image")
        away = np.abs(known[:, :2] - sample.box_centre).max() - sample.box_size / 2
        if sample.box_size > 0 and away > _FAR_OUTSIDE * sample.box_size:
            found.append("keypoints far outside the box")
        if len(known) > 1 and np.ptp(known[:, :2], axis=0).max() < 1:
            found.append("all keypoints in one place")
        if (known[:, 2] > 1).any():
            found.append("confidences over 1")
    return found + _doubts_3d(sample)


def _doubts_3d(sample: Sample) -> list[str]:
    found = []
    if sample.joints_3d is not None:
        known = sample.joints_3d[sample.joints_3d[:, -1] > 0, :3]
        if len(known) and np.ptp(known, axis=0).max() > LARGEST_BODY:
            found.append(f"3D joints over {LARGEST_BODY:g} m apart")
    if sample.body is not None:
        turns = sample.body.pose
        square = np.einsum("jki,jkl->jil", turns, turns)
        if not np.abs(square - np.eye(3)).max() < _ROTATION_ERROR:
            found.append("pose matrices that are no rotations")
        if not np.abs(sample.body.betas).max(initial=0.0) <= EXTREME_BETA:
            found.append(f"shape coefficients over {EXTREME_BETA:g}")
    return found


def is_there(images: Path, name: str) -> bool:
    """Whether a folder has an image of this name."""
    try:
        return image_within(images, name).is_file()
    except (OSError, ValueError):
        return False


def beside_image(sample: Sample, images: Path) -> str:
    """What of the annotation does not fit its image, if that is there."""
    try:
        size = image_size(image_within(images, sample.image))
    except (OSError, ValueError):
        return ""
    if sample.image_size not in (None, size):
        return "the image has another size than the annotated one"
    points = sample.keypoints_2d[sample.keypoints_2d[:, 2] > 0, :2]
    beyond = (points < -1).any() or (points > np.array(size) + 1).any()
    return "keypoints outside the image" if beyond else ""


def images_of(folder: Path | None) -> Callable[[Sample], np.ndarray | None]:
    """What reads a person's image; None where there is none."""

    def image(sample: Sample) -> np.ndarray | None:
        if folder is None:
            return None
        try:
            return read_image(image_within(folder, sample.image))
        except (OSError, ValueError):
            return None

    return image
