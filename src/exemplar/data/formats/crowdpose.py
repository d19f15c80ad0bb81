"""CrowdPose: `crowdpose_{train,val,trainval,test}.json`, in COCO's style with 14 joints.

See https://github.com/Jeff-sjtu/CrowdPose. Its "head" is the top of the head, its neck LSP's. EFT's
authors did not fit this set: people are taken by the rule of their "all" subsets, at least 6 of the
12 limb joints.
"""

from collections.abc import Iterator
from pathlib import Path

from exemplar.data.contents import Contents
from exemplar.data.formats.coco_style import (
    annotated_joints,
    checked_minimum,
    plain_person,
    read_people,
)
from exemplar.samples import Sample
from exemplar.skeletons import CROWDPOSE_14

TITLE = "CrowdPose"
JOINTS = CROWDPOSE_14


def matches(contents: Contents) -> bool:
    """Whether it is a file of CrowdPose's 14 joints."""
    return annotated_joints(contents) == JOINTS


def read(
    source: str | Path | Contents, *, min_keypoints: int = 6, image_folder: str = ""
) -> Iterator[Sample]:
    """People of a CrowdPose file.

    min_keypoints: of the 12 limb joints, how many a person must have. image_folder: put before the
    images' names.
    """
    minimum = checked_minimum(min_keypoints)
    make = plain_person(JOINTS, minimum, image_folder)
    return read_people(Contents(source), JOINTS, make, title=TITLE, image_folder=image_folder)
