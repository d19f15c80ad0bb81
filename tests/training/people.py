"""A made-up person in a made-up picture, with everything known, in float64."""

import math
from functools import cache

import cv2
import numpy as np
import torch

from exemplar.bodies import Body, BodyParams, load_open_body
from exemplar.geometry.cameras import project_full, project_weak, weak_to_full_translation
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.skeletons import OPENPOSE_25, SMPL_49

WIDTH, HEIGHT = 400, 300
"""Of the picture, px."""
FOCAL, MIDDLE = 700.0, (190.0, 160.0)
"""Its camera, px."""
ANNOTATED = slice(len(OPENPOSE_25), len(SMPL_49))
"""Rows of the annotated joints among the 49."""


@cache
def open_body() -> Body:
    return load_open_body().double()


def posed(seed: int = 0) -> BodyParams:
    """A bent body that faces the camera, leaning, in float64."""
    random = np.random.default_rng(seed)
    angles = random.normal(0, 0.25, (24, 3))
    angles[0] += [math.pi, 0, 0]
    rotmats = axis_angle_to_rotmat(torch.from_numpy(angles))
    return BodyParams(
        rotmats[:1], rotmats[None, 1:], torch.from_numpy(random.normal(0, 1, (1, 10)))
    )


@cache
def person(seed: int = 0, *, perspective: bool = False) -> Sample:
    """That body in an image, all joints annotated, its camera known."""
    params = posed(seed)
    joints = open_body().keypoints(params)
    camera = torch.tensor([[0.85, 0.1, 0.25]]).double()
    box = Box(
        torch.tensor([[230.0, 150.0]]).double(), torch.tensor([220.0]).double(), 0 * camera[:, 0]
    )
    if perspective:
        focal, point = torch.tensor([FOCAL]).double(), torch.tensor([MIDDLE]).double()
        moved = (
            joints + weak_to_full_translation(camera, focal, point, box.centre, box.size)[:, None]
        )
        places = project_full(moved, focal, point)[0]
    else:
        places = crop_to_image(project_weak(joints, camera), box)[0]
    known = torch.cat((joints[0, ANNOTATED], torch.ones(24, 1)), dim=1)
    return Sample(
        "person.png",
        box.centre[0].numpy(),
        float(box.size[0]) / SCALE_UNIT,
        torch.cat((places, torch.ones(49, 1)), dim=1).numpy(),
        joints_3d=known.numpy(),
        body=BodyTruth(
            torch.cat((params.global_orient, params.body_pose[0])).numpy(), params.betas[0].numpy()
        ),
        intrinsics=np.array([[FOCAL, 0, MIDDLE[0]], [0, FOCAL, MIDDLE[1]], [0, 0, 1.0]]),
    )


@cache
def noise(seed: int = 0) -> np.ndarray:
    """A picture of smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 10, WIDTH // 10, 3))
    return np.asarray(cv2.resize(coarse.astype(np.uint8), (WIDTH, HEIGHT)))
