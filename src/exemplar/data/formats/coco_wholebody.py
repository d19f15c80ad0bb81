"""COCO-WholeBody v1: COCO's person keypoints with feet, hands and face.

The format is https://github.com/jin-s13/COCO-WholeBody/blob/master/data_format.md: COCO's
annotations with `foot_kpts` (6 joints: left big toe, left small toe, left heel, then the right
ones), `lefthand_kpts`, `righthand_kpts` (21 each), `face_kpts` (68), and `*_valid`, which is
false where a part was too blurred or hidden to be labelled; without these flags all parts count.
Visibility may be a fraction there; a joint is labelled if it is above 0.

The feet fill the OpenPose block of the 49 joints, which alone has them; hands and face are in
`Sample.extra` under SPIN's names (`kp_leftHand`, `kp_rightHand`, `kp_face`) where they are valid.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.formats.coco_style import (
    annotated_joints,
    annotations_have,
    labelled,
    minimum_of,
    person,
    read_people,
)
from exemplar.samples import Sample
from exemplar.skeletons import COCO_17, OPENPOSE_25

TITLE = "COCO-WholeBody"
FEET: tuple[str, ...] = OPENPOSE_25[OPENPOSE_25.index("left_big_toe") :]
"""The joints of `foot_kpts`, which are in OpenPose's order."""
JOINTS: tuple[str, ...] = COCO_17 + FEET

_EXTRA = (
    ("kp_leftHand", "lefthand", 21),
    ("kp_rightHand", "righthand", 21),
    ("kp_face", "face", 68),
)
"""SPIN's name, COCO-WholeBody's, and number of points."""


def matches(contents: Contents) -> bool:
    """Whether it is a COCO keypoint file whose annotations have feet, too."""
    is_coco = annotated_joints(contents) == COCO_17
    return is_coco and annotations_have(contents, lambda each: "foot_kpts" in each)


def read(
    source: str | Path | Contents,
    *,
    subset: Literal["part", "all"] = "all",
    min_keypoints: int | None = None,
    image_folder: str = "",
) -> Iterator[Sample]:
    """People of a COCO-WholeBody file.

    subset: "part" is people with all 12 limb joints, "all" with at least 6. min_keypoints: of the
    12, instead of the subset's. image_folder: put before the images' names.
    """
    minimum = minimum_of(subset, min_keypoints)

    def make(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> Sample | None:
        points = _body_and_feet(annotation)
        made = person(
            annotation, image, points, JOINTS, min_keypoints=minimum, image_folder=image_folder
        )
        return None if made is None else replace(made, extra=_extra(annotation))

    return read_people(Contents(source), COCO_17, make, title=TITLE, image_folder=image_folder)


def _body_and_feet(annotation: Mapping[str, Any]) -> Float[np.ndarray, "k 3"]:
    body = labelled(annotation["keypoints"], len(COCO_17), "keypoints")
    feet = np.zeros((len(FEET), 3))
    if annotation.get("foot_valid", True):
        feet = labelled(annotation["foot_kpts"], len(FEET), "foot_kpts", scored=False)
    return np.concatenate([body, feet])


def _extra(annotation: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Hands and face that could be labelled."""
    return {
        name: labelled(annotation[f"{part}_kpts"], count, f"{part}_kpts", scored=False)
        for name, part, count in _EXTRA
        if annotation.get(f"{part}_valid", True)
    }
