"""An annotation file or folder, looked into no more often than needed."""

import contextlib
from functools import cached_property
from pathlib import Path
from typing import Any

from exemplar.files.npy_files import npz_names
from exemplar.files.reading_files import read_json

_EMPTY = 4
"""Bytes of a file with nobody in it ("[]"), at most."""


class Contents:
    """What lies at a path; what was parsed to tell the format is not parsed again to read it."""

    def __init__(self, path: "str | Path | Contents") -> None:
        """FileNotFoundError if there is nothing at `path`."""
        self.path = path.path if isinstance(path, Contents) else Path(path)
        if isinstance(path, Contents):
            self.__dict__.update(path.__dict__)
        elif not self.path.exists():
            raise FileNotFoundError(f"no annotation file at {self.path}")

    @property
    def suffix(self) -> str:
        """The file name's ending in lower case, with its dot."""
        return self.path.suffix.lower()

    @cached_property
    def json(self) -> Any:
        """The parsed file; ValueError if it is not JSON."""
        return read_json(self.path)

    @cached_property
    def npz_keys(self) -> frozenset[str]:
        """Names of the arrays of an `.npz` file; empty for anything else."""
        return npz_names(self.path)

    def first_file(self, *endings: str) -> "Contents | None":
        """The file itself if its name has one of the endings; of a folder, the first of its files
        with the first of the endings that any has, one with something in it if there is one. None
        if there is no such file."""
        if not self.path.is_dir():
            return self if self.path.name.lower().endswith(endings) else None
        for ending in endings:
            if ending not in self._first:
                found = sorted(self.path.rglob(f"*{ending}"))
                full = next((each for each in found if each.stat().st_size > _EMPTY), None)
                first = full or next(iter(found), None)
                self._first[ending] = None if first is None else Contents(first)
            if self._first[ending] is not None:
                return self._first[ending]
        return None

    @cached_property
    def _first(self) -> dict[str, "Contents | None"]:
        return {}

    def json_or_none(self) -> Any:
        """The parsed file, None for what is not JSON."""
        with contextlib.suppress(ValueError, OSError):
            return self.json if self.suffix == ".json" and self.path.is_file() else None
        return None

    def json_keys(self) -> frozenset[str]:
        """Top-level keys of a JSON object; empty for anything else."""
        if self.suffix != ".json" or self.path.is_dir():
            return frozenset()
        with contextlib.suppress(ValueError):
            return frozenset(self.json) if isinstance(self.json, dict) else frozenset()
        return frozenset()
