"""OCHuman, people who hide one another: `ochuman.json`, or its annotations in COCO's style.

The set's own format (https://github.com/liruilong940607/OCHumanApi) has `keypoint_names` (19
joints), `keypoint_visible` (0 missing, 1 visible, 2 hidden by oneself, 3 hidden by others) and
`images`, each with `file_name` and `annotations`. An annotation's `keypoints` are a flat list of x,
y, visibility, or null for people that have only a box; `bbox` is x1, y1, x2, y2; it has no number.
"head" is the top of the head. The files `ochuman_coco_format_*.json` have COCO's joints and fields.

People are kept with at least 6 of the 12 limb joints (EFT's rule). The released reader opens
another file and skips every person, so it writes nothing; and it counts the joints from the
sixth on, which are the limbs only in COCO's order. We count the limbs by name.
"""

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.formats.coco_style import (
    annotated_joints,
    annotations_have,
    checked_minimum,
    joint_names,
    labelled,
    person,
    plain_person,
    read_people,
)
from exemplar.data.records import image_path, numbers, sample_or_problem
from exemplar.samples import Sample
from exemplar.skeletons import COCO_17, OCHUMAN_19

TITLE = "OCHuman"
JOINTS = OCHUMAN_19

_OWN_KEYS = frozenset({"images", "keypoint_names", "keypoint_visible"})
_IMAGE_NAME = re.compile(r"\d{6}\.jpg")


def matches(contents: Contents) -> bool:
    """Whether it is OCHuman's own format, or a COCO-style file made from it."""
    with contextlib.suppress(OSError):
        if contents.json_keys() >= _OWN_KEYS:
            return set(joint_names(contents.json["keypoint_names"])) == set(JOINTS)
        return annotated_joints(contents) == COCO_17 and _made_from_ochuman(contents)
    return False


def read(
    source: str | Path | Contents, *, min_keypoints: int = 6, image_folder: str = ""
) -> Iterator[Sample]:
    """People of either kind of file.

    min_keypoints: of the 12 limb joints, how many a person must have. image_folder: put before the
    images' names.
    """
    contents = Contents(source)
    minimum = checked_minimum(min_keypoints)
    if contents.json_keys() >= _OWN_KEYS:
        return _read_own(contents, minimum, image_folder)
    make = plain_person(COCO_17, minimum, image_folder)
    return read_people(contents, COCO_17, make, title=TITLE, image_folder=image_folder)


def _made_from_ochuman(contents: Contents) -> bool:
    """COCO encodes a mask as runs only for crowds, OCHuman's converter for everybody; and its
    images have six digits."""
    info = contents.json.get("info")
    if isinstance(info, dict) and "ochuman" in str(info.get("description")).lower():
        return True
    images = contents.json["images"]
    first = images[0] if isinstance(images, list) and images else {}
    named = isinstance(first, dict) and _IMAGE_NAME.fullmatch(str(first.get("file_name")))
    return bool(named) and annotations_have(
        contents,
        lambda each: isinstance(each.get("segmentation"), dict) and not each.get("iscrowd"),
    )


def _read_own(contents: Contents, minimum: int, image_folder: str) -> Iterator[Sample]:
    """ValueError at once if the joints are not OCHuman's."""
    joints = joint_names(contents.json["keypoint_names"])
    if set(joints) != set(JOINTS) or len(joints) != len(JOINTS):
        raise ValueError(f"{contents.path}: expected the joints {', '.join(JOINTS)}, got {joints}")
    images = contents.json["images"]
    if not isinstance(images, list):
        raise ValueError(f"{contents.path}: expected a list of images, got {str(images)[:60]}")
    return _own_samples(images, joints, minimum, image_folder)


def _own_samples(
    images: list[Any], joints: tuple[str, ...], minimum: int, image_folder: str
) -> Iterator[Sample]:
    for image in images:
        name, annotations = "", [None]
        with contextlib.suppress(TypeError, KeyError, ValueError):
            name = image_path(image_folder, image["file_name"])
            annotations = list(image["annotations"])
        for annotation in annotations:
            make = partial(_own_sample, annotation, image, joints, minimum, image_folder)
            yield from sample_or_problem(make, image=name)


def _own_sample(
    annotation: Any, image: Any, joints: tuple[str, ...], minimum: int, image_folder: str
) -> Sample | None:
    if not isinstance(annotation, dict):
        raise ValueError(f"expected a named image with annotations, got {str(image)[:60]}")
    if annotation["keypoints"] is None:
        return None
    points = labelled(annotation["keypoints"], len(joints), "keypoints")
    left, top, right, bottom = numbers(annotation["bbox"], (4,), "bbox").tolist()
    box = {"bbox": [left, top, right - left, bottom - top]}
    return person(box, image, points, joints, min_keypoints=minimum, image_folder=image_folder)
