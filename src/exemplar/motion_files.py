"""Motions on disk: a clip's people in one `.npz`, and the people of a fitted photo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from exemplar.files.atomic_files import replacing
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import reading
from exemplar.motion import Camera, Frame, Motion, still

MOTION_FILE = "motion.npz"
"""Where the folder of a clip has its people."""

FIT_FILE = "fit.npz"
"""Where the folder of a fitted photo has its people."""

PHOTO_FILE = "photo.jpg"
"""Where the folder of a fitted photo has the photo."""

_SHARED = ("times", "fps", "frame", "body")
_PER_PERSON = ("global_orient", "body_pose", "betas", "translation", "status", "confidence")
_CAMERA = ("focal", "principal_point", "image_size")
_KEYPOINTS = "keypoints_2d"
_OF_FIT = ("global_orient", "body_pose", "betas", "translation", "status", _KEYPOINTS)


def write_motions(motions: Sequence[Motion], path: str | Path) -> None:
    """Write the people of a clip, P of them over T frames, as an `.npz` of plain arrays:

    - `times` (T,), `fps`, `frame` and `body` (), `focal` (), `principal_point` (2,) and
      `image_size` (2,), the latter three if there is a camera;
    - `global_orient` (P, T, 3, 3), `body_pose` (P, T, 23, 3, 3), `betas` (P, B), `translation`
      (P, T, 3), `status` and `confidence` (P, T), and `keypoints_2d` (P, T, 49, 3) if all have
      them; as in `Motion`.

    ValueError if there is nobody or the motions are not of one clip; OSError when the file cannot
    be written.
    """
    if not motions:
        raise ValueError("there is nobody in the clip")
    first = motions[0]
    arrays = {name: np.array(getattr(first, name)) for name in _SHARED} | _camera(first)
    for motion in motions[1:]:
        others = {name: np.array(getattr(motion, name)) for name in _SHARED} | _camera(motion)
        if arrays.keys() != others.keys() or not all(
            np.array_equal(arrays[name], others[name]) for name in arrays
        ):
            raise ValueError("people of one clip have the same times, frame, body and camera")
    for name in _PER_PERSON:
        arrays[name] = np.stack([np.asarray(getattr(motion, name)) for motion in motions])
    if all(motion.keypoints_2d is not None for motion in motions):
        arrays[_KEYPOINTS] = np.stack([np.asarray(motion.keypoints_2d) for motion in motions])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def _camera(motion: Motion) -> dict[str, np.ndarray]:
    if motion.camera is None:
        return {}
    return {name: np.array(getattr(motion.camera, name)) for name in _CAMERA}


def read_motions(path: str | Path) -> tuple[Motion, ...]:
    """The people of a clip or of a fitted photo: the folder of either, or its `.npz`.

    FileNotFoundError if there is none; ValueError, in one line, if it is damaged.
    """
    path = motions_path(path)
    with reading(path, "the motion of a clip, or a fit of exemplar fit"):
        arrays = read_npz(path, {*_SHARED, *_PER_PERSON, *_CAMERA, _KEYPOINTS})
        of_clip = "times" in arrays
        needed = (*_SHARED, *_PER_PERSON) if of_clip else (*_OF_FIT, *_CAMERA, "body")
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return _of_clip(arrays) if of_clip else _of_fit(arrays)


def motions_path(path: str | Path) -> Path:
    """The `.npz` that `read_motions` reads; FileNotFoundError if there is none, ValueError for a
    file of another kind."""
    path = Path(path)
    expected = "expected the folder that exemplar fit, video or views wrote"
    if path.is_file():
        if path.suffix.lower() != ".npz":
            raise ValueError(f"{path} is no result: {expected}, or the .npz in it")
        return path
    for name in (MOTION_FILE, FIT_FILE):
        if (path / name).is_file():
            return path / name
    what = f"{MOTION_FILE} or {FIT_FILE} in" if path.is_dir() else "result at"
    raise FileNotFoundError(f"no {what} {path}: {expected}")


def _of_clip(arrays: Mapping[str, np.ndarray]) -> tuple[Motion, ...]:
    camera = _read_camera(arrays) if "focal" in arrays else None
    times = _numbers(arrays["times"])
    if times.ndim != 1:
        raise ValueError(f"its times are {times.shape}, expected one a frame")
    shared: dict[str, Any] = {
        "times": times,
        "fps": float(arrays["fps"]),
        "frame": cast(Frame, str(arrays["frame"])),
        "body": str(arrays["body"]),
        "camera": camera,
    }
    names = [*_PER_PERSON, *([_KEYPOINTS] if _KEYPOINTS in arrays else [])]
    return tuple(Motion(**shared, **person) for person in _people(arrays, names))


def _of_fit(arrays: Mapping[str, np.ndarray]) -> tuple[Motion, ...]:
    camera, body = _read_camera(arrays), str(arrays["body"])
    people = _people(arrays, _OF_FIT)
    return tuple(still(**person, camera=camera, body=body) for person in people)


def _people(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row of each array for each person."""
    counts = {name: len(arrays[name]) for name in names}
    if len(set(counts.values())) > 1:
        raise ValueError(f"its arrays are of different numbers of people: {counts}")
    return [
        {name: _row(arrays[name][i], text=name == "status") for name in names}
        for i in range(next(iter(counts.values())))
    ]


def _row(values: Any, *, text: bool) -> Any:
    if not text:
        return _numbers(values)
    return str(values) if np.ndim(values) == 0 else tuple(str(value) for value in values)


def _numbers(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(np.float64)


def _read_camera(arrays: Mapping[str, np.ndarray]) -> Camera:
    missing = [name for name in _CAMERA if name not in arrays]
    if missing:
        raise ValueError(f"its camera lacks {', '.join(missing)}")
    width, height = (int(side) for side in arrays["image_size"])
    return Camera(float(arrays["focal"]), _numbers(arrays["principal_point"]), (width, height))
