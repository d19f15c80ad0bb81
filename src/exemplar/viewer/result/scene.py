"""What the page of a result shows, as values that a script can hold: bodies, camera and photo.

Everything is in the camera's frame: x right, y down, z forward, metres. Meshes are 16-bit numbers,
each frame less the one before it, and compressed, which leaves about 20 kB a body and frame.
"""

import base64
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from exemplar.bodies import Body, BodyParams
from exemplar.files.image_files import read_image
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import reading
from exemplar.motion import Motion, turned
from exemplar.motion_files import motions_path, read_motions
from exemplar.skeletons import SMPL_24

MOST_FRAMES = 600
"""Frames of a clip that a page holds; of longer clips it shows every second, third, ... one."""

LONGEST_SIDE = 1600
"""Photos are made smaller than this many px, for the page alone."""

PHOTO = "photo.jpg"
"""Where the folder of a fitted photo has the photo."""

_STEPS = ("global_orient", "body_pose", "betas", "translation", "error_px")
_CHUNK = 32


@dataclass(frozen=True)
class ShownPerson:
    """One person's bodies in T frames, or after T - 1 iterations."""

    number: int
    """From 0, as in the result's files."""
    status: str
    """What became of the fit; of a clip, of its first frame with a body."""
    seen: Bool[np.ndarray, " t"]
    """Which frames have a body."""
    vertices: Float[np.ndarray, "t v 3"]
    """Mesh, metres."""
    joints: Float[np.ndarray, "t 24 3"]
    """The 24 SMPL joints, metres."""
    error_px: tuple[float, ...] = ()
    """Of a photo's iterates: mean 2D error, px of a 224 crop."""


def read_scene(
    result: Path, load: Callable[[str], Body], *, photo: Path | None = None, title: str = ""
) -> dict[str, Any]:
    """The result at `result`, the folder or `.npz` of a fitted photo or clip, for `result.js`.

    Args:
        result: as `motion_files.read_motions` takes it.
        load: gives the body of a name.
        photo: the photo, where it is not in the folder.
        title: heading of the page; the folder's name unless given.

    FileNotFoundError if a file is missing; ValueError, in one line, for a damaged one, for a result
    without people and for another photo.
    """
    path = motions_path(result)
    motions = read_motions(path)
    if not any(motion.seen.any() for motion in motions):
        raise ValueError(f"{path}: nobody has a body in any frame")
    first = motions[0]
    body = load(first.body)
    still = len(first.times) == 1
    step = -(-len(first.times) // MOST_FRAMES)
    people = (
        _iterates(path, body, motions)
        if still
        else [_moving(number, motion, body, step) for number, motion in enumerate(motions)]
    )
    if photo is None and (path.parent / PHOTO).is_file():
        photo = path.parent / PHOTO
    return {
        "title": title or path.resolve().parent.name,
        "kind": "photo" if still else "clip",
        "times": [] if still else (first.times[::step] - first.times[0]).round(4).tolist(),
        "camera": first.camera
        and {
            "focal": first.camera.focal,
            "centre": first.camera.principal_point.tolist(),
            "size": list(first.camera.image_size),
        },
        "photo": photo and _picture(photo, first),
        "faces": _packed(body.faces.numpy().astype("<u2")),
        "bones": [[joint, parent] for joint, parent in enumerate(body.parents) if parent >= 0],
        "jointNames": [name.replace("_", " ") for name in SMPL_24],
        "people": [_written(person) for person in people],
    }


def _iterates(path: Path, body: Body, motions: Sequence[Motion]) -> list[ShownPerson]:
    """The people of a fitted photo, from the regressor's answer on."""
    with reading(path, "a fit of exemplar fit"):
        names = ("step_person", "step_iteration", *(f"step_{name}" for name in _STEPS))
        arrays = read_npz(path, names)
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        people = []
        for number, motion in enumerate(motions):
            rows = np.flatnonzero(arrays["step_person"] == number)
            rows = rows[np.argsort(arrays["step_iteration"][rows], kind="stable")]
            steps = {name: np.asarray(arrays[f"step_{name}"], np.float64)[rows] for name in _STEPS}
            if not len(rows):
                raise ValueError(f"it has no iterates of person {number}")
            seen, vertices, joints = _posed(body, steps)
            errors = tuple(np.nan_to_num(steps["error_px"]).round(2).tolist())
            people.append(
                ShownPerson(number, motion.status[0], seen, vertices, joints, error_px=errors)
            )
        return people


def _moving(number: int, motion: Motion, body: Body, step: int) -> ShownPerson:
    """A person of a clip, every `step`-th frame."""
    if motion.frame == "world":
        orient, away = turned(motion, body, np.diag([1.0, -1.0, -1.0]))
        motion = replace(motion, global_orient=orient, translation=away)
    rows = {
        "global_orient": motion.global_orient[::step],
        "body_pose": motion.body_pose[::step],
        "translation": motion.translation[::step],
    }
    betas = np.broadcast_to(motion.betas, (len(rows["translation"]), len(motion.betas)))
    seen, vertices, joints = _posed(body, {**rows, "betas": betas})
    status = next((s for s, known in zip(motion.status, motion.seen, strict=True) if known), "")
    return ShownPerson(number, status, seen & motion.seen[::step], vertices, joints)


def _posed(
    body: Body, rows: Mapping[str, np.ndarray]
) -> tuple[Bool[np.ndarray, " t"], Float[np.ndarray, "t v 3"], Float[np.ndarray, "t 24 3"]]:
    """Which rows are bodies, their vertices and their joints."""
    names = ("global_orient", "body_pose", "betas", "translation")
    count = len(rows["translation"])
    seen = np.ones(count, dtype=bool)
    for name in names:
        seen &= np.isfinite(rows[name].reshape(count, -1)).all(1)
    parts = [torch.from_numpy(np.where(_along(seen, rows[n]), rows[n], 0.0)) for n in names]
    found = [
        body(BodyParams(*(part[first : first + _CHUNK].to(body.v_template) for part in parts)))
        for first in range(0, count, _CHUNK)
    ]
    vertices = np.concatenate([one.vertices.numpy() for one in found])
    return seen, vertices, np.concatenate([one.joints.numpy() for one in found])


def _along(seen: np.ndarray, values: np.ndarray) -> np.ndarray:
    return seen.reshape(-1, *[1] * (values.ndim - 1))


def _picture(path: Path, motion: Motion) -> str:
    """The photo as a data URL; ValueError if it is not the one that was fitted."""
    pixels = read_image(path)
    size = pixels.shape[1::-1]
    if motion.camera is not None and size != motion.camera.image_size:
        width, height = motion.camera.image_size
        raise ValueError(
            f"{path} is {size[0]} x {size[1]} px, expected the fitted photo's {width} x {height}"
        )
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    picture.save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _written(person: ShownPerson) -> dict[str, Any]:
    known = person.vertices[person.seen] if person.seen.any() else person.vertices[:1]
    low = known.min((0, 1))
    scale = np.maximum(known.max((0, 1)) - low, 1e-6) / 65535
    steps = ((person.vertices - low) / scale).round().clip(0, 65535).astype("<u2")
    steps[1:] -= steps[:-1].copy()  # modulo 2^16, and so back
    return {
        "number": person.number,
        "status": person.status,
        "seen": person.seen.tolist(),
        "low": low.tolist(),
        "scale": scale.tolist(),
        "vertices": _packed(steps),
        "joints": _packed(person.joints.astype("<f4")),
        "errors": list(person.error_px),
    }


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 6)).decode()
