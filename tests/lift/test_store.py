"""The ledger: nothing twice, nothing lost, whoever dies when."""

import multiprocessing
import os
import signal
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.ledger_rows import checksum
from exemplar.lift.store import Ledger, Selection
from exemplar.results import OK, REJECTED
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, SMPL_49

EVERYONE = Selection()


def sample(number: int) -> Sample:
    rng = np.random.default_rng(number)
    points = rng.normal(100, 30, (len(SMPL_49), 3))
    points[:, 2] = rng.integers(0, 2, len(points))
    return Sample(
        image=f"images/{number % 5}.jpg",
        box_centre=rng.normal(100, 10, 2),
        box_scale=1.0 + number / 7,
        keypoints_2d=points,
        annotation_id=None if number % 3 else number * 10**12,
        subject=f"id{number % 4}",
        joints_3d=rng.normal(size=(len(GT_24), 4)) if number % 2 else None,
        intrinsics=np.eye(3) * number if number % 2 else None,
        extra={"kp_face": rng.normal(size=(68, 3))} if number == 5 else {},
        problem="broken annotation: text" if number == 7 else "",
        image_size=(640, 480 + number) if number % 2 else None,
    )


def truth(number: int, **changes) -> PseudoTruth:
    rng = np.random.default_rng(1000 + number)
    body = BodyTruth(rng.normal(size=(24, 3, 3)), rng.normal(size=10), rng.normal(size=3))
    made = vars(sample(number)) | {"body": body}
    values = {"status": OK, "error_px_after": float(number), "iterations": 3, "regressor": "r"}
    return PseudoTruth(Sample(**made), **(values | changes))


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path, create=True) as ledger:
        ledger.fill((sample(i) for i in range(12)), {"images": "/data", "recipe": "eft"})
        ledger.join()
        yield ledger


def same(one: Sample, other: Sample) -> bool:
    def equal(a, b) -> bool:
        return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b

    assert one.extra.keys() == other.extra.keys()
    assert all(np.array_equal(one.extra[key], other.extra[key]) for key in one.extra)
    plain = [name for name in vars(one) if name not in ("body", "extra")]
    return all(equal(getattr(one, name), getattr(other, name)) for name in plain)


def test_samples_come_back_as_they_were(ledger: Ledger) -> None:
    claimed = ledger.claim(100, EVERYONE)
    assert [number for number, _ in claimed] == list(range(12))
    assert all(same(found, sample(number)) for number, found in claimed)


def test_results_come_back_as_they_were(ledger: Ledger) -> None:
    ledger.claim(12, EVERYONE)
    failed = PseudoTruth(sample(2), status="bad_input", message="missing image: no image at x")
    ledger.finish([(1, truth(1, status=REJECTED, message="shape: big", kept_iteration=2))])
    ledger.finish([(2, failed)])
    found = list(ledger.truths())
    assert len(found) == 2
    expected = truth(1)
    assert found[0].sample.body is not None
    assert expected.sample.body is not None
    assert np.array_equal(found[0].sample.body.pose, expected.sample.body.pose)
    assert np.array_equal(found[0].sample.body.betas, expected.sample.body.betas)
    assert found[0].sample.body.translation is None
    assert (found[0].status, found[0].kept_iteration, found[0].error_px_after) == (REJECTED, 2, 1.0)
    assert np.isnan(found[0].error_px_before)
    assert found[1].sample.body is None
    assert found[1].message == failed.message
    assert ledger.outcomes() == {"bad_input (missing image)": 1, "rejected (shape)": 1}


def test_a_claimed_sample_is_nobody_elses(ledger: Ledger) -> None:
    with Ledger(ledger.folder) as other:
        other.join()
        mine = [number for number, _ in ledger.claim(5, EVERYONE)]
        theirs = [number for number, _ in other.claim(5, EVERYONE)]
        assert (mine, theirs) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
        assert other.release_dead() == 0, "the first owner is alive"
    assert [number for number, _ in ledger.claim(5, EVERYONE)] == [5, 6, 7, 8, 9], "given back"


def test_a_result_is_committed_once(ledger: Ledger) -> None:
    ledger.claim(2, EVERYONE)
    ledger.finish([(0, truth(0))])
    ledger.finish([(0, truth(0, error_px_after=99.0)), (1, truth(1))])
    assert [found.error_px_after for found in ledger.truths()] == [0.0, 1.0]
    assert ledger.progress(EVERYONE) == (12, 2, 0)


def test_filling_again_changes_nothing_and_another_job_is_refused(ledger: Ledger) -> None:
    ledger.claim(1, EVERYONE)
    ledger.finish([(0, truth(0))])
    ledger.fill((sample(i) for i in range(99)), {"images": "/data", "recipe": "eft"})
    assert ledger.progress(EVERYONE) == (12, 1, 0)
    with pytest.raises(ValueError, match="a job with recipe eft, not smplify"):
        ledger.fill([], {"images": "/data", "recipe": "smplify"})


def test_a_reader_that_breaks_off_leaves_no_half_of_a_job(tmp_path: Path) -> None:
    def breaking():
        yield sample(0)
        raise ValueError("the file ends here")

    with Ledger(tmp_path, create=True) as ledger:
        with pytest.raises(ValueError, match="ends here"):
            ledger.fill(breaking(), {"images": "/data"})
        assert not ledger.filled()
        ledger.fill([sample(0), sample(1)], {"images": "/data"})
        assert ledger.progress(EVERYONE) == (2, 0, 0)


def test_a_number_that_is_too_large_is_one_line(tmp_path: Path) -> None:
    with Ledger(tmp_path, create=True) as ledger:
        with pytest.raises(ValueError, match="person 0 has a number of more than 64 bits"):
            ledger.fill([replace(sample(0), annotation_id=10**20)], {"images": "/data"})
        assert not ledger.filled()


def claim_and_die(folder: str, ready, method: str) -> None:
    ledger = Ledger(folder)
    ledger.join()
    ledger.claim(5, EVERYONE)
    ledger.finish([(0, truth(0))])
    ready.set()
    os.kill(os.getpid(), getattr(signal, method))


@pytest.mark.parametrize("method", ["SIGKILL", "SIGTERM"])
def test_what_a_dead_process_had_claimed_is_free_again(tmp_path: Path, method: str) -> None:
    with Ledger(tmp_path, create=True) as ledger:
        ledger.fill((sample(i) for i in range(12)), {"images": "/data"})
    context = multiprocessing.get_context("fork")  # SQLite's files are closed: it bears no fork
    ready = context.Event()
    child = context.Process(target=claim_and_die, args=(str(tmp_path), ready, method))
    child.start()
    assert ready.wait(60)
    child.join(60)
    with Ledger(tmp_path) as ledger:
        ledger.join()
        assert [number for number, _ in ledger.claim(2, EVERYONE)] == [5, 6]
        assert ledger.release_dead() == 4
        assert [number for number, _ in ledger.claim(9, EVERYONE)] == [1, 2, 3, 4, 7, 8, 9, 10, 11]
        assert ledger.progress(EVERYONE) == (12, 1, 11)


def test_many_threads_share_the_work_without_a_double(ledger: Ledger) -> None:
    taken: list[int] = []

    def work() -> None:
        with Ledger(ledger.folder) as own:
            own.join()
            while claimed := own.claim(1, EVERYONE):
                taken.extend(number for number, _ in claimed)
                own.finish([(number, truth(number)) for number, _ in claimed])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(12))
    assert len(list(ledger.truths())) == 12


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(limit=3), [0, 1, 2]),
        (Selection(shard=1, shards=2), [1, 3, 5, 7, 9, 11]),
        (Selection(where="image = 'images/1.jpg'"), [1, 6, 11]),
        (Selection(limit=2, where="subject = 'id3'"), [3, 7]),
        (Selection(limit=2, shard=0, shards=3), [0, 3]),
        (Selection(limit=0), []),
    ],
)
def test_selections(ledger: Ledger, selection: Selection, expected: list[int]) -> None:
    assert ledger.progress(selection) == (len(expected), 0, 0)
    assert [number for number, _ in ledger.claim(100, selection)] == expected


@pytest.mark.parametrize("where", ["image LIKE", "nonsense = 1", "1) OR (1", "1; DROP TABLE work"])
def test_a_condition_that_is_none_is_one_line(ledger: Ledger, where: str) -> None:
    with pytest.raises(ValueError, match="--where") as error:
        ledger.claim(1, Selection(where=where))
    assert "\n" not in str(error.value)
    assert ledger.progress(EVERYONE) == (12, 0, 0)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none(shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="shard"):
        Selection(shard=shard[0], shards=shard[1])


def test_decisions_can_be_made_and_taken_back(ledger: Ledger) -> None:
    ledger.claim(3, EVERYONE)
    ledger.finish([(i, truth(i)) for i in range(3)])
    ledger.decide(1, "rejected")
    ledger.decide(2, "accepted")
    assert ledger.counts() == {
        "status": {"ok": 3},
        "decision": {"": 1, "accepted": 1, "rejected": 1},
    }
    assert [found.usable for found in ledger.truths()] == [True, False, True]
    ledger.decide(1, "")
    assert ledger.truth(1).decision == ""
    with pytest.raises(KeyError):
        ledger.decide(9, "accepted")


def test_rows_for_review_come_worst_first(ledger: Ledger) -> None:
    ledger.claim(6, EVERYONE)
    errors = [3.0, float("nan"), 9.0, 1.0]
    ledger.finish([(i, truth(i, error_px_after=error)) for i, error in enumerate(errors)])
    ledger.decide(2, "accepted")
    order = [number for number, _ in ledger.review_rows()]
    assert order == [2, 0, 3, 1], "those without an error come last"
    assert [n for n, _ in ledger.review_rows(decision="")] == [0, 3, 1]
    assert [n for n, _ in ledger.review_rows(decision="accepted")] == [2]
    assert [n for n, _ in ledger.review_rows(sort="id", offset=1, limit=2)] == [1, 2]
    assert ledger.review_rows(status="diverged") == []
    with pytest.raises(ValueError, match="sort"):
        ledger.review_rows(sort="colour")


def test_a_full_disk_is_one_line_and_loses_nothing(ledger: Ledger) -> None:
    ledger.claim(3, EVERYONE)
    ledger.finish([(0, truth(0))])
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OSError, match="cannot write to") as error:
        ledger.finish([(i, truth(i, message="x" * 9000)) for i in (1, 2)])
    assert "\n" not in str(error.value)
    ledger._db.execute("PRAGMA max_page_count=1000000")
    assert ledger.progress(EVERYONE) == (12, 1, 2)
    ledger.finish([(i, truth(i)) for i in (1, 2)])
    assert [found.error_px_after for found in ledger.truths()] == [0.0, 1.0, 2.0]


def test_many_processes_may_make_the_ledger_at_once(tmp_path: Path) -> None:
    made: list[tuple[int, int, int]] = []

    def make() -> None:
        with Ledger(tmp_path, create=True) as own:
            own.fill((sample(i) for i in range(12)), {"images": "/data"})
            made.append(own.progress(EVERYONE))

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(12, 0, 0)] * 6


def test_a_folder_without_a_job(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no lifting job"):
        Ledger(tmp_path)
    (tmp_path / LEDGER).write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(ValueError, match="not a ledger"):
        Ledger(tmp_path)


def test_a_database_of_something_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / LEDGER) as db:
        db.execute("CREATE TABLE samples (name TEXT)")
    with pytest.raises(ValueError, match="not a ledger"):
        Ledger(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE samples SET points = x'00' WHERE id = 1", "must be a multiple"),
        ("UPDATE samples SET image = x'00' WHERE id = 1", "row 1 of .* as its image"),
        ("UPDATE samples SET extra = 'text' WHERE id = 1", "as its extra"),
        ("UPDATE samples SET x = 'text' WHERE id = 1", "as its x"),
        ("UPDATE results SET iterations = 'text' WHERE id = 1", "as its iterations"),
        ("UPDATE results SET made_by = '{' WHERE id = 1", "damaged ledger: row 1 of results"),
    ],
)
def test_damage_with_a_right_checksum_is_one_line(tmp_path: Path, change: str, says: str) -> None:
    with Ledger(tmp_path, create=True) as ledger:
        ledger.fill((sample(i) for i in range(3)), {"images": "/data"})
        ledger.finish([(i, truth(i)) for i in range(3)])
    with sqlite3.connect(tmp_path / LEDGER) as db:
        db.execute(change)
        for table in ("samples", "results"):
            for *values, _ in db.execute(f"SELECT * FROM {table}").fetchall():
                known = (checksum(values), values[0])
                db.execute(f"UPDATE {table} SET checksum = ? WHERE id = ?", known)
    with Ledger.open(tmp_path) as ledger, pytest.raises(ValueError, match=says) as caught:
        list(ledger.truths())
    assert LEDGER in str(caught.value)
    assert "\n" not in str(caught.value)
