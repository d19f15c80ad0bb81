"""The people of one photo, from a keypoint file or folder of any format in `formats`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.detections import LEAST_CONFIDENCE
from exemplar.data.formats import format_named, read, recognise
from exemplar.data.image_names import same_image
from exemplar.data.options import options_of
from exemplar.samples import Sample

_UNNAMED = "\0"
_LEAST_OPTIONS = ("min_keypoints", "min_joints")


def people_of_photo(
    path: str | Path,
    *,
    image: str | Path | None = None,
    size: tuple[int, int] | None = None,
    joints: str = "",
) -> list[Sample]:
    """The people of a photo in a keypoint file or folder, in its order.

    Everybody is read, however few their joints. Broken people have a `problem`.

    Args:
        path: the file or folder.
        image: the photo's path or name; needed if the file is of several images.
        size: the photo's width and height, px, held against what the file says.
        joints: the joint set, where the file cannot say.

    FileNotFoundError if there is nothing at `path`; ValueError, in one line with the file's name,
    if it is of no known format or has nobody in this image.
    """
    name = None if image is None else Path(image).as_posix()
    people = _read(path, {"joints": joints, "size": size, "image": name or _UNNAMED})
    images = list(dict.fromkeys(each.image for each in people if each.image))
    if name is None and len(images) > 1:
        raise ValueError(f"{path}: {len(images)} images, expected the name of one: {_some(images)}")
    if name is not None:
        images = same_image(name, images)
    if len(images) > 1:
        raise ValueError(f"{path}: {name!r} may mean any of {len(images)} images: {_some(images)}")
    mine = [each for each in people if each.image in images]
    if not mine:
        others = _some(list(dict.fromkeys(each.image for each in people)))
        where = "" if name is None else f" in image {Path(name).name!r}"
        raise ValueError(
            f"{path} has nobody with keypoints{where}{others and f', only {others}'}"
            f" (a confidence below {LEAST_CONFIDENCE:g} counts as not seen)"
        )
    for each in mine:
        if size is not None and each.image_size not in (None, tuple(size)):
            width, height = each.image_size or size
            raise ValueError(
                f"{path} annotates an image of {width} x {height} px,"
                f" the photo has {size[0]} x {size[1]}"
            )
    return mine


def says_image(path: str | Path, joints: str = "") -> bool:
    """Whether a keypoint file says which image its people are of. Errors as `people_of_photo`."""
    given = {"joints": joints, "size": (1, 1), "image": _UNNAMED}
    return all(each.image != _UNNAMED for each in _read(path, given))


def _read(path: str | Path, given: Mapping[str, Any]) -> list[Sample]:
    """Who has a keypoint or is broken. The format's reader is told what it takes of `given`."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"no keypoint file at {path}")
    contents = Contents(path)
    format = recognise(contents)
    known = options_of(format_named(format).read)
    if given["joints"] and "joints" not in known:
        raise ValueError(f"{path} is of format {format}, which names its joints itself")
    options = {name: value for name, value in given.items() if name in known and value}
    options |= {name: 0 for name in _LEAST_OPTIONS if name in known}
    people = read(contents, format, **options)
    return [each for each in people if each.problem or each.keypoints_2d.any()]


def _some(names: list[str]) -> str:
    """Up to three names, and how many more there are."""
    shown = [name for name in names if name != _UNNAMED]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more
