"""`exemplar data review`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ReviewCommand:
    """Look at the fits of a lifting job, worst first, and accept or reject them by hand.

    Opens a page in the browser. Every decision is saved at once in the job's ledger, and exports
    follow it. Ctrl-C ends.

    For example:
        exemplar data review lifted
        exemplar data review lifted --images train2017 --port 8000
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="JOB")]
    """The output folder of `exemplar lift`."""
    images: Path | None = None
    """Folder of the images, if they are no longer where they were lifted from."""
    body: str | None = None
    """"open", or the SMPL file that the bodies are for, if it is no longer where it was."""
    port: int = 0
    """Port of the page; 0 takes a free one."""
    browser: bool = True
    """Open the page in a browser."""
