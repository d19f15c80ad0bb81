"""What a stopped clip's job left: blocks of frames, each a file that appears whole."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from exemplar.data.npz_arrays import rows_of
from exemplar.files.atomic_files import replacing
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import one_line, read_json, reading
from exemplar.scene.sightings import COLOUR_BINS, Sighting

JOB_FILE = "job.json"
"""Which clip and which settings the blocks are of."""

BLOCK = 8
"""Frames of a block."""

_HASHED = 1 << 20

_LARGEST = 1e9
"""No pixel, second or count is larger."""

_OF_FRAME: Mapping[str, tuple[int, ...]] = {"numbers": (), "times": (), "counts": ()}
_OF_SIGHTING: Mapping[str, tuple[int, ...]] = {
    "keypoints": (33, 3), "scores": (), "colours": (COLOUR_BINS**3,), "crops": (4,), "boxes": (4,),
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Some frames, and who is seen in them, with what the regressor's frozen parts made of them."""

    numbers: Int[np.ndarray, " f"]
    """Of the frames in the file."""
    times: Float[np.ndarray, " f"]
    """Seconds."""
    people: Sequence[Sequence[Sighting]]
    """By frame."""
    boxes: Float[np.ndarray, "s 4"]
    """Of all sightings in order: the crop's centre (px), side (px) and angle (radians)."""
    inputs: Sequence[np.ndarray]
    """Of all sightings in order."""

    @property
    def first_rows(self) -> Int[np.ndarray, " f"]:
        """Row of each frame's first sighting."""
        return np.cumsum([0, *map(len, self.people)])[:-1]


class ClipJob:
    """A folder of blocks."""

    def __init__(self, folder: Path, clip: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder of a job, or make it.

        ValueError if it has another job's blocks.
        """
        self.folder = folder
        told = {**settings, "clip": _fingerprint(clip)}
        path = folder / JOB_FILE
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(told, indent=1, sort_keys=True))
        found = read_json(path, "the job of a clip")
        differing = sorted(
            name for name in {*told, *found} if told.get(name) != found.get(name)
        ) if isinstance(found, dict) else [JOB_FILE]  # fmt: skip
        if differing:
            raise ValueError(
                f"{folder} has another clip's work, or work with other settings"
                f" ({one_line(', '.join(differing))}): choose another folder, or remove this one"
            )

    def path(self, number: int) -> Path:
        """The file of a block."""
        return self.folder / f"block_{number:06d}.npz"

    def blocks(self) -> int:
        """How many blocks are done, from the first on."""
        number = 0
        while self.path(number).exists():
            number += 1
        return number

    def save(self, number: int, block: Block) -> None:
        """Keep a block."""
        people = [person for frame in block.people for person in frame]
        arrays = {
            "numbers": block.numbers,
            "times": block.times,
            "counts": np.array([len(frame) for frame in block.people]),
            "keypoints": _stacked([person.keypoints for person in people], (33, 3)),
            "scores": np.array([person.score for person in people]),
            "colours": _stacked([person.colour for person in people], (1,)),
            "crops": _stacked([person.crop for person in people], (4,)),
            "boxes": block.boxes,
            **{f"inputs{i}": array for i, array in enumerate(block.inputs)},
        }
        with replacing(self.path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]

    def load(self, number: int) -> Block:
        """A block that is done; ValueError, in one line, if its file is damaged."""
        path = self.path(number)
        with reading(path, "a block of a clip: remove it and those after it"):
            arrays = read_npz(path)
            frames = rows_of(arrays, _OF_FRAME, len(arrays["numbers"]))
            counts = frames["counts"].astype(np.int64)
            if (counts < 0).any():
                raise ValueError(f"a frame of {counts.min()} people")
            of_person = rows_of(arrays, _OF_SIGHTING, int(counts.sum()))
            rows = (*frames.values(), *of_person.values())
            if not all((np.abs(each) < _LARGEST).all() for each in rows):
                raise ValueError("numbers that no picture has")
            sightings = [
                Sighting(keypoints, float(score), colour, crop)
                for keypoints, score, colour, crop in zip(
                    *(of_person[name] for name in ("keypoints", "scores", "colours", "crops")),
                    strict=True,
                )
            ]
            people = [
                sightings[end - count : end]
                for end, count in zip(np.cumsum(counts), counts, strict=True)
            ]
            inputs = [arrays[f"inputs{i}"] for i in range(sum("inputs" in name for name in arrays))]
            if any(one.shape[:1] != (len(sightings),) or one.dtype.kind != "f" for one in inputs):
                raise ValueError(f"its inputs are not of {len(sightings)} people")
            return Block(frames["numbers"], frames["times"], people, of_person["boxes"], inputs)


def _stacked(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, *shape), np.float32)


def _fingerprint(clip: Path) -> str:
    """What tells a file from others: its size, and a hash of its beginning and end."""
    size = clip.stat().st_size
    with clip.open("rb") as file:
        head = file.read(_HASHED)
        file.seek(max(0, size - _HASHED))
        tail = file.read(_HASHED)
    return f"{size} bytes, {hashlib.sha256(head + tail).hexdigest()[:16]}"
