"""The ledger's file: other versions, damage, folders that are read-only."""

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from exemplar.lift.job import settings
from exemplar.lift.ledger_files import LEDGER, VERSION
from exemplar.lift.store import Ledger, Selection
from tests.lift.test_store import same, sample, truth

EVERYONE = Selection()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with 12 people, 6 of them done."""
    with Ledger(tmp_path / "job", create=True) as ledger:
        ledger.fill((sample(i) for i in range(12)), {"images": "/data"})
        ledger.join()
        ledger.claim(6, EVERYONE)
        ledger.finish([(i, truth(i)) for i in range(6)])
        ledger.decide(3, "rejected")
    return tmp_path / "job"


def change(job: Path, *statements: str) -> None:
    db = sqlite3.connect(job / LEDGER, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def make_old(job: Path) -> None:
    """As version 1 left it."""
    lacked = {"samples": ("image_width", "image_height", "checksum"), "results": ("checksum",)}
    for table, columns in lacked.items():
        change(job, *(f"ALTER TABLE {table} DROP COLUMN {column}" for column in columns))
    change(job, "PRAGMA user_version=0")


def check_sound(ledger: Ledger) -> None:
    assert ledger.progress(EVERYONE) == (12, 6, 0)
    assert [found.error_px_after for found in ledger.truths()] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert ledger.truth(3).decision == "rejected"


def test_an_old_ledger_is_brought_to_this_version(job: Path) -> None:
    make_old(job)
    for _ in range(2):
        with Ledger(job) as ledger:
            check_sound(ledger)
            ledger.join()
            (number, found), *_ = ledger.claim(1, EVERYONE)
            expected = vars(sample(number)) | {"image_size": None}
            assert same(found, type(found)(**expected))
    change(job, "UPDATE results SET loss_2d = 7 WHERE id = 2")
    with pytest.raises(ValueError, match="row 2 of results was changed"):
        Ledger(job)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE samples SET extra = 'x' WHERE id = 9", "row 9 of samples"),
        ("UPDATE samples SET points = x'00' WHERE id = 2", "row 2 of samples"),
        ("UPDATE results SET kept_iteration = 'x' WHERE id = 4", "row 4 of results"),
        ("UPDATE results SET made_by = '[' WHERE id = 5", "row 5 of results"),
        ("ALTER TABLE results DROP COLUMN message", "results has the columns"),
    ],
)
def test_damage_of_an_old_ledger_is_found_on_opening(
    job: Path, statement: str, reason: str
) -> None:
    make_old(job)
    change(job, statement)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{LEDGER}.* damaged ledger.*{reason}"):
            Ledger(job)


def test_a_newer_ledger_says_so(job: Path) -> None:
    change(job, f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(ValueError, match=f"version {VERSION + 1}, .* update exemplar"):
        Ledger(job)


def test_a_ledger_that_names_no_images_is_one_line(job: Path) -> None:
    change(job, "UPDATE meta SET key = 'x'")
    with Ledger(job) as ledger, pytest.raises(ValueError, match=f"{LEDGER}: its job was never"):
        _ = ledger.images


@pytest.mark.parametrize("stored", ["{}", '{"recipes": 1}', "3"])
def test_settings_of_another_version_are_one_line(job: Path, stored: str) -> None:
    change(job, f"INSERT INTO meta VALUES ('config', '{stored}')" if stored != "{}" else "SELECT 1")
    with Ledger(job) as ledger, pytest.raises(ValueError, match="settings of another version"):
        settings(ledger)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE results SET status = 'ok' || status WHERE id = 4", "row 4 of results"),
        ("UPDATE samples SET x = x + 1 WHERE id = 9", "row 9 of samples"),
        ("DELETE FROM results WHERE id = 5", "it has lost 1 person"),
        ("DELETE FROM work WHERE id >= 10", "it has lost 2 people"),
        ("DELETE FROM samples WHERE id = 11", "it has lost 1 person"),
        ("ALTER TABLE work ADD COLUMN more TEXT", "work has the columns"),
        ("DROP TABLE decisions", "decisions has the columns"),
        ("CREATE TRIGGER t AFTER DELETE ON work BEGIN DELETE FROM results; END", "got t"),
        ("UPDATE meta SET value = '{'", "in meta"),
        ("UPDATE meta SET key = x'00ff'", "for a name in meta"),
    ],
)
def test_damage_is_found_on_opening(job: Path, statement: str, reason: str) -> None:
    change(job, statement)
    with pytest.raises(ValueError, match=f"damaged ledger.*{reason}") as error, Ledger(job) as it:
        it.meta()
    assert "\n" not in str(error.value)


def test_bytes_that_changed_are_one_line_or_do_not_matter(job: Path) -> None:
    change(job)
    whole = (job / LEDGER).read_bytes()
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(150):
        mutated = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 20)):
            mutated[place] = rng.integers(0, 256)
        if rng.random() < 0.2:
            del mutated[int(rng.integers(0, len(whole))) :]
        (job / LEDGER).write_bytes(mutated)
        for suffix in ("-wal", "-shm"):
            (job / (LEDGER + suffix)).unlink(missing_ok=True)
        try:
            with Ledger(job) as ledger:
                ledger.meta(), ledger.outcomes(), ledger.review_rows()
                done = [found.error_px_after for found in ledger.truths()]
                ledger.join()
                ledger.claim(20, EVERYONE)
        except (ValueError, OSError) as error:
            refused.append(str(error))
        else:
            assert done in ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], []), "an unnoticed loss"
    assert len(refused) > 75, "most of the file matters"
    assert not any("\n" in line for line in refused)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that every user of the machine can read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def leave(job: Path) -> None:
    pass


def leave_in_the_log(job: Path) -> None:
    """As a process that was killed does: what it wrote lies beside the file."""
    db = sqlite3.connect(job / LEDGER, isolation_level=None)
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("DELETE FROM decisions")
    kept = {name: (job / name).read_bytes() for name in (LEDGER, LEDGER + "-wal")}
    db.close()
    for name, data in kept.items():
        (job / name).write_bytes(data)


def look(folder: str, told) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    with Ledger(folder) as ledger:
        counts = ledger.counts()["decision"]
        try:
            ledger.decide(1, "accepted")
        except OSError as error:
            told.send((ledger.progress(EVERYONE), counts, str(error)))


@pytest.mark.parametrize("before", [leave, make_old, leave_in_the_log])
def test_a_read_only_folder_can_be_read(
    job: Path, readable: Path, before: Callable[[Path], None]
) -> None:
    before(job)
    shutil.copytree(job, readable / "job")
    for path in (*(readable / "job").iterdir(), readable / "job"):
        path.chmod(0o555)
    context = multiprocessing.get_context("fork")
    told, tells = context.Pipe()
    child = context.Process(target=look, args=(str(readable / "job"), tells))
    child.start()
    child.join(60)
    assert told.poll(), "the child failed"
    progress, counts, error = told.recv()
    (readable / "job").chmod(0o755)
    assert progress == (12, 6, 0)
    assert counts == ({"": 6} if before is leave_in_the_log else {"": 5, "rejected": 1})
    assert "read-only" in error


_DECISIONS = "id INTEGER PRIMARY KEY, decision TEXT NOT NULL"


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE decisions", f"CREATE TABLE decisions ({_DECISIONS} {more})")
        for more in (
            "DEFAULT (hex(zeroblob(9)))",
            "CHECK (length(zeroblob(9)) = 9)",
            "COLLATE NOCASE",
        )
    ]
    + [("CREATE INDEX more ON samples (hex(zeroblob(9)))",)],
)
def test_tables_that_compute_are_refused(job: Path, statements: tuple[str, ...]) -> None:
    """SQLite would run what they say, for gigabytes."""
    change(job, *statements)
    with pytest.raises(ValueError, match=r"expected tables alone, got (decisions|more)"):
        Ledger(job)
