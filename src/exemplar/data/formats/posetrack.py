"""PoseTrack 2018: a folder of sequences' JSON files (`annotations/{train,val}`), or one such file.

COCO's style (https://posetrack.net) with 17 joints, of which "head_bottom" is LSP's neck and
"head_top" the top of the head; images have `is_labeled`, annotations `track_id`. Only labelled
frames are read. EFT keeps people with all 12 limb joints.

The subject is "{folder of the frames}-id{track:03}". Ears go where their names say; the released
program swaps them (nobody labelled them, so its fits are not affected).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from exemplar.data.contents import Contents
from exemplar.data.formats.coco_style import (
    annotated_joints,
    checked_minimum,
    labelled,
    person,
    read_people,
)
from exemplar.data.records import sample_or_problem
from exemplar.samples import Sample
from exemplar.skeletons import LIMBS_12, POSETRACK_17

TITLE = "PoseTrack 2018"
JOINTS = POSETRACK_17


def matches(contents: Contents) -> bool:
    """Whether it is a file of PoseTrack's joints, or a folder of them."""
    with contextlib.suppress(OSError):
        if contents.path.is_dir():
            files = _sequences(contents)
            return bool(files) and annotated_joints(Contents(files[0])) == JOINTS
        return annotated_joints(contents) == JOINTS
    return False


def read(
    source: str | Path | Contents,
    *,
    min_keypoints: int = len(LIMBS_12),
    image_folder: str = "",
) -> Iterator[Sample]:
    """People in the labelled frames, sequence by sequence in the order of the files' names.

    min_keypoints: of the 12 limb joints, how many a person must have. image_folder: put before the
    images' names, which begin with "images/". A sequence that cannot be read is one sample with a
    `problem`.
    """
    contents = Contents(source)
    make = partial(_make, minimum=checked_minimum(min_keypoints), image_folder=image_folder)
    if not contents.path.is_dir():
        return read_people(contents, JOINTS, make, title=TITLE, image_folder=image_folder)
    files = _sequences(contents)
    if not files:
        raise ValueError(f"expected JSON files of {TITLE} in {contents.path}, got none")
    return _read_folder(files, make, image_folder)


def _sequences(contents: Contents) -> list[Path]:
    return sorted(contents.path.glob("*.json"))


def _read_folder(files: list[Path], make: Any, image_folder: str) -> Iterator[Sample]:
    for file in files:
        try:
            people = read_people(
                Contents(file), JOINTS, make, title=TITLE, image_folder=image_folder
            )
        except (ValueError, OSError) as error:
            yield from sample_or_problem(partial(_fail, str(error)), image="")
        else:
            yield from people


def _fail(reason: str) -> None:
    raise ValueError(reason)


def _make(
    annotation: Mapping[str, Any], image: Mapping[str, Any], *, minimum: int, image_folder: str
) -> Sample | None:
    if not image.get("is_labeled", True):
        return None
    points = labelled(annotation["keypoints"], len(JOINTS), "keypoints")
    made = person(
        annotation, image, points, JOINTS, min_keypoints=minimum, image_folder=image_folder
    )
    if made is None:
        return None
    track = annotation["track_id"]
    if not isinstance(track, int):
        raise ValueError(f"expected a number as track_id, got {str(track)[:60]}")
    return replace(made, subject=f"{PurePosixPath(image['file_name']).parent.name}-id{track:03}")
