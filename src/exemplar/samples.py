"""What a fit or a training step works on: crops of people with their 2D keypoints."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.crops import Box


@dataclass(frozen=True)
class Batch:
    """Cropped people, one a row."""

    image: Float[Tensor, "b 3 side side"]
    """RGB crops in 0..1, at the regressor's resolution."""
    box: Box
    """Where each crop lies in its image."""
    keypoints_2d: Float[Tensor, "b 49 3"]
    """The 49 joints in crop units ([-1, 1] across the crop) and their confidence, 0 if missing."""

    def __len__(self) -> int:
        return len(self.image)
