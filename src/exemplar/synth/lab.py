"""Few people in one room before four cameras, as motion capture studios record them.

Person i of the sequence is what camera i % 4 sees of moment i // 4; the four pictures of a moment
have the same body at the same time. World frame: y up, metres, the floor at y = 0.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from exemplar.synth.config import PoseConfig, SceneConfig, SynthConfig, ViewConfig
from exemplar.synth.dataset import SynthBatch, stack_rows
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import Outfit, draw_outfit
from exemplar.synth.materials import HAIR, PLAIN, SKIN, TWO_TONE, Material
from exemplar.synth.poses import PoseDraw, draw_pose, turn
from exemplar.synth.render import Canvas, Surroundings, new_canvas, render_person
from exemplar.synth.rooms import Room, draw_room, lights_from, see_room
from exemplar.synth.subjects import (
    Subject,
    fabric_noise,
    keypoints_of,
    open_body,
    pose_body,
    regions_of,
    stand,
    truth_of,
)
from exemplar.synth.surfaces import dress
from exemplar.synth.views import View, draw_crop, look_at

CAMERAS = 4
"""Cameras about the room."""

SUBJECTS = 5
"""People who take turns."""

LAB = SynthConfig(
    image_size=320,
    poses=PoseConfig(families={"everyday": 0.75, "standing": 0.25}),
    views=ViewConfig(
        box_scale=1.9,
        box_scale_jitter=(0.95, 1.1),
        turned=False,
        angle_std=0.0,
        any_angle=0.0,
        truncated=0.0,
        image_border=0.0,
    ),
    scene=SceneConfig(
        occluder=0.0, bystander=0.0, blur=0.0, low_resolution=0.0, jpeg=0.0, noise=0.0, grey=0.0
    ),
)
"""Everyday poses, photographed sharply and whole."""

_REACH = 1.3
_ROOM, _PERSON, _MOMENT, _BOX, _DEVELOP = range(5)


@dataclass(frozen=True)
class Camera:
    """A camera that stands still."""

    rotation: np.ndarray
    """float64 (3, 3): world to camera."""
    centre: np.ndarray
    """float64 (3,): its place in the world, metres."""


@dataclass(frozen=True)
class Actor:
    """Somebody with the clothes of the day."""

    betas: np.ndarray
    """float64 (10,)."""
    outfit: Outfit
    """Plain clothes."""
    marks: np.ndarray
    """float32 (M, 8): the painted face."""


@dataclass(frozen=True)
class Lab:
    """What stays the same over a data set."""

    room: Room
    """Walls, floor and lights."""
    cameras: tuple[Camera, ...]
    """In the order of their numbers."""
    actors: tuple[Actor, ...]
    """Actor i plays in moments i, i + 5, ..."""


def draw_lab_samples(count: int, seed: int, start: int, config: SynthConfig = LAB) -> SynthBatch:
    """Pictures `start` to `start + count` of a seed's lab."""
    canvas = new_canvas(config)
    numbers = range(start, start + count)
    return stack_rows([_draw_picture(seed, *divmod(i, CAMERAS), config, canvas) for i in numbers])


def actor_name(index: int) -> str:
    """Who is in picture `index`."""
    return f"S{index // CAMERAS % SUBJECTS + 1}"


@cache
def lab_of(seed: int) -> Lab:
    """The lab of a seed."""
    rng = np.random.default_rng([seed, _ROOM])
    room = draw_room(rng)
    cameras = tuple(_draw_camera(rng, room, number) for number in range(CAMERAS))
    return Lab(room, cameras, tuple(_draw_actor(seed, number) for number in range(SUBJECTS)))


def _draw_camera(rng: np.random.Generator, room: Room, number: int) -> Camera:
    """A camera near a corner of the room that looks at its middle."""
    corner = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)][number]) * room.half[[0, 2]]
    x, z = corner * rng.uniform(0.75, 0.95, 2)
    centre, target = np.array([x, rng.uniform(1.2, 1.9), z]), np.array([0.0, 0.9, 0.0])
    away = centre - target
    elevation = np.arctan2(away[1], np.hypot(away[0], away[2]))
    return Camera(look_at(elevation, np.arctan2(away[0], away[2])), centre)


def _draw_actor(seed: int, number: int) -> Actor:
    rng = np.random.default_rng([seed, _PERSON, number])
    body, limit = open_body(), LAB.poses.betas_limit
    betas = np.clip(rng.normal(0, LAB.poses.betas_std, body.num_betas), -limit, limit)
    regions = regions_of(body)
    outfit = _plain(draw_outfit(rng, regions))
    return Actor(betas, outfit, face_marks(rng, outfit, regions.marks))


def _plain(outfit: Outfit) -> Outfit:
    """The clothes without patterns and prints."""

    def plain(material: Material) -> Material:
        if material.pattern in (SKIN, HAIR, TWO_TONE):
            return replace(material, logo=Material.logo)
        return replace(material, pattern=PLAIN, logo=Material.logo)

    return replace(
        outfit,
        shells=tuple(replace(shell, material=plain(shell.material)) for shell in outfit.shells),
        pieces=tuple((piece, plain(material)) for piece, material in outfit.pieces),
    )


def _draw_picture(
    seed: int, moment: int, number: int, config: SynthConfig, canvas: Canvas
) -> dict[str, np.ndarray]:
    lab, body = lab_of(seed), open_body()
    actor, camera = lab.actors[moment % SUBJECTS], lab.cameras[number]
    subject = _place(seed, moment, number, actor, camera, config)
    crop, regions = subject.crop, regions_of(body)
    surroundings = Surroundings(
        lights_from(lab.room.lights, subject.level),
        see_room(
            lab.room, subject.level, camera.centre, crop.focal, crop.principal_point,
            config.image_size,
        ),
    )  # fmt: skip
    picture = render_person(
        np.random.default_rng([seed, _DEVELOP, number]),
        dress(subject.posed, actor.outfit, regions, fabric_noise()), None, actor.marks,
        regions.marks.neck_y, crop, subject.up, config, fabric_noise(), canvas, surroundings,
    )  # fmt: skip
    return truth_of(subject, picture, config)


def _place(
    seed: int, moment: int, number: int, actor: Actor, camera: Camera, config: SynthConfig
) -> Subject:
    """The actor of a moment, standing on the floor, before a camera."""
    body = open_body()
    rng = np.random.default_rng([seed, _MOMENT, moment])
    draw = draw_pose(rng, body.joints_template.double().numpy(), config.poses)
    heading = turn("y", rng.uniform(-np.pi, np.pi)) @ draw.world_orient
    draw = PoseDraw(draw.family, draw.body_pose, heading)
    posed = pose_body(body, heading, draw.body_pose, actor.betas, np.zeros(3))
    x, z = rng.uniform(-_REACH, _REACH, 2)
    place = camera.rotation @ (np.array([x, -posed.vertices[:, 1].min(), z]) - camera.centre)
    orient = camera.rotation @ heading
    keypoints = keypoints_of(body, orient, draw.body_pose, actor.betas)
    box = np.random.default_rng([seed, _BOX, moment, number])
    crop = draw_crop(box, keypoints + place, config.views, config.image_size)
    view = View(camera.rotation, place)
    return stand(body, draw, actor.betas, orient, keypoints, view, crop)
