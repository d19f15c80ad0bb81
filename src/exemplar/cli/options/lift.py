"""`exemplar lift`: what can be asked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from exemplar.lift.config import LiftConfig


@dataclass(frozen=True)
class LiftCommand:
    """Lift a 2D data set to 3D: pseudo ground truth by exemplar fine-tuning (EFT).

    Stop it at any moment and run the same command again: what is done is kept, nothing is done
    twice. Several processes may run it at once on the same output folder. When all is done, writes
    pseudo_gt.parquet (everything), eft.json and train.npz (what was accepted).

    For example:
        exemplar lift -o lifted --annotations coco.json --images train2017
        exemplar lift -o lifted --recipe smplify --limit 100
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the job: its ledger and the files that it writes."""
    annotations: Path | None = None
    """Annotation file or folder; `exemplar data inspect` says what it is. Not needed to go on."""
    images: str | None = None
    """Folder that the annotation's image names are relative to, a URL (s3://BUCKET/FOLDER; extra:
    remote) or tar files (train-{0000..0012}.tar). Not needed to go on."""
    config: Annotated[tyro.conf.OmitArgPrefixes[LiftConfig], tyro.conf.arg(name="fitting")] = field(
        default_factory=LiftConfig
    )
    """How people are fitted."""
    format: str | None = None
    """Format of the annotation, where it cannot be told."""
    option: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")
    ] = ()
    """An option of the format's reader, such as min_keypoints=12; may be given several times."""
    min_keypoints: int | None = None
    """Fewest known limb joints (of 12), for readers that have this option: the same as
    --option min_keypoints=N."""
    joints: str = ""
    """Joint set of an annotation that cannot say: the same as --option joints=NAME."""
    limit: int | None = None
    """Only the first so many people; all unless given."""
    shard: str = "1/1"
    """i/n: only the i-th of n shares, for machines that share nothing."""
    where: str = ""
    """Only people for whom this SQL condition holds, on id, image, annotation_id, subject, x, y,
    scale, keypoints (how many are known)."""
    retry: Annotated[tuple[str, ...], tyro.conf.arg(metavar="REASON ...")] = ()
    """Take up again people who ended with one of these statuses or reasons, such as missing_image
    or bad_input."""
    engine: Literal["local", "ray"] = "local"
    """local: threads of this process. ray: actors of a Ray cluster (extra: ray)."""
    workers: int | None = None
    """Threads, or Ray actors; by default as many as there are cores and memory has room for."""
    ray_address: str | None = None
    """Address of a running Ray cluster; without it one is started on this machine."""
    device: str = "auto"
    """Torch device: cpu, cuda, mps, or auto (CUDA, else MPS, else the CPU)."""
    export: Annotated[
        tuple[Literal["table", "eft_json", "spin_npz"], ...], tyro.conf.arg(metavar="FORMAT ...")
    ] = ("table", "eft_json", "spin_npz")
    """Files to write when all is done: table, eft_json, spin_npz."""
    quiet: bool = False
    """Print nothing but errors."""
