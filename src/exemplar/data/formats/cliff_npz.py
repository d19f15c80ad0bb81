"""CLIFF's pseudo ground truth (huawei-noah, "CLIFF", Li et al. 2022): SPIN's `.npz` and a camera.

Besides SPIN's arrays (see `spin_npz`) a row has `global_t` (3), the translation of the body's
origin in the full image's camera, metres, and `focal_l`, its focal length, px. The authors of the
dual networks keep the focal length as `focal_length` instead. No facts on these files but the
arrays that published readers use were at hand: this is from general knowledge of them.

The camera looks through the image's middle, which needs the image's size: from `img_h` and `img_w`
or `orig_shape` (height, width) if the file has them, else from the images themselves (`images`).
Without either, a sample has no `intrinsics`, and the focal length is `extra["focal_length"]`.
Files written here also have the whole matrix as `intrinsics` (N, 3, 3), which others ignore.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.formats import spin_npz
from exemplar.files.image_files import image_size, image_within
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49

TITLE = "CLIFF-style pseudo ground truth (.npz)"
JOINTS = SMPL_49

FOCAL = "focal_length"
"""Name of the focal length (px) in `Sample.extra`."""

_MORE: Mapping[str, tuple[int, ...]] = {
    "global_t": (3,),
    "focal_l": (),
    "focal_length": (),
    "intrinsics": (3, 3),
}

_Numbers = Mapping[str, np.ndarray]


def matches(contents: Contents) -> bool:
    """Whether the file is SPIN's `.npz` with a translation or a focal length."""
    if contents.suffix != ".npz" or contents.path.is_dir():
        return False
    keys = contents.npz_keys
    return keys >= spin_npz.NEEDED and bool(keys & spin_npz.FULL_CAMERA)


def read(source: str | Path | Contents, *, images: str | Path | None = None) -> Iterator[Sample]:
    """The people of the file, in its order.

    Args:
        source: the file.
        images: folder of the images, to find each camera's principal point where the file does
            not tell the image's size; an image that is not there leaves `intrinsics` unknown.

    ValueError, in one line, if it is not such a file or its arrays do not fit together.
    """
    contents = Contents(source)
    folder = None if images is None else Path(images)
    return (
        _with_camera(sample, numbers, folder) for sample, numbers in spin_npz.rows(contents, _MORE)
    )


def _with_camera(sample: Sample, numbers: _Numbers, images: Path | None) -> Sample:
    if sample.problem:
        return sample
    if not all(np.isfinite(value).all() for value in numbers.values()):
        return replace(sample, body=None, problem="broken annotation: the camera is not finite")
    body, moved = sample.body, numbers.get("global_t")
    if body is not None and moved is not None:
        body = replace(body, translation=moved)
    if "intrinsics" in numbers and numbers["intrinsics"].any():
        return replace(sample, body=body, intrinsics=numbers["intrinsics"])
    focal = float(numbers.get("focal_l", numbers.get("focal_length", np.zeros(()))))
    if focal <= 0:
        return replace(sample, body=body)
    size = sample.image_size or _size(sample, images)
    if size is None:
        extra = {**sample.extra, FOCAL: np.array(focal)}
        return replace(sample, body=body, extra=extra)
    return replace(sample, body=body, intrinsics=middle_camera(focal, size))


def middle_camera(focal: float, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """The matrix (px) of a camera that looks through the middle of an image (width, height)."""
    width, height = size
    return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def _size(sample: Sample, images: Path | None) -> tuple[int, int] | None:
    """Width and height of the sample's image, px, if it is there."""
    if images is None:
        return None
    try:
        return image_size(image_within(images, sample.image))
    except (OSError, ValueError):
        return None


def focal_of(sample: Sample) -> float | None:
    """Focal length of the sample's camera, px, where it is known."""
    if sample.intrinsics is not None:
        return float(sample.intrinsics[0, 0])
    return float(sample.extra[FOCAL]) if FOCAL in sample.extra else None


def write(samples: Iterable[Sample], path: str | Path) -> int:
    """Write samples as CLIFF's `.npz`; how many there were.

    Every body needs a translation and every sample a focal length (of a camera with two, the
    horizontal one). ValueError, in one line, for a sample that lacks them.
    """
    columns = spin_npz.Columns()
    for sample in samples:
        columns.add(sample, _camera_row(sample))
    return columns.save(path)


def _camera_row(sample: Sample) -> dict[str, np.ndarray]:
    focal, body = focal_of(sample), sample.body
    if focal is None:
        raise ValueError(f"{sample.image} has no focal length, a CLIFF .npz holds one of each")
    if body is not None and body.translation is None:
        raise ValueError(f"{sample.image} has a body without a translation in the full camera")
    moved = np.zeros(3) if body is None or body.translation is None else body.translation
    row = {"global_t": moved.astype(np.float64), "focal_l": np.array(focal)}
    return row if sample.intrinsics is None else row | {"intrinsics": sample.intrinsics}
