"""`exemplar data convert`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ConvertCommand:
    """Write the people of an annotation file in another format.

    The new file's suffix tells the format: .npz SPIN's, .json EFT's, .parquet our table. From a
    table only accepted fits go into JSON and .npz.

    For example:
        exemplar data convert coco.json coco.parquet
        exemplar data convert lifted train.npz
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Annotation file or folder of any known format, or the output folder of `exemplar lift`."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """The new file."""
    to: str | None = None
    """Its format: spin_npz, eft_json, table, cliff_npz or coco; the suffix tells unless given."""
    format: str | None = None
    """Format of the source; recognised if not given."""
    images: Path | None = None
    """Folder of the images, whose sizes CLIFF's camera needs."""
    joints: str = ""
    """Joint set of a source that cannot say: the same as --option joints=NAME."""
    option: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")
    ] = ()
    """An option of the source's reader; may be given several times."""
