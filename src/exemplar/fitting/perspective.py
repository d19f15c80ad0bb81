"""From a weak camera, in which a network sees a crop, to the perspective camera of its image.

In a picture what is nearer is larger. A network that knows no perspective takes that for a turn: of
somebody who is filmed from three metres it tilts the hips by some degrees, and bends spine and legs
back. So a fit keeps its points in the picture, but is seen by the image's camera, and its joints
turn by what that takes, the most probable turns of all.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.small_turns import POINTS, PX, Seen, SmallTurns, Turn, TurnConfig
from exemplar.geometry.cameras import image_camera
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.geometry.rotations import rotation_about_z, rotation_from_z
from exemplar.regressors.prediction import Prediction

_TURNING = (
    "spine1", "spine2", "spine3", "neck", "head", "collar", "shoulder", "elbow",
    "hip", "knee", "ankle",
)  # fmt: skip

CONFIG = TurnConfig(
    turns={"pelvis": Turn(10.0, 10.0), **dict.fromkeys(_TURNING, Turn(1.0, 1.0))},
    scale=0.3,
    shift_px=50.0,
)
"""How far perspective may turn joints, and move the camera. Chosen on real people: with 2 or 3
degrees the points are nearer to where they should be, and the bodies farther from the truth."""

BELIEVED_DEPTH = 3.0
"""Where the focal length is assumed nobody is believed to be nearer, metres: a person who fills the
picture was rather cut out of a larger one, or taken by a longer lens."""

BLOCK = 256
"""Bodies that turn together."""

SIGMA_PX = 1.0
"""Standard deviation of the points that are kept, px of a 224 crop."""


@torch.no_grad()
def in_perspective(
    body: Body,
    found: Prediction,
    points: Float[Tensor, "b 49 2"],
    weights: Float[Tensor, "b 49"],
    box: Box,
    least_depth: float = 0.0,
) -> tuple[Prediction, Float[Tensor, "b 3"]]:
    """Bodies of weak cameras as their images' cameras would see them in the same places.

    Args:
        body: their body model.
        found: bodies in their crops' frames.
        points: where their joints are to be seen, crop units.
        weights: how much each of these counts, 1 for a joint that is in the picture.
        box: their crops, with their images' cameras.
        least_depth: metres; who would be nearer has the perspective of this distance.

    Returns:
        The bodies along the axes of their images' cameras, and where those are: translations in
        metres. The prediction's camera numbers are of no meaning there.
    """
    blocks = [
        _block(body, _rows(found, rows), points[rows], weights[rows], box[rows], least_depth)
        for rows in torch.arange(len(points), device=points.device).split(BLOCK)
    ]
    turned = [vars(prediction).values() for prediction, _ in blocks]
    prediction = Prediction(*map(torch.cat, zip(*turned, strict=True)))
    return prediction, torch.cat([away for _, away in blocks])


def _block(
    body: Body,
    found: Prediction,
    points: Tensor,
    weights: Tensor,
    box: Box,
    least_depth: float,
) -> tuple[Prediction, Float[Tensor, "b 3"]]:
    focal, principal_point = image_camera(box)
    ray = _directions(box.centre[:, None], focal, principal_point)[:, 0]
    ray = ray / ray.norm(dim=-1, keepdim=True)
    # from the frame of a camera that looks along the ray, turned as the crop, to the image's
    rotation = rotation_from_z(ray) @ rotation_about_z(box.angle)
    away = _directions(crop_to_image(points, box), focal, principal_point) @ rotation
    # crop units in a radian at the crop's middle: as many as in the crop, in the mean of both axes
    length = 2.0 * focal / box.size / ray[:, 2] ** 1.5
    places = torch.nn.functional.pad(
        length[:, None, None] * away[..., :2] / away[..., 2:], (0, 0, 0, POINTS - points.shape[1])
    )
    precision = torch.nn.functional.pad(weights, (0, POINTS - points.shape[1]))
    seen = Seen(places, precision * (PX / SIGMA_PX) ** 2)
    near = 1.0 / length.maximum(least_depth * found.camera[:, 0])
    _, last = SmallTurns(body, found, seen, CONFIG, near).solved()
    turned = last.prediction
    scale, shift = turned.camera[:, :1], turned.camera[:, 1:]
    translation = torch.cat((shift / scale, length[:, None] / scale), dim=-1)
    orient = rotation @ turned.global_orient
    return replace(turned, global_orient=orient), (rotation @ translation[..., None])[..., 0]


def _rows(found: Prediction, rows: Tensor) -> Prediction:
    return Prediction(*(x[rows] for x in vars(found).values()))


def _directions(
    pixels: Float[Tensor, "b n 2"],
    focal: Float[Tensor, " b"],
    principal_point: Float[Tensor, "b 2"],
) -> Float[Tensor, "b n 3"]:
    """Of what is seen at pixels, in the camera's frame; depth 1."""
    aside = (pixels - principal_point[:, None]) / focal[:, None, None]
    return torch.nn.functional.pad(aside, (0, 1), value=1.0)
