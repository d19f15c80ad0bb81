"""What readers share: whatever a damaged file leads to is one line that names it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exemplar.files.file_budget import Budget


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Make a ValueError of one line, which names the file, of any error in the block.

    `expected` is what the file should be: "an SMPL model". Errors that tell the file, that a file
    is not there, or that a package is missing stay as they are.
    """
    try:
        yield
    except (ImportError, FileNotFoundError):
        raise
    except Exception as error:  # a damaged or hostile file can raise anything
        unless_not_there(error)
        reason = " ".join(str(error).split())[:300]
        if isinstance(error, ValueError | OSError) and str(path) in reason:
            if "\n" in str(error):
                raise ValueError(reason) from error
            raise
        if type(error) is ValueError and reason:
            raise ValueError(f"{path}: {reason}") from error
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__} "
        raise ValueError(f"{path}: not {expected}: {kind}{reason}") from error


def read_json(path: Path, expected: str = "JSON, or cut short") -> Any:
    """What a JSON file holds, in any of JSON's encodings; ValueError or OSError, in one line, if it
    cannot be read or would take too much memory."""
    with reading(path, expected):
        budget = Budget(path.stat().st_size)
        budget.take(path.stat().st_size)
        return parse_json(path.read_bytes(), budget)


def parse_json(text: bytes, budget: Budget) -> Any:
    """The value of a JSON text; ValueError if it is none or would take more than the budget."""
    # one letter beyond the usual makes Python keep four bytes for each
    budget.take(len(text) * (2 if text.isascii() else 6))
    budget.take(sum(each * text.count(mark) for mark, each in _BYTES_FOR.items()))
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("not JSON that can be read: it is nested too deeply") from None


_BYTES_FOR = {b"[": 88, b"{": 200, b":": 64, b",": 32, b'"': 16}
"""Memory of what Python makes for each mark, at most, roughly."""


def one_line(error: object) -> str:
    """What an error says, in one line; its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def unless_not_there(error: Exception) -> None:
    """Raise an OSError of the system about a file again; others come of what the file says."""
    if isinstance(error, OSError) and error.filename is not None:
        raise error
