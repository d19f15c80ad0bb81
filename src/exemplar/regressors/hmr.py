"""HMR on ResNet-50: the network of SPIN (Kolotouros et al. 2019), EFT and the dual networks."""

from torch import nn

from exemplar.geometry.cameras import CameraModel
from exemplar.regressors.head import IterativeRegressor
from exemplar.regressors.resnet import FEATURES, resnet50_layers, resnet50_parts

SQUARE = (224, 224)
"""Crop (width, height) of SPIN and EFT, px."""

RECT = (192, 256)
"""Crop (width, height) of the dual networks, px."""


class Hmr(IterativeRegressor):
    """27.0M parameters. Each correction uses the same weights.

    SPIN trained with `crop_perspective`; EFT fine-tunes its weights for `weak`.
    """

    def __init__(
        self,
        *,
        n_iter: int = 3,
        size: tuple[int, int] = SQUARE,
        camera_model: CameraModel = "crop_perspective",
    ) -> None:
        super().__init__(
            resnet50_layers(), FEATURES, n_iter=n_iter, size=size, camera_model=camera_model
        )

    def trunk(self) -> list[nn.Module]:
        """Stem and the four stages."""
        return resnet50_parts(self)
