"""People who stand before a camera: their bodies, and the truth about them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from exemplar.bodies.body import Body, BodyParams
from exemplar.bodies.lbs import skin
from exemplar.bodies.open_body import load_open_body
from exemplar.skeletons import SMPL_49, indices
from exemplar.synth.config import SynthConfig
from exemplar.synth.contact import joint_frames
from exemplar.synth.poses import PoseDraw, axis_angle_to_rotmat, draw_pose
from exemplar.synth.regions import Regions, body_regions
from exemplar.synth.render import Rendering
from exemplar.synth.surfaces import PosedBody, noise_volume
from exemplar.synth.views import Crop, View, draw_crop, draw_view, weak_camera

MIN_DEPTH = 0.35
"""No keypoint comes nearer to the camera than this, metres."""

_FACE = ("nose", "eye", "ear")
_DEEP = ("hip", "shoulder", "pelvis", "spine", "thorax", "neck", "head", "jaw", "top", "mid")


@dataclass(frozen=True)
class Subject:
    """One posed body in the crop's camera frame."""

    draw: PoseDraw
    """Pose, and family of poses."""
    betas: np.ndarray
    """float64 (10,)."""
    orient: np.ndarray
    """float64 (3, 3): body frame to the crop's camera frame."""
    posed: PosedBody
    """The surface, to be dressed."""
    keypoints: np.ndarray
    """float64 (49, 3), metres."""
    transl: np.ndarray
    """float64 (3,): the body's origin, metres."""
    crop: Crop
    """The camera."""
    level: np.ndarray
    """float64 (3, 3): world (y up) to the crop's camera frame."""

    @property
    def up(self) -> np.ndarray:
        """Up in the crop's camera frame."""
        return self.level @ np.array([0.0, 1.0, 0.0])


@cache
def open_body() -> Body:
    """The body that everybody has."""
    return load_open_body()


@cache
def regions_of(body: Body) -> Regions:
    """Where the body's parts are, for garments."""
    return body_regions(body)


@cache
def fabric_noise() -> np.ndarray:
    """The noise that all surfaces take their irregularity from."""
    return noise_volume()


def draw_subject(rng: np.random.Generator, body: Body, config: SynthConfig) -> Subject:
    """Somebody in some pose before some camera."""
    draw = draw_pose(rng, body.joints_template.double().numpy(), config.poses)
    limit = config.poses.betas_limit
    betas = np.clip(rng.normal(0, config.poses.betas_std, body.num_betas), -limit, limit)
    view = draw_view(rng, config.views)
    orient = view.rotation @ draw.world_orient
    keypoints = keypoints_of(body, orient, draw.body_pose, betas)
    place = _clear_of_camera(view, keypoints)
    crop = draw_crop(rng, keypoints + place, config.views, config.image_size)
    return stand(body, draw, betas, orient, keypoints, View(view.rotation, place), crop)


def stand(
    body: Body,
    draw: PoseDraw,
    betas: np.ndarray,
    orient: np.ndarray,
    keypoints: np.ndarray,
    view: View,
    crop: Crop,
) -> Subject:
    """A body in front of a camera whose picture is the crop.

    Args:
        body: the body model.
        draw: its pose.
        betas: (10,) its shape.
        orient: (3, 3) body frame to the camera's, before the crop turns it.
        keypoints: (49, 3) in that frame, about the body's origin, metres.
        view: the camera, and where the body's origin is in its frame.
        crop: what of the camera's picture is shown.
    """
    orient, transl = crop.roll @ orient, crop.roll @ view.place
    posed = pose_body(body, orient, draw.body_pose, betas, transl)
    keypoints = keypoints @ crop.roll.T + transl
    return Subject(draw, betas, orient, posed, keypoints, transl, crop, crop.roll @ view.rotation)


def _clear_of_camera(view: View, keypoints: np.ndarray) -> np.ndarray:
    """The pelvis' place, moved back so that all keypoints are in front of the camera."""
    nearest = (keypoints[:, 2] + view.place[2]).min()
    return view.place * (1 + max(0.0, MIN_DEPTH - nearest) / view.place[2])


def _params(orient: np.ndarray, pose: np.ndarray, betas: np.ndarray) -> BodyParams:
    return BodyParams(
        torch.from_numpy(orient.astype(np.float32)),
        torch.from_numpy(axis_angle_to_rotmat(pose).astype(np.float32)),
        torch.from_numpy(betas.astype(np.float32)),
    )


def keypoints_of(body: Body, orient: np.ndarray, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The 49 keypoints (49, 3) about the body's origin, metres."""
    with torch.no_grad():
        return body.keypoints(_params(orient, pose, betas), "smpl49").double().numpy()


def pose_body(
    body: Body, orient: np.ndarray, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray
) -> PosedBody:
    """The body with its joint transforms, which the garments move with."""
    rest = (body.joints_template.numpy() + body.joints_shapedirs.numpy() @ betas).astype(np.float64)
    rotmats = np.concatenate([orient[None], axis_angle_to_rotmat(pose)])
    world, joints = joint_frames(rotmats, rest)
    offsets = joints - np.einsum("jab,jb->ja", world, rest) + transl
    world, offsets = world.astype(np.float32), offsets.astype(np.float32)
    with torch.no_grad():
        shift = body.shapedirs @ torch.from_numpy(betas.astype(np.float32))
        vertices = skin(
            body.v_template + shift,
            body.skinning_weights,
            torch.from_numpy(world),
            torch.from_numpy(offsets),
        )
    return PosedBody(
        vertices=np.ascontiguousarray(vertices.numpy()),
        joints=(joints + transl).astype(np.float32),
        rotations=world,
        offsets=offsets,
        shape_shift=shift.numpy(),
    )


def truth_of(subject: Subject, picture: Rendering, config: SynthConfig) -> dict[str, np.ndarray]:
    """All fields of a `SynthBatch` for one person."""
    keypoints, crop, size = subject.keypoints, subject.crop, config.image_size
    pixels = crop.project(keypoints)
    inside = ((pixels >= 0) & (pixels < size)).all(1) & crop.in_photograph(pixels)
    root = keypoints[indices(["op_mid_hip"], SMPL_49)[0]]
    camera = weak_camera(keypoints - subject.transl, pixels, size)
    truth = {
        "global_orient": subject.orient,
        "body_pose": axis_angle_to_rotmat(subject.draw.body_pose),
        "betas": subject.betas,
        "weak_camera": camera,
        "keypoints_2d": np.concatenate([pixels, inside[:, None]], 1),
        "keypoints_3d": keypoints - root,
        "root": root,
        "focal": np.array(crop.focal),
        "principal_point": crop.principal_point,
        "distance": root[2],
    }
    numbers = {key: np.asarray(value, np.float32) for key, value in truth.items()}
    return numbers | {
        "images": picture.image,
        "visible": inside & _seen(pixels, keypoints[:, 2], picture, inside),
        "family": np.array(subject.draw.family),
    }


@cache
def _flesh() -> np.ndarray:
    """How far beneath the surface each keypoint may lie and still count as seen, metres."""

    def depth(name: str) -> float:
        words = set(name.split("_"))
        return 0.05 if words & set(_FACE) else 0.17 if words & set(_DEEP) else 0.09

    return np.array([depth(name) for name in SMPL_49])


def _seen(
    pixels: np.ndarray, depth: np.ndarray, picture: Rendering, inside: np.ndarray
) -> np.ndarray:
    coarse, fine = len(picture.hidden), len(picture.nearness)
    spots = np.where(inside[:, None], pixels, 0.0) / coarse
    x, y = np.clip((spots * fine).astype(int), 0, fine - 1).T
    shallowest = 1 / np.maximum(depth - _flesh(), 0.05)
    uncovered = ~picture.hidden[y * coarse // fine, x * coarse // fine]
    return (picture.nearness[y, x] < shallowest) & uncovered
