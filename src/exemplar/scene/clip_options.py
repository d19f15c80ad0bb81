"""How a clip is fitted."""

import math
from dataclasses import dataclass

from exemplar.bodies.shape_prior import Traits
from exemplar.files.video_files import ALL_FRAMES, Selection
from exemplar.fitting.names import Smoothing
from exemplar.scene.traits import Genders, Numbers, traits_of


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is fitted."""

    selection: Selection = ALL_FRAMES
    """Which frames are taken."""
    person: str = "all"
    """"all", "largest", or the number of one person, counted from 0."""
    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    focal: float | None = None
    """Focal length of the camera, px; None takes the file's, or else `placing.FIELD_OF_VIEW`."""
    moving: bool = False
    """Whether the camera moves: there is no world then, and bodies stay in the camera's frame."""
    look_every: int = 10
    """Look for people in the whole picture in every n-th frame; between, they are followed."""
    steady_hz: float | None = 5.0
    """Frequency above which what the network reads of a person is taken for noise; None takes each
    frame's reading as it is."""
    window: int = 32
    """Successive frames that share a copy of the weights."""
    stop_px: float | None = None
    """Where a fit stops (`FitOptions.stop_px`)."""
    iterations: int | None = None
    """Most weight updates; None takes the recipe's 20."""
    perspective: bool = True
    """Whether joints turn to suit the camera's perspective (`FitOptions.perspective`)."""
    smoothing: Smoothing = "none"
    """What is done to the fitted motion on top."""
    age: Numbers = None
    """Years, of everybody or of each person (`FitOptions.age`)."""
    gender: Genders = None
    """"male" or "female", likewise."""
    height: Numbers = None
    """Metres, likewise."""
    device: str = "cpu"
    """Torch device; "auto" is CUDA, else MPS, else the CPU."""

    @property
    def traits(self) -> tuple[Traits, ...]:
        """What is known of each person, or of all."""
        return traits_of(self.age, self.gender, self.height)

    def __post_init__(self) -> None:
        _ = self.traits
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise ValueError(f"the focal length must be a positive number, got {self.focal}")
        if self.steady_hz is not None and not 0 < self.steady_hz < math.inf:
            raise ValueError(f"the cutoff must be a positive number of Hz, got {self.steady_hz}")
        counts = (self.look_every, self.window)
        if min(counts) < 1:
            raise ValueError(f"expected look_every and window 1 or more, got {counts}")
        if self.person not in ("all", "largest") and not self.person.isdigit():
            raise ValueError(f"--person {self.person!r}: expected all, largest, or a number")
