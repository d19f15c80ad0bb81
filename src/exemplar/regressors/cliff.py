"""CLIFF (Li et al. 2022): HMR that also sees where the box lies, with the full image's camera."""

from torch import nn

from exemplar.regressors.head import BOX_NUMBERS, IterativeRegressor
from exemplar.regressors.hmr import RECT
from exemplar.regressors.resnet import FEATURES, resnet50_layers, resnet50_parts


class Cliff(IterativeRegressor):
    """On ResNet-50, 27.0M parameters. Its boxes need the image's camera (`Box.focal`)."""

    def __init__(self, *, n_iter: int = 3) -> None:
        super().__init__(
            resnet50_layers(),
            FEATURES + BOX_NUMBERS,
            n_iter=n_iter,
            size=RECT,
            camera_model="full_perspective",
        )

    def trunk(self) -> list[nn.Module]:
        """Stem and the four stages."""
        return resnet50_parts(self)
