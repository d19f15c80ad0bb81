"""MPI-INF-3DHP: the training recordings and the test set.

Training (S1-S8, Seq1-2): `S{s}/Seq{q}/annot.mat` has for each of 14 cameras `annot2` (frames, 56),
28 joints in px, and `annot3` (frames, 84), millimetres in that camera's frame. 17 of the 28 joints
are kept. A frame is kept if all of them lie in the picture of 2048 x 2048, and of the kept frames
of a camera every tenth is given. (The published reader counts them over all recordings in the
order in which the file system lists the pictures, which differs between machines, and its copy in
EFT stops after 105.)

Test (TS1-TS6): `TS{t}/annot_data.mat` (MATLAB 7.3, so HDF5; axes as HDF5 has them) with
`valid_frame` (frames, 1), `annot2` (frames, 1, 17, 2) px and `univ_annot3` (frames, 1, 17, 3) mm,
scaled to the skeleton that all subjects share: what results are reported on. Every valid frame is
given of which all joints lie in the picture: 2048 x 2048, in TS5 and TS6 1920 x 1080.

3D joints are in metres from the pelvis; the box is 1.2 times the extent of the 2D joints. Pictures
are numbered from 1; those of the training set are frames of videos, called as SPIN's file of them
does unless `image_name` says otherwise.

SPIN's SMPL bodies, `mpi-inf-3dhp_mview_fits.npz` (`pose` (N, 72), `shape` (N, 10), `has_smpl`
(N)), follow the rows of its `mpi_inf_3dhp_train.npz`, whose `imgname` says which frames these are.
With both given the frames named there are read, in our order, with their bodies.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from exemplar.data.array_files import array_names, read_h5
from exemplar.data.contents import Contents
from exemplar.data.mat_files import mat_shapes, read_mat
from exemplar.data.npz_arrays import rows_of, texts_of
from exemplar.data.records import image_path, sample_or_problem
from exemplar.data.sequences import (
    SHAPES,
    body_truth,
    each_file,
    frame_sample,
    metres_about,
    relative_path,
)
from exemplar.files.npy_files import read_npz
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import MPI_INF_3DHP_17, MPI_INF_3DHP_28_ROWS, SMPL_24

TITLE = "MPI-INF-3DHP"
JOINTS = MPI_INF_3DHP_17
TRAINING_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras that SPIN and EFT train on: at the height of people and a little above."""
IMAGE_NAME = "S{subject}/Seq{sequence}/imageFrames/video_{camera}/frame_{number:06d}.jpg"
"""Of a training picture."""

_TRAIN, _TEST = "annot.mat", "annot_data.mat"
_GLOBS = {
    "train": (_TRAIN, f"Seq*/{_TRAIN}", f"S*/Seq*/{_TRAIN}"),
    "test": (_TEST, f"TS*/{_TEST}", f"*/TS*/{_TEST}"),
}
_TEST_KEYS = ("valid_frame", "annot2", "univ_annot3")
_TRAINING_JOINTS = 28
_ROWS = [MPI_INF_3DHP_28_ROWS[name] for name in JOINTS]
_SQUARE, _OUTDOORS = (2048, 2048), (1920, 1080)
_OUTDOOR_FOLDERS = ("TS5", "TS6")


@dataclass(frozen=True)
class Fits:
    """SMPL bodies of training pictures."""

    rows: Mapping[str, int]
    """Row of each picture, by its name."""
    pose: np.ndarray
    """(N, 72) axis-angle, radians."""
    betas: np.ndarray
    """(N, 10) shape coefficients."""
    valid: np.ndarray
    """(N,) whether there is a body."""

    def body(self, image: str) -> BodyTruth | None:
        """Of that picture, if there is one."""
        row = self.rows.get(image)
        if row is None or not self.valid[row]:
            return None
        return body_truth(self.pose[row], self.betas[row])


def matches(contents: Contents) -> bool:
    """An annotation of either part, or a folder in the set's layout."""
    path = contents.path
    if path.is_dir():
        try:
            return bool(_files(path, "train") or _files(path, "test"))
        except OSError:
            return False
    return {"annot2", "annot3", "univ_annot3"} <= mat_shapes(contents).keys() or set(
        _TEST_KEYS
    ) <= array_names(contents)


def read(
    source: str | Path | Contents,
    *,
    split: Literal["", "train", "test"] = "",
    every: int = 10,
    cameras: Sequence[int] = TRAINING_CAMERAS,
    smpl: str | Path | None = None,
    smpl_names: str | Path | None = None,
    image_name: str = IMAGE_NAME,
) -> Iterator[Sample]:
    """The people of the training or the test part, by recording, camera and time.

    `split` is needed only for a folder that has both. Of the training part: `every`, of the kept
    frames of a camera; `cameras`, from 0; `smpl`, the npz of bodies, and `smpl_names`, the npz
    whose `imgname` they follow; `image_name`, with subject, sequence, camera (from 0) and number
    (from 1).
    """
    root = Contents(source).path
    found = {part: _files(root, part) for part in _GLOBS if split in ("", part)}
    parts = [part for part, files in found.items() if files]
    if len(parts) != 1:
        got = "both: say which by split" if parts else "neither"
        raise ValueError(f"{root}: expected MPI-INF-3DHP's training or test part, got {got}")
    if every < 1:
        raise ValueError(f"expected every to be 1 or more, got {every}")
    if parts == ["test"]:
        return each_file(found["test"], partial(_test, root=root), root=root)
    fits = None if smpl is None else _read_fits(Path(smpl), smpl_names)
    train = partial(_train, every=every, cameras=cameras, fits=fits, image_name=image_name)
    return each_file(found["train"], train, root=root)


def _files(path: Path, part: str) -> list[Path]:
    """Annotation files below a folder, in order; the file itself if it is one."""
    if path.is_file():
        is_test = path.name == _TEST or set(_TEST_KEYS) <= array_names(Contents(path))
        return [path] if is_test == (part == "test") else []
    return sorted(file for pattern in _GLOBS[part] for file in path.glob(pattern))


def _train(
    path: Path, *, every: int, cameras: Sequence[int], fits: Fits | None, image_name: str
) -> Iterator[Sample]:
    pixels, poses = _cells(path, "annot2"), _cells(path, "annot3")
    subject, sequence = _number(path.parents[1].name, "S"), _number(path.parent.name, "Seq")
    for camera in cameras:
        if not 0 <= camera < min(len(pixels), len(poses)):
            raise ValueError(f"{path}: expected cameras below {len(pixels)}, got {camera}")
        points = _annotated(pixels[camera], 2, f"{path}: expected annot2")
        joints = _annotated(poses[camera], 3, f"{path}: expected annot3")
        if len(points) != len(joints):
            raise ValueError(f"{path}: expected {len(points)} 3D frames, got {len(joints)}")
        name = partial(image_name.format, subject=subject, sequence=sequence, camera=camera)
        names = [name(number=number + 1) for number in range(len(points))]
        kept = [int(frame) for frame in np.flatnonzero(_inside(points, _SQUARE))]
        if fits is None:
            chosen = kept[::every]
        else:
            chosen = [frame for frame in kept if names[frame] in fits.rows]
        for frame in chosen:
            make = partial(
                _sample, names[frame], points[frame], joints[frame], f"S{subject}", _SQUARE, fits
            )
            yield from sample_or_problem(make, image=names[frame])


def _sample(
    image: str,
    points: Float[np.ndarray, "k 2"],
    joints: Float[np.ndarray, "k 3"],
    subject: str,
    size: tuple[int, int],
    fits: Fits | None = None,
) -> Sample:
    in_space = metres_about(joints, JOINTS)
    sample = frame_sample(image, JOINTS, points, in_space, subject=subject, image_size=size)
    return sample if fits is None else replace(sample, body=fits.body(image))


def _test(path: Path, *, root: Path) -> Iterator[Sample]:
    arrays = read_h5(path, _TEST_KEYS)
    if len(arrays) < len(_TEST_KEYS):
        raise ValueError(f"{path}: expected {', '.join(_TEST_KEYS)}, got {', '.join(arrays)}")
    valid, points, joints = (arrays[key] for key in _TEST_KEYS)
    frames, count = valid.size, len(JOINTS)
    if points.shape != (frames, 1, count, 2) or joints.shape != (frames, 1, count, 3):
        raise ValueError(
            f"{path}: expected ({frames}, 1, {count}, 2) and ({frames}, 1, {count}, 3), "
            f"got {points.shape} and {joints.shape}"
        )
    points, joints = points[:, 0].astype(np.float64), joints[:, 0].astype(np.float64)
    subject = path.parent.name
    size = _OUTDOORS if subject in _OUTDOOR_FOLDERS else _SQUARE
    folder = relative_path(path.parent, root)
    for frame in np.flatnonzero((valid.reshape(-1) == 1) & _inside(points, size)):
        image = image_path("" if folder == "." else folder, _test_image(int(frame)))
        make = partial(_sample, image, points[frame], joints[frame], subject, size)
        yield from sample_or_problem(make, image=image)


def _test_image(frame: int) -> str:
    return f"imageSequence/img_{frame + 1:06d}.jpg"


def _inside(points: Float[np.ndarray, "n k 2"], size: tuple[int, int]) -> np.ndarray:
    """Whether all points of a frame lie in the picture; what is not a number does, to be told
    of."""
    outside = (points < 0) | (points >= np.array(size))
    return np.logical_not(outside.any(axis=(1, 2)))


def _cells(path: Path, variable: str) -> Sequence[Any]:
    """What the file has for each camera."""
    cells = read_mat(path, variable)
    is_cell = isinstance(cells, np.ndarray) and cells.dtype.kind == "O"
    return list(cells) if is_cell else [cells]


def _annotated(cell: Any, dimensions: int, expected: str) -> Float[np.ndarray, "n k d"]:
    """One camera's joints, those that are kept, by frame."""
    array = np.atleast_2d(np.asarray(cell))
    size = _TRAINING_JOINTS * dimensions
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != size:
        raise ValueError(f"{expected} (frames, {size}), got {array.shape}")
    return array.astype(np.float64).reshape(-1, _TRAINING_JOINTS, dimensions)[:, _ROWS]


def _number(folder: str, prefix: str) -> int:
    found = re.fullmatch(rf"{prefix}(\d+)", folder)
    if found is None:
        raise ValueError(f"expected a folder S{{s}}/Seq{{q}}, got {folder!r} for {prefix}")
    return int(found[1])


def _read_fits(path: Path, names: str | Path | None) -> Fits:
    arrays = _npz(path)
    if not {"pose", "shape"} <= arrays.keys():
        raise ValueError(f"{path}: expected pose and shape, got {', '.join(sorted(arrays))[:80]}")
    named = arrays if names is None else _npz(Path(names))
    if "imgname" not in named:
        raise ValueError(f"{path}: expected imgname, or smpl_names: the npz whose rows it follows")
    images = [image.replace("\\", "/") for image in texts_of(named["imgname"])]
    shapes = {"pose": (3 * len(SMPL_24),), "shape": (SHAPES,), "has_smpl": ()}
    try:
        rows = rows_of(arrays, shapes, len(images))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    valid = rows.get("has_smpl", np.ones(len(images))) == 1
    numbered = {image: row for row, image in enumerate(images)}
    return Fits(numbered, rows["pose"], rows["shape"], valid)


def _npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    return read_npz(path, ("pose", "shape", "has_smpl", "imgname"))
