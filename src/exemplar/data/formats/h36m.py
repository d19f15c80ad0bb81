"""Human3.6M's test protocols, from the files that its web site gives out.

A folder holds `S9` and `S11`; in each, `MyPoseFeatures/D3_Positions_mono/{action}.{camera}.cdf`
has the variable `Pose` (1, frames, 96): 32 joints in millimetres in that camera's frame (x right,
y down, z forward); `MyPoseFeatures/D2_Positions` has the same files with 32 x 2 pixels (1, frames,
64). Instead of `.cdf`, conversions to `.mat` or `.h5` with `Pose` or `data` are read.

Of the 32 joints 17 are kept (`H36M_17`), in metres from the pelvis, every fifth frame. Protocol 1
takes all cameras, protocol 2 only the frontal one, 60457274. The recordings called "_ALL" belong
to neither. Images are named S{n}_{action}.{camera}_{number:06d}.jpg with "_" for the spaces of the
action, where number 1 is the first frame of the video.

Deviations from the published readers (SPIN, EFT):
- They pair each pose with the next picture, since a video frame is read before their loop starts;
  here picture and pose are of the same frame. `released=True` pairs them as they do.
- EFT's box is 0.9 times the extent of the 2D joints and cuts limbs off, SPIN's is of a mask; here
  it is 1.2 times, as for the other sets. `released=True` gives EFT's.
- Without `D2_Positions` there is no box, and each sample says so in its `problem`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.array_files import SUFFIXES, read_array
from exemplar.data.contents import Contents
from exemplar.data.records import BOX_MARGIN, image_path, sample_or_problem
from exemplar.data.sequences import each_file, frame_sample, metres_about
from exemplar.samples import Sample
from exemplar.skeletons import H36M_17, H36M_32_ROWS

TITLE = "Human3.6M test poses"
JOINTS = H36M_17
FRONTAL_CAMERA = "60457274"
"""The one of protocol 2."""
RELEASED_MARGIN = 0.9
"""Side of EFT's box over the extent of the 2D joints."""

_POSES = "MyPoseFeatures/D3_Positions_mono"
_ALL_JOINTS = 32
_ROWS = [H36M_32_ROWS[name] for name in JOINTS]
_VARIABLES = ("Pose", "data")


def matches(contents: Contents) -> bool:
    """A folder with subjects in Human3.6M's layout."""
    try:
        return next(contents.path.glob(f"S*/{_POSES}"), None) is not None
    except OSError:
        return False


def read(
    source: str | Path | Contents,
    *,
    protocol: Literal[1, 2] = 2,
    subjects: Sequence[int] = (9, 11),
    every: int = 5,
    released: bool = False,
    image_folder: str = "",
) -> Iterator[Sample]:
    """Frames of the test subjects, by subject, then recording, then time.

    `protocol`: 1 all cameras, 2 the frontal one. `every`: this many frames apart. `released`:
    picture and box as in the published readers. `image_folder` is put before the images' names.
    """
    root = Contents(source).path
    folders = [root / f"S{subject}" / _POSES for subject in subjects]
    if not any(folder.is_dir() for folder in folders):
        raise ValueError(f"{root} is not Human3.6M: expected a folder such as {folders[0]}")
    if every < 1:
        raise ValueError(f"expected every to be 1 or more, got {every}")
    files = [
        path
        for folder in folders
        for path in sorted(folder.glob("*"))
        if path.suffix.lower() in SUFFIXES and _in_protocol(path, protocol)
    ]
    samples = partial(_recording, every=every, released=released, image_folder=image_folder)
    return each_file(files, samples, root=root)


def _recording(path: Path, *, every: int, released: bool, image_folder: str) -> Iterator[Sample]:
    poses = _poses(path, 3)
    beside = path.parents[1] / "D2_Positions" / path.name
    pixels = _poses(beside, 2) if beside.is_file() else None
    if pixels is not None and len(pixels) != len(poses):
        raise ValueError(f"{beside}: expected {len(poses)} frames, got {len(pixels)}")
    subject, name = path.parents[2].name, _name(path).replace(" ", "_")
    for frame in range(0, len(poses), every):
        number = frame + 2 if released else frame + 1
        image = image_path(image_folder, f"{subject}_{name}_{number:06d}.jpg")
        points = None if pixels is None else pixels[frame]
        make = partial(_sample, image, poses[frame], points, subject, released)
        yield from sample_or_problem(make, image=image)


def _sample(
    image: str,
    pose: Float[np.ndarray, "k 3"],
    pixels: Float[np.ndarray, "k 2"] | None,
    subject: str,
    released: bool,
) -> Sample:
    centred = metres_about(pose[_ROWS], JOINTS)
    points = np.zeros((len(JOINTS), 2)) if pixels is None else pixels[_ROWS]
    sample = frame_sample(image, JOINTS, points, centred, subject=subject)
    if pixels is None:
        return replace(
            sample,
            keypoints_2d=np.zeros_like(sample.keypoints_2d),
            problem="no box: the recording has no file in D2_Positions",
        )
    shrunk = RELEASED_MARGIN / BOX_MARGIN if released else 1.0
    return replace(sample, box_scale=sample.box_scale * shrunk)


def _poses(path: Path, dimensions: int) -> Float[np.ndarray, "frames k d"]:
    values = read_array(path, _VARIABLES)
    size = _ALL_JOINTS * dimensions
    if values.dtype.kind not in "iuf" or not values.size or values.shape[-1] != size:
        raise ValueError(f"{path}: expected (1, frames, {size}) numbers, got {values.shape}")
    return values.astype(np.float64).reshape(-1, _ALL_JOINTS, dimensions)


def _in_protocol(path: Path, protocol: int) -> bool:
    name = _name(path)
    camera = name.rpartition(".")[2]
    return not name.startswith("_ALL") and (protocol == 1 or camera == FRONTAL_CAMERA)


def _name(path: Path) -> str:
    """{action}.{camera}: conversions may have two endings, as in .cdf.mat."""
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES:
        name = Path(name).stem
    return name
