"""`exemplar fit`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from exemplar.fitting.names import TeacherName
from exemplar.regressors.names import DEFAULT_REGRESSOR


@dataclass(frozen=True)
class FitCommand:
    """Fit 3D bodies to the people in photos by exemplar fine-tuning (EFT).

    Writes overlay.png, steps.gif, body.glb, fit.json, fit.npz and photo.jpg. `exemplar view` shows
    them in 3D.

    For example:
        exemplar fit photo.jpg
        exemplar fit child.jpg -o bodies --age 5 --height 1.10
    """

    images: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[PHOTO ...]")
    ] = ()
    """Photos, folders of photos, or patterns such as "photos/*.jpg". Several photos each get a
    folder of their own under the output folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder to write to."""
    demo: bool = False
    """Fit the photo that ships with the package."""
    keypoints: Path | None = None
    """2D keypoints: a file, or a folder with a file for each photo, of any detector's format that
    `exemplar data inspect` knows (OpenPose, COCO, MMPose, ...). Without it they are detected."""
    joints: str = ""
    """Joint set of a keypoint file that cannot say, such as openpose25b, h36m17 or mpi17."""
    person: str = "all"
    """all, largest, or the number of one person, from 0."""
    box: str | None = None
    """x,y,w,h in px of the one person to fit."""
    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    auxiliary: Path | None = None
    """Checkpoint of an auxiliary network: fit as dual networks do, instead of EFT. `exemplar train
    exemplar` leaves one beside its regressor."""
    body: str | None = None
    """"open", or an SMPL, SMPL+H or SMPL-X file (.npz, .pkl); the regressor's unless given."""
    iterations: int | None = None
    """Most weight updates (default 20; 14 with an auxiliary network)."""
    guard: bool = False
    """Keep the most plausible iteration instead of the last."""
    looks: bool = True
    """Try other crops where the network's answer is far from keypoints that you give."""
    together: bool = True
    """Let the people of a photo stand in one space, beside each other."""
    align: bool = True
    """Put feet, hands and head where the picture shows them, after the fit."""
    perspective: bool = True
    """Let joints turn to suit the camera's perspective, of which the network knows nothing."""
    robust_px: float | None = None
    """For keypoints some of which may be far off: those count little that the body misses by more
    than this many px of a 224 crop, such as 80; 30 if there are many."""
    stop_px: float | None = None
    """Stop when the mean 2D error falls below this many px of a 224 crop (default 2 for keypoints
    that are given, 6 for detected ones, which err by as much themselves)."""
    teacher: TeacherName | None = None
    """Take BlazePose's landmarks for 3D keypoints, whose depth the fit then keeps to."""
    focal: float | None = None
    """Focal length of the full-image camera, px (default: the photo's EXIF, else a field of view of
    55 degrees along the longer side)."""
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
