"""COCO 2014 and 2017 person keypoints: `person_keypoints_{train,val}{2014,2017}.json`.

See `coco_style` for the fields. EFT lifts two subsets: "part", people with all 12 limb joints, and
"all", people with at least 6 of them (the paper's text says 5, its appendix and the released
files 6).

The files know images by their names alone, which lie in folders `train2014` and the like: give
`image_folder` where the images' root is above them.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from exemplar.data.contents import Contents
from exemplar.data.formats import coco_wholebody, ochuman
from exemplar.data.formats.coco_style import (
    annotated_joints,
    minimum_of,
    plain_person,
    read_people,
)
from exemplar.data.records import BOX_MARGIN
from exemplar.files.atomic_files import replacing
from exemplar.samples import Sample
from exemplar.skeletons import COCO_17, to_smpl49

TITLE = "COCO person keypoints"
JOINTS = COCO_17


def matches(contents: Contents) -> bool:
    """Whether it is a file of COCO's person keypoints, and not one that extends or imitates it."""
    neighbours = (coco_wholebody.matches, ochuman.matches)
    is_coco = annotated_joints(contents) == JOINTS
    return is_coco and not any(other(contents) for other in neighbours)


def read(
    source: str | Path | Contents,
    *,
    subset: Literal["part", "all"] = "all",
    min_keypoints: int | None = None,
    image_folder: str = "",
) -> Iterator[Sample]:
    """People of a COCO keypoint file.

    subset: "part" is people with all 12 limb joints, "all" with at least 6. min_keypoints: of the
    12, instead of the subset's.
    image_folder: put before the images' names.
    """
    minimum = minimum_of(subset, min_keypoints)
    make = plain_person(JOINTS, minimum, image_folder)
    return read_people(Contents(source), JOINTS, make, title=TITLE, image_folder=image_folder)


def write(samples: Iterable[Sample], path: str | Path) -> int:
    """People as a COCO keypoint file; returns how many.

    Joints that COCO does not have are not written, and confidences become labelled (2) or not (0).
    `bbox` is the square of which the sample's box is 1.2 times the side, so that reading gives the
    same box. A number that two people share goes to the first, and none is below 1, which COCO's
    evaluation takes for nobody. People with a `problem` are left out. ValueError if a coordinate
    is not finite.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for sample in samples:
        if not sample.problem:
            image = images.setdefault(sample.image, _image(sample, len(images) + 1))
            annotation = {"id": sample.annotation_id, "image_id": image["id"]}
            annotations.append(annotation | _fields(sample))
    _number(annotations)
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(JOINTS)}
    content = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [category | {"skeleton": []}],
    }
    text = json.dumps(content, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text)
    return len(annotations)


def _image(sample: Sample, number: int) -> dict[str, Any]:
    size = dict(zip(("width", "height"), sample.image_size or (), strict=False))
    return {"id": number, "file_name": sample.image} | size


def _fields(sample: Sample) -> dict[str, Any]:
    """What an annotation says of a person."""
    keypoints = [0.0] * (3 * len(JOINTS))
    known = 0
    for place, row in to_smpl49(JOINTS):
        x, y, confidence = sample.keypoints_2d[row].tolist()
        if confidence > 0:
            keypoints[3 * place : 3 * place + 3] = [x, y, 2]
            known += 1
    side = sample.box_size / BOX_MARGIN
    x, y = (sample.box_centre - side / 2).tolist()
    return {
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": known,
        "bbox": [x, y, side, side],
        "area": side * side,
    }


def _number(annotations: list[dict[str, Any]]) -> None:
    """Numbers for those that have none that is good, or one that is taken."""
    unused = 1 + max(0, *(each["id"] or 0 for each in annotations), 0)
    taken: set[int] = set()
    for each in annotations:
        if each["id"] is None or each["id"] < 1 or each["id"] in taken:
            each["id"], unused = unused, unused + 1
        taken.add(each["id"])
