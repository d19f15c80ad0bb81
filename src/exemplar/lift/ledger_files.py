"""The ledger's file: its tables and their version, migration, damage, and read-only folders."""

import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from filelock import FileLock

from exemplar.counting import counted
from exemplar.files.reading_files import reading
from exemplar.lift.ledger_rows import CHECKSUM, checksum, sample_of_row, truth_of_row

LEDGER = "ledger.sqlite"
"""Name of the file in a job's folder."""

VERSION = 2
"""Of the tables. 1 had neither checksums nor the sizes of images, and no number in its file."""

LONGEST_WAIT = 600.0
"""Wait for another process that writes, seconds: recording a large data set takes some."""

_MARK = 0x0E4E3D
"""Written into the file's header, so that another program's database is not taken for ours."""

_TABLES: Mapping[str, str] = {
    "meta": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    "samples": """
    id INTEGER PRIMARY KEY, image TEXT NOT NULL, annotation_id INTEGER, subject TEXT NOT NULL,
    x REAL, y REAL, scale REAL, keypoints INTEGER NOT NULL,
    points BLOB NOT NULL, joints_3d BLOB, intrinsics BLOB, extra BLOB, problem TEXT NOT NULL,
    image_width INTEGER, image_height INTEGER, checksum INTEGER""",
    "work": "id INTEGER PRIMARY KEY, owner TEXT",
    "results": """
    id INTEGER PRIMARY KEY, status TEXT NOT NULL, message TEXT NOT NULL,
    error_px_before REAL, error_px_after REAL, loss_2d REAL, iterations INTEGER NOT NULL,
    kept_iteration INTEGER NOT NULL, pose BLOB, betas BLOB, weak_camera BLOB,
    translation BLOB, made_by TEXT NOT NULL, checksum INTEGER""",
    "decisions": "id INTEGER PRIMARY KEY, decision TEXT NOT NULL",
}
"""`work` holds what is not done: a row leaves it when its result is committed."""

_WAITING = "CREATE INDEX waiting ON work (id) WHERE owner IS NULL"

_SINCE_2: Mapping[str, tuple[str, ...]] = {
    "samples": ("image_width INTEGER", "image_height INTEGER", "checksum INTEGER"),
    "results": ("checksum INTEGER",),
}
"""Columns that version 1 lacked."""

_LOST = """SELECT
    (SELECT count(*) FROM samples WHERE id NOT IN (SELECT id FROM work)
     AND id NOT IN (SELECT id FROM results))
    + (SELECT count(*) FROM (SELECT id FROM work UNION ALL SELECT id FROM results)
       WHERE id NOT IN (SELECT id FROM samples))"""
"""How many people are neither waiting nor done, and how many are unknown."""


@dataclass
class LedgerFile:
    """An open file."""

    db: sqlite3.Connection
    """Its connection."""
    writable: bool = True
    """False in a folder that is read-only."""
    copied: TemporaryDirectory[str] | None = None
    """Where a copy is read that could not be read in its place."""

    def close(self) -> None:
        """Close the file."""
        self.db.close()
        if self.copied is not None:
            self.copied.cleanup()


def open_ledger(path: Path) -> LedgerFile:
    """The ledger at `path`, made if there is none, brought to this version, and found whole.

    In a folder that is read-only it can be read. ValueError, in one line, if it is something else,
    was written by a later version or is damaged; OSError if it cannot be read.
    """
    try:
        if path.exists() and not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
            return _open_to_read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # one process at a time: two that make the file at once would see it half made
        with FileLock(path.with_name("opening.lock")):
            return LedgerFile(_opened(path, path))
    except sqlite3.OperationalError as error:
        raise OSError(f"cannot open {path}: {_line(error)}") from error
    except (sqlite3.Error, UnicodeError) as error:
        raise ValueError(f"{path} is not a ledger of a lifting job: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _open_to_read(path: Path) -> LedgerFile:
    log = path.with_name(path.name + "-wal")
    if not (log.exists() and log.stat().st_size):
        db = _connected(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1")
        if _version(db, path) == VERSION:
            _check_whole(db, path)
            return LedgerFile(db, writable=False)
        db.close()
    copied = TemporaryDirectory(prefix="exemplar-ledger-")
    for file in filter(Path.exists, (path, log)):
        shutil.copyfile(file, Path(copied.name) / file.name)
    return LedgerFile(_opened(Path(copied.name) / path.name, path), False, copied)


def _connected(address: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        address, timeout=LONGEST_WAIT, isolation_level=None, check_same_thread=False, uri=True
    )
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA trusted_schema=OFF")
    return db


def _opened(file: Path, path: Path) -> sqlite3.Connection:
    """The database in `file`; errors call it `path`."""
    db = _connected(f"file:{quote(str(file.resolve()))}")
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            _create(db)
        elif _version(db, path) < VERSION:
            _migrate(db, path)
        _check_whole(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    """ValueError if it is not a version that can be read."""
    if db.execute("PRAGMA application_id").fetchone()[0] != _MARK:
        raise sqlite3.DatabaseError("a database of another program")
    version = db.execute("PRAGMA user_version").fetchone()[0] or 1
    if not 1 <= version <= VERSION:
        raise ValueError(
            f"{path} is a ledger of version {version}, expected at most {VERSION}: update exemplar"
        )
    return version


def _create(db: sqlite3.Connection) -> None:
    tables = [f"CREATE TABLE {name} ({columns});" for name, columns in _TABLES.items()]
    _in_one_transaction(db, "".join(tables) + _WAITING)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """ValueError for a row that is damaged: a checksum would call it whole."""
    _add_columns(db)
    _check_tables(db, f"{path} is a damaged ledger")
    with reading(path, "a ledger of a lifting job"):
        for row in db.execute("SELECT * FROM samples"):
            sample_of_row(row)
        for row in db.execute("SELECT *, '' AS decided FROM samples JOIN results USING (id)"):
            truth_of_row(row)
    for table in _SINCE_2:
        names = ", ".join(name for name in _columns(db, table) if name != CHECKSUM)
        db.create_function("summed", -1, lambda *row: checksum(row), deterministic=True)
        db.execute(f"UPDATE {table} SET checksum = summed({names}) WHERE checksum IS NULL")
    _in_one_transaction(db, "")


def _add_columns(db: sqlite3.Connection) -> None:
    for table, columns in _SINCE_2.items():
        present = _columns(db, table)
        for column in columns:
            if column.split()[0] not in present:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def _in_one_transaction(db: sqlite3.Connection, statements: str) -> None:
    """With the version's number, which so is there only if all is."""
    stamp = f"PRAGMA application_id={_MARK}; PRAGMA user_version={VERSION}"
    db.executescript(f"BEGIN IMMEDIATE; {statements}; {stamp}; COMMIT")


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    """ValueError if anything is damaged or missing."""
    damaged = f"{path} is a damaged ledger"
    try:
        _check_tables(db, damaged)
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise ValueError(f"{damaged}: {' '.join(problem.split())}")
        for table in _SINCE_2:
            for row in db.execute(f"SELECT * FROM {table}"):
                *values, stated = row
                if checksum(values) != stated:
                    raise ValueError(f"{damaged}: row {row['id']} of {table} was changed")
        if lost := db.execute(_LOST).fetchone()[0]:
            raise ValueError(f"{damaged}: it has lost {counted(lost)}")
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{damaged}: {_line(error)}") from error


def _check_tables(db: sqlite3.Connection, damaged: str) -> None:
    for name, columns in _TABLES.items():
        expected = [column.split()[0] for column in columns.split(",")]
        if (found := _columns(db, name)) != expected:
            raise ValueError(f"{damaged}: {name} has the columns {found}, expected {expected}")
    # what else SQLite runs is in texts: of constraints, defaults, columns and indices
    ours = {name: f"CREATE TABLE {name} ({columns})" for name, columns in _TABLES.items()}
    ours["waiting"] = _WAITING
    for name, text in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if "".join(str(text).split()) != "".join(ours.get(name, "").split()):
            raise ValueError(f"{damaged}: expected tables alone, got {name}")
