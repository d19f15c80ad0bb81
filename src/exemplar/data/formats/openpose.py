"""OpenPose's JSON output: a folder with a file an image, or one such file.

`NAME_keypoints.json` is of image `NAME.jpg` (or another suffix) and holds `{"people": [...]}`; a
person has `pose_keypoints_2d`, x, y px and confidence of BODY_25 (75 numbers) or of the COCO model
(54), and perhaps `hand_left_keypoints_2d`, `hand_right_keypoints_2d` (63 numbers) and
`face_keypoints_2d` (210, of which SPIN's 68 are the first). Missing keypoints are (0, 0, 0).

A person's annotation id is their place in the file; `person_id`, where it is not -1, is the
subject. People without any keypoint are left out. Folders within the folder are read too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.records import box_of_points, joints49, sample_or_problem
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_18, OPENPOSE_25

TITLE = "OpenPose JSON (a folder, or one file)"
JOINTS = OPENPOSE_25

ENDING = "_keypoints.json"
"""How the names of OpenPose's files end."""

_SETS: Mapping[int, tuple[str, ...]] = {len(names): names for names in (OPENPOSE_25, OPENPOSE_18)}
_HAND, _FACE, _SPIN_FACE = 21, 70, 68
_OTHERS = (
    ("hand_left_keypoints_2d", "kp_leftHand", _HAND, _HAND),
    ("hand_right_keypoints_2d", "kp_rightHand", _HAND, _HAND),
    ("face_keypoints_2d", "kp_face", _FACE, _SPIN_FACE),
)
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def matches(contents: Contents) -> bool:
    """Whether it is a folder with `*_keypoints.json` files, or one such file with people."""
    if contents.path.is_dir():
        return next(contents.path.rglob(f"*{ENDING}"), None) is not None
    return contents.path.name.endswith(ENDING) and "people" in contents.json_keys()


def read(
    source: str | Path | Contents,
    *,
    image_suffix: str = ".jpg",
    images: str | Path | None = None,
) -> Iterator[Sample]:
    """The people of the files, in the order of the files' paths.

    Args:
        source: the folder or file.
        image_suffix: ending of the images' names.
        images: folder of the images; where it has an image of the name, its own ending is used.

    ValueError, in one line, if there is no such file; a file that cannot be read is one sample
    with a `problem`.
    """
    contents = Contents(source)
    root = contents.path
    files = sorted(root.rglob(f"*{ENDING}")) if root.is_dir() else [root]
    if not files:
        raise ValueError(f"{root} has no files *{ENDING}, expected OpenPose's output")
    if not root.is_dir():
        _people(contents)
    return _all_people(files, root if root.is_dir() else root.parent, image_suffix, images)


def _all_people(
    files: list[Path], root: Path, suffix: str, images: str | Path | None
) -> Iterator[Sample]:
    known = {} if images is None else _names(Path(images))
    for file in files:
        name = file.relative_to(root).as_posix().removesuffix(ENDING).removesuffix(".json")
        image = known.get(name, name + suffix)
        try:
            people = _people(Contents(file))
        except (ValueError, OSError) as error:
            reason = str(error)
            yield from sample_or_problem(lambda reason=reason: _raise(reason), image=image)
            continue
        for number, person in enumerate(people):
            yield from sample_or_problem(
                lambda person=person, image=image, number=number: _sample(person, image, number),
                image=image,
                annotation_id=number,
            )


def _names(folder: Path) -> dict[str, str]:
    """Paths of a folder's images, by their path without the ending."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of images at {folder}")
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")))
    kept = (path for path in found if path.suffix.lower() in _SUFFIXES)
    return {path.with_suffix("").as_posix(): path.as_posix() for path in kept}


def _raise(reason: str) -> Sample:
    raise ValueError(reason)


def _people(contents: Contents) -> list[Any]:
    people = contents.json.get("people") if isinstance(contents.json, dict) else None
    if not isinstance(people, list):
        raise ValueError(f"{contents.path} has no list of 'people', expected OpenPose's output")
    return people


def _sample(person: Any, image: str, number: int) -> Sample | None:
    body = _points(person, "pose_keypoints_2d")
    if len(body) == 0:
        return None
    if len(body) not in _SETS:
        raise ValueError(
            f"pose_keypoints_2d has {3 * len(body)} numbers, expected 75 (BODY_25) or 54 (COCO)"
        )
    joints = joints49(_SETS[len(body)], body)
    if not (joints[:, 2] > 0).any():
        return None
    extra = {}
    for key, name, count, kept in _OTHERS:
        points = _points(person, key)
        if len(points) not in (0, count):
            raise ValueError(f"{key} has {3 * len(points)} numbers, expected {3 * count}")
        if (points[:, 2] > 0).any():
            extra[name] = points[:kept]
    centre, scale = box_of_points(joints)
    return Sample(image, centre, scale, joints, number, _subject(person), extra=extra)


def _points(person: Any, key: str) -> Float[np.ndarray, "k 3"]:
    if not isinstance(person, dict):
        raise ValueError(f"expected a person to be an object, got {str(person)[:40]}")
    values = np.asarray(person.get(key) or [], np.float64).reshape(-1)
    if values.size % 3:
        raise ValueError(f"{key} has {values.size} numbers, expected x, y, confidence for each")
    points = values.reshape(-1, 3).copy()
    if not np.isfinite(points).all():
        raise ValueError(f"{key} has numbers that are not finite")
    points[:, 2] = np.clip(points[:, 2], 0.0, 1.0)
    return points


def _subject(person: Mapping[str, Any]) -> str:
    tag = person.get("person_id", -1)
    tag = tag[0] if isinstance(tag, list) and tag else tag
    return str(tag) if isinstance(tag, int) and tag >= 0 else ""
