"""Votes of a blind comparison: what one is, and files of them.

A file has one vote a line (JSON), appended and forced to the disk as it is given; or it is the JSON
list that a page without a server lets its voter download. Neither says which source a body is of.
"""

import json
import math
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from exemplar.files.reading_files import read_json, reading

Choice = Literal["left", "right", "none"]
"""Which side a voter prefers; "none" for no preference."""

CHOICES: tuple[Choice, ...] = ("left", "right", "none")
"""Every choice."""

LONGEST_NAME = 60
"""Letters of an annotator's name."""


@dataclass(frozen=True)
class Vote:
    """What an annotator said of two bodies of a person."""

    annotator: str
    """Who voted."""
    left: str
    """Name of the body that was shown on the left (`compare_people.body_name`)."""
    right: str
    """The same of the right."""
    choice: Choice
    """The side that looked better."""
    overlay: bool = False
    """Whether the bodies had been shown over the photo before the vote."""
    seconds: float | None = None
    """Between the person's pictures and the vote, as the page measured it."""
    time: str = ""
    """When, UTC."""

    def __post_init__(self) -> None:
        name = self.annotator
        if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
            raise ValueError(
                f"expected an annotator's name of 1 to {LONGEST_NAME} letters,"
                f" got {name[: LONGEST_NAME + 1]!r}"
            )
        if not self.left or not self.right or self.left == self.right:
            raise ValueError("expected the names of two bodies, left and right")
        if self.seconds is not None and not 0 <= self.seconds < math.inf:
            raise ValueError(f"expected seconds of 0 or more, got {self.seconds}")

    @property
    def pair(self) -> tuple[str, str]:
        """The names of the bodies in an order that tells nothing."""
        return (self.left, self.right) if self.left < self.right else (self.right, self.left)

    @property
    def preferred(self) -> str:
        """Name of the body that looked better, "" for none."""
        return {"left": self.left, "right": self.right}.get(self.choice, "")


_KINDS: Mapping[str, tuple[type, ...]] = {
    "overlay": (bool,),
    "seconds": (int, float, type(None)),
}


def vote_from(record: object) -> Vote:
    """A vote from decoded JSON; ValueError, in one line, if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"expected a vote, got {str(record)[:40]!r}")
    known = [f.name for f in fields(Vote)]
    for name in known[:4]:
        if name not in record:
            raise ValueError(f"the vote has no {name!r}")
    for name, value in record.items():
        if name not in known:
            raise ValueError(f"a vote has no {str(name)[:40]!r}, expected {', '.join(known)}")
        kinds = _KINDS.get(name, (str,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name!r} of a vote cannot be {str(value)[:40]!r}")
    if record["choice"] not in CHOICES:
        raise ValueError(f"expected the choice left, right or none, got {record['choice'][:40]!r}")
    given: dict[str, Any] = dict(record)
    if given.get("seconds") is not None:
        given["seconds"] = float(given["seconds"])
    return Vote(**given)


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file, as they were given.

    FileNotFoundError without one; ValueError with the line (of a list: the number) of the first
    that is not a vote.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no votes at {path}")
    with reading(path, "a file of votes"):
        return _votes(path)


def _votes(path: Path) -> list[Vote]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a file of votes: it is not text") from None
    if text.lstrip().startswith("["):
        return _listed(path)
    lines = enumerate(text.split("\n"), 1)
    return [_line(path, number, line) for number, line in lines if line.strip()]


def _listed(path: Path) -> list[Vote]:
    votes = []
    for number, record in enumerate(read_json(path, "a list of votes"), 1):
        try:
            votes.append(vote_from(record))
        except ValueError as error:
            raise ValueError(f"{path}, vote {number}: {error}") from None
    return votes


def _line(path: Path, number: int, line: str) -> Vote:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{path}, line {number}: not JSON: {line[:40]!r}") from None
    try:
        return vote_from(record)
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}") from None


def last_votes(votes: Iterable[Vote]) -> list[Vote]:
    """Each annotator's last vote on each pair: a vote can be thought over."""
    return list({(vote.annotator, vote.pair): vote for vote in votes}.values())


class VoteFile:
    """A file that votes are appended to, by several threads. What it holds already is kept."""

    def __init__(self, path: Path) -> None:
        """ValueError if the file holds something else, OSError if it cannot be written."""
        self.path, self._lock = path, threading.Lock()
        if path.is_dir():
            raise OSError(f"cannot write votes to {path}: it is a folder")
        self._votes = read_votes(path) if path.exists() else []
        if path.exists() and path.read_text(encoding="utf-8").lstrip().startswith("["):
            raise ValueError(f"{path} was downloaded from a page: votes are added to another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._append("" if _ends_a_line(path) else "\n")

    def votes(self, annotator: str | None = None) -> list[Vote]:
        """The last vote on each pair, of one annotator or of all."""
        with self._lock:
            votes = last_votes(self._votes)
        return [vote for vote in votes if annotator in (None, vote.annotator)]

    def add(self, vote: Vote) -> None:
        """Append a vote; it is on the disk when this returns."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        record: dict[str, Any] = asdict(vote) | {"time": stamp}
        with self._lock:
            self._append(json.dumps(record) + "\n")
            self._votes.append(vote_from(record))

    def _append(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot write votes to {self.path}: {reason}") from error


def _ends_a_line(path: Path) -> bool:
    """Whether the next vote begins a line."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
