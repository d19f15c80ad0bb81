"""What a moving person is: one body over the frames of a clip, as plain numpy arrays.

A photo is a clip of one frame. `motion_files` has the files.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.bodies import OPEN_BODY, Body, BodyOutput, BodyParams
from exemplar.bodies.lbs import forward_kinematics
from exemplar.geometry.rigs import LensCamera
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from exemplar.results import FitResult
from exemplar.skeletons import SMPL_24, SMPL_49

MISSING = "missing"
"""Status of a frame without a body of this person; its row of the arrays is not looked at."""

HIGHEST_FPS = 1000.0
"""Frames a second that a motion may have."""

LARGEST = 1e6
"""Size that no number of a motion reaches: files of float32 hold it and what is made of it."""

STILL_FPS = 30.0
"""Frames a second that a photo is given, since files of motion must name a number."""

Frame = Literal["camera", "world"]
"""`camera`: x right, y down, z forward, the camera at the origin. `world`: y up; where the origin
lies is the maker's choice. Metres."""

_SHAPES = {
    "global_orient": (3, 3),
    "body_pose": (len(SMPL_24) - 1, 3, 3),
    "translation": (3,),
    "confidence": (),
    "keypoints_2d": (len(SMPL_49), 3),
}
"""A frame's part of each array."""

_ROTATIONS = ("global_orient", "body_pose")

_ORTHONORMAL = 1e-3
"""How far entries of R R^T may be from the identity's."""

_HALF_TURN = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that sees full images. ValueError if its numbers make none."""

    focal: float
    """Focal length, px."""
    principal_point: Float[np.ndarray, "2"]
    """Principal point, px."""
    image_size: tuple[int, int]
    """Width and height, px."""

    def __post_init__(self) -> None:
        if not min(self.image_size) > 0:
            raise ValueError(f"{self} is not a camera")
        self.lens  # noqa: B018 - a ValueError if the numbers make no camera

    @property
    def lens(self) -> LensCamera:
        """The same, at the origin, as calibrated cameras are given."""
        intrinsics = np.diag([self.focal, self.focal, 1.0])
        intrinsics[:2, 2] = self.principal_point
        none = np.zeros(0)
        return LensCamera("camera", intrinsics, np.eye(3), np.zeros(3), none, self.image_size)


@dataclass(frozen=True)
class Motion:
    """One person over the T frames of a clip: one shape, a pose and a place for each frame.

    People of one clip have the same `times`, `fps`, `frame`, `body` and `camera`. ValueError if
    shapes disagree, if a frame with a body has numbers that are not finite or matrices that are no
    rotations, or if the times do not grow at about `fps`.
    """

    times: Float[np.ndarray, " t"]
    """When each frame is shown, seconds, growing."""
    fps: float
    """Frames a second; the times may stray from it by a factor of two on average."""
    global_orient: Float[np.ndarray, "t 3 3"]
    """Root rotation, body frame (y up, facing +z) to `frame`."""
    body_pose: Float[np.ndarray, "t 23 3 3"]
    """Rotations of the other joints relative to their parents."""
    betas: Float[np.ndarray, " shapes"]
    """Shape coefficients, for all frames."""
    translation: Float[np.ndarray, "t 3"]
    """Of the body's origin, metres; the pelvis lies at its rest position plus this."""
    status: tuple[str, ...]
    """Of each frame: one of `results`, or `MISSING`."""
    confidence: Float[np.ndarray, " t"]
    """How sure the keypoints of each frame are, 0 to 1."""
    frame: Frame = "camera"
    """What `global_orient` and `translation` refer to."""
    body: str = OPEN_BODY
    """Name of the body model, as `bodies.load_body` takes it."""
    camera: Camera | None = None
    """What the clip was filmed with, if it is one camera that keeps still."""
    keypoints_2d: Float[np.ndarray, "t 49 3"] | None = None
    """The keypoints that were fitted: x, y in image px, confidence (0: missing)."""

    def __post_init__(self) -> None:
        count = len(self.times)
        if not count or len(self.status) != count:
            raise ValueError(f"{count} times and {len(self.status)} statuses of frames")
        if self.frame not in get_args(Frame):
            raise ValueError(f"unknown frame {self.frame!r}, expected camera or world")
        for name, shape in _SHAPES.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != (count, *shape):
                raise ValueError(f"expected {name} {(count, *shape)}, got {array.shape}")
            if not _are_sane(array[self.seen]):
                raise ValueError(f"{name} has numbers that are not finite, or too large")
            if name in _ROTATIONS and not _are_rotations(array[self.seen]):
                raise ValueError(f"{name} has matrices that are not rotations")
        if self.betas.ndim != 1 or not _are_sane(self.betas):
            raise ValueError("betas are not a row of numbers that are finite and not too large")
        _check_times(self.times, self.fps)

    @property
    def seen(self) -> Bool[np.ndarray, " t"]:
        """Which frames have a body."""
        return np.array([status != MISSING for status in self.status])


def rest_pose(body: Body, betas: Float[np.ndarray, " shapes"]) -> BodyOutput:
    """Joints (J, 3) and vertices (V, 3) of a shape in the rest pose, metres.

    ValueError if the body has another number of shape coefficients.
    """
    if not body.takes(len(betas)):
        raise ValueError(f"{len(betas)} betas, expected the {body.num_betas} of {body.name}")
    eye = torch.eye(3, dtype=body.v_template.dtype)
    return body(BodyParams(eye, eye.expand(len(SMPL_24) - 1, 3, 3), _tensor(betas, body)))


def joint_transforms(
    motion: Motion, body: Body
) -> tuple[Float[Tensor, "t 24 3 3"], Float[Tensor, "t 24 3"]]:
    """Rotations from the body's rest pose, and positions (metres), in the motion's frame."""
    rest = rest_pose(body, motion.betas).joints
    rotmats = _tensor(rotmats_of(motion), body)
    world, joints = forward_kinematics(rotmats, rest.expand(len(rotmats), -1, 3), body.parents)
    return world, joints + _tensor(motion.translation, body)[:, None]


def kinematic_joints(motion: Motion, body: Body) -> Float[np.ndarray, "t 24 3"]:
    """The 24 joints of each frame, metres in the motion's frame."""
    return joint_transforms(motion, body)[1].numpy()


def rotmats_of(motion: Motion) -> Float[np.ndarray, "t 24 3 3"]:
    """Rotations of all joints relative to their parents, the root's to the motion's frame."""
    return np.concatenate([motion.global_orient[:, None], motion.body_pose], axis=1)


def vertices_at(motion: Motion, body: Body, row: int) -> Float[np.ndarray, "v 3"]:
    """The mesh of one frame, metres in the motion's frame."""
    global_orient, body_pose, translation = (
        _tensor(values[row], body)
        for values in (motion.global_orient, motion.body_pose, motion.translation)
    )
    params = BodyParams(global_orient, body_pose, _tensor(motion.betas, body), translation)
    return body(params).vertices.numpy()


def turned(
    motion: Motion, body: Body, rotation: Float[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, "t 3 3"], Float[np.ndarray, "t 3"]]:
    """`global_orient` and `translation` in axes to which `rotation` takes the motion's frame."""
    root = rest_pose(body, motion.betas).joints.numpy()[SMPL_24.index("pelvis")]
    return rotation @ motion.global_orient, (motion.translation + root) @ rotation.T - root


def y_up(motion: Motion, body: Body) -> Motion:
    """The motion in a world of y up: half a turn about x takes the camera's frame to one."""
    if motion.frame == "world":
        return motion
    global_orient, translation = turned(motion, body, _HALF_TURN)
    return replace(motion, global_orient=global_orient, translation=translation, frame="world")


def steady(motion: Motion) -> Motion:
    """The motion at `fps` exactly, from the clip's first time to its last, without gaps.

    Rotations are interpolated on the shortest way and translations linearly between the frames
    with a body; before the first and after the last of them the person keeps still. There are no
    keypoints. ValueError if no frame has a body.
    """
    known = np.flatnonzero(motion.seen)
    if not len(known):
        raise ValueError("the person is in none of the frames")
    span = motion.times[-1] - motion.times[0]
    times = motion.times[0] + np.arange(1 + round(span * motion.fps)) / motion.fps
    right = np.searchsorted(motion.times[known], times).clip(min(1, len(known) - 1), len(known) - 1)
    before, after = known[np.maximum(right - 1, 0)], known[right]
    length = np.maximum(motion.times[after] - motion.times[before], 1e-9)
    share = ((times - motion.times[before]) / length).clip(0, 1)
    nearest = np.where(share < 0.5, before, after)

    def between(name: str) -> np.ndarray:
        return _rotated(getattr(motion, name)[before], getattr(motion, name)[after], share)

    step = motion.translation[after] - motion.translation[before]
    return replace(
        motion,
        times=times,
        global_orient=between("global_orient"),
        body_pose=between("body_pose"),
        translation=motion.translation[before] + share[:, None] * step,
        status=tuple(motion.status[row] for row in nearest),
        confidence=motion.confidence[nearest],
        keypoints_2d=None,
    )


def motions_of(result: FitResult) -> tuple[Motion, ...]:
    """The people of a fitted photo, as motions of one frame."""
    height, width = result.image.shape[:2]
    camera = Camera(result.focal, result.principal_point, (width, height))
    return tuple(
        still(
            person.after.global_orient,
            person.after.body_pose,
            person.after.betas,
            person.after.translation,
            status=person.status,
            keypoints_2d=person.keypoints_2d,
            camera=camera,
            body=result.body,
        )
        for person in result.people
    )


def still(
    global_orient: Float[np.ndarray, "3 3"],
    body_pose: Float[np.ndarray, "23 3 3"],
    betas: Float[np.ndarray, " shapes"],
    translation: Float[np.ndarray, "3"],
    *,
    status: str,
    keypoints_2d: Float[np.ndarray, "49 3"],
    camera: Camera,
    body: str,
) -> Motion:
    """A person of a photo, in its camera's frame, as a motion of one frame.

    The frame is `MISSING` if the body's numbers are not finite, or too large.
    """
    given = keypoints_2d[:, 2] > 0
    sane = all(_are_sane(part) for part in (global_orient, body_pose, betas, translation))
    return Motion(
        times=np.zeros(1),
        fps=STILL_FPS,
        global_orient=global_orient[None],
        body_pose=body_pose[None],
        betas=betas if sane else np.zeros_like(betas),
        translation=translation[None],
        status=(status if sane else MISSING,),
        confidence=np.array([keypoints_2d[given, 2].mean() if given.any() else 0.0]),
        camera=camera,
        body=body,
        keypoints_2d=np.where(given[:, None], keypoints_2d, 0.0)[None],
    )


def _are_sane(numbers: np.ndarray) -> bool:
    return bool((np.abs(numbers) < LARGEST).all())


def _are_rotations(matrices: Float[np.ndarray, "*batch 3 3"]) -> bool:
    gaps = matrices @ matrices.swapaxes(-1, -2) - np.eye(3)
    return bool((np.abs(gaps) < _ORTHONORMAL).all() and (np.linalg.det(matrices) > 0).all())


def _check_times(times: Float[np.ndarray, " t"], fps: float) -> None:
    if not 0 < fps <= HIGHEST_FPS:
        raise ValueError(f"expected frames a second above 0 and up to {HIGHEST_FPS:g}, got {fps}")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError("the times do not grow from frame to frame")
    steps = (times[-1] - times[0]) * fps
    if len(times) > 1 and not 0.5 <= steps / (len(times) - 1) <= 2:
        raise ValueError(
            f"{len(times)} frames in {steps / fps:g} s do not go with {fps:g} a second"
        )


def _rotated(
    first: Float[np.ndarray, "t *joints 3 3"],
    second: Float[np.ndarray, "t *joints 3 3"],
    share: Float[np.ndarray, " t"],
) -> Float[np.ndarray, "t *joints 3 3"]:
    """The rotations that are so far on the shortest way from the first to the second."""
    begin, end = torch.from_numpy(first).double(), torch.from_numpy(second).double()
    way = rotmat_to_axis_angle(begin.mT @ end)
    part = torch.from_numpy(share).reshape(-1, *[1] * (way.ndim - 1))
    return (begin @ axis_angle_to_rotmat(part * way)).numpy()


def _tensor(values: np.ndarray, body: Body) -> Tensor:
    return torch.from_numpy(np.asarray(values)).to(body.v_template)
