"""`exemplar data inspect`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class InspectCommand:
    """Say what an annotation file is, count what it holds, and draw people of it.

    For example:
        exemplar data inspect keypoints/
        exemplar data inspect coco.json --images train2017 -o people.png
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """Annotation file or folder, of any known format."""
    format: str | None = None
    """Its format; recognised if not given."""
    images: Path | None = None
    """Folder of the images; without it people are drawn on grey."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("contact_sheet.png")
    """Picture to write, or a folder for it: people spread over the file, with the names of their
    keypoints."""
    sheet: bool = True
    """Draw the picture."""
    body: str = "open"
    """"open", or an SMPL .npz or .pkl file, to draw annotated bodies with."""
    joints: str = ""
    """Joint set of a file that cannot say: the same as --option joints=NAME."""
    option: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")
    ] = ()
    """An option of the format's reader; may be given several times."""
