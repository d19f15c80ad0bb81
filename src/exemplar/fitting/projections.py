"""How the exemplars of a batch are seen: the regressor's camera model, bound to their boxes."""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar.geometry.cameras import CameraModel, project, project_weak
from exemplar.geometry.crops import EFT_CROP, Box

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


def aspect_of(regressor: nn.Module) -> float:
    """Height over width of the regressor's crops."""
    return getattr(regressor, "resolution", 1) / getattr(regressor, "width", 1)
