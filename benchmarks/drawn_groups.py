"""Drawn photos of several people on one floor, with exact truth."""

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from jaxtyping import Float, UInt8

from exemplar.bodies import Body
from exemplar.bodies.capsules import Capsules, capsules_of, depth_between
from exemplar.bodies.scaling import scaled_betas
from exemplar.synth.config import PoseConfig, SynthConfig
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import draw_outfit
from exemplar.synth.poses import draw_pose, turn
from exemplar.synth.render import Rendering, new_canvas, render_person
from exemplar.synth.subjects import fabric_noise, keypoints_of, open_body, pose_body, regions_of
from exemplar.synth.surfaces import PosedBody, dress, join_meshes
from exemplar.synth.views import Crop, look_at

SIDE = 640
"""Of the picture, px."""

TOUCHING = 0.03
"""People run through each other by no more, metres."""

NOISE = 0.01
"""Deviation of keypoints, in sides of a person."""

BURIED = 0.2
"""A joint that lies deeper beneath what is drawn is hidden, metres."""

FEWEST = 10
"""Of the 49 joints; somebody of whom fewer are seen is not told of."""

CHILD = 0.75
"""Size of a child, in sizes of an adult."""

_UPRIGHT = PoseConfig(families={"everyday": 0.6, "standing": 0.4})
_SEATED = PoseConfig(families={"sitting_ground": 0.4, "crouching": 0.3, "kneeling": 0.3})


@dataclass(frozen=True)
class DrawnGroup:
    """A photo and who is in it, metres in the camera's frame."""

    image: UInt8[np.ndarray, "h w 3"]
    focal: float
    """Px; the principal point is the picture's middle."""
    up: Float[np.ndarray, "3"]
    keypoints_2d: Float[np.ndarray, "people 49 3"]
    """As a detector might see them: px, with noise, those hidden missing."""
    joints: Float[np.ndarray, "people 49 3"]
    heights: Float[np.ndarray, " people"]
    """At rest."""


@dataclass(frozen=True)
class _Scene:
    level: np.ndarray
    """World (y up, the camera at its origin) to camera."""
    crop: Crop
    floor: float
    """Height of the floor in the world."""
    middle: np.ndarray
    """Where people are."""


@dataclass(frozen=True)
class _Stander:
    spot: np.ndarray
    """In the world."""
    posed: PosedBody
    joints: np.ndarray
    shape: Capsules


def draw_group(seed: int, number: int, *, child: bool = False) -> DrawnGroup:
    """Two to five people who stand, or now and then sit, near each other; with `child`, the first
    is one. Depends on the arguments alone."""
    rng = np.random.default_rng([seed, number, 31])
    body, scene = open_body(), _scene(rng)
    count, people = int(rng.integers(2, 6)), list[_Stander]()
    while len(people) < count:
        person = _stander(rng, body, scene, people, CHILD if child and not people else 1.0)
        seen = scene.crop.project(person.joints)
        inside = person.joints[:, 2].min() > 1.0 and (np.abs(seen / SIDE - 0.5) < 0.48).all()
        if inside and all(depth_between(person.shape, o.shape) < TOUCHING for o in people):
            people.append(person)
    up = scene.level @ np.array([0.0, 1.0, 0.0])
    picture = _photograph(rng, body, scene.crop, up, people)
    joints = np.stack([person.joints for person in people])
    shapes = np.stack([body.v_template.numpy() + one.posed.shape_shift for one in people])
    keypoints = _detected(rng, joints, scene.crop, picture.nearness)
    seen = (keypoints[..., 2] > 0).sum(1) >= FEWEST
    return DrawnGroup(
        image=picture.image,
        focal=scene.crop.focal,
        up=up,
        keypoints_2d=keypoints[seen],
        joints=joints[seen],
        heights=np.ptp(shapes[seen, :, 1], axis=1),
    )


def _scene(rng: np.random.Generator) -> _Scene:
    """A camera at the height of a hand or an eye, that looks ahead or down a little."""
    focal = SIDE * float(rng.uniform(0.8, 1.4))
    away = -float(rng.uniform(3.0, 5.5)) * focal / SIDE
    return _Scene(
        level=look_at(float(np.radians(rng.uniform(-2, 14))), 0.0),
        crop=Crop(np.eye(3), focal, np.full(2, SIDE / 2), np.zeros((0, 3))),
        floor=-float(rng.uniform(0.9, 2.2)),
        middle=np.array([0.0, 0.0, away]),
    )


def _stander(
    rng: np.random.Generator, body: Body, scene: _Scene, people: list[_Stander], size: float
) -> _Stander:
    """Somebody beside one of those who are there, or anywhere."""
    betas = np.clip(rng.normal(0, 1, body.num_betas), -2.5, 2.5)
    betas = scaled_betas(body, torch.from_numpy(betas), size).numpy()
    family = _SEATED if rng.random() < 0.15 else _UPRIGHT
    draw = draw_pose(rng, body.joints_template.double().numpy(), family)
    orient = scene.level @ turn("y", rng.uniform(-np.pi, np.pi)) @ draw.world_orient
    near = len(people) > 0 and rng.random() < 0.6
    start = people[int(rng.integers(len(people)))].spot if near else scene.middle
    x, z = rng.normal(0, 0.6 if near else 1.3, 2)
    spot = start + np.array([x, 0.0, z])
    low = pose_body(body, orient, draw.body_pose, betas, np.zeros(3)).vertices @ scene.level[:, 1]
    place = scene.level @ (spot + np.array([0.0, scene.floor - float(low.min()), 0.0]))
    posed = pose_body(body, orient, draw.body_pose, betas, place)
    joints = keypoints_of(body, orient, draw.body_pose, betas) + place
    shape = capsules_of(posed.joints, posed.vertices, body.skinning_weights.numpy())
    return _Stander(spot, posed, joints, shape)


def _photograph(
    rng: np.random.Generator, body: Body, crop: Crop, up: np.ndarray, people: list[_Stander]
) -> Rendering:
    regions = regions_of(body)
    outfits = [draw_outfit(rng, regions) for _ in people]
    meshes = [
        dress(person.posed, outfit, regions, fabric_noise())
        for person, outfit in zip(people, outfits, strict=True)
    ]
    config = SynthConfig(image_size=SIDE, antialias=1)
    calm = replace(config.scene, occluder=0.0, blur=0.0, low_resolution=0.0, grey=0.0)
    return render_person(
        rng, meshes[0], reduce(join_meshes, meshes[1:]), face_marks(rng, outfits[0], regions.marks),
        regions.marks.neck_y, crop, up, replace(config, scene=calm), fabric_noise(),
        new_canvas(config),
    )  # fmt: skip


def _detected(
    rng: np.random.Generator, joints: np.ndarray, crop: Crop, nearness: np.ndarray
) -> Float[np.ndarray, "people 49 3"]:
    pixels = crop.project(joints)
    sizes = np.ptp(pixels, axis=1).max(1)[:, None, None]
    x, y = pixels.astype(int).transpose(2, 0, 1)
    hidden = nearness[y, x] > 1 / (joints[..., 2] - BURIED)
    noisy = pixels + rng.normal(0, NOISE, pixels.shape) * sizes
    return np.concatenate((noisy, 1.0 - hidden[..., None]), axis=2)
