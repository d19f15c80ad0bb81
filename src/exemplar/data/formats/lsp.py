"""Leeds Sports Pose, its extended training set, and that set's re-annotation at high resolution.

All three are a `joints.mat` with 14 joints, the first 14 of the 24 annotated ones:

| labels | `joints` | images | third row |
|---|---|---|---|
| "lsp", 2,000 people, the first 1,000 for training | (3, 14, n) | im0001.jpg ... | whether hidden |
| "lspet", 10,000 for training | (14, 3, n) | im00001.jpg ... | 0: not in the image |
| "hr_lspet", 9,428 of these (SPIN's training set) | (14, 3, n) | *.png, sorted | not used |

Hidden joints have their place in "lsp" and "hr_lspet": every confidence is 1 there, as in the
published programs, which read these two. In "lspet" a joint with 0 has no place and gets
confidence 0. The box is 1.2 times the larger extent of the known joints. Pixels are counted as in
the files.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.formats.coco_style import checked_minimum
from exemplar.data.mat_files import mat_shapes, read_mat
from exemplar.data.records import box_of_points, image_path, joints49, numbers, sample_or_problem
from exemplar.samples import Sample
from exemplar.skeletons import LSP_ANNOTATED_14

TITLE = "Leeds Sports Pose"
JOINTS = LSP_ANNOTATED_14

Labels = Literal["lsp", "lspet", "hr_lspet"]

_FILE = "joints.mat"
_TRAIN = 1000
"""People of LSP that are for training; the others are for testing."""
_LSPET = 10_000
"""People of LSPet as it was published."""
_JOINTS_FIRST = (len(JOINTS), 3)
_JOINTS_SECOND = (3, len(JOINTS))


def matches(contents: Contents) -> bool:
    """Whether it is a `joints.mat` of these shapes, or a folder with one."""
    try:
        shape = mat_shapes(Contents(_mat(contents))).get("joints", ())
    except OSError:
        return False
    return len(shape) in (2, 3) and shape[:2] in (_JOINTS_FIRST, _JOINTS_SECOND)


def read(
    source: str | Path | Contents,
    *,
    labels: Literal["auto", "lsp", "lspet", "hr_lspet"] = "auto",
    split: Literal["all", "train", "test"] = "all",
    min_keypoints: int = 0,
    image_folder: str = "",
) -> Iterator[Sample]:
    """People of a `joints.mat`, or of a folder with one, in its order.

    labels: which of the three it is; "auto" tells by the arrangement, by *.png files beside it
    (HR-LSPET) and by the number of people. split: of LSP, "train" or "test". min_keypoints: of the
    14, how many a person must have. image_folder: put before the images' names.
    """
    path = _mat(Contents(source))
    minimum = checked_minimum(min_keypoints, len(JOINTS))
    people, joints_first = _people(path)
    found = _labels(path, len(people), joints_first) if labels == "auto" else labels
    if (found == "lsp") == joints_first or found not in ("lsp", "lspet", "hr_lspet"):
        order = "(14, 3, n)" if joints_first else "(3, 14, n)"
        raise ValueError(f"{path}: labels {found!r} are not arranged as {order}")
    numbered = list(enumerate(people))
    if split != "all":
        if found != "lsp" or split not in ("train", "test"):
            raise ValueError(f"{path}: labels {found!r} have no split {split!r}")
        numbered = numbered[:_TRAIN] if split == "train" else numbered[_TRAIN:]
    names = _names(path, found, len(people))
    return _samples(numbered, names, minimum, image_folder, flagged=found == "lspet")


def _mat(contents: Contents) -> Path:
    """The file: FileNotFoundError if a folder has none."""
    if not contents.path.is_dir():
        return contents.path
    if not (contents.path / _FILE).is_file():
        raise FileNotFoundError(f"no {_FILE} in {contents.path}")
    return contents.path / _FILE


def _people(path: Path) -> tuple[np.ndarray, bool]:
    """Joints as (people, 14, 3), and whether the file has joints before coordinates."""
    joints = np.asarray(read_mat(path, "joints"))
    joints = joints[..., None] if joints.ndim == 2 else joints
    if joints.ndim != 3 or joints.shape[:2] not in (_JOINTS_FIRST, _JOINTS_SECOND):
        expected = "joints (3, 14, n) or (14, 3, n)"
        raise ValueError(f"{path} is not {TITLE}: expected {expected}, got {joints.shape}")
    joints_first = joints.shape[:2] == _JOINTS_FIRST
    return joints.transpose(2, 0, 1) if joints_first else joints.transpose(2, 1, 0), joints_first


def _labels(path: Path, count: int, joints_first: bool) -> str:
    if not joints_first:
        return "lsp"
    if _pngs(path):
        return "hr_lspet"
    if count == _LSPET:
        return "lspet"
    raise ValueError(f"cannot tell the labels of the {count} people in {path}: give labels=")


def _pngs(path: Path) -> list[str]:
    """Images of HR-LSPET, beside `joints.mat` or in a folder `images` there."""
    folders = (path.parent, path.parent / "images")
    found = (sorted(file.name for file in folder.glob("*.png")) for folder in folders)
    return next((names for names in found if names), [])


def _names(path: Path, labels: str, count: int) -> list[str]:
    if labels != "hr_lspet":
        digits = 4 if labels == "lsp" else 5
        return [f"im{number:0{digits}}.jpg" for number in range(1, count + 1)]
    names = _pngs(path)
    if len(names) != count:
        raise ValueError(f"{path}: expected {count} *.png images beside it, got {len(names)}")
    return names


def _samples(
    numbered: list[tuple[int, Any]],
    names: list[str],
    minimum: int,
    image_folder: str,
    *,
    flagged: bool,
) -> Iterator[Sample]:
    for number, points in numbered:
        image = image_path(image_folder, names[number])
        yield from sample_or_problem(partial(_sample, image, points, minimum, flagged), image=image)


def _sample(image: str, points: Any, minimum: int, flagged: bool) -> Sample | None:
    annotated: Float[np.ndarray, "14 3"] = numbers(points, (len(JOINTS), 3), "joints")
    known = annotated[:, 2:] > 0 if flagged else np.ones((len(JOINTS), 1), bool)
    if known.sum() < minimum:
        return None
    joints = np.where(known, np.concatenate([annotated[:, :2], known], axis=1), 0.0)
    centre, scale = box_of_points(joints)
    return Sample(
        image=image,
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=joints49(JOINTS, joints),
    )
