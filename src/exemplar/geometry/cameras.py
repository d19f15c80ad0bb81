"""Weak-perspective, crop and full cameras. Camera frame: x right, y down, z forward.

A network's camera is three numbers whose meaning its `CameraModel` tells:

- `weak`: (s, tx, ty), crop units; see `project_weak`.
- `crop_perspective`: (s, tx, ty), the translation in metres, seen by a camera that looks through
  the crop's centre with a focal length of 5000 crop px (SPIN); see `project_crop_perspective`.
- `full_perspective`: (s, tx, ty), the translation in metres from the ray through the crop's
  centre, seen by the full image's camera (CLIFF); see `crop_to_full_translation`.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import EFT_CROP, Box, image_to_crop

CameraModel = Literal["weak", "crop_perspective", "full_perspective"]
"""What a network's three camera numbers mean."""

CROP_FOCAL = 5000.0
"""Focal length that SPIN gives to every crop, crop px."""

NEAREST = 0.1
"""No point of a body is taken to be nearer to a full camera, metres."""

_STEPS = 8
"""Gauss-Newton steps to a full camera's translation; depths settle after three or four."""

_LEAST = 1e-9
"""Added by the published programs to the divisor that holds the scale."""


def project_weak(
    points: Float[Tensor, "*batch n 3"], weak_camera: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch n 2"]:
    """(u, v) = s (X, Y) + (tx, ty): crop units, in which the square crop spans [-1, 1].

    Kanazawa et al. 2018, section 3; EFT's projection (paper, Eq. 1).
    """
    return weak_camera[..., None, :1] * points[..., :2] + weak_camera[..., None, 1:]


def project_near(
    points: Float[Tensor, "*batch n 3"],
    camera: Float[Tensor, "*batch 3"],
    near: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch n 2"]:
    """(u, v) = (s (X, Y) + (tx, ty)) / (1 + near s Z): a weak camera with perspective.

    With a focal length of f crop units and `near` = 1 / f it is a pinhole camera that looks through
    the crop's middle, at a body f / s metres away; with 0 it is `project_weak`.
    """
    depth = 1.0 + near[..., None, None] * camera[..., None, :1] * points[..., 2:]
    return project_weak(points, camera) / depth


def project_full(
    points: Float[Tensor, "*batch n 3"],
    focal: Float[Tensor, "*batch"],
    principal_point: Float[Tensor, "*batch 2"],
) -> Float[Tensor, "*batch n 2"]:
    """Pinhole projection of camera-frame points (metres) to pixels; depth must be positive."""
    ratio = points[..., :2] / points[..., 2:]
    return focal[..., None, None] * ratio + principal_point[..., None, :]


def crop_perspective_translation(
    camera: Float[Tensor, "*batch 3"], resolution: int, focal: float = CROP_FOCAL
) -> Float[Tensor, "*batch 3"]:
    """(tx, ty, 2 f / (resolution s)), metres: SPIN's translation from its (s, tx, ty)."""
    depth = 2.0 * focal / (resolution * camera[..., :1] + _LEAST)
    return torch.cat((camera[..., 1:], depth), dim=-1)


def project_crop_perspective(
    points: Float[Tensor, "*batch n 3"],
    camera: Float[Tensor, "*batch 3"],
    resolution: int = EFT_CROP,
    focal: float = CROP_FOCAL,
) -> Float[Tensor, "*batch n 2"]:
    """SPIN's projection (Kolotouros et al. 2019, section 3.2): metres to crop units.

    The camera looks through the centre of a crop of `resolution` px with `focal` px.
    """
    moved = points + crop_perspective_translation(camera, resolution, focal)[..., None, :]
    return moved[..., :2] / moved[..., 2:] * (2.0 * focal / resolution)


def crop_to_full_translation(
    camera: Float[Tensor, "*batch 3"], box: Box
) -> Float[Tensor, "*batch 3"]:
    """CLIFF's translation (metres) in the full image's camera frame (Li et al. 2022, Eq. 8).

    With b the side of the box and c its centre about the principal point, both px:
    (tx + 2 cx / (b s), ty + 2 cy / (b s), 2 f / (b s)). ValueError if the box lacks its image's
    camera.
    """
    focal, principal_point = image_camera(box)
    scaled = box.size * camera[..., 0] + _LEAST
    lateral = camera[..., 1:] + 2.0 * (box.centre - principal_point) / scaled[..., None]
    return torch.cat((lateral, (2.0 * focal / scaled)[..., None]), dim=-1)


def image_camera(box: Box) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 2"]]:
    """Focal length and principal point (px) of the images of a box.

    ValueError unless the box has both.
    """
    if box.focal is None or box.principal_point is None:
        raise ValueError(
            "a network that sees the full frame needs the image's camera: expected a Box with"
            " focal and principal_point, got one without"
        )
    return box.focal, box.principal_point


def project(
    points: Float[Tensor, "*batch n 3"],
    camera: Float[Tensor, "*batch 3"],
    box: Box,
    camera_model: CameraModel,
    resolution: int = EFT_CROP,
) -> Float[Tensor, "*batch n 2"]:
    """Body points (metres, about the body's origin) as a network's camera sees them.

    Crop units of the square box: both axes by its height. `resolution` is the height of the
    network's crop, px.
    """
    if camera_model == "weak":
        return project_weak(points, camera)
    if camera_model == "crop_perspective":
        return project_crop_perspective(points, camera, resolution)
    moved = points + crop_to_full_translation(camera, box)[..., None, :]
    return image_to_crop(project_full(moved, *image_camera(box)), box)


def weak_equivalent(
    camera: Float[Tensor, "*batch 3"], camera_model: CameraModel
) -> Float[Tensor, "*batch 3"]:
    """The weak camera that a network's camera tends to as its focal length grows."""
    if camera_model == "weak":
        return camera
    return torch.cat((camera[..., :1], camera[..., :1] * camera[..., 1:]), dim=-1)


def fit_translation(
    points: Float[Tensor, "*batch n 3"],
    targets: Float[Tensor, "*batch n 2"],
    weights: Float[Tensor, "*batch n"],
    focal: float,
    principal_point: Float[Tensor, "*batch 2"],
) -> Float[Tensor, "*batch 3"]:
    """Least-squares translation (metres) that brings points to their targets (px).

    Linear in t: f t_x - (u - c_x) t_z = (u - c_x) Z - f X, and likewise for y (SPIN's start of
    SMPLify). Zero where no point has weight.
    """
    centred = (targets - principal_point[..., None, :]).double()
    points, weights = points.double(), weights.double()
    zero, lens = torch.zeros_like(centred[..., 0]), torch.full_like(centred[..., 0], focal)
    across = torch.stack((lens, zero, -centred[..., 0]), dim=-1)
    down = torch.stack((zero, lens, -centred[..., 1]), dim=-1)
    rows = torch.stack((across, down), dim=-2)
    right = centred * points[..., 2:] - focal * points[..., :2]
    normal = torch.einsum("...n,...nri,...nrj->...ij", weights, rows, rows)
    moment = torch.einsum("...n,...nri,...nr->...i", weights, rows, right)
    solved = torch.linalg.pinv(normal, hermitian=True) @ moment[..., None]
    return solved[..., 0].to(targets.dtype)


def full_translation(
    points: Float[Tensor, "*batch n 3"],
    targets: Float[Tensor, "*batch n 2"],
    weights: Float[Tensor, "*batch n"],
    focal: Float[Tensor, "*batch"],
    principal_point: Float[Tensor, "*batch 2"],
    start: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch 3"]:
    """Translation (metres) with which a full camera sees points nearest to their targets (px).

    Least squares in px, by Gauss-Newton steps from `start`; no point comes nearer to the camera
    than `NEAREST`.
    """
    points, targets, root = points.double(), targets.double(), weights.double().sqrt()[..., None]
    focal, principal_point = focal.double(), principal_point.double()
    least = NEAREST - points[..., 2].amin(-1, keepdim=True)
    found = start.double()
    found = found * (least / found[..., 2:]).clamp_min(1.0)
    for _ in range(_STEPS):
        moved = points + found[..., None, :]
        seen = project_full(moved, focal, principal_point)
        across = (seen - principal_point[..., None, :])[..., None] * moved.new_tensor([0, 0, -1])
        slopes = focal[..., None, None, None] * torch.eye(2, 3).to(moved) + across
        slopes = (slopes / moved[..., 2, None, None] * root[..., None]).flatten(-3, -2)
        gaps = ((targets - seen) * root).flatten(-2)
        found = found + (torch.linalg.pinv(slopes) @ gaps[..., None])[..., 0]
        found = torch.cat((found[..., :2], found[..., 2:].maximum(least)), dim=-1)
    return found.to(start.dtype)


def weak_to_full_translation(
    weak_camera: Float[Tensor, "*batch 3"],
    focal: Float[Tensor, "*batch"],
    principal_point: Float[Tensor, "*batch 2"],
    centre: Float[Tensor, "*batch 2"],
    size: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch 3"]:
    """Translation (metres) that puts the body where the weak camera of a crop shows it.

    The weak camera belongs to an unrotated square crop of side `size` px about `centre`; `focal`
    and `principal_point` are the image's, in px. The scale gives the depth
    z = 2 f / (size s); the pixel under the body's origin gives x and y.
    """
    scale, shift = weak_camera[..., 0], weak_camera[..., 1:]
    depth = 2.0 * focal / (size * scale)
    origin = centre + shift * size[..., None] / 2.0
    lateral = (origin - principal_point) * (depth / focal)[..., None]
    return torch.cat((lateral, depth[..., None]), dim=-1)


def rotate_weak_camera(
    weak_camera: Float[Tensor, "*batch 3"], angle: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3"]:
    """The weak camera after turning the crop's content by `angle` radians (x towards y)."""
    scale, x, y = weak_camera.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((scale, cos * x - sin * y, sin * x + cos * y), dim=-1)


def move_weak_camera(
    weak_camera: Float[Tensor, "*batch 3"],
    centre: Float[Tensor, "*batch 2"],
    size: Float[Tensor, "*batch"],
    new_centre: Float[Tensor, "*batch 2"],
    new_size: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch 3"]:
    """A weak camera in units of one unturned square box, in units of another (image px)."""
    scale = weak_camera[..., :1] * (size / new_size)[..., None]
    origin = centre + weak_camera[..., 1:] * size[..., None] / 2.0
    shift = (origin - new_centre) * 2.0 / new_size[..., None]
    return torch.cat((scale, shift), dim=-1)


def fit_weak_camera(
    points: Float[Tensor, "*batch n 3"],
    targets: Float[Tensor, "*batch n 2"],
    weights: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch 3"]:
    """Least-squares (s, tx, ty) for s (X, Y) + t = target with the given point weights."""
    total = weights.sum(-1, keepdim=True).clamp_min(1e-8)
    share = (weights / total)[..., None]
    mean_points = (share * points[..., :2]).sum(-2, keepdim=True)
    mean_targets = (share * targets).sum(-2, keepdim=True)
    centred = points[..., :2] - mean_points
    covariance = (share * centred * (targets - mean_targets)).sum((-1, -2))
    scale = covariance / (share * centred.square()).sum((-1, -2)).clamp_min(1e-8)
    shift = mean_targets[..., 0, :] - scale[..., None] * mean_points[..., 0, :]
    return torch.cat((scale[..., None], shift), dim=-1)
