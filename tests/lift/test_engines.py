"""Running jobs: interrupted, killed, shared; the same table always."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import exemplar
from exemplar.cli import main
from exemplar.cli.options.words import parse_shard
from exemplar.data.formats import eft_json, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import open_job
from exemplar.lift.lifter import Lifter, Room
from exemplar.lift.local import claim_size, prepared, run_local
from exemplar.lift.prepare import Preparer
from exemplar.lift.store import Ledger, Selection
from tests.lift.toy import (
    COUNT,
    EVERYONE,
    FAST,
    new_job,
    numbers,
    sample,
    wait_for,
    write_annotation,
)


@pytest.mark.parametrize("readers", [2, 5])
def test_several_readers_give_the_same_people_in_order(photographs: Path, readers: int) -> None:
    """A GPU's samples are read by several threads; one of them is broken here."""
    prepare = [Lifter(FAST, workers=1).preparer(photographs)]
    claimed = [(i, sample(i)) for i in range(7)]
    claimed[3] = (3, sample(3, problem="torn: in two"))
    several = [Preparer(photographs, prepare[0].shown) for _ in range(readers)]
    for one, other in zip(prepared(prepare, claimed), prepared(several, claimed), strict=True):
        assert (one.number, one.message) == (other.number, other.message)
        assert (one.person is None) == (one.number == 3)
        if one.person is not None and other.person is not None:
            assert np.array_equal(one.person.crop, other.person.crop)
    assert prepared(several, []) == []


def test_a_gpus_way_gives_the_same_bodies(
    photographs: Path,
    tmp_path: Path,
    undisturbed: list[PseudoTruth],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a CPU: people side by side whose places are refilled, read by two threads."""
    monkeypatch.setattr(Lifter, "readers", 2)
    with new_job(tmp_path, photographs) as ledger:
        ledger.join()
        lifter = Lifter(FAST, workers=1)
        lifter.room = Room(4, 1)
        run_local(ledger, lifter, EVERYONE, lambda made: None)
        found = list(ledger.truths())
    for one, other in zip(undisturbed, found, strict=True):
        assert (one.sample.image, one.status) == (other.sample.image, other.status)
        assert (one.iterations, one.kept_iteration) == (other.iterations, other.kept_iteration)
        assert one.sample.body is not None
        assert other.sample.body is not None
        # float32 sums in another order, through Adam's division of small by small
        assert np.allclose(one.sample.body.pose, other.sample.body.pose, atol=1e-3)


def test_threads_change_no_number(
    photographs: Path, tmp_path: Path, undisturbed: list[PseudoTruth]
) -> None:
    with new_job(tmp_path, photographs) as ledger:
        ledger.join()
        run_local(ledger, Lifter(FAST, workers=3), EVERYONE, lambda made: None)
        assert numbers(list(ledger.truths())) == numbers(undisturbed)


def test_an_interrupt_keeps_what_is_done_and_frees_the_rest(
    photographs: Path, tmp_path: Path, undisturbed: list[PseudoTruth]
) -> None:
    ledger = new_job(tmp_path, photographs)
    ledger.join()
    heard: list[PseudoTruth] = []

    def interrupt(made) -> None:
        heard.extend(made)
        if len(heard) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_local(ledger, Lifter(FAST, workers=2), EVERYONE, interrupt)
    ledger.release()
    total, done, claimed = ledger.progress(EVERYONE)
    assert (total, claimed) == (COUNT, 0)
    assert 5 <= done <= 7, "those in work may end"
    run_local(ledger, Lifter(FAST, workers=2), EVERYONE, lambda made: heard.extend(made))
    assert len(heard) <= COUNT + 2
    assert numbers(list(ledger.truths())) == numbers(undisturbed)
    ledger.close()


def job_command(folder: Path, annotation: Path, photographs: Path) -> list[str]:
    options = ("--regressor", "mobile", "--iterations", "2", "--workers", "1", "--quiet")
    files = ("--annotations", str(annotation), "--images", str(photographs))
    return [sys.executable, "-m", "exemplar.cli", "lift", *files, "-o", str(folder), *options]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_and_two_at_once_leave_the_same_table(
    photographs: Path, tmp_path: Path, undisturbed: list[PseudoTruth], how: signal.Signals
) -> None:
    folder = tmp_path / "out"
    command = job_command(folder, write_annotation(tmp_path / "a.npz", COUNT), photographs)
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - see below
    # a shell that began the tests in the background has them, and their children, ignore Ctrl-C
    first = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeding)
    wait_for(folder, 3)
    first.send_signal(how)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
    assert b"Traceback" not in errors
    others = [subprocess.Popen(command) for _ in range(2)]
    assert [other.wait(120) for other in others] == [0, 0]
    made = list(table.read(folder / "pseudo_gt.parquet"))
    assert numbers(made) == numbers(undisturbed)
    assert len(list(eft_json.read(folder / "eft.json"))) == sum(row.usable for row in made)
    assert len(list(spin_npz.read(folder / "train.npz"))) == sum(row.usable for row in made)


def test_claims_shrink_towards_the_end(tmp_path: Path) -> None:
    with new_job(tmp_path, tmp_path) as ledger:
        ledger.join()
        sizes = []
        while claimed := ledger.claim(claim_size(ledger, EVERYONE, 3, 1), EVERYONE):
            sizes.append(len(claimed))
    assert sum(sizes) == COUNT
    assert sizes[0] == 3
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_the_command_lifts_and_goes_on(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotation = str(write_annotation(tmp_path / "a.npz"))
    out = str(tmp_path / "out")
    job = ["lift", "--annotations", annotation, "--images", str(photographs), "-o", out]
    job += ["--regressor", "mobile"]
    main([*job, "--iterations", "1", "--limit", "2"])
    said = capsys.readouterr().out
    assert "0 of 2 people done" in said
    assert "more people to do" in said
    assert not (tmp_path / "out" / "eft.json").exists()
    main(["lift", "-o", out])  # what is not given is the job's own
    said = capsys.readouterr().out
    assert "2 of 6 people done" in said
    rows = list(table.read(tmp_path / "out" / "pseudo_gt.parquet"))
    assert [row.sample.image for row in rows] == [f"{i}.png" for i in range(6)]
    assert max(row.iterations for row in rows) == 1
    assert f"eft.json ({sum(row.usable for row in rows)} people)" in said.replace("\n", "")
    with pytest.raises(SystemExit):
        main([*job, "--iterations", "2"])
    assert "a job with iterations 1, not 2" in capsys.readouterr().err
    main(["lift", "-o", out, "--quiet"])
    assert capsys.readouterr().out == ""


def test_another_teacher_is_another_job(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotation, out = str(write_annotation(tmp_path / "a.npz")), str(tmp_path / "out")
    job = ["lift", "--annotations", annotation, "--images", str(photographs), "-o", out]
    job += ["--regressor", "mobile"]
    main([*job, "--recipe", "regressor", "--teacher", "landmarks", "--limit", "1"])
    assert "1 person in" in capsys.readouterr().out
    with Ledger.open(out) as ledger:
        (made,) = ledger.truths()
    assert made.recipe == "regressor+landmarks"
    with pytest.raises(SystemExit):
        main([*job, "--recipe", "regressor"])
    assert "a job with teacher landmarks, not None" in capsys.readouterr().err


def test_a_job_as_a_function(photographs: Path, tmp_path: Path) -> None:
    annotation, out = write_annotation(tmp_path / "a.npz"), tmp_path / "out"
    first = Selection(limit=2)
    config = LiftConfig("mobile", recipe="regressor")
    heard: list[PseudoTruth] = []
    outcomes = exemplar.lift_dataset(
        annotation, photographs, out, config, selection=first, report=heard.extend
    )
    assert sum(outcomes.values()) == len(heard) == 2
    assert sum(exemplar.lift_dataset(annotation, photographs, out, config).values()) == 6
    assert len(list(exemplar.read_dataset(out / "pseudo_gt.parquet"))) == 6


def test_a_job_is_lifted_from_another_thread_too(photographs: Path, tmp_path: Path) -> None:
    """Where signals cannot be caught."""
    annotation = write_annotation(tmp_path / "a.npz")
    arguments = ["lift", "--annotations", str(annotation), "--images", str(photographs)]
    arguments += ["-o", str(tmp_path / "out"), "--recipe", "regressor", "--quiet"]
    arguments += ["--regressor", "mobile"]
    thread = threading.Thread(target=main, args=(arguments,))
    thread.start()
    thread.join()
    rows = list(table.read(tmp_path / "out" / "pseudo_gt.parquet"))
    assert len(rows) == 6
    assert all(np.isfinite(row.error_px_after) for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "3/2"), "shard"),
        (("--shard", "half"), "expected i/n"),
        (("--workers", "0"), "--workers"),
        (("--format", "magic"), "unknown format"),
        (("--option", "colour=red"), "no option 'colour'"),
        (("--min-keypoints", "6"), "no option 'min_keypoints'"),
        (("--recipe", "magic"), "invalid choice 'magic'"),
        (("--teacher", "magic"), "invalid choice 'magic'"),
        (("--joints-weight", "-1"), "joints_weight"),
        (("--regressor", "none.pt"), "no regressor"),
        (("--device", "cuda:77"), "device"),
        (("--images", "nowhere"), "no folder of images"),
        (("--limit", "-1"), "limit"),
    ],
)
def test_wrong_use_is_one_line(
    options: tuple[str, str], message: str, photographs: Path, tmp_path: Path, capsys
) -> None:
    annotation = str(write_annotation(tmp_path / "a.npz"))
    out = ["-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(["lift", "--annotations", annotation, "--images", str(photographs), *out, *options])
    assert stop.value.code in (1, 2)
    errors = capsys.readouterr().err
    assert message in errors.replace("\n", " ")
    assert "Traceback" not in errors


def test_shards_are_read_from_text() -> None:
    assert parse_shard("1/1") == (0, 1)
    assert parse_shard("2/4") == (1, 4)


def test_an_annotation_needs_its_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        open_job(tmp_path, tmp_path / "a.npz", None, FAST)


def test_a_job_that_is_not_there_says_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="to begin one give --annotations and --images"):
        open_job(tmp_path, None, None, FAST)
