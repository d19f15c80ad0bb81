"""Arrays of keypoints in an `.npz` file, of one image unless `imgname` names one a person.

`keypoints` (K, 3) or (N, K, 3), x, y px and score, or (N, K, 2) with `scores` or `keypoint_scores`
(N, K), as rtmlib returns them; `names` (K,) of the joints, or K tells the set.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from exemplar.data.contents import Contents
from exemplar.data.detections import Detection, Record, detector_reader, with_scores
from exemplar.data.npz_arrays import texts_of
from exemplar.files.npy_files import read_npz
from exemplar.skeletons import SMPL_49, our_names

TITLE = "Arrays of keypoints (.npz)"
JOINTS = SMPL_49

_SCORES = ("scores", "keypoint_scores")


def matches(contents: Contents) -> bool:
    """Whether it is an `.npz` file with an array `keypoints`."""
    return contents.suffix == ".npz" and "keypoints" in contents.npz_keys


def _records(contents: Contents) -> Iterator[Record]:
    arrays = read_npz(contents.path, ("keypoints", *_SCORES, "names", "imgname"))
    if "keypoints" not in arrays:
        there = ", ".join(sorted(contents.npz_keys)) or "none"
        raise ValueError(f"{contents.path} has no array 'keypoints', only {there}")
    points = arrays["keypoints"]
    if (
        points.ndim not in (2, 3)
        or points.shape[-1] not in (2, 3)
        or points.dtype.kind not in "fiu"
    ):
        raise ValueError(
            f"{contents.path}: keypoints are {points.dtype} {points.shape}, expected (K, 3) or"
            " (N, K, 3) numbers: x, y, confidence"
        )
    points = points.reshape(-1, *points.shape[-2:])
    people, count = points.shape[:2]
    names = our_names(texts_of(arrays["names"])) if "names" in arrays else ()
    if names and len(names) != count:
        raise ValueError(f"{contents.path}: {len(names)} names for {count} keypoints")
    images = texts_of(arrays["imgname"]) if "imgname" in arrays else [""] * people
    scores = next((arrays[key] for key in _SCORES if key in arrays), None)
    if len(images) != people or (scores is not None and scores.size != people * count):
        raise ValueError(f"{contents.path}: imgname or scores are not of {people} people")
    by_person = [None] * people if scores is None else scores.reshape(people, count)
    for rows, own, image in zip(points, by_person, images, strict=True):
        yield Record((rows, own, names), image)


def _person(value: tuple[np.ndarray, Any, tuple[str, ...]]) -> Detection:
    rows, scores, names = value
    return Detection(with_scores(rows, scores, "keypoints"), names)


read = detector_reader(_records, _person, ".npz")
