"""The fixed test sets that anyone can make: 2,000 synthetic people of each domain.

They are drawn where they are missing and held against what they must be. Another processor may
round the last bits otherwise, so the truth is compared by sums that forgive these, and what a
rounded number can tip (a pixel, a mark left out) is reported, not refused.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from exemplar.data.formats import spin_npz
from exemplar.evaluation.keypoint_sources import with_exact
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import read_json, reading
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.samples import Sample
from exemplar.synth.folders import (
    ANNOTATIONS,
    HEADER,
    TRUTH,
    DatasetPlan,
    image_name,
    write_dataset,
)

SEED = 7
"""Of all sets; nothing else of this project draws with it."""

PEOPLE = 2000
"""In each set."""

_CAMERA = ("focal", "principal_point", "root")
_TRUE = ("pose", "shape", "S", "openpose", "part", *_CAMERA)
_LAST_BITS = {
    "poses": 1e-5, "shapes": 1e-5, "cameras": 1e-3, "joints": 1e-5, "keypoints": 1e-3,
    "marks": 1e-3,
}  # fmt: skip
"""What sums may be off by. Drawn without AVX they are off by 3e-9, 0, 2e-5, 8e-9, 3e-6 and 7e-6
(100 people of each set); with one other person among 1,500, typically by 4e-3, 1e-2, 3, 2e-3, 0.4
and 0.7."""
_STEP, _PRIME = 7919, 10007


@dataclass(frozen=True)
class Fingerprint:
    """What consecutive people of a set are: weighted sums of their numbers (`_sum`)."""

    poses: float
    """Of rotation matrices."""
    shapes: float
    """Of betas."""
    cameras: float
    """Of focal lengths, principal points (px) and the pelvis's places (metres)."""
    joints: float
    """Of the 24 joints' places in the camera frame, metres."""
    keypoints: float
    """Of the exact keypoints in the picture, px."""
    marks: float
    """Of the annotated keypoints, px."""
    pixels: str
    """Of the photographs' files: the first 12 digits of a SHA-256."""


OPEN_SETS: Mapping[str, Mapping[int, Fingerprint]] = {
    "lab": {
        100: Fingerprint(0.02563, 0.40699, 120.6929, 0.02296, -6.5956, 42.1079, "87201c31657e"),
        500: Fingerprint(0.01905, 0.34415, -15.4448, 0.16058, 11.4085, 14.3893, "8ea4a7652038"),
        2000: Fingerprint(-0.31011, 0.21879, 43.1209, -0.00630, 6.1234, -0.4516, "6feb9b5d771f"),
    },
    "wild": {
        100: Fingerprint(-0.02230, -0.03481, -124.8342, 0.02144, 3.4766, 61.3562, "3b62e3d72842"),
        500: Fingerprint(-0.18626, 0.70548, -36.5858, 0.08170, -12.2785, -26.4982, "6811abf8038d"),
        2000: Fingerprint(0.01234, -0.58745, -53.7868, 0.04225, -0.6970, -10.4749, "37950e12c0be"),
    },
    "wild-crop": {
        100: Fingerprint(-0.23130, 0.20664, 151.3501, 0.23728, -7.1917, 16.7362, "1081abbe99ff"),
        500: Fingerprint(0.17218, -0.09132, -35.7401, 0.14207, 18.5484, 15.3421, "f8f6f5a9e0e0"),
        2000: Fingerprint(0.07896, 0.06231, 48.8981, 0.00181, 35.4238, 67.1579, "953ff93c28b7"),
    },
    "odd": {
        100: Fingerprint(0.07442, -1.33268, -97.0266, -0.03301, -14.8140, 46.9413, "827050012c92"),
        500: Fingerprint(0.18963, -0.71638, -87.9709, -0.21691, -9.3615, -34.8166, "f221574ab07e"),
        2000: Fingerprint(-0.09920, -1.45337, 146.7370, 0.17201, -3.6322, 71.6150, "da2859dc9a5a"),
    },
}  # fmt: skip
"""Of each set the people from the number before (or 0) to each number."""


@dataclass(frozen=True)
class OpenSetFiles:
    """Where a set lies."""

    annotations: Path
    """What people would have marked, with bodies and 3D joints (SPIN's layout)."""
    truth: Path
    """What is so: exact keypoints instead (SPIN's layout)."""
    images: Path
    """The folder that images are named from."""
    checked: int
    """The first so many people are what they must be."""
    differences: tuple[str, ...] = ()
    """What differs in last bits or their consequences, a line each; results may differ likewise."""


def open_set(
    name: str,
    folder: str | Path,
    limit: int | None = None,
    *,
    workers: int = 1,
    report: Callable[[int], None] | None = None,
) -> OpenSetFiles:
    """Draw what a set lacks, and check it.

    Args:
        name: of the set, in `OPEN_SETS`.
        folder: has or gets the set in a folder of its name.
        limit: the first so many people are wanted; None wants all. Those up to the next number
            that can be checked are drawn.
        workers: processes that draw.
        report: hears how many people were drawn, now and then.

    Raises:
        ValueError: no such set or limit, another data set in the folder, or other people than
            there must be.
        OSError: the folder cannot be written.
    """
    prints = _prints(name)
    if limit is not None and not 1 <= limit <= max(prints):
        raise ValueError(f"{name} has {max(prints):,} people, got a limit of {limit}")
    wanted = min(end for end in prints if end >= (limit or max(prints)))
    plan = DatasetPlan(name, Path(folder) / name, wanted, SEED, truth="give")
    if not _is_there(plan):
        write_dataset(plan, workers=workers, report=report)
    ends = [end for end in prints if end <= wanted]
    found = fingerprints(plan.folder, ends)
    differences: list[str] = []
    for start, end in zip((0, *ends), ends, strict=False):
        people = f"{name}, people {start:,} to {end - 1:,}"
        differences += _compare(found[end], prints[end], people)
    annotations, truth = plan.folder / ANNOTATIONS, plan.folder / TRUTH
    return OpenSetFiles(annotations, truth, plan.folder, wanted, tuple(differences))


def open_people(files: OpenSetFiles, limit: int | None = None) -> list[Sample]:
    """The checked people, or the first `limit` of them, with what `keypoints_from` needs."""
    people = spin_npz.read(files.annotations)
    count = files.checked if limit is None else min(limit, files.checked)
    wanted = [p for p in people if p.annotation_id is not None and p.annotation_id < count]
    return with_exact(wanted, spin_npz.read(files.truth))


def fingerprints(folder: Path, ends: Sequence[int]) -> dict[int, Fingerprint]:
    """The fingerprints of a synthetic set's people from each end (or 0) to the next, in order.

    ValueError if somebody is not there.
    """
    out = {}
    with reading(folder, "a synthetic data set"):
        size = int(read_json(folder / HEADER)["config"]["image_size"])
        truth = _people(folder / TRUTH, _TRUE, max(ends))
        marks = _people(folder / ANNOTATIONS, ("part",), max(ends))
        for start, end in zip((0, *ends), ends, strict=False):
            here = slice(start, end)
            rows = {name: rows[here] for name, rows in truth.items()}
            sums = _sums(rows, marks["part"][here], size)
            digest = hashlib.sha256()
            for number in range(start, end):
                digest.update((folder / image_name(number)).read_bytes())
            out[end] = Fingerprint(**sums, pixels=digest.hexdigest()[:12])
    return out


def _people(path: Path, names: Sequence[str], count: int) -> dict[str, np.ndarray]:
    """Arrays of a file, by people's numbers from 0."""
    arrays = read_npz(path, [*names, "annotIds"])
    numbers = arrays.pop("annotIds", np.zeros(0, int))
    order = np.argsort(numbers, kind="stable")
    if set(arrays) != set(names) or not np.array_equal(numbers[order][:count], np.arange(count)):
        raise ValueError(f"{path} is not a whole synthetic set of {count:,} people or more")
    return {name: rows[order] for name, rows in arrays.items()}


def _sums(truth: Mapping[str, np.ndarray], marks: np.ndarray, size: int) -> dict[str, float]:
    pose = torch.from_numpy(truth["pose"].reshape(len(marks), -1, 3))
    keypoints = np.concatenate([truth["openpose"], truth["part"]], 1)
    place = keypoints[..., :2]
    # a joint at the picture's edge counts little: last bits decide whether it is in the picture
    inside = np.clip(np.minimum(place, size - place).min(-1, keepdims=True), 0.0, 1.0)
    camera = [truth[name].reshape(len(marks), -1) for name in _CAMERA]
    return {
        "poses": _sum(axis_angle_to_rotmat(pose).numpy()),
        "shapes": _sum(truth["shape"]),
        "cameras": _sum(np.concatenate(camera, 1)),
        "joints": _sum(truth["S"][..., :3]),
        "keypoints": _sum(place * inside),
        "marks": _sum(marks[..., :2]),
    }


def _sum(values: np.ndarray) -> float:
    """Sum with a weight from -1 to 1 for each place, over the root of how many numbers there are:
    errors of a size that are independent change it by about that size."""
    flat = np.asarray(values, np.float64).reshape(-1)
    half = _PRIME // 2
    weights = (np.arange(len(flat)) * _STEP % _PRIME - half) / half
    return float(flat @ weights / np.sqrt(len(flat)))


def _prints(name: str) -> Mapping[int, Fingerprint]:
    if name not in OPEN_SETS:
        raise ValueError(f"no open set {name!r}, expected one of {', '.join(OPEN_SETS)}")
    return OPEN_SETS[name]


def _is_there(plan: DatasetPlan) -> bool:
    """Whether nothing has to be written: a finished folder may be one that cannot be."""
    if not all((plan.folder / name).is_file() for name in (HEADER, ANNOTATIONS, TRUTH)):
        return False
    try:
        found = read_json(plan.folder / HEADER)
        same = all(found[key] == getattr(plan, key) for key in ("domain", "seed", "truth"))
        return same and found["count"] >= plan.count
    except (ValueError, KeyError, TypeError):
        return False


def _compare(found: Fingerprint, expected: Fingerprint, people: str) -> list[str]:
    """What differs but may; ValueError if something does that may not."""
    off = {name: abs(getattr(found, name) - getattr(expected, name)) for name in _LAST_BITS}
    wrong = [name for name, limit in _LAST_BITS.items() if not off[name] <= limit]
    if set(wrong) - {"marks"}:
        raise ValueError(
            f"{people} are not those of the published set: other {', '.join(wrong)} (drawn by "
            "another version of the program, or on a processor that rounds otherwise)"
        )
    wrong += ["pixels"] if found.pixels != expected.pixels else []
    return [f"{people}: other {name} than in the published set" for name in wrong]
