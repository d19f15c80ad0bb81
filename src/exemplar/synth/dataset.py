"""Synthetic photographs with exact truth, drawn one by one from (seed, index)."""

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
import torch

from exemplar.bodies.body import Body, BodyParams
from exemplar.bodies.lbs import skin
from exemplar.bodies.open_body import load_open_body
from exemplar.skeletons import SMPL_49, indices
from exemplar.synth.config import SynthConfig
from exemplar.synth.contact import joint_frames
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import draw_outfit
from exemplar.synth.poses import PoseDraw, axis_angle_to_rotmat, draw_pose, turn
from exemplar.synth.regions import Regions, body_regions
from exemplar.synth.render import Canvas, Rendering, new_canvas, render_person
from exemplar.synth.surfaces import PosedBody, SceneMesh, dress, noise_volume
from exemplar.synth.views import Crop, View, draw_crop, draw_view, weak_camera

MIN_DEPTH = 0.35
"""No keypoint comes nearer to the camera than this, metres."""

_FACE = ("nose", "eye", "ear")
_DEEP = ("hip", "shoulder", "pelvis", "spine", "thorax", "neck", "head", "jaw", "top", "mid")


@dataclass(frozen=True)
class SynthBatch:
    """Photographs of n people; S is the side of the crops, pixels."""

    images: np.ndarray
    """uint8 (n, S, S, 3), RGB."""
    global_orient: np.ndarray
    """float32 (n, 3, 3): body frame to the crop's camera frame."""
    body_pose: np.ndarray
    """float32 (n, 23, 3, 3): joint rotations relative to the parent."""
    betas: np.ndarray
    """float32 (n, 10)."""
    weak_camera: np.ndarray
    """float32 (n, 3): (s, tx, ty), least squares, u = s X + tx in the crop's [-1, 1]; X is the
    body at its own origin, as `body(params)` gives it."""
    keypoints_2d: np.ndarray
    """float32 (n, 49, 3): x, y in crop pixels and confidence 1, or 0 outside the picture."""
    visible: np.ndarray
    """bool (n, 49): inside the picture and not behind the body itself or an occluder."""
    keypoints_3d: np.ndarray
    """float32 (n, 49, 3): camera frame, metres, relative to the op_mid_hip joint."""
    root: np.ndarray
    """float32 (n, 3): that joint in the camera frame, metres."""
    focal: np.ndarray
    """float32 (n,): pixels of the crop."""
    principal_point: np.ndarray
    """float32 (n, 2): crop pixels."""
    distance: np.ndarray
    """float32 (n,): depth of the root, metres."""
    family: np.ndarray
    """str (n,): name of the pose's family."""


@dataclass(frozen=True)
class _Subject:
    """One posed body in the crop's camera frame."""

    draw: PoseDraw
    betas: np.ndarray
    orient: np.ndarray
    posed: PosedBody
    keypoints: np.ndarray
    transl: np.ndarray
    crop: Crop
    level: np.ndarray
    """World (y up) to the crop's camera."""

    @property
    def up(self) -> np.ndarray:
        """Up in the crop's camera frame."""
        return self.level @ np.array([0.0, 1.0, 0.0])


def draw_samples(
    n: int,
    *,
    seed: int,
    start: int = 0,
    body: Body | None = None,
    config: SynthConfig | None = None,
) -> SynthBatch:
    """Draw samples `start` to `start + n` of the endless sequence of a seed.

    Every sample depends on (seed, index, config, body) alone: ranges may be drawn in any order,
    by any number of processes.

    Raises:
        ValueError: n is not positive.
    """
    if n < 1:
        raise ValueError(f"expected n >= 1, got {n}")
    body = _open_body() if body is None else body
    config = SynthConfig() if config is None else config
    regions = _regions(body)
    canvas = new_canvas(config)
    rows = [_draw_sample(seed, start + i, body, regions, config, canvas) for i in range(n)]
    return SynthBatch(
        **{item.name: np.stack([row[item.name] for row in rows]) for item in fields(SynthBatch)}
    )


@cache
def _open_body() -> Body:
    return load_open_body()


@cache
def _regions(body: Body) -> Regions:
    return body_regions(body)


@cache
def _volume() -> np.ndarray:
    return noise_volume()


def _draw_sample(
    seed: int, index: int, body: Body, regions: Regions, config: SynthConfig, canvas: Canvas
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, index])
    subject = _draw_subject(rng, body, config)
    outfit = draw_outfit(rng, regions)
    mesh = dress(subject.posed, outfit, regions, _volume())
    bystander = None
    if rng.random() < config.scene.bystander:
        bystander = _draw_bystander(rng, subject, mesh, body, regions, config)
    picture = render_person(
        rng, mesh, bystander, face_marks(rng, outfit, regions.marks), regions.marks.neck_y,
        subject.crop, subject.up, config, _volume(), canvas,
    )  # fmt: skip
    return _truth(subject, picture, config)


def _draw_bystander(
    rng: np.random.Generator,
    subject: _Subject,
    mesh: SceneMesh,
    body: Body,
    regions: Regions,
    config: SynthConfig,
) -> SceneMesh | None:
    """Somebody else on the same floor; None if they would stand in the camera."""
    draw = draw_pose(rng, body.joints_template.double().numpy(), config.poses)
    betas = np.clip(rng.normal(0, config.poses.betas_std, body.num_betas), -3, 3)
    facing = turn("y", rng.uniform(-np.pi, np.pi)) @ draw.world_orient
    orient = subject.level @ facing
    ahead = rng.uniform(-0.5, 2.0)
    aside = rng.choice([-1.0, 1.0]) * rng.uniform(0.5 if ahead < 0.2 else 0.2, 1.1)
    away = subject.level @ turn("y", rng.normal(0, 0.5)) @ np.array([aside, 0.0, 0.0])
    place = subject.transl + away + np.array([0.0, 0.0, ahead])
    posed = _pose_body(body, orient, draw.body_pose, betas, place)
    up = subject.up.astype(np.float32)
    lift = up * ((mesh.vertices @ up).min() - (posed.vertices @ up).min())
    posed = replace(posed, vertices=posed.vertices + lift, offsets=posed.offsets + lift)
    if posed.vertices[:, 2].min() < MIN_DEPTH:
        return None
    return dress(posed, draw_outfit(rng, regions), regions, _volume())


def _draw_subject(rng: np.random.Generator, body: Body, config: SynthConfig) -> _Subject:
    draw = draw_pose(rng, body.joints_template.double().numpy(), config.poses)
    limit = config.poses.betas_limit
    betas = np.clip(rng.normal(0, config.poses.betas_std, body.num_betas), -limit, limit)
    view = draw_view(rng, config.views)
    orient = view.rotation @ draw.world_orient
    keypoints = _keypoints(body, orient, draw.body_pose, betas)
    place = _clear_of_camera(view, keypoints)
    crop = draw_crop(rng, keypoints + place, config.views, config.image_size)

    orient, transl = crop.roll @ orient, crop.roll @ place
    posed = _pose_body(body, orient, draw.body_pose, betas, transl)
    keypoints = keypoints @ crop.roll.T + transl
    return _Subject(draw, betas, orient, posed, keypoints, transl, crop, crop.roll @ view.rotation)


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


def _keypoints(body: Body, orient: np.ndarray, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return body.keypoints(_params(orient, pose, betas), "smpl49").double().numpy()


def _pose_body(
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


def _truth(subject: _Subject, picture: Rendering, config: SynthConfig) -> dict[str, np.ndarray]:
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
