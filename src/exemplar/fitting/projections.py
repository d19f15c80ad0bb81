"""How exemplars are seen: by the regressor's camera, bound to their boxes, and by their images'."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.fitting.perspective import in_perspective
from exemplar.geometry.cameras import (
    NEAREST,
    CameraModel,
    crop_to_full_translation,
    fit_weak_camera,
    full_translation,
    image_camera,
    project,
    project_full,
    project_weak,
    weak_equivalent,
    weak_to_full_translation,
)
from exemplar.geometry.crops import EFT_CROP, Box, crop_to_image, image_to_crop
from exemplar.regressors.prediction import Prediction, rows_of

Projection = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Points (b, n, 3) in metres, cameras (b, 3) and the exemplars' rows (b,) to crop units."""


def weak_projection(
    points: Float[Tensor, "b n 3"], camera: Float[Tensor, "b 3"], rows: Int[Tensor, " b"]
) -> Float[Tensor, "b n 2"]:
    """Weak perspective, which needs no box."""
    return project_weak(points, camera)


def projection_of(regressor: nn.Module, box: Box) -> Projection:
    """The projection that a regressor's camera numbers are meant for; weak if it does not say."""
    model: CameraModel = getattr(regressor, "camera_model", "weak")
    resolution = getattr(regressor, "resolution", EFT_CROP)

    def see(points: Tensor, camera: Tensor, rows: Tensor) -> Tensor:
        return project(points, camera, box[rows], model, resolution)

    return see


@dataclass(frozen=True)
class Placed:
    """Bodies in the frame of their images."""

    prediction: Prediction
    """Along the images' axes; its camera is weak, in units of the unturned boxes."""
    joints: Float[Tensor, "b 49 3"]
    """Metres, about the body's origin."""
    joints_2d: Float[Tensor, "b 49 2"]
    """As the regressor's camera shows them, image px."""
    translation: Float[Tensor, "b 3"]
    """Metres, in the frame of the full camera that the boxes have."""


UNSEEN = 0.01
"""Weight, among those that are seen, of joints that are not."""


def placed(
    body: Body,
    found: Prediction,
    box: Box,
    model: CameraModel,
    resolution: int,
    seen: Bool[Tensor, "b 49"] | None = None,
    *,
    perspective: float | None = None,
) -> Placed:
    """What was found in crops, moved to their images.

    The translation is the one with which the image's camera sees the joints nearest to where the
    regressor's camera shows them, by least squares in px, where those that are not `seen` hardly
    count. If `perspective` is given joints turn as well, so that it sees them there, if that brings
    them nearer (`in_perspective`); it is the least depth that is believed, metres. With a
    `full_perspective` camera everything is the prediction's own.
    """
    joints = body.keypoints(found.body_params(), "smpl49")
    points = project(joints, found.camera, box, model, resolution)
    joints_2d = crop_to_image(points, box)
    weak = replace(found, camera=weak_equivalent(found.camera, model))
    prediction = weak.turned_back(box)
    joints = body.keypoints(prediction.body_params(), "smpl49")
    if model == "full_perspective":
        translation = crop_to_full_translation(found.camera, box)
        return Placed(prediction, joints, joints_2d, translation)
    camera = image_camera(box)
    defined = body.available("smpl49").expand(joints.shape[:-1])
    if seen is not None:
        defined = defined * seen.to(defined).clamp_min(UNSEEN)
    rough = weak_to_full_translation(prediction.camera, *camera, box.centre, box.size)

    def seen_best(joints: Tensor, start: Tensor) -> Tensor:
        asked = (joints, joints_2d, defined, *camera, start)
        # float64, which not every device has
        return full_translation(*(x.cpu() for x in asked)).to(joints.device)

    plain = Placed(prediction, joints, joints_2d, seen_best(joints, rough))
    if perspective is None:
        return plain
    turned, away = in_perspective(body, weak, points, defined, box, perspective)
    joints = body.keypoints(turned.body_params(), "smpl49")
    unturned = replace(box, angle=torch.zeros_like(box.angle))
    weak_camera = fit_weak_camera(joints, image_to_crop(joints_2d, unturned), defined)
    turned = replace(turned, camera=weak_camera)
    near = Placed(turned, joints, joints_2d, seen_best(joints, away))
    is_nearer = _misfit(near, defined, box) < _misfit(plain, defined, box)
    keep = is_nearer & turned.finite_rows()
    return Placed(
        turned.where(keep, prediction),
        rows_of(keep, near.joints, plain.joints),
        joints_2d,
        rows_of(keep, near.translation, plain.translation),
    )


def _misfit(found: Placed, weights: Float[Tensor, "b 49"], box: Box) -> Float[Tensor, " b"]:
    """How far the images' cameras see the joints from `joints_2d`; infinite for a joint that counts
    and is not in front of the camera."""
    there = found.joints + found.translation[:, None]
    gaps = (project_full(there, *image_camera(box)) - found.joints_2d).norm(dim=-1)
    gaps = torch.where(there[..., 2] < NEAREST, torch.inf, gaps)
    return torch.where(weights > 0, weights * gaps, 0.0).sum(-1)


def aspect_of(regressor: nn.Module) -> float:
    """Height over width of the regressor's crops."""
    return getattr(regressor, "resolution", 1) / getattr(regressor, "width", 1)
