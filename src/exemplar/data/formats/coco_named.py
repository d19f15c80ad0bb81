"""Other joints in COCO's style, by the names that a file's category gives them.

Human3.6M, AI Challenger, MHP, J-HMDB, MPII-TRB, Human-Art, Halpe, UBody and whatever else is kept
so (MMPose's conversions, labelling tools). Names are understood however they are written
(`skeletons.our_names`); joints that are none of the 49 are left out. Where a category names no
joints, or not as many as there are, their number or `joints` tells the set. `joints` counts more
than names: MMPose's own conversion of Human3.6M (`h36m_to_coco.py`) calls the right leg the left
one, `joints=h36m17` reads it as it is.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.detections import triplets
from exemplar.data.formats import coco, coco_wholebody, crowdpose, ochuman, posetrack
from exemplar.data.formats.coco_style import (
    KEYS,
    Make,
    annotations_have,
    categories_of,
    checked_minimum,
    labelled,
    person,
    read_people,
)
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49, names_of

TITLE = "Other joints in COCO's style"
JOINTS = SMPL_49

_NEIGHBOURS = (coco, coco_wholebody, crowdpose, ochuman, posetrack)


def matches(contents: Contents) -> bool:
    """Whether it has people with keypoints and is none of the data sets with their own readers."""
    if contents.path.is_dir() or not contents.json_keys() >= KEYS:
        return False
    has_people = annotations_have(contents, lambda each: isinstance(each.get("keypoints"), list))
    return has_people and not any(other.matches(contents) for other in _NEIGHBOURS)


def read(
    source: str | Path | Contents,
    *,
    joints: str = "",
    min_keypoints: int = 6,
    image_folder: str = "",
) -> Iterator[Sample]:
    """People of such a file; crowds are left out.

    joints: the joint set (`skeletons.FILE_SETS`), instead of the file's names. min_keypoints: of
    the 12 limb joints, how many a person must have. image_folder: put before the images' names.
    """
    contents = Contents(source)
    minimum = checked_minimum(min_keypoints)
    make = _maker(contents, joints, minimum, image_folder)
    return read_people(contents, None, make, title=TITLE, image_folder=image_folder)


def _maker(contents: Contents, joints: str, minimum: int, image_folder: str) -> Make:
    named = dict(categories_of(contents.json)) if contents.json_keys() >= KEYS else {}

    def make(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> Sample | None:
        if annotation.get("keypoints") is None:
            return None
        raw = triplets(annotation["keypoints"], "keypoints")
        names = () if joints else named.get(annotation.get("category_id", ""), ())
        if len(names) != len(raw):
            names = names_of(len(raw), joints)
        points = labelled(raw.reshape(-1), len(raw), "keypoints")
        record = annotation if "bbox" in annotation else {**annotation, "bbox": _extent(points)}
        return person(
            record, image, points, names, min_keypoints=minimum, image_folder=image_folder
        )

    return make


def _extent(points: Float[np.ndarray, "k 3"]) -> list[float]:
    """x, y, width, height of the known points."""
    known = points[points[:, 2] > 0, :2]
    low, high = (known.min(0), known.max(0)) if len(known) else (np.zeros(2), np.zeros(2))
    return [*low.tolist(), *(high - low).tolist()]
