"""Drawn clips with exact truth: dressed bodies that walk about a room, alone or past each other."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.real_sequences import FOURTEEN
from exemplar.bodies import Body
from exemplar.files.video_files import video_writer
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from exemplar.synth.config import PoseConfig, SynthConfig
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import Outfit, draw_outfit
from exemplar.synth.poses import draw_pose, turn
from exemplar.synth.render import new_canvas, render_person
from exemplar.synth.subjects import (
    fabric_noise,
    keypoints_of,
    open_body,
    pose_body,
    regions_of,
)
from exemplar.synth.surfaces import SceneMesh, dress
from exemplar.synth.views import Crop

FPS = 30.0
SIDE = 512
"""Of the picture, px."""

FOCAL = 500.0
"""Px."""

KEY_FRAMES = 15
"""Frames from one drawn pose to the next."""

CAMERA_HEIGHT = 1.2
"""Metres above the floor."""

_POSES = PoseConfig(families={"everyday": 0.7, "standing": 0.3})
_UP = np.array([0.0, -1.0, 0.0])
_LEVEL = turn("x", np.pi)


@dataclass(frozen=True)
class DrawnClip:
    """A clip and what is in it."""

    path: Path
    truth: Float[np.ndarray, "people t 14 3"]
    """`LSP_14`, metres in the camera's frame."""
    hips: Float[np.ndarray, "people t 2"]
    """Middle of the hips, px."""


@dataclass(frozen=True)
class _Walker:
    """Somebody: how they look, move and go."""

    betas: np.ndarray
    outfit: Outfit
    poses: Float[np.ndarray, "t 23 3"]
    heading: Float[np.ndarray, " t"]
    places: Float[np.ndarray, "t 2"]


def draw_clip(path: Path, frames: int, seed: int, *, crossing: bool = False) -> DrawnClip:
    """Draw a clip of one person, or of two who pass each other four times."""
    body = open_body()
    walkers = _walkers(body, frames, seed, crossing)
    config = SynthConfig(image_size=SIDE, antialias=1, poses=_POSES)
    calm = replace(config.scene, occluder=0.0, blur=0.0, low_resolution=0.0, grey=0.0)
    config = replace(config, scene=calm)
    crop = Crop(np.eye(3), FOCAL, np.array([SIDE, SIDE]) / 2, np.zeros((0, 3)))
    canvas = new_canvas(config)
    joints = np.zeros((len(walkers), frames, 49, 3))
    with video_writer(path, FPS) as write:
        for t in range(frames):
            meshes = []
            for i, walker in enumerate(walkers):
                joints[i, t], mesh = _dressed(walker, t, body)
                meshes.append(mesh)
            drawing = np.random.default_rng([seed, 8])
            regions = regions_of(body)
            picture = render_person(
                drawing, meshes[0], meshes[1] if crossing else None,
                face_marks(np.random.default_rng([seed, 9]), walkers[0].outfit, regions.marks),
                regions.marks.neck_y, crop, _UP, config, fabric_noise(), canvas,
            )  # fmt: skip
            write(picture.image)
    hips = joints[..., [FOURTEEN[2], FOURTEEN[3]], :].mean(-2)
    return DrawnClip(path, joints[..., FOURTEEN, :], project(hips))


def walkers_joints(
    frames: int, seed: int, *, crossing: bool = False
) -> Float[np.ndarray, "people t 49 3"]:
    """Where the joints of a drawn clip's people are, in the camera's frame, metres."""
    body = open_body()
    return np.array(
        [
            [_placed(walker, t, body)[0] for t in range(frames)]
            for walker in _walkers(body, frames, seed, crossing)
        ]
    )


def project(points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 2"]:
    """The drawn camera, px."""
    return FOCAL * points[..., :2] / points[..., 2:] + SIDE / 2


def _walkers(body: Body, frames: int, seed: int, crossing: bool) -> list[_Walker]:
    rng = np.random.default_rng([seed, 7])
    return [_walker(rng, body, frames, i, crossing) for i in range(2 if crossing else 1)]


def _walker(
    rng: np.random.Generator, body: Body, frames: int, number: int, crossing: bool
) -> _Walker:
    rest = body.joints_template.double().numpy()
    keys = [draw_pose(rng, rest, _POSES).body_pose for _ in range(frames // KEY_FRAMES + 2)]
    betas = np.clip(rng.normal(0, 1, body.num_betas), -2, 2)
    time = np.arange(frames) / FPS
    if crossing:
        # to and fro across the picture, in opposite ways, one in front of the other
        way = np.sin(4 * np.pi * np.arange(frames) / (frames - 1) + np.pi * (number + 0.5))
        places = np.stack((1.1 * way, np.full(frames, 4.2 + 0.9 * number)), 1)
        heading = np.full(frames, rng.normal(0, 0.3))
    else:
        phase = rng.uniform(0, 2 * np.pi, 2)
        places = np.stack(
            (0.6 * np.sin(1.5 * time + phase[0]), 4.0 + 0.6 * np.sin(time + phase[1])), 1
        )
        heading = rng.normal(0, 0.6) + 0.6 * np.sin(1.2 * time + phase[1])
    return _Walker(
        betas, draw_outfit(rng, regions_of(body)), _between(np.stack(keys), frames), heading, places
    )


def _between(keys: Float[np.ndarray, "k 23 3"], frames: int) -> Float[np.ndarray, "t 23 3"]:
    """Poses on the shortest ways between drawn ones, with no jerk at them."""
    rotmats = axis_angle_to_rotmat(torch.from_numpy(keys))
    at = torch.arange(frames, dtype=torch.float64) / KEY_FRAMES
    row, share = at.long(), at - at.floor()
    share = (share * share * (3 - 2 * share))[:, None, None]
    way = rotmat_to_axis_angle(rotmats[row].mT @ rotmats[row + 1])
    return rotmat_to_axis_angle(rotmats[row] @ axis_angle_to_rotmat(share * way)).numpy()


def _placed(walker: _Walker, t: int, body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (49, 3), root rotation and place in the camera's frame, feet on the floor."""
    orient = _LEVEL @ turn("y", float(walker.heading[t]))
    keypoints = keypoints_of(body, orient, walker.poses[t], walker.betas)
    x, z = walker.places[t]
    place = np.array([x, CAMERA_HEIGHT - keypoints[:, 1].max(), z])
    return keypoints + place, orient, place


def _dressed(walker: _Walker, t: int, body: Body) -> tuple[np.ndarray, SceneMesh]:
    """Joints (49, 3) and the dressed mesh, in the camera's frame."""
    joints, orient, place = _placed(walker, t, body)
    posed = pose_body(body, orient, walker.poses[t], walker.betas, place)
    return joints, dress(posed, walker.outfit, regions_of(body), fabric_noise())
