"""`exemplar views`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from exemplar.cli.options.export import Target
from exemplar.regressors.names import DEFAULT_REGRESSOR


@dataclass(frozen=True)
class ViewsCommand:
    """Fit the people whom several calibrated cameras film, in one world.

    Writes motion.npz (which `exemplar export` reads), the files of --to, overlay.mp4,
    overlay.png and summary.json. docs/views.md says what it needs.

    For example:
        exemplar views Calib.toml cam1.mp4 cam2.mp4 cam3.mp4 -o out
        exemplar views Calib.toml cam1.jpg cam2.jpg --to glb
    """

    calibration: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CALIBRATION")]
    """Pose2Sim's, Anipose's or Caliscope's .toml, Qualisys' .qca.txt, or OpenCV's .yml, .json or
    .xml."""
    footage: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CAMERA ...")]
    """A video, a folder of frames or a photo of each camera: named after it, or in its order."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder to write to."""
    every: int = 1
    """Take every n-th frame of the first camera."""
    start: float = 0.0
    """Where to begin, seconds."""
    end: float | None = None
    """Where to end, seconds; the end of the footage unless given."""
    fps: float | None = None
    """Frames a second of folders of frames, and of videos that tell it wrongly."""
    people: int | None = None
    """Most people to fit: those who are seen most; all of them unless given."""
    unit: str = "auto"
    """The calibration's: m, cm, mm or the metres in one; auto takes what makes people as large as
    people are."""
    up: str = "auto"
    """The calibration's axis that points up: x, -y, ...; auto asks people and cameras."""
    to: Annotated[tuple[Target, ...], tyro.conf.arg(metavar="FORMAT ...")] = ("glb", "trc")
    """Formats to write: bvh, glb, trc, amass, csv, obj or ply, as `exemplar export` has them."""
    offsets: str = "auto"
    """How late each camera shows a moment, seconds, as 0,0.05,0; auto asks people who move, none
    takes the cameras to be together."""
    overlay: bool = True
    """Write overlay.mp4 (not of photos)."""
    training: bool = False
    """Also write the frames and a table of the bodies in each camera, which `exemplar train` reads,
    to a folder of the output."""
    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    body: str | None = None
    """"open", or an SMPL file; by default the regressor's."""
    iterations: int | None = None
    """Most weight updates; the recipe's unless given."""
    keep: bool = False
    """Keep the folder with what was found at each moment."""
    quiet: bool = False
    """Print nothing but errors."""
