"""Files that appear whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its place when the block succeeds.

    Missing folders are made. When the block raises, the temporary file is removed and whatever
    was at `path` stays. OSError, in one line, when `path` cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise OSError(f"cannot write to {path}: it is a folder")
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OSError(f"cannot write to {path}: {reason}") from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # its folder is not a folder: nothing was written
        return
