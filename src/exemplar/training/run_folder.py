"""The folder of a training run: settings, environment, log, checkpoints, pictures.

| file | what |
|---|---|
| `config.json` | the settings |
| `environment.json` | versions, commit and device, once for each time that the run was taken up |
| `log.csv` | a row for each logged step; `validation_*` where there was a validation |
| `events.out.tfevents.*` | the same for TensorBoard, if it is installed |
| `last.pt` | everything that going on needs |
| `best.pt`, `step_*.pt` | weights at the best validation; kept checkpoints |
| `pictures/` | what the run draws at its validations |
"""

import contextlib
import csv
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from exemplar.environment import code_commit, code_version
from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import one_line, read_json, reading
from exemplar.files.tensor_files import read_tensors

LAST, BEST, LOG, CONFIG = "last.pt", "best.pt", "log.csv", "config.json"
"""Names of the files in a run's folder."""

FORMAT = 1
"""Version of the checkpoints."""

_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{32}\.(pt|csv|json)")
"""Half-written files of a process that was killed (see `atomic_files.replacing`)."""


@dataclass
class RunFolder:
    """An open run folder; one process has it at a time."""

    path: Path
    """The folder."""
    log: "CsvLog"
    """log.csv."""
    events: Any = None
    """TensorBoard's writer, or None."""

    @property
    def pictures(self) -> Path:
        """Where pictures go."""
        return self.path / "pictures"

    def record(self, step: int, row: Mapping[str, float | int]) -> None:
        """Log the numbers of a step."""
        self.log.append({"step": step, **row})
        if self.events is not None:
            for name, value in row.items():
                self.events.add_scalar(name.replace("validation_", "validation/"), value, step)

    def save(self, name: str, checkpoint: Mapping[str, Any]) -> None:
        """Write a checkpoint; OSError in one line, and the file of before stays, if that fails."""
        save_checkpoint(self.path / name, checkpoint)


@contextlib.contextmanager
def opened_run(
    folder: Path, settings: Mapping[str, Any], *, step: int, device: str, tensorboard: bool = True
) -> Iterator[RunFolder]:
    """The folder of a run that starts (step 0) or goes on after `step`, which cuts its log there.

    ValueError if another process is training in it. See `check_folder` for what may be in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process is training in {folder}") from None
    events = None
    try:
        for path in folder.iterdir():
            if _LEFT_BEHIND.fullmatch(path.name):
                path.unlink()
        _write_json(folder / CONFIG, settings)
        _note_environment(folder / "environment.json", step, device)
        events = _event_writer(folder, step) if tensorboard else None
        yield RunFolder(folder, CsvLog(folder / LOG, keep_to=step), events)
    finally:
        if events is not None:
            with contextlib.suppress(OSError):  # a full disk has been told of by the log
                events.close()
        lock.release()


def check_folder(folder: Path, *, resume: bool) -> None:
    """Whether a run may start, or go on, in a folder; ValueError in one line if not."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, expected a folder for the run")
    if resume and not (folder / LAST).is_file():
        raise ValueError(f"no checkpoint to resume from: there is no {LAST} in {folder}")
    used = [name for name in (LAST, BEST, LOG, CONFIG) if (folder / name).exists()]
    if used and not resume:
        raise ValueError(
            f"{folder} holds another run already ({used[0]}): resume it, or choose another folder"
        )


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are after a way through JSON, paths and the like as text."""
    return json.loads(json.dumps(settings, default=str))


def check_settings(
    now: Mapping[str, Any], then: Mapping[str, Any], *, free: frozenset[str] = frozenset()
) -> None:
    """ValueError naming the first setting that is not what the run began with.

    now, then: settings `as_json`; free: dotted names of those that may change.
    """
    ours, theirs = _flat(now), _flat(then)
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name, "nothing"), theirs.get(name, "nothing")
        if name not in free and a != b:
            raise ValueError(
                f"cannot resume with another value of {name}: got {a!r}, the run has {b!r}"
            )


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all; OSError in one line if it cannot be written."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save({"format": FORMAT, "versions": _versions(), **checkpoint}, file)
        except RuntimeError as error:
            raise _cause(error) from error
        file.flush()
        os.fsync(file.fileno())  # or a power cut leaves the new name with half the bytes


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents on the CPU; ValueError in one line if it is not a whole one."""
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        checkpoint = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or not a checkpoint: {error}") from error
    found = checkpoint.get("format") if isinstance(checkpoint, dict) else type(checkpoint)
    if type(found) is not int or found != FORMAT:
        got = one_line(found)[:40]
        raise ValueError(f"{path} is not a training checkpoint: format {got}, expected {FORMAT}")
    return checkpoint


def load_weights(path: Path) -> dict[str, Tensor]:
    """The step module's state in a checkpoint of any kind: averaged weights where there are some.

    ValueError or FileNotFoundError in one line if there is none.
    """
    with reading(path, "a training checkpoint"):
        checkpoint = load_checkpoint(path)
        average = checkpoint.get("average") or {"average": {}}
        weights = {**checkpoint["module"], **average["average"]}
        wrong = [name for name, value in weights.items() if not isinstance(value, Tensor)]
        if wrong:
            raise ValueError(f"{str(wrong[0])[:40]} is no tensor")
        return weights


class CsvLog:
    """A table that grows by rows; a new column is put behind the others.

    keep_to: rows of later steps, and a row that was cut short, are dropped when it is opened.
    """

    def __init__(self, path: Path, *, keep_to: int) -> None:
        self.path = path
        self._columns: list[str] = []
        if path.exists():
            rows = [row for row in read_log(path) if _whole(row, keep_to)]
            self._rewrite(rows, list(rows[0]) if rows else [])

    def append(self, row: Mapping[str, float | int]) -> None:
        """Write a row; OSError in one line if it cannot be written."""
        new = [name for name in row if name not in self._columns]
        if new:
            rows = read_log(self.path) if self._columns else []
            self._rewrite([*rows, row], [*self._columns, *new])
            return
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot write to {self.path}: {reason}") from error

    def _rewrite(self, rows: list[Any], columns: list[str]) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if columns:
                writer.writeheader()
            writer.writerows(rows)
        self._columns = columns


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log.csv; an empty cell is a number that the row does not have."""
    with reading(path, "a log of training"), path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _whole(row: Mapping[Any, Any], keep_to: int) -> bool:
    step = row.get("step") or ""
    whole = None not in row and None not in row.values() and step.isascii() and step.isdigit()
    return whole and len(step) < 19 and int(step) <= keep_to


def _cause(error: BaseException) -> BaseException:
    """The OSError that torch's writer made a RuntimeError of; else the error itself."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__context__
    return seen or error


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(settings, dict):
        return {prefix: settings}
    parts = [_flat(v, f"{prefix}.{k}" if prefix else k) for k, v in settings.items()]
    return {name: value for part in parts for name, value in part.items()}


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, default=str, indent=1) + "\n")


def _note_environment(path: Path, step: int, device: str) -> None:
    try:
        entries = read_json(path)
    except (OSError, ValueError):
        entries = []
    entries = entries if isinstance(entries, list) else []
    now = {"after_step": step, "command": sys.argv, "commit": code_commit(), "device": device}
    _write_json(path, [*entries, {**now, "platform": platform.platform(), **_versions()}])


def _versions() -> dict[str, str]:
    found = {"exemplar-hmr": code_version(), "python": platform.python_version()}
    for package in ("torch", "lightning-fabric", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1 if step else None)
