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
        kind = "" if isinstance(error, ValueError) and reason else f"{type(error).__name__} "
        cause = OSError if isinstance(error, OSError) else ValueError
        raise cause(
            f"{path} is damaged, or is not {expected}: {(kind + reason).strip()[:300]}"
        ) from error


def read_json(path: Path, expected: str = "JSON") -> Any:
    """What a JSON file holds; ValueError or OSError, in one line, if it cannot be read."""
    with reading(path, expected):
        return json.loads(path.read_text(encoding="utf-8-sig"))
