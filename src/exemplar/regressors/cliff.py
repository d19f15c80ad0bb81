"""CLIFF (Li et al. 2022): HMR that also sees where the box lies, with the full image's camera.

Boxes need the image's camera (`Box.focal`, `Box.principal_point`). Crops are 192x256.
"""

from typing import Literal

from torch import nn

from exemplar.regressors.head import BOX_NUMBERS, IterativeRegressor
from exemplar.regressors.hmr import RECT
from exemplar.regressors.hrnet import HRNet, HRNetAux, HRNetMain
from exemplar.regressors.prediction import Chain
from exemplar.regressors.resnet import FEATURES, resnet50_layers, resnet50_parts


class Cliff(IterativeRegressor):
    """On ResNet-50, 27.0M parameters."""

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


class CliffHrnet(IterativeRegressor):
    """On HRNet-W48: `main` (68.0M parameters) is the dual-network authors' variant, `aux` (78.9M)
    CLIFF's own, their teacher."""

    def __init__(self, variant: Literal["main", "aux"] = "main", *, n_iter: int = 3) -> None:
        self._name = "backbone" if variant == "main" else "encoder"
        backbone = HRNetMain() if variant == "main" else HRNetAux()
        super().__init__(
            {self._name: backbone},
            backbone.features + BOX_NUMBERS,
            n_iter=n_iter,
            size=RECT,
            camera_model="full_perspective",
        )

    def trunk(self) -> list[nn.Module]:
        """Stem and three stages."""
        backbone = self.get_submodule(self._name)
        assert isinstance(backbone, HRNet)
        first, *later = backbone.parts()
        stem = Chain({"normalise": self.normalise, self._name: first})
        return [stem, *(Chain({self._name: part}) for part in later)]
