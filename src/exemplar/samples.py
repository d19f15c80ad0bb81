"""What a fit or a training step works on: crops of people with their 2D keypoints."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import Box


@dataclass(frozen=True)
class Batch:
    """Cropped people, one a row."""

    image: Float[Tensor, "b 3 height width"]
    """RGB crops in 0..1, at the regressor's resolution."""
    box: Box
    """Where each crop lies in its image."""
    keypoints_2d: Float[Tensor, "b 49 3"]
    """The 49 joints in crop units ([-1, 1] across the box) and their confidence, 0 if missing."""
    joints_3d: Float[Tensor, "b 24 4"] | None = None
    """The 24 annotated joints in metres, about any origin, and their confidence, where known."""

    def __len__(self) -> int:
        return len(self.image)
