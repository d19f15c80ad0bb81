"""`exemplar view`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ViewCommand:
    """Look at a fitted photo or clip in 3D: turn the bodies, play the clip or the fit's iterations.

    Opens a page in the browser; with --html writes it as one file that opens without a network.

    For example:
        exemplar view out
        exemplar view walk --photo clip.mp4 --html page.html
    """

    result: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULT")]
    """The folder that exemplar fit, video or views wrote, the .npz in it, or any .glb file."""
    html: Path | None = None
    """Write the page to this file instead of showing it."""
    photo: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PATH ...")] = ()
    """What to show behind the bodies: the photo, where the result's folder does not have it, or the
    clip; of several cameras a file or a folder of frames each, named after the camera or in the
    calibration's order."""
    body: str | None = None
    """"open", or the SMPL file of the fit, where it is not where it was."""
    port: int = 0
    """Port of the page; 0 takes a free one."""
    browser: bool = True
    """Open the page in a browser."""
