"""2D keypoints from files: OpenPose JSON, COCO-style JSON, and `.npz`.

Coordinates are taken as they are, in px of the image that they were made for.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from exemplar.npy_files import npz_names, read_npz
from exemplar.reading_files import reading
from exemplar.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    GT_24,
    OPENPOSE_18,
    OPENPOSE_25,
    SMPL_49,
    to_smpl49,
)

_BY_COUNT: Mapping[int, tuple[str, ...]] = {
    len(names): names for names in (COCO_17, GT_24, OPENPOSE_25, BLAZEPOSE_33, SMPL_49)
}
"""The joint set that a number of keypoints means when a file does not name them."""

_OPENPOSE_BY_COUNT: Mapping[int, tuple[str, ...]] = {
    len(names): names for names in (OPENPOSE_18, OPENPOSE_25)
}

_MOST_CONFIDENCE = 2.0
"""COCO's visibility goes to 2; heatmap peaks go slightly over 1. More is not a confidence."""


@dataclass(frozen=True)
class Keypoints:
    """One person's 2D keypoints."""

    names: tuple[str, ...]
    """The joints."""
    points: Float64[np.ndarray, "k 3"]
    """x, y in image px and the confidence in 0..1, 0 for a missing joint."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width and height of the person's box, image px, where the file has one."""
    id: int | str | None = None
    """The person's or annotation's id, where the file has one."""


def to_joints49(keypoints: Keypoints) -> Float64[np.ndarray, "49 3"]:
    """The keypoints as the 49 joints (x, y px, confidence); joints that they lack are zeros."""
    joints = np.zeros((len(SMPL_49), 3))
    for source, target in to_smpl49(keypoints.names):
        joints[target] = keypoints.points[source]
    joints[joints[:, 2] <= 0] = 0.0
    return joints


def read_keypoints(
    path: str | Path,
    *,
    image_name: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> list[Keypoints]:
    """The people in a keypoint file, in the file's order.

    - OpenPose: `{"people": [{"pose_keypoints_2d": [...]}]}`, BODY_25 or COCO-18.
    - COCO: a dataset (`images`, `annotations`, `categories`), a list of annotations or results,
      or one annotation. Visibility 0 becomes confidence 0, 1 and 2 become 1; scores stay.
    - `.npz` with `keypoints` (K, 3) or (N, K, 3) and, unless K tells the set (17 COCO, 24 and 49
      of SPIN, 25 OpenPose, 33 BlazePose), `names`.

    People without any keypoint are left out. `image_name` picks the image of a COCO file (its
    folder does not matter); `image_size` (width, height), when given, is held against the file's.
    FileNotFoundError if there is no such file; ValueError, in one line, for anything else.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a keypoint file (.json or .npz)")
    if not path.exists():
        raise FileNotFoundError(f"no keypoint file at {path}")
    with reading(path, "a keypoint file"):
        if path.suffix.lower() == ".npz":
            people = _read_npz(path)
        else:
            people = _read_json(_load_json(path), image_name, image_size)
        return _with_any_keypoint(people)


def _with_any_keypoint(people: Sequence[Keypoints]) -> list[Keypoints]:
    seen = [person for person in people if (person.points[:, 2] > 0).any()]
    if people and not seen:
        raise ValueError("every keypoint has confidence 0, expected some above 0")
    for person in seen:
        if not (to_joints49(person)[:, 2] > 0).any():
            known = ", ".join(COCO_17[-6:])
            raise ValueError(
                f"unknown joint set {_some(person.names)}: expected names such as {known}"
            )
    return seen


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not JSON, expected OpenPose or COCO keypoints") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def _read_json(
    data: Any, image_name: str | None, image_size: tuple[int, int] | None
) -> list[Keypoints]:
    if isinstance(data, dict) and "people" in data:
        return _openpose_people(data["people"])
    if isinstance(data, dict) and "annotations" in data:
        return _coco_people(data, image_name, image_size)
    if isinstance(data, dict) and "keypoints" in data:
        return [_coco_person(data, {})]
    if isinstance(data, list):
        return [_coco_person(entry, {}) for entry in _of_image(_dicts(data), image_name)]
    raise ValueError(
        "expected OpenPose's 'people', COCO's 'annotations', or annotations with 'keypoints'"
    )


def _openpose_people(people: Any) -> list[Keypoints]:
    out = []
    for person in _dicts(people):
        numbers = person.get("pose_keypoints_2d")
        if numbers is None:
            raise ValueError("a person has no 'pose_keypoints_2d'")
        if len(_flat(numbers)) == 0:
            continue
        points = _triplets(numbers)
        if len(points) not in _OPENPOSE_BY_COUNT:
            raise ValueError(
                f"pose_keypoints_2d has {3 * len(points)} numbers,"
                " expected 75 (BODY_25) or 54 (COCO)"
            )
        tag = person.get("person_id", [-1])
        tag = tag[0] if isinstance(tag, list) and tag else tag
        number = tag if isinstance(tag, int) and tag >= 0 else None
        out.append(Keypoints(_OPENPOSE_BY_COUNT[len(points)], _checked(points), None, number))
    return out


def _coco_people(
    data: Mapping[str, Any], image_name: str | None, image_size: tuple[int, int] | None
) -> list[Keypoints]:
    annotations = _dicts(data["annotations"])
    categories = {
        str(entry.get("id")): tuple(str(name) for name in entry["keypoints"])
        for entry in _dicts(data.get("categories") or [])
        if isinstance(entry.get("keypoints"), list)
    }
    images = _dicts(data.get("images") or [])
    if images:
        image = _image(images, image_name)
        _check_size(image, image_size)
        annotations = [one for one in annotations if one.get("image_id") == image.get("id")]
    else:
        annotations = _of_image(annotations, image_name)
    return [_coco_person(one, categories) for one in annotations if "keypoints" in one]


def _image(images: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    """The entry of `images` that `name` means: by its whole path, else its last part."""
    if name is None:
        if len(images) == 1:
            return images[0]
        raise ValueError(f"{len(images)} images, expected the name of one: {_file_names(images)}")
    same = [one for one in images if f"/{name}".endswith(f"/{one.get('file_name')}")]
    same = same or [one for one in images if _base(one.get("file_name")) == _base(name)]
    if not same:
        raise ValueError(f"no annotation for image {name!r}, only {_file_names(images)}")
    if len(same) > 1:
        raise ValueError(f"{name!r} may mean any of {len(same)} images: {_file_names(same)}")
    return same[0]


def _check_size(image: Mapping[str, Any], size: tuple[int, int] | None) -> None:
    width, height = image.get("width"), image.get("height")
    if size is not None and width and height and (width, height) != tuple(size):
        raise ValueError(
            f"annotates an image of {width} x {height} px, the photo has {size[0]} x {size[1]}"
        )


def _of_image(
    annotations: Sequence[Mapping[str, Any]], name: str | None
) -> list[Mapping[str, Any]]:
    """The annotations of one image in a list that has no table of images.

    They are matched by the file name in `image_id`, `image_name` or `file_name`, or by COCO's
    number in the name; annotations that do not say their image belong to any.
    """
    tags = [_image_tag(one) for one in annotations]
    distinct = list(dict.fromkeys(tag for tag in tags if tag is not None))
    if not distinct or (name is None and len(distinct) == 1):
        return list(annotations)
    if name is None:
        raise ValueError(f"{len(distinct)} images, expected the name of one: {_some(distinct)}")
    stem = PurePosixPath(_base(name)).stem
    number = str(int(stem)) if stem.isdecimal() else stem
    mine = {tag for tag in distinct if _base(tag) in (_base(name), stem, number)}
    if not mine:
        raise ValueError(f"no annotation for image {name!r}, only {_some(distinct)}")
    return [one for one, tag in zip(annotations, tags, strict=True) if tag in mine]


def _image_tag(annotation: Mapping[str, Any]) -> str | None:
    for key in ("file_name", "image_name", "image_id"):
        if annotation.get(key) is not None:
            return str(annotation[key])
    return None


def _coco_person(entry: Mapping[str, Any], categories: Mapping[str, tuple[str, ...]]) -> Keypoints:
    if "keypoints" not in entry:
        raise ValueError(f"an annotation has no 'keypoints', only {_some(entry)}")
    points = _triplets(entry["keypoints"])
    names = categories.get(str(entry.get("category_id")), ())
    if len(names) != len(points):
        names = _names_by_count(len(points))
    return Keypoints(names, _checked(points), _box(entry.get("bbox")), _tag(entry.get("id")))


def _box(values: Any) -> tuple[float, float, float, float] | None:
    if values is None:
        return None
    numbers = _flat(values)
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise ValueError(f"a bbox is x, y, width, height, got {values!r}"[:120])
    x, y, width, height = (float(number) for number in numbers)
    return x, y, width, height


def _tag(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None


def _read_npz(path: Path) -> list[Keypoints]:
    data = read_npz(path, ("keypoints", "names"))
    if "keypoints" not in data:
        raise ValueError(f"no array 'keypoints', only {_some(sorted(npz_names(path)))}")
    keypoints = data["keypoints"]
    rows = keypoints.ndim in (2, 3) and keypoints.shape[-1] == 3 and keypoints.shape[-2] > 0
    if not rows or keypoints.dtype.kind not in "fiu":
        raise ValueError(
            f"keypoints are {keypoints.dtype} {keypoints.shape}, expected (K, 3) or (N, K, 3)"
            " numbers: x, y, confidence"
        )
    names = tuple(str(name) for name in data["names"].reshape(-1)) if "names" in data else None
    return keypoints_from_array(keypoints, names)


def keypoints_from_array(points: np.ndarray, names: Sequence[str] | None = None) -> list[Keypoints]:
    """People from (K, 3) or (people, K, 3) rows of x, y (image px) and confidence.

    Without `names` K tells the joint set, as in `read_keypoints`. ValueError for another K, numbers
    that are not finite, or confidences that are none.
    """
    if points.ndim not in (2, 3) or points.shape[-1] != 3:
        raise ValueError(f"keypoints are {points.shape}, expected (K, 3) or (people, K, 3)")
    people = points.astype(np.float64).reshape(-1, *points.shape[-2:])
    count = people.shape[1]
    names = _names_by_count(count) if names is None else tuple(names)
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} keypoints")
    return [Keypoints(names, _checked(rows)) for rows in people]


def _names_by_count(count: int) -> tuple[str, ...]:
    if count not in _BY_COUNT:
        known = ", ".join(str(number) for number in _BY_COUNT)
        raise ValueError(f"unknown joint set of {count} keypoints, expected names or {known}")
    return _BY_COUNT[count]


def _checked(points: np.ndarray) -> Float64[np.ndarray, "k 3"]:
    """The points with confidences in 0..1; ValueError for numbers that cannot be meant."""
    if not np.isfinite(points).all():
        joint = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"keypoint {joint} is {points[joint].tolist()}, expected finite numbers")
    low, high = points[:, 2].min(initial=0.0), points[:, 2].max(initial=0.0)
    if low < 0 or high > _MOST_CONFIDENCE:
        wrong = low if low < 0 else high
        raise ValueError(f"a confidence is {wrong:g}, expected 0..1 or a visibility of 0, 1 or 2")
    return np.column_stack([points[:, :2], np.minimum(points[:, 2], 1.0)])


def _triplets(values: Any) -> np.ndarray:
    numbers = _flat(values)
    if len(numbers) == 0 or len(numbers) % 3 != 0:
        raise ValueError(f"{len(numbers)} keypoint numbers, expected x, y, confidence for each")
    return numbers.reshape(-1, 3)


def _flat(values: Any) -> np.ndarray:
    """A JSON list of numbers, nested or not, as one row."""
    try:
        return np.asarray(values, np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"expected a list of numbers, got {str(values)[:40]}") from error


def _dicts(values: Any) -> list[Mapping[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError(f"expected a list of records, got {str(values)[:40]}")
    return values


def _base(name: Any) -> str:
    return str(name).replace("\\", "/").rsplit("/", 1)[-1]


def _file_names(images: Sequence[Mapping[str, Any]]) -> str:
    return _some(str(image.get("file_name")) for image in images)


def _some(names: Iterable[Any]) -> str:
    """Up to three names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
