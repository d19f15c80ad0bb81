"""How a photo is fitted."""

import math
from dataclasses import dataclass
from pathlib import Path

from exemplar.bodies.shape_prior import Traits
from exemplar.fitting.teachers import teacher_sizes
from exemplar.scene.traits import Genders, Numbers, traits_of

DETECTED_STOP_PX = 6.0
"""Where EFT stops on the built-in keypoints: mean 2D error, px of a 224 crop of what is visible.

They err by about 6 px on real people themselves, so that a closer fit follows their noise: with
`large` 9 % of fits get worse than the regressor's answer, at 4 px 20 %, and with `mobile` at the
paper's 2 px 75 % (`python -m benchmarks.real --stop-px`)."""


@dataclass(frozen=True)
class FitOptions:
    """How a photo is fitted."""

    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    person: str = "all"
    """"all", "largest", or the number of one person, counted from 0."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height (px) of the person to fit."""
    iterations: int | None = None
    """Most weight updates; None takes the recipe's 20."""
    guard: bool = False
    """Whether to keep the iterate that left-out keypoints and a pose prior support best, instead of
    the last: often the better 3D pose where keypoints are detected, at a larger 2D error."""
    looks: bool = True
    """Whether other crops are tried where the network's answer is far from keypoints that are given
    (`data.looks`)."""
    together: bool = True
    """Whether the people of a photo are made to stand in one space (`scene.together`)."""
    align: bool = True
    """Whether feet, hands and head are put where the picture shows them after the fit
    (`fitting.alignment`); with the shipped regressors only, and not after dual networks."""
    perspective: bool = True
    """Whether joints turn after the fit so that the image's camera, which has perspective, sees the
    body where the crop's camera does, which has none (`fitting.perspective`); with the shipped
    regressors only."""
    robust_px: float | None = None
    """How far a keypoint may be off before it counts little, px of a 224 crop
    (`EftConfig.robust_px`); None believes all alike."""
    stop_px: float | None = None
    """EFT stops when the mean 2D error falls below this, px of a 224 crop. None takes the paper's
    2 px for keypoints that are given, and `DETECTED_STOP_PX` for the built-in ones."""
    teacher: str | None = None
    """One of `fitting.teachers.TEACHERS`: BlazePose's landmarks are the fit's 3D keypoints (EFT's
    Eq. 4), which keeps their depth; None fits 2D keypoints alone."""
    auxiliary: str | Path | None = None
    """Checkpoint of an auxiliary network: the fit is then the dual networks', which regressors of
    `exemplar train exemplar` are trained for (`DualConfig.trained`)."""
    focal: float | None = None
    """Focal length of the full-image camera, px; None takes the photo's EXIF, or else
    `placing.FIELD_OF_VIEW`."""
    age: Numbers = None
    """Years, where they are known: of everybody, or a list with one for each person. With gender
    and height it makes a weak prior on the shape (`bodies.shape_prior`), of the open body alone."""
    gender: Genders = None
    """"male" or "female", likewise."""
    height: Numbers = None
    """Metres, likewise."""
    device: str = "cpu"
    """Torch device; "auto" is CUDA, else MPS, else the CPU."""
    image_name: str | None = None
    """Name of the photo inside a keypoint file that covers many; None takes the path's."""
    joints: str = ""
    """Joint set of a keypoint file that cannot say (`skeletons.FILE_SETS`)."""

    def __post_init__(self) -> None:
        of_eft = (self.robust_px, self.stop_px, self.teacher)
        eft = self.guard or any(self.traits) or any(x is not None for x in of_eft)
        if self.auxiliary is not None and eft:
            raise ValueError(
                "guard, robust_px, stop_px, teacher, age, gender and height are EFT's: with an "
                "auxiliary network there is none"
            )
        if self.teacher is not None:
            teacher_sizes(self.teacher)
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise ValueError(f"the focal length must be a positive number, got {self.focal}")

    @property
    def traits(self) -> tuple[Traits, ...]:
        """What is known of each person, or of all."""
        return traits_of(self.age, self.gender, self.height)
