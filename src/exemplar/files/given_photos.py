"""The photos that a user names, and the folders that their results go to."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Endings of a folder's files that are photos to fit."""


def photos_of(given: Sequence[Path]) -> list[Path]:
    """The photos: files as they are given, the pictures in a folder, and those of a pattern such as
    `photos/*.jpg`, in the order of their names. ValueError or OSError if there is none."""
    photos = list[Path]()
    for path in given:
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
            what = f"no picture in {path}: expected {', '.join(PICTURES)}"
        elif not path.exists() and any(mark in str(path) for mark in "*?["):
            found = [Path(one) for one in sorted(glob.glob(str(path), recursive=True))]
            what = f"no file like {path}"
        else:
            found, what = [path], ""
        if not found:
            raise FileNotFoundError(what)
        photos += found
    return photos


def output_folders(images: Sequence[Path], output: Path) -> list[Path]:
    """A folder of its own for each photo: `output` for one, else its name below it, with as much
    of its path as tells the photos apart. ValueError for a photo that is given twice, or two whose
    names differ in small and capital letters alone, which some file systems do not tell apart."""
    if len(images) == 1:
        return [output]
    paths = [Path(os.path.abspath(image)) for image in images]
    for depth in range(max(len(path.parts) for path in paths)):
        for last in ("stem", "name"):
            names = [
                "_".join((*path.parts[-1 - depth : -1], getattr(path, last))) for path in paths
            ]
            if len({name.casefold() for name in names}) == len(paths):
                return [output / name for name in names]
    alike = [str(path).casefold() for path in paths]
    twice = next(path for path, name in zip(paths, alike, strict=True) if alike.count(name) > 1)
    raise ValueError(
        f"{twice} is given twice, or differs in capitals alone: their results would overwrite each"
        " other"
    )


def check_writable(folder: Path) -> None:
    """OSError with one line if a folder cannot be made or written to; nothing is made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise OSError(f"cannot write to {folder}: {there} is not a folder")
    if not os.access(there, os.W_OK):
        raise OSError(f"cannot write to {folder}: permission denied")


def writable_folder(folder: Path) -> None:
    """Make a folder; OSError with one line if it cannot be written to."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write to {folder}: {error.strerror}") from None
