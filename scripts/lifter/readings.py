"""What the trunk reads of real and of drawn people, in blocks on disk, resumable.

    python -m scripts.lifter.readings real --annotations ../shared/lspet/joints.mat \
        --images ../shared/lspet/images --out W/lspet
    python -m scripts.lifter.readings drawn --count 12000 --seed 11 --out W/drawn

`--trunk heavy` reads with the larger trunk. A block is a .npz file of at most 250 people.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from exemplar.data.formats import read
from exemplar.detect.landmarks import default_trunk
from exemplar.geometry.rotations import rotation_about_z
from exemplar.lift.prepare import Prepared, Preparer, Shown
from exemplar.regressors.blazepose import RESOLUTION, Size
from exemplar.regressors.landmark_reader import LandmarkReader, Landmarks

BLOCK = 250
FORWARD_BATCH = 8
"""Images a forward pass: larger batches fall out of the processor's cache."""


@dataclass(frozen=True)
class Real:
    """Read annotated photographs, cropped by their annotation. Bodies that it has are kept."""

    annotations: Path
    """Annotation file of any format that `exemplar data inspect` knows."""
    images: Path
    """Folder of its images."""
    out: Path
    """Folder of the blocks."""
    trunk: Size = "full"
    """Which trunk reads."""
    least: int = 8
    """People with fewer annotated joints are left out."""


@dataclass(frozen=True)
class Drawn:
    """Draw people and read them."""

    out: Path
    """Folder of the blocks."""
    count: int
    """People to draw."""
    seed: int
    """Seed of the drawing."""
    start: int = 0
    """First person to draw."""
    trunk: Size = "full"
    """Which trunk reads."""


Columns = dict[str, np.ndarray]


def main(command: Real | Drawn) -> None:
    """Fill the folder with what is missing in it."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.set_grad_enabled(False)
    command.out.mkdir(parents=True, exist_ok=True)
    reader = LandmarkReader(default_trunk(command.trunk)).to(memory_format=torch.channels_last)
    blocks = _real(command) if isinstance(command, Real) else _drawn(command)
    for number, make in enumerate(blocks):
        path = command.out / f"{number:05d}.npz"
        if path.exists():
            continue
        began = time.time()
        crops, columns = make()
        columns |= readings(reader, crops)
        part = path.with_suffix(".part.npz")
        np.savez(part, **columns)
        part.rename(path)
        print(f"{path.name} {len(crops)} people, {time.time() - began:.0f} s", flush=True)


def readings(reader: LandmarkReader, crops: np.ndarray) -> Columns:
    """The trunk's readings of crops (n, 256, 256, 3), a column a field of `Landmarks`."""
    found = []
    for images in torch.from_numpy(crops).split(FORWARD_BATCH):
        found.append(reader(images.permute(0, 3, 1, 2).float() / 255))
    return {
        name: torch.cat([getattr(f, name) for f in found]).numpy() for name in Landmarks._fields
    }


def _real(command: Real) -> Iterator[Callable[[], tuple[np.ndarray, Columns]]]:
    """What makes each block of an annotation file: crops, and what is known of the people."""
    samples = read(command.annotations)
    usable = (s for s in samples if (s.keypoints_2d[:, 2] > 0).sum() >= command.least)
    prepare = Preparer(command.images, Shown(RESOLUTION, RESOLUTION, framing="hips"))

    def make(block: list) -> tuple[np.ndarray, Columns]:
        people = [prepare(i, sample) for i, sample in enumerate(block)]
        kept = [p for p in people if p.person is not None]
        for p in people:
            if p.person is None:
                print(f"{p.sample.image}: {p.message}")
        persons = [p.person for p in kept if p.person is not None]
        columns = {
            "image": np.array([p.sample.image for p in kept]),
            "annotation_id": np.array([p.sample.annotation_id or 0 for p in kept]),
            "keypoints_2d": np.stack([p.keypoints_2d.numpy() for p in persons]),
            "box_centre": np.stack([p.box.centre.numpy() for p in persons]),
            "box_size": np.array([float(p.box.size) for p in persons]),
            "box_angle": np.array([float(p.box.angle) for p in persons]),
        }
        return np.stack([p.crop for p in persons]), columns | _bodies(kept)

    while block := list(islice(usable, BLOCK)):
        yield lambda block=block: make(block)


def _bodies(people: list[Prepared]) -> Columns:
    """Annotated bodies in the frames of the people's crops, if all of them have one."""
    bodies = [p.sample.body for p in people if p.sample.body is not None]
    if len(bodies) < len(people):
        return {}
    pose = torch.from_numpy(np.stack([body.pose for body in bodies])).float()
    angle = torch.stack([p.person.box.angle for p in people if p.person is not None])
    return {
        "global_orient": (rotation_about_z(-angle.reshape(-1).float()) @ pose[:, 0]).numpy(),
        "body_pose": pose[:, 1:].numpy(),
        "betas": np.stack([body.betas for body in bodies]).astype(np.float32),
    }


def _drawn(command: Drawn) -> Iterator[Callable[[], tuple[np.ndarray, Columns]]]:
    """What makes each block of drawn people: crops and their truth."""
    from exemplar.synth.dataset import draw_samples

    def make(start: int, count: int) -> tuple[np.ndarray, Columns]:
        drawn = draw_samples(count, seed=command.seed, start=start)
        keypoints = drawn.keypoints_2d.astype(np.float32).copy()
        keypoints[..., :2] = keypoints[..., :2] / (drawn.images.shape[1] / 2) - 1
        return drawn.images, {
            "global_orient": drawn.global_orient,
            "body_pose": drawn.body_pose,
            "betas": drawn.betas,
            "camera": drawn.weak_camera,
            "keypoints_2d": keypoints,
        }

    for start in range(command.start, command.start + command.count, BLOCK):
        size = min(BLOCK, command.start + command.count - start)
        yield lambda start=start, size=size: make(start, size)


def load_columns(folder: Path) -> Columns:
    """All blocks of a folder side by side; FileNotFoundError if there is none."""
    columns: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob("[0-9]*[0-9].npz")):
        with np.load(path) as block:
            for key in block.files:
                columns.setdefault(key, []).append(block[key])
    if not columns:
        raise FileNotFoundError(f"no blocks in {folder}: run scripts.lifter.readings first")
    return {key: np.concatenate(parts) for key, parts in columns.items()}


def landmarks_of(columns: Columns) -> Landmarks:
    """Readings as the head takes them"""
    return Landmarks(*(torch.from_numpy(columns[name]).float() for name in Landmarks._fields))


if __name__ == "__main__":
    Command = (
        Annotated[Real, tyro.conf.subcommand("real")]
        | Annotated[Drawn, tyro.conf.subcommand("drawn")]
    )
    main(tyro.cli(Command))  # pyright: ignore
