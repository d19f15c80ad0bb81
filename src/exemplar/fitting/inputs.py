"""What a fit is given, made safe: broken exemplars are named, and their numbers made harmless."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar.geometry.crops import Box
from exemplar.samples import Batch


def checked(batch: Batch) -> tuple[Batch, Bool[Tensor, " b"]]:
    """The batch with finite numbers only, and which exemplars were broken.

    Broken: a crop or box that is not finite, a box without extent, a negative confidence, or a
    keypoint that is not finite though its confidence is not 0. A broken exemplar's keypoints are
    dropped. Coordinates of missing keypoints may be anything; if not finite they become 0.
    """
    points, bad_points = checked_keypoints(batch.keypoints_2d)
    box = batch.box
    shown = box.keypoints is not None
    box = replace(box, keypoints=None)
    numbers = [value for value in vars(box).values() if value is not None]
    bad_box = ~torch.stack([_finite(x) for x in numbers]).all(0) | ~(box.size > 0)
    bad_image = ~_finite(batch.image)
    broken = bad_points | bad_box | bad_image
    clean = replace(
        batch,
        image=torch.where(bad_image.view(-1, 1, 1, 1), 0.0, batch.image),
        box=_where_box(bad_box, box),
        keypoints_2d=torch.where(broken[:, None, None], 0.0, points),
    )
    if shown:
        clean = clean.with_keypoints_shown()
    if batch.joints_3d is not None:
        joints = batch.joints_3d
        unknown = joints[..., -1] == 0
        broken = broken | (~torch.isfinite(joints).all(-1) & ~unknown).any(1)
        known = ~(broken[:, None] | unknown)[..., None]
        clean = replace(clean, joints_3d=torch.where(known, joints, 0.0))
    return clean, broken


def checked_keypoints(
    points: Float[Tensor, "b 49 3"],
) -> tuple[Float[Tensor, "b 49 3"], Bool[Tensor, " b"]]:
    """Keypoints with finite numbers only, and which exemplars' were broken (all 0 then)."""
    confidence = points[..., -1]
    bad = ~torch.isfinite(points).all(-1) & (confidence != 0) | (confidence < 0)
    broken = bad.any(1)
    keep = torch.isfinite(points) & ~broken[:, None, None]
    return torch.where(keep, points, 0.0), broken


def _finite(values: Tensor) -> Bool[Tensor, " b"]:
    return torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else torch.isfinite(values)


def _where_box(bad: Bool[Tensor, " b"], box: Box) -> Box:
    """A unit box about the origin in place of bad ones."""

    def mended(value: Tensor, default: float) -> Tensor:
        return torch.where(bad.view(-1, *[1] * (value.ndim - 1)), default, value)

    return replace(
        box,
        **{
            name: mended(value, 1.0 if name in ("size", "focal") else 0.0)
            for name, value in vars(box).items()
            if value is not None
        },
    )
