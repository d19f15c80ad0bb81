"""What a long job has done, kept so that it can go on."""

from pathlib import Path

import numpy as np

from exemplar.files.atomic_files import replacing
from exemplar.files.npy_files import read_npz

Arrays = dict[str, np.ndarray]


class Kept:
    """What is done, a file a moment, in a folder; without one nothing is kept."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.folder = folder
        self.name = name

    def read(self, moment: int) -> Arrays | None:
        """What is kept of a moment; None for nothing."""
        if self.folder is None or not self._path(moment).is_file():
            return None
        return read_npz(self._path(moment))

    def write(self, moment: int, arrays: Arrays) -> None:
        """Keep this of a moment."""
        if self.folder is None:
            return
        with replacing(self._path(moment)) as half, half.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _path(self, moment: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{self.name}_{moment:06d}.npz"
