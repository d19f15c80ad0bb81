"""The ledger of a lifting job: what is to be done, who is doing it, what came of it (SQLite, WAL).

Each state change is one transaction, so the file is right whenever a process dies. A sample is
claimed, fitted and committed; samples claimed by a process that is no longer alive are free again.
"""

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from exemplar.data.pseudo_gt import Decision, PseudoTruth
from exemplar.files.reading_files import reading
from exemplar.lift.ledger_files import LEDGER, open_ledger
from exemplar.lift.ledger_rows import row_of_sample, row_of_truth, sample_of_row, truth_of_row
from exemplar.lift.reasons import REASONS, STATUSES, typed
from exemplar.samples import Sample

SORTS: Mapping[str, str] = {
    "error_after": "error_px_after DESC NULLS LAST, id",
    "error_before": "error_px_before DESC NULLS LAST, id",
    "loss": "loss_2d DESC NULLS LAST, id",
    "id": "id",
}
"""Orders in which results can be listed, the worst first; those without the number come last."""


@dataclass(frozen=True)
class Selection:
    """Which samples of the ledger a run works on."""

    limit: int | None = None
    """Only so many, from the first."""
    shard: int = 0
    """Which share, from 0."""
    shards: int = 1
    """How many shares there are."""
    where: str = ""
    """An SQL condition on image, annotation_id, subject, x, y, scale, keypoints, problem or id."""

    def __post_init__(self) -> None:
        if self.shards < 1 or not 0 <= self.shard < self.shards:
            raise ValueError(
                f"shard {self.shard + 1} of {self.shards}: expected 1/1, 1/2, 2/2, ..."
            )
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"the limit must be 0 or more, got {self.limit}")

    def sql(self) -> str:
        """The condition on rows of `samples`."""
        parts = [f"id % {self.shards} = {self.shard}"]
        if self.where:
            parts.append(f"({self.where})")
        inside = " AND ".join(parts)
        if self.limit is None:
            return inside
        return f"id IN (SELECT id FROM samples WHERE {inside} ORDER BY id LIMIT {self.limit})"


class Ledger:
    """An open ledger. Its methods may be called from any thread."""

    def __init__(self, folder: str | Path, *, create: bool = False) -> None:
        """FileNotFoundError without a ledger in `folder`, unless it may be created.

        Otherwise as `open_ledger`: in a folder that is read-only it can be read.
        """
        self.folder = Path(folder)
        path = self.folder / LEDGER
        if not create and not path.is_file():
            raise FileNotFoundError(f"no lifting job in {folder}: expected {path}")
        self._lock = threading.RLock()
        self._path = path
        self._file = open_ledger(path)
        self._db = self._file.db
        self.owner = ""
        self._alive: FileLock | None = None

    @classmethod
    def open(cls, folder: str | Path) -> "Ledger":
        """The ledger of a job's folder."""
        return cls(folder)

    def close(self) -> None:
        """Give back what was claimed and not done, and close the file."""
        if self.owner:
            self.release()
            assert self._alive is not None
            self._alive.release()
            Path(self._alive.lock_file).unlink(missing_ok=True)
            self.owner = ""
        self._file.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: whole or not at all. OSError, in one line, if it cannot be written."""
        if not self._file.writable:
            raise OSError(f"cannot write to {self._path}: it is read-only")
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise OSError(f"cannot write to {self._path}: {error}") from error
                raise

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Rows; OSError or ValueError, in one line, for a file that cannot be read any more."""
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot read {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._path} is a damaged ledger: {error}") from error

    # what the job is

    def meta(self) -> dict[str, Any]:
        """What was recorded about the job."""
        try:
            rows = self._read("SELECT * FROM meta")
            if strange := [row["key"] for row in rows if not isinstance(row["key"], str)]:
                raise TypeError(f"{strange[0]!r} for a name")
            return {key: json.loads(value) for key, value in rows}
        except (TypeError, RecursionError, ValueError) as error:
            raise ValueError(f"{self._path} is a damaged ledger: {error} in meta") from error

    @property
    def images(self) -> str | Path:
        """Where the images are, a path or a URL: `image_store_files.open_images` opens it."""
        meta = self.meta()
        if "images" not in meta:
            raise ValueError(f"{self._path}: its job was never begun, or has lost its images")
        place = str(meta["images"])
        return place if "://" in place else Path(place)

    def some_images(self, most: int) -> list[str]:
        """Names of up to so many images, spread over the job."""
        step = "max(1, (SELECT count(*) FROM samples) / ?)"
        rows = self._read(
            f"SELECT DISTINCT image FROM samples WHERE id % {step} = 0 AND image != ''", (most,)
        )
        return [row["image"] for row in rows]

    def fill(self, samples: Iterable[Sample], meta: Mapping[str, Any]) -> None:
        """Record the job's samples, numbered from 0, in one transaction; nothing if there already.

        ValueError if the ledger was filled with a different `meta`.
        """
        with self._writing() as db:
            if present := self.meta():
                _check_same(self.folder, present, meta)
                return
            for number, sample in enumerate(samples):
                _insert(db, "samples", row_of_sample(number, sample))
                db.execute("INSERT INTO work VALUES (?, NULL)", (number,))
            for key, value in meta.items():
                db.execute("INSERT INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def filled(self) -> bool:
        """Whether the job's samples are recorded."""
        return bool(self._read("SELECT 1 FROM meta LIMIT 1"))

    def finished(self) -> bool:
        """Whether every sample has its result."""
        return not self._read("SELECT 1 FROM work LIMIT 1")

    # who does what

    def join(self) -> None:
        """Become one of the job's workers: from now on this process can claim samples."""
        owners = self.folder / "owners"
        owners.mkdir(exist_ok=True)
        self.owner = uuid.uuid4().hex
        self._alive = FileLock(owners / f"{self.owner}.lock", thread_local=False)
        self._alive.acquire()

    def claim(self, most: int, selection: Selection) -> list[tuple[int, Sample]]:
        """Up to `most` waiting samples, the first ones, now this process' own.

        ValueError if the selection's condition is not one.
        """
        assert self.owner, "join() first"
        self._check(selection)
        query = (
            "SELECT samples.* FROM work JOIN samples USING (id) WHERE owner IS NULL"
            f" AND {selection.sql()} ORDER BY id LIMIT ?"
        )
        with self._writing() as db:
            rows = db.execute(query, (most,)).fetchall()
            db.executemany(
                "UPDATE work SET owner = ? WHERE id = ?", [(self.owner, row["id"]) for row in rows]
            )
        with reading(self._path, "a ledger of a lifting job"):
            return [(row["id"], sample_of_row(row)) for row in rows]

    def finish(self, made: Sequence[tuple[int, PseudoTruth]]) -> None:
        """Commit results. One that another process committed before stays as it is."""
        with self._writing() as db:
            for number, truth in made:
                _insert(db, "results", row_of_truth(number, truth))
                db.execute("DELETE FROM work WHERE id = ?", (number,))

    def retry(self, names: Sequence[str], selection: Selection) -> int:
        """Put people back who ended with one of these statuses or reasons, such as bad_input or
        missing_image, unless somebody decided about their fit; returns how many.

        ValueError for a name that is neither.
        """
        self._check(selection)
        wanted = {typed(name) for name in names}
        if unknown := wanted - {typed(name) for name in (*STATUSES, *REASONS)}:
            known = ", ".join(typed(name) for name in (*STATUSES, *REASONS))
            raise ValueError(f"--retry {', '.join(sorted(unknown))}: expected one of {known}")
        with self._writing() as db:
            rows = db.execute(
                "SELECT id, status, message FROM results WHERE id IN"
                f" (SELECT id FROM samples WHERE {selection.sql()})"
                " AND id NOT IN (SELECT id FROM decisions)"
            ).fetchall()
            found = [
                (row["id"],)
                for row in rows
                if wanted & {row["status"], typed(row["message"].partition(":")[0])}
            ]
            db.executemany("DELETE FROM results WHERE id = ?", found)
            db.executemany("INSERT INTO work VALUES (?, NULL)", found)
        return len(found)

    def release(self) -> None:
        """Give back what this process claimed and has not done."""
        with self._writing() as db:
            db.execute("UPDATE work SET owner = NULL WHERE owner = ?", (self.owner,))

    def release_dead(self) -> int:
        """Free what processes that are no longer alive had claimed; returns how many samples.

        A process holds a lock on a file of its own while it lives; the system frees it when the
        process dies, however it dies.
        """
        claimants = self._read("SELECT DISTINCT owner FROM work WHERE owner IS NOT NULL")
        freed = 0
        for (owner,) in claimants:
            if owner == self.owner:
                continue
            lock = FileLock(self.folder / "owners" / f"{owner}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            with self._writing() as db:
                freed += db.execute(
                    "UPDATE work SET owner = NULL WHERE owner = ?", (owner,)
                ).rowcount
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
        return freed

    # what came of it

    def progress(self, selection: Selection) -> tuple[int, int, int]:
        """How many samples of the selection there are, are done, and are claimed."""
        left, waiting = self.left(selection)
        (total,) = self._read(f"SELECT count(*) FROM samples WHERE {selection.sql()}")[0]
        return total, total - left, left - waiting

    def left(self, selection: Selection) -> tuple[int, int]:
        """How many samples of the selection are not done, and how many of these nobody claimed."""
        self._check(selection)
        chosen = selection.sql()
        if selection.where and selection.limit is None:
            chosen = f"id IN (SELECT id FROM samples WHERE {chosen})"
        query = f"SELECT count(*), count(*) - count(owner) FROM work WHERE {chosen}"
        left, waiting = self._read(query)[0]
        return left, waiting

    def _check(self, selection: Selection) -> None:
        """ValueError if the selection's condition is not a condition by itself."""
        try:
            with self._lock:
                self._db.execute(f"EXPLAIN SELECT 1 FROM samples WHERE {selection.where or 1}")
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(f"--where {selection.where!r}: {error}") from error

    def outcomes(self) -> dict[str, int]:
        """How many results there are of each status and reason, the most frequent first."""
        rows = self._read(
            "SELECT status, CASE WHEN instr(message, ':') > 0"
            " THEN substr(message, 1, instr(message, ':') - 1) ELSE message END AS why, count(*)"
            " FROM results GROUP BY status, why ORDER BY count(*) DESC, status, why"
        )
        return {f"{status} ({why})" if why else status: count for status, why, count in rows}

    def truths(self) -> Iterator[PseudoTruth]:
        """All results in the order of the samples, a few at a time."""
        after = -1
        while rows := self._results("WHERE id > ? ORDER BY id LIMIT 500", (after,)):
            yield from (truth for _, truth in rows)
            after = rows[-1][0]

    def truth(self, number: int) -> PseudoTruth:
        """One result; KeyError if there is none."""
        rows = self._results("WHERE id = ?", (number,))
        if not rows:
            raise KeyError(f"no result of sample {number}")
        return rows[0][1]

    def review_rows(
        self, *, status: str = "", decision: str | None = None, sort: str = "error_after",
        offset: int = 0, limit: int = 50,
    ) -> list[tuple[int, PseudoTruth]]:  # fmt: skip
        """Results for a person to look at; `decision` "" asks for those without one."""
        if sort not in SORTS:
            raise ValueError(f"sort {sort!r}: expected one of {', '.join(SORTS)}")
        parts, values = ["1"], []
        if status:
            parts.append("status = ?")
            values.append(status)
        if decision is not None:
            parts.append("coalesce(decision, '') = ?")
            values.append(decision)
        chosen = (
            "SELECT id FROM results LEFT JOIN decisions USING (id)"
            f" WHERE {' AND '.join(parts)} ORDER BY {SORTS[sort]} LIMIT ? OFFSET ?"
        )
        found = [row["id"] for row in self._read(chosen, (*values, limit, offset))]
        with reading(self._path, "a ledger of a lifting job"):
            return [(number, self.truth(number)) for number in found]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many results have each "status", and each "decision" ("" for none)."""
        statuses = self._read("SELECT status, count(*) FROM results GROUP BY 1 ORDER BY 1")
        decisions = self._read(
            "SELECT coalesce(decision, ''), count(*) FROM results LEFT JOIN decisions USING (id)"
            " GROUP BY 1 ORDER BY 1"
        )
        return {
            "status": {row[0]: row[1] for row in statuses},
            "decision": {row[0]: row[1] for row in decisions},
        }

    def decide(self, number: int, decision: Decision) -> None:
        """Record what a person thinks of a result; "" takes it back. KeyError without a result."""
        with self._writing() as db:
            if not db.execute("SELECT 1 FROM results WHERE id = ?", (number,)).fetchall():
                raise KeyError(f"no result of sample {number}")
            db.execute("DELETE FROM decisions WHERE id = ?", (number,))
            if decision:
                db.execute("INSERT INTO decisions VALUES (?, ?)", (number, decision))

    def _results(self, tail: str, values: Sequence[Any]) -> list[tuple[int, PseudoTruth]]:
        rows = self._read(
            "SELECT *, coalesce(decision, '') AS decided FROM samples"
            " JOIN results USING (id) LEFT JOIN decisions USING (id) " + tail,
            values,
        )
        with reading(self._path, "a ledger of a lifting job"):
            return [(row["id"], truth_of_row(row)) for row in rows]


def _insert(db: sqlite3.Connection, table: str, row: Sequence[Any]) -> None:
    """A row that is there already stays as it is."""
    places = ",".join("?" * len(row))
    try:
        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", row)
    except OverflowError as error:
        raise ValueError(f"person {row[0]} has a number of more than 64 bits") from error


def _check_same(folder: Path, present: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    former, latter = _flat(present), _flat(wanted)
    for key, value in latter.items():
        if former.get(key) != value:
            raise ValueError(
                f"{folder} holds a job with {key} {former.get(key)}, not {value}:"
                " choose another output folder"
            )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """One level of nested settings brought up."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= value if isinstance(value, dict) else {key: value}
    return flat
