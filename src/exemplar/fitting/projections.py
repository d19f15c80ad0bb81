"""How exemplars are seen: by the regressor's camera, bound to their boxes, and by their images'."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.geometry.cameras import (
    CameraModel,
    crop_to_full_translation,
    full_translation,
    image_camera,
    project,
    project_weak,
    weak_equivalent,
    weak_to_full_translation,
)
from exemplar.geometry.crops import EFT_CROP, Box, crop_to_image
from exemplar.regressors.prediction import Prediction

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
    """Turned as the images are; its camera is weak, in units of the unturned boxes."""
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
) -> Placed:
    """What was found in crops, moved to their images.

    The translation is the one with which the image's camera sees the joints nearest to where the
    regressor's camera shows them, by least squares in px, where those that are not `seen` hardly
    count: a near camera cannot agree with a weak one on head and feet. With a `full_perspective`
    camera it is the prediction's own.
    """
    points = body.keypoints(found.body_params(), "smpl49")
    joints_2d = crop_to_image(project(points, found.camera, box, model, resolution), box)
    weak = replace(found, camera=weak_equivalent(found.camera, model))
    prediction = weak.turned_back(box)
    joints = body.keypoints(prediction.body_params(), "smpl49")
    if model == "full_perspective":
        translation = crop_to_full_translation(found.camera, box)
    else:
        camera = image_camera(box)
        rough = weak_to_full_translation(prediction.camera, *camera, box.centre, box.size)
        defined = body.available("smpl49").expand(joints.shape[:-1])
        if seen is not None:
            defined = defined * seen.to(defined).clamp_min(UNSEEN)
        # float64, which not every device has
        asked = (joints, joints_2d, defined, *camera, rough)
        translation = full_translation(*(x.cpu() for x in asked)).to(joints.device)
    return Placed(prediction, joints, joints_2d, translation)


def aspect_of(regressor: nn.Module) -> float:
    """Height over width of the regressor's crops."""
    return getattr(regressor, "resolution", 1) / getattr(regressor, "width", 1)
