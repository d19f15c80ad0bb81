"""Where a data set's images are kept: a folder, a store with a URL, or tar files."""

import errno
import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

import numpy as np
from jaxtyping import UInt8

from exemplar.files.image_files import (
    OUTSIDE,
    OutsideError,
    decode_image,
    image_size,
    image_within,
    read_image,
    stream_size,
)
from exemplar.files.reading_files import one_line

CONNECT_SECONDS = 10
"""How long an object store (S3) may take to answer at all."""

MOST_SHARDS = 100_000
"""A pattern of tar files that stands for more is refused."""

_COUNTED = re.compile(r"\{(\d+)\.\.(\d+)\}")


@runtime_checkable
class ImageStore(Protocol):
    """Images by the names that annotations give them. It can be pickled.

    OutsideError for a name that leads out of the place.
    """

    def check(self) -> None:
        """FileNotFoundError or OSError, in one line, if the place itself is not there."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is such an image; OSError, in one line, if that cannot be told."""
        ...

    def read(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """`image_files.read_image` of an image, with its errors."""
        ...

    def size(self, name: str) -> tuple[int, int]:
        """`image_files.image_size` of an image, with its errors."""
        ...


def open_images(place: str | Path) -> ImageStore:
    """The images of a place.

    - a folder, or file://FOLDER;
    - tar files: FILE.tar, or a pattern such as train-{0000..0012}.tar or train-*.tar; images go by
      their names in them;
    - a URL of any store that fsspec knows (s3://BUCKET/FOLDER, gs://, memory://, ...), of a folder
      or of tar files.

    A folder is not looked at before its first image, nor is a store (`check` does); tar files are
    indexed at once. ValueError, OSError or ImportError (naming the extra), in one line.
    """
    text = place_name(place)
    if text.endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2")):
        raise ValueError(f"{text} is compressed, expected an uncompressed .tar")
    files = _RemoteFiles.at(text) if "://" in text else _LocalFiles()
    if text.endswith(".tar"):
        return _indexed(text, files)
    return FolderImages(Path(text)) if isinstance(files, _LocalFiles) else RemoteImages(text, files)


def place_name(place: str | Path) -> str:
    """What tells a place from others: the whole path, or the URL without a slash at its end."""
    text = str(place)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    return text.rstrip("/") if "://" in text else str(Path(text).resolve())


@dataclass(frozen=True)
class FolderImages:
    """Images of a folder."""

    folder: Path
    """The folder."""

    def check(self) -> None:
        """FileNotFoundError if there is no such folder."""
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no folder of images at {self.folder}")

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        try:
            return image_within(self.folder, name).is_file()
        except ValueError:
            return False
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return False

    def read(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """The image of a file."""
        return read_image(image_within(self.folder, name))

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of a file's image."""
        return image_size(image_within(self.folder, name))


@dataclass(frozen=True)
class RemoteImages:
    """Images below a URL."""

    url: str
    """The URL."""
    files: "_RemoteFiles"
    """What reads it."""

    def check(self) -> None:
        """OSError if there is nothing at the URL."""
        if not self.url.startswith(("http://", "https://")):  # a web server need not list a folder
            with _one_line(self.url):
                self.files.system.info(self.files.path(self.url))

    def has(self, name: str) -> bool:
        """Whether the object is there."""
        try:
            path = self._path(name)
            with _one_line(path):
                return self.files.system.info(self.files.path(path))["type"] != "directory"
        except (FileNotFoundError, ValueError):
            return False

    def read(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """The image of an object."""
        return decode_image(self._bytes(name), self._path(name))

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an object's image."""
        return stream_size(io.BytesIO(self._bytes(name)), self._path(name))

    def _bytes(self, name: str) -> bytes:
        try:
            return self.files.read(self._path(name))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"no image at {self._path(name)}") from error

    def _path(self, name: str) -> str:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise OutsideError(f"{OUTSIDE}: {name!r} is not below {self.url}")
        return f"{self.url}/{name}"


@dataclass(frozen=True)
class TarImages:
    """Images in tar files."""

    place: str
    """The file, or the pattern of files."""
    files: "_LocalFiles | _RemoteFiles"
    """What reads them."""
    shards: tuple[str, ...]
    """The files."""
    members: dict[str, tuple[int, int, int]] = field(repr=False)
    """By name: number of the file, where in it the image begins, how long it is (bytes)."""

    def check(self) -> None:
        """FileNotFoundError if there is nothing in the files."""
        if not self.members:
            raise FileNotFoundError(f"no files in {self.place}")

    def has(self, name: str) -> bool:
        """Whether the files have the image."""
        return _plain(name) in self.members

    def read(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """The image of a member."""
        return decode_image(self._bytes(name), f"{name} of {self.place}")

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of a member's image."""
        return stream_size(io.BytesIO(self._bytes(name)), f"{name} of {self.place}")

    def _bytes(self, name: str) -> bytes:
        found = self.members.get(_plain(name))
        if found is None:
            raise FileNotFoundError(f"no image {name} in {self.place}")
        shard, start, length = found
        return self.files.read(self.shards[shard], start, start + length)


class _LocalFiles:
    """Files of this machine."""

    def matching(self, pattern: str) -> list[str]:
        """Paths of the files."""
        path = Path(pattern)
        return sorted(map(str, path.parent.glob(path.name))) if "*" in path.name else [pattern]

    def open(self, path: str) -> Any:
        """The file, to be read anywhere."""
        return Path(path).open("rb")

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Some of the file's bytes."""
        with self.open(path) as stream:
            stream.seek(start)
            return stream.read(-1 if end is None else end - start)


@dataclass(frozen=True)
class _RemoteFiles:
    """Files of a store that fsspec knows; their paths are URLs."""

    system: Any

    @classmethod
    def at(cls, url: str) -> "_RemoteFiles":
        """The store of a URL."""
        needed = f"{url} needs fsspec and the store's package: pip install 'exemplar-hmr[remote]'"
        try:
            import fsspec.core  # pyright: ignore[reportMissingImports] - an extra
        except ImportError as error:
            raise ImportError(needed) from error
        options: dict[str, Any] = {}
        if url.startswith(("s3://", "s3a://")):
            patience = {"connect_timeout": CONNECT_SECONDS, "retries": {"max_attempts": 2}}
            options = {"config_kwargs": patience}
        try:
            with _one_line(url):
                return cls(fsspec.core.url_to_fs(url, **options)[0])
        except ImportError as error:
            raise ImportError(f"{needed} ({error})") from error

    def path(self, url: str) -> str:
        """How the store calls it."""
        return self.system._strip_protocol(url)

    def matching(self, pattern: str) -> list[str]:
        """URLs of the files."""
        if "*" not in pattern:
            return [pattern]
        with _one_line(pattern):
            found = sorted(self.system.glob(self.path(pattern)))
            return [self.system.unstrip_protocol(path) for path in found]

    def open(self, path: str) -> Any:
        """The file, to be read anywhere."""
        with _one_line(path):
            return self.system.open(self.path(path), "rb")

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Some of the file's bytes."""
        with _one_line(path):
            return self.system.cat_file(self.path(path), start=start, end=end)


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    """Whatever a store raises is a FileNotFoundError or OSError about the URL; its packages raise
    what they like. ImportError stays."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"nothing at {url}") from error
    except ImportError:
        raise
    except Exception as error:
        reason = one_line(error)
        raise OSError(f"cannot read {url}: {reason[:200]}") from error


def _indexed(place: str, files: _LocalFiles | _RemoteFiles) -> TarImages:
    shards = [path for pattern in _counted(place) for path in files.matching(pattern)]
    if not shards:
        raise FileNotFoundError(f"no tar files at {place}")
    members: dict[str, tuple[int, int, int]] = {}
    for number, shard in enumerate(shards):
        for name, where in _members(shard, files).items():
            if name in members:
                other = shards[members[name][0]]
                raise ValueError(f"{name} is in {other} and in {shard}: expected it in one of them")
            members[name] = (number, *where)
    return TarImages(place, files, tuple(shards), members)


def _counted(pattern: str) -> Iterator[str]:
    """The patterns that one with {first..last} stands for."""
    found = _COUNTED.search(pattern)
    if found is None:
        yield pattern
        return
    first, last = found.groups()
    if int(last) - int(first) >= MOST_SHARDS:
        raise ValueError(f"{pattern}: expected at most {MOST_SHARDS} files")
    for number in range(int(first), int(last) + 1):
        text = str(number).zfill(len(first))
        yield from _counted(pattern[: found.start()] + text + pattern[found.end() :])


def _members(shard: str, files: _LocalFiles | _RemoteFiles) -> dict[str, tuple[int, int]]:
    """Where each file of a tar begins, and how long it is; of one name the last counts."""
    found: dict[str, tuple[int, int]] = {}
    try:
        with files.open(shard) as stream:
            end = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - else it keeps all
                    if not member.isreg() or member.issparse():
                        continue
                    if member.offset_data + member.size > end:
                        raise ValueError(f"{member.name} goes on beyond the file's end")
                    found[_plain(member.name)] = (member.offset_data, member.size)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no tar file at {shard}") from error
    except Exception as error:
        reason = one_line(error)
        raise ValueError(f"{shard} is not a tar file that can be read: {reason}") from error
    return found


def _plain(name: str) -> str:
    """A name without the "./" that tar puts before it."""
    return str(PurePosixPath(name))
