"""What readers share: annotated points to the 49 and 24 joints, and boxes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from exemplar.files.reading_files import one_line
from exemplar.samples import SCALE_UNIT, Sample
from exemplar.skeletons import GT_24, LIMBS_12, OPENPOSE_25, SMPL_49, indices, to_smpl49

BOX_MARGIN = 1.2
"""Side of a box over the larger extent of what it is made for (SPIN's and EFT's)."""

_LIMBS = indices(LIMBS_12, GT_24)


def joints49(names: Sequence[str], points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "49 3"]:
    """Annotated points (x, y px, confidence) as the 49 joints; missing ones (`known_points`) are 0.

    Of two points that are the same joint, the last known one counts. ValueError if there are not as
    many points as names.
    """
    if points.shape != (len(names), 3):
        raise ValueError(f"expected ({len(names)}, 3) keypoints, got {points.shape}")
    joints = np.zeros((len(SMPL_49), 3))
    known = known_points(points)
    for source, target in to_smpl49(names):
        if known[source].any():
            joints[target] = known[source]
    return joints


def known_points(points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "k 3"]:
    """Points (x, y, confidence) with all 0 for the missing: those without a confidence above 0 or
    with a number that is not finite, and those at exactly (0, 0) or (-1, -1), which is how many
    tools mark them whatever their score."""
    marked = (points[:, :2] == 0).all(1) | (points[:, :2] == -1).all(1)
    known = np.isfinite(points).all(1) & (points[:, 2] > 0) & ~marked
    return np.where(known[:, None], points, 0.0)


def joints24(names: Sequence[str], points: Float[np.ndarray, "k 4"]) -> Float[np.ndarray, "24 4"]:
    """Annotated 3D points (x, y, z metres, confidence) as the 24 joints, the others 0."""
    if points.shape != (len(names), 4):
        raise ValueError(f"expected ({len(names)}, 4) joints, got {points.shape}")
    joints = np.zeros((len(GT_24), 4))
    known = [name for name in names if name in GT_24]
    joints[indices(known, GT_24)] = points[indices(known, names)]
    return joints


def limbs_known(joints: Float[np.ndarray, "49 3"]) -> int:
    """How many of the 12 shoulders, elbows, wrists, hips, knees and ankles have confidence."""
    annotated = joints[len(OPENPOSE_25) :]
    return int((annotated[_LIMBS, 2] > 0).sum())


def box_of_xywh(box: Sequence[float]) -> tuple[Float[np.ndarray, "2"], float]:
    """Centre (px) and scale of the square about x, y, width, height with `BOX_MARGIN`.

    ValueError if it is not four finite numbers; a box without extent has scale 0 or less.
    """
    numbers = np.asarray(box, np.float64)
    if numbers.shape != (4,) or not np.isfinite(numbers).all():
        raise ValueError(f"a box is x, y, width, height, got {str(box)[:60]}")
    x, y, width, height = (float(number) for number in numbers)
    scale = BOX_MARGIN * max(width, height) / SCALE_UNIT if min(width, height) > 0 else 0.0
    return np.array([x + width / 2, y + height / 2]), scale


def box_of_points(points: Float[np.ndarray, "k 3"]) -> tuple[Float[np.ndarray, "2"], float]:
    """Centre (px) and scale of the square about the points that have confidence; 0 without any."""
    known = points[points[:, 2] > 0, :2]
    if len(known) == 0:
        return np.zeros(2), 0.0
    low, high = known.min(0), known.max(0)
    return (low + high) / 2, BOX_MARGIN * float((high - low).max()) / SCALE_UNIT


def numbers(
    values: object, shape: tuple[int, ...], what: str, *, finite: bool = True
) -> Float[np.ndarray, "*shape"]:
    """`values` as an array of numbers, `finite` ones; ValueError if they are not, or not of that
    shape.

    Text that looks like a number is text: a file that has it was not written by who we think.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers as {what}, got {str(values)[:60]}")
    if array.shape != shape:
        raise ValueError(f"expected {shape} numbers as {what}, got {array.shape}")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{what} are not all finite")
    return array.astype(np.float64)


def image_path(folder: str, name: object) -> str:
    """`name` within `folder` ("" for none), with forward slashes; ValueError if it is no name."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected the name of an image, got {str(name)[:60]!r}")
    parts = [part for part in (folder.rstrip("/\\"), name) if part]
    return "/".join(parts).replace("\\", "/")


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """An image's width and height as a file states them, px; None unless both are whole numbers
    above 0."""
    try:
        size = (int(width), int(height))  # pyright: ignore[reportArgumentType] - may be anything
    except (TypeError, ValueError, OverflowError):
        return None
    return size if size == (width, height) and min(size) > 0 else None


BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What looking into a broken record raises."""


def sample_or_problem(
    make: Callable[[], Sample | None], *, image: str, annotation_id: int | None = None
) -> Iterator[Sample]:
    """The sample that `make` returns, none for None, and for a broken record one that says so.

    A record that cannot be read must not cost the rest of its file: it becomes a sample without
    keypoints and with a `problem`.
    """
    try:
        made = make()
    except (*BROKEN, OSError) as error:
        reason = one_line(error)
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        made = Sample(
            image=image,
            box_centre=np.zeros(2),
            box_scale=0.0,
            keypoints_2d=np.zeros((len(SMPL_49), 3)),
            annotation_id=annotation_id,
            problem=f"broken annotation: {kind}{reason}",
        )
    if made is not None:
        yield made
