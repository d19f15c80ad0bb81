"""What the page of a result shows, as values that a script can hold: bodies, camera and photo.

Everything has x right, y down, z forward, metres: a photo's camera frame. Meshes are 16-bit
numbers, each frame less the one before it, and compressed: about 20 kB a body and frame.
"""

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from exemplar.bodies import Body, BodyParams
from exemplar.files.glb_files import read_glb
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import reading
from exemplar.motion import Motion, turned
from exemplar.motion_files import PHOTO_FILE, motions_path, read_motions
from exemplar.skeletons import SMPL_24
from exemplar.viewer.result.cameras import WORLD_TO_SCENE, cameras_of, clocks_of, with_pictures

MOST_FRAMES = 600
"""Frames of a clip that a page holds; of longer clips it shows every second, third, ... one."""

MOST_PICTURES = 240
"""Pictures of clips that a page holds, of all cameras together."""

_STEPS = ("global_orient", "body_pose", "betas", "translation", "error_px")
_CHUNK = 32


@dataclass(frozen=True)
class ShownMesh:
    """What the bodies of one kind share."""

    faces: Int[np.ndarray, "f 3"]
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    """Of each joint; -1 for none."""

    def written(self) -> dict[str, Any]:
        """As `result.js` takes it."""
        bones = [[joint, parent] for joint, parent in enumerate(self.parents) if parent >= 0]
        names = [name.replace("_", " ") for name in self.joint_names]
        return {"faces": _packed(self.faces.astype("<u4")), "bones": bones, "jointNames": names}


@dataclass(frozen=True)
class ShownPerson:
    """One person's bodies in T frames, or after T - 1 iterations."""

    name: str
    status: str
    """What became of the fit; of a clip, of its first frame with a body."""
    seen: Bool[np.ndarray, " t"]
    """Which frames have a body."""
    vertices: Float[np.ndarray, "t v 3"]
    """Mesh, metres."""
    joints: Float[np.ndarray, "t joints 3"]
    """Joints of the skeleton, metres."""
    error_px: tuple[float, ...] = ()
    """Of a photo's iterates: mean 2D error, px of a 224 crop."""
    colour: tuple[float, float, float] | None = None
    """RGB, 0 to 1; None takes the page's own for the person's number."""


def read_scene(
    result: Path, load: Callable[[str], Body], *, photos: Sequence[Path] = (), title: str = ""
) -> dict[str, Any]:
    """A fitted photo or clip (its folder or `.npz`), or any `.glb`, for `result.js`.

    Args:
        result: as `motion_files.read_motions` takes it, or a `.glb`.
        load: gives the body of a name.
        photos: the photo, where it is not in the folder, the clip or the folder of frames of each
            camera
            (`cameras.with_pictures`).
        title: heading of the page; the folder's name unless given.

    FileNotFoundError if a file is missing; ValueError, in one line, for a damaged one, for a result
    without people and for another photo.
    """
    if result.suffix.lower() == ".glb":
        return _scene_of_glb(result, title)
    path = motions_path(result)
    motions = read_motions(path)
    if not any(motion.seen.any() for motion in motions):
        raise ValueError(f"{path}: nobody has a body in any frame")
    first = motions[0]
    body = load(first.body)
    still = len(first.times) == 1
    if not photos and (path.parent / PHOTO_FILE).is_file():
        photos = [path.parent / PHOTO_FILE]
    cameras, clocks = cameras_of(path.parent, first), clocks_of(path.parent)
    most = max(1, MOST_PICTURES // len(photos)) if photos else MOST_FRAMES
    step = -(-len(first.times) // most)
    times = first.times[::step]
    people = (
        _iterates(path, body, motions)
        if still and read_npz(path, ["step_person"])
        else [_moving(number, motion, body, step) for number, motion in enumerate(motions)]
    )
    return _scene(
        title or path.resolve().parent.name,
        [] if people[0].error_px else times - times[0],
        [camera.written() for camera in with_pictures(cameras, photos, times, clocks)],
        [ShownMesh(body.faces.numpy(), SMPL_24, tuple(body.parents))],
        people,
    )


def _scene_of_glb(path: Path, title: str) -> dict[str, Any]:
    times, found = read_glb(path, MOST_FRAMES)
    whole = np.ones(len(times), dtype=bool)
    return _scene(
        title or path.stem,
        times,
        [],
        [ShownMesh(mesh.faces, mesh.joint_names, mesh.parents) for mesh in found],
        [
            ShownPerson(
                mesh.name.replace("_", " "),
                "",
                whole,
                mesh.vertices @ WORLD_TO_SCENE,
                mesh.joints @ WORLD_TO_SCENE,
                colour=mesh.colour,
            )
            for mesh in found
        ],
    )


def _scene(
    title: str,
    times: np.ndarray | list[float],
    cameras: list[dict[str, Any]],
    meshes: Sequence[ShownMesh],
    people: Sequence[ShownPerson],
) -> dict[str, Any]:
    """What the page is told; people have a mesh each, or share the first."""
    return {
        "title": title,
        "times": np.round(times, 4).tolist(),
        "cameras": cameras,
        "meshes": [mesh.written() for mesh in meshes],
        "people": [
            {**_written(person), "mesh": min(number, len(meshes) - 1)}
            for number, person in enumerate(people)
        ],
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
                ShownPerson(
                    f"person {number}", motion.status[0], seen, vertices, joints, error_px=errors
                )
            )
        return people


def _moving(number: int, motion: Motion, body: Body, step: int) -> ShownPerson:
    """A person of a clip, every `step`-th frame."""
    if motion.frame == "world":
        orient, away = turned(motion, body, WORLD_TO_SCENE)
        motion = replace(motion, global_orient=orient, translation=away)
    rows = {
        "global_orient": motion.global_orient[::step],
        "body_pose": motion.body_pose[::step],
        "translation": motion.translation[::step],
    }
    betas = np.broadcast_to(motion.betas, (len(rows["translation"]), len(motion.betas)))
    seen, vertices, joints = _posed(body, {**rows, "betas": betas})
    status = next((s for s, known in zip(motion.status, motion.seen, strict=True) if known), "")
    return ShownPerson(f"person {number}", status, seen & motion.seen[::step], vertices, joints)


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


def _written(person: ShownPerson) -> dict[str, Any]:
    known = person.vertices[person.seen] if person.seen.any() else person.vertices[:1]
    low = known.min((0, 1))
    scale = np.maximum(known.max((0, 1)) - low, 1e-6) / 65535
    steps = ((person.vertices - low) / scale).round().clip(0, 65535).astype("<u2")
    steps[1:] -= steps[:-1].copy()  # modulo 2^16, and so back
    return {
        "name": person.name,
        "status": person.status,
        "seen": person.seen.tolist(),
        "low": low.tolist(),
        "scale": scale.tolist(),
        "vertices": _packed(steps),
        "joints": _packed(person.joints.astype("<f4")),
        "errors": list(person.error_px),
        "colour": person.colour,
    }


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 6)).decode()
