"""What readers share: whatever a damaged file leads to is one line that names it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Make a ValueError or OSError, which names the file, of any error in the block.

    `expected` is what the file should be: "an SMPL model".
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # a damaged or hostile file can raise anything
        reason = " ".join(str(error).split())
        if isinstance(error, ValueError | OSError) and str(path) in reason:
            raise
        if isinstance(error, OSError):
            raise OSError(f"{path}: {error.strerror or reason}") from error
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
            raise ValueError(f"{path}: {reason}") from error
        raise ValueError(
            f"{path} is damaged, or is not {expected}: {type(error).__name__} {reason[:200]}"
        ) from error


def read_json(path: Path, expected: str = "JSON") -> Any:
    """What a JSON file holds; ValueError or OSError, in one line, if it cannot be read."""
    with reading(path, expected):
        try:
            return json.loads(path.read_text(encoding="utf-8-sig"))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{path} is not {expected}, or is cut short: {error}") from error
