"""`exemplar video`: what can be asked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from exemplar.fitting.names import Smoothing
from exemplar.regressors.names import DEFAULT_REGRESSOR


@dataclass(frozen=True)
class VideoCommand:
    """Fit bodies that move to the people of a video.

    Writes motion.npz, motion.glb, motion.csv, a .bvh, .trc and AMASS .npz for each person,
    overlay.mp4 and summary.json. A job that was stopped goes on where it was.

    For example:
        exemplar video clip.mp4 -o out
        exemplar video clip.mp4 --start 2 --end 5 --smoothing savitzky-golay
    """

    clip: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[CLIP]")] = None
    """The video, of any kind that FFmpeg reads."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder to write to."""
    demo: bool = False
    """Fit the clip that ships with the package."""
    start: float = 0.0
    """Begin so many seconds into the clip."""
    end: float = math.inf
    """Stop so many seconds into the clip; at its end unless given."""
    fps: float | None = None
    """Take at most so many frames a second."""
    every: int = 1
    """Take every n-th frame."""
    person: str = "all"
    """all, largest, or the number of one person, from 0: who is seen longest comes first."""
    moving: bool = False
    """The camera moves: leave bodies in its frame, and look for no ground."""
    focal: float | None = None
    """Focal length of the camera, px (default: the file's, else a field of view of 55 degrees along
    the longer side)."""
    perspective: bool = True
    """Let joints turn to suit the camera's perspective, of which the network knows nothing."""
    smoothing: Smoothing = "none"
    """Filter the fitted motion: one-euro or savitzky-golay."""
    steady_hz: float = 5.0
    """Movement faster than this is taken for noise, Hz; higher for fast sports, 0 for no limit."""
    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    body: str | None = None
    """"open", or an SMPL, SMPL+H or SMPL-X file (.npz, .pkl); the regressor's unless given."""
    iterations: int | None = None
    """Most weight updates (default 20)."""
    stop_px: float | None = None
    """Stop when the mean 2D error falls below this many px of a 224 crop (default 6)."""
    overlay: bool = True
    """Write overlay.mp4."""
    age: Annotated[str | None, tyro.conf.arg(metavar="YEARS")] = None
    """Age in years, where you know it, such as 5; a list such as 5,38 has one for each person. With
    gender and height it says which shapes to expect. For the open body alone."""
    gender: Annotated[str | None, tyro.conf.arg(metavar="female|male")] = None
    """Female or male, likewise."""
    height: Annotated[str | None, tyro.conf.arg(metavar="METRES")] = None
    """Height in metres, such as 1.10, likewise: it sets the body's size, and so its distance."""
    device: str = "auto"
    """Torch device: cpu, cuda, mps, or auto (CUDA, else MPS, else the CPU)."""
    quiet: bool = False
    """Print nothing but errors."""
