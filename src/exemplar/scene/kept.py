"""What a long job has done, kept so that it can go on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from exemplar.files.atomic_files import replacing
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import reading

Arrays = dict[str, np.ndarray]

Shapes = Mapping[str, tuple[int, ...]]
"""Of arrays of numbers, by name; -1 stands for any length."""


JOB_FILE = "job.txt"
"""What the job of a folder is, in words that another job does not have."""


def claim(folder: Path, job: str) -> None:
    """Make the folder of what is done, or go on in it; ValueError if it is of another job."""
    note = folder / JOB_FILE
    if note.is_file() and note.read_text("utf-8") != job:
        raise ValueError(
            f"{folder} holds what was done for other files or settings: remove it, or write"
            " elsewhere (-o)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(job, "utf-8")


class Kept:
    """What is done, a file a moment, in a folder; without one nothing is kept."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.folder = folder
        self.name = name

    def read(self, moment: int, shapes: Shapes) -> Arrays | None:
        """What is kept of a moment; None for nothing. ValueError, in one line, if it is damaged."""
        if self.folder is None or not self._path(moment).is_file():
            return None
        path = self._path(moment)
        with reading(path, "what a job has done: remove it"):
            arrays = read_npz(path)
            for name, shape in shapes.items():
                found = arrays[name]
                fits = len(found.shape) == len(shape) and all(
                    length in (-1, own) for own, length in zip(found.shape, shape, strict=True)
                )
                if not fits or found.dtype.kind not in "fi":
                    raise ValueError(f"'{name}' is {found.dtype} {found.shape}, expected {shape}")
        return arrays

    def write(self, moment: int, arrays: Arrays) -> None:
        """Keep this of a moment."""
        if self.folder is None:
            return
        with replacing(self._path(moment)) as half, half.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _path(self, moment: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{self.name}_{moment:06d}.npz"
