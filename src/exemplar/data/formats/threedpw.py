"""3DPW (virtualhumans.mpi-inf.mpg.de/3DPW): people with SMPL bodies in a moving camera.

`sequenceFiles/{split}/{sequence}.pkl`, written by Python 2, is a dict of: `sequence`, a name; and,
a list with an entry for each person, `poses` (frames, 72) axis-angle, `trans` (frames, 3) metres,
`betas`, `genders` ("m", "f"), `campose_valid` (frames), `poses2d` (frames, 3, 18): x, y,
confidence of OpenPose's 18 joints, `jointPositions` (frames, 72): SMPL's 24 joints in metres; and
for the camera, `cam_poses` (frames, 4, 4), from the world to the camera, and `cam_intrinsics` (3,
3). Pictures are imageFiles/{sequence}/image_{frame:05d}.jpg, counted from 0.

A frame is given if its camera is valid, it has some 2D joint, and `rule` does not leave it out.
The body is in the camera's frame, with the first 10 shape coefficients: its root is turned by the
camera, and its translation is R p + t - (p - trans) with p the pelvis in the world, since SMPL
turns a body about its pelvis, which lies at p - trans in the rest pose. (Without `jointPositions`
there is no translation.) The box is 1.2 times the extent of the 2D joints with confidence above 0;
a keypoint counts, with confidence 1, if OpenPose's was above 0.3.

Deviations from the published readers (SPIN, EFT): sequences come in order of their names, not as
the file system lists them; the neck is kept, in the OpenPose part of the 49 joints.
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.records import (
    box_of_points,
    joints49,
    limbs_known,
    numbers,
    sample_or_problem,
)
from exemplar.data.sequences import body_truth, each_file
from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.samples import BodyTruth, Gender, Sample
from exemplar.skeletons import OPENPOSE_18, SMPL_24, indices

TITLE = "3DPW"
JOINTS = OPENPOSE_18
SEEN = 0.3
"""Confidence above which a keypoint counts."""
VIBE_LIMBS = 6
"""VIBE's list has the people of whom more limb keypoints than this are seen."""

Rule = Literal["vibe", "all"]
Crop = Literal["", "upper", "face"]

_KEYS = (
    "poses", "trans", "betas", "genders", "campose_valid", "poses2d", "cam_poses", "cam_intrinsics",
)  # fmt: skip
_MARK = b"campose_valid"
_GENDERS: Mapping[Any, Gender] = {"m": "male", "f": "female"}
_LEGS = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_BELOW_SHOULDERS = (
    *_LEGS, "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
)  # fmt: skip
_CUT = {
    "": indices((), JOINTS),
    "upper": indices(_LEGS, JOINTS),
    "face": indices(_BELOW_SHOULDERS, JOINTS),
}


@dataclass(frozen=True)
class Person:
    """One person of a sequence, as in its file."""

    subject: str
    """{sequence}-id{number:03}."""
    gender: Gender
    """Whose body the parameters are for."""
    betas: np.ndarray
    """Shape coefficients, 10 or more."""
    poses: np.ndarray
    """(frames, 72) axis-angle, radians, in the world."""
    trans: np.ndarray
    """(frames, 3) metres, in the world."""
    pelvis: np.ndarray | None
    """(frames, 3) metres, in the world, if the file has joints."""
    keypoints_2d: np.ndarray
    """(frames, 18, 3) px and OpenPose's confidence."""
    valid: np.ndarray
    """(frames,) whether the camera is aligned with the picture."""


def matches(contents: Contents) -> bool:
    """A sequence's pickle, or a folder of them as they are laid out."""
    try:
        files = _files(contents.path, "")
        return bool(files) and _is_sequence(files[0])
    except (OSError, ValueError):
        return False


def read(
    source: str | Path | Contents,
    *,
    split: Literal["", "train", "validation", "test"] = "",
    rule: Rule = "vibe",
    crop: Crop = "",
) -> Iterator[Sample]:
    """People of each sequence in the order of their names, one person after the other, by time.

    `split`: of these sequences only. `rule`: "vibe", more than 6 of 12 limb keypoints are seen
    (34,561 people of the test part), or "all". `crop`: boxes that show the "upper" body (made
    without knees and ankles) or the "face" (without all below the shoulders, and as much again
    above it); the keypoints that are left out of the box are left out of the sample.
    """
    path = Contents(source).path
    files = _files(path, split)
    if not files:
        raise ValueError(f"{path}: expected 3DPW's sequenceFiles or one of its pickles")
    return each_file(files, partial(_sequence, rule=rule, crop=crop), root=path)


def _files(path: Path, split: str) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".pkl" else []
    folder = path / "sequenceFiles" if (path / "sequenceFiles").is_dir() else path
    if split and folder.name != split:
        folder = folder / split
    return sorted(folder.glob("*.pkl")) or sorted(folder.glob("*/*.pkl"))


def _is_sequence(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_MARK) >= 0


def _sequence(path: Path, *, rule: Rule, crop: Crop) -> Iterator[Sample]:
    content = read_pickle(path)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise ValueError(f"{path} is not a sequence of 3DPW: it lacks {', '.join(missing)}")
    name = str(content.get("sequence", path.stem))
    intrinsics = numbers(as_array(content["cam_intrinsics"]), (3, 3), "cam_intrinsics")
    cameras = as_array(content["cam_poses"])
    for number in range(len(content["poses"])):
        try:
            person = _person(content, name, number)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{path}: person {number}: {error}") from error
        for frame in np.flatnonzero(person.valid):
            image = f"imageFiles/{name}/image_{frame:05d}.jpg"
            make = partial(_sample, person, int(frame), cameras, intrinsics, rule, crop, image)
            yield from sample_or_problem(make, image=image)


def _person(content: Mapping[str, Any], name: str, number: int) -> Person:
    def rows(key: str, *shape: int) -> np.ndarray:
        array = as_array(content[key][number])
        if array.shape[1:] != shape or not array.ndim:
            wanted = ", ".join(["frames", *(str(size) for size in shape)])
            raise ValueError(f"expected {key} ({wanted}), got {array.shape}")
        return array

    gender = content["genders"][number]
    if gender not in _GENDERS:
        raise ValueError(f"expected gender m or f, got {str(gender)[:20]!r}")
    joints = rows("jointPositions", 3 * len(SMPL_24)) if "jointPositions" in content else None
    return Person(
        subject=f"{name}-id{number:03d}",
        gender=_GENDERS[gender],
        betas=as_array(content["betas"][number]).reshape(-1),
        poses=rows("poses", 3 * len(SMPL_24)),
        trans=rows("trans", 3),
        pelvis=None if joints is None else joints[:, :3],
        keypoints_2d=rows("poses2d", 3, len(JOINTS)).transpose(0, 2, 1),
        valid=rows("campose_valid").astype(bool),
    )


def _sample(
    person: Person,
    frame: int,
    cameras: np.ndarray,
    intrinsics: Float[np.ndarray, "3 3"],
    rule: Rule,
    crop: Crop,
    image: str,
) -> Sample | None:
    points = numbers(person.keypoints_2d[frame], (len(JOINTS), 3), "poses2d")
    whole = joints49(JOINTS, _seen(points))
    shown = points.copy()
    shown[_CUT[crop]] = 0.0
    if not (shown[:, 2] > 0).any() or (rule == "vibe" and limbs_known(whole) <= VIBE_LIMBS):
        return None
    centre, scale = box_of_points(_with_headroom(shown) if crop == "face" else shown)
    return Sample(
        image=image,
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=joints49(JOINTS, _seen(shown)),
        subject=person.subject,
        body=_body(person, frame, numbers(cameras[frame], (4, 4), "cam_poses")),
        intrinsics=intrinsics,
    )


def _seen(points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "k 3"]:
    """Confidence 1 above `SEEN`, else 0."""
    return np.hstack([points[:, :2], points[:, 2:] > SEEN])


def _with_headroom(points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "j 3"]:
    """And a point as far above the highest known one as that is above the lowest."""
    known = points[points[:, 2] > 0]
    left, top, bottom = known[0, 0], known[:, 1].min(), known[:, 1].max()
    return np.vstack([known, [left, top - (bottom - top), 1.0]])


def _body(person: Person, frame: int, world_to_camera: Float[np.ndarray, "4 4"]) -> BodyTruth:
    turn, move = world_to_camera[:3, :3], world_to_camera[:3, 3]
    body = body_truth(person.poses[frame], person.betas, gender=person.gender)
    pose = np.concatenate([(turn @ body.pose[0])[None], body.pose[1:]])
    if person.pelvis is None:
        return replace(body, pose=pose)
    pelvis = numbers(person.pelvis[frame], (3,), "pelvis")
    at_rest = pelvis - numbers(person.trans[frame], (3,), "trans")
    return replace(body, pose=pose, translation=turn @ pelvis + move - at_rest)
