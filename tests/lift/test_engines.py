"""Running jobs: interrupted, killed, shared, on a Ray cluster; the same table always."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import exemplar
from exemplar.cli import main
from exemplar.cli.lift import parse_shard
from exemplar.data.formats import eft_json, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import open_job
from exemplar.lift.lifter import Lifter, Room
from exemplar.lift.local import claim_size, prepared, run_local
from exemplar.lift.prepare import Preparer
from exemplar.lift.ray_engine import RayConfig, run_ray
from exemplar.lift.store import Ledger, Selection
from tests.lift.toy import sample, write_annotation

FAST = LiftConfig(iterations=2)
EVERYONE = Selection()
COUNT = 18


def numbers(rows: list[PseudoTruth]) -> list[tuple]:
    """What must not depend on who did the work: everything but the identity of objects."""
    found = []
    for row in rows:
        body = row.sample.body
        assert body is not None
        fields = tuple(repr(value) for name, value in vars(row).items() if name != "sample")
        found.append((row.sample.image, fields, body.pose.tobytes(), body.betas.tobytes()))
    return found


def new_job(folder: Path, photographs: Path, count: int = COUNT) -> Ledger:
    ledger = Ledger(folder, create=True)
    ledger.fill((sample(i) for i in range(count)), {"images": str(photographs)})
    return ledger


@pytest.fixture(scope="module")
def undisturbed(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[PseudoTruth]:
    with new_job(tmp_path_factory.mktemp("job"), photographs) as ledger:
        ledger.join()
        run_local(ledger, Lifter(FAST, workers=1), EVERYONE, lambda made: None)
        return list(ledger.truths())


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
    options = ("--iterations", "2", "--workers", "1", "--quiet")
    files = ("--annotations", str(annotation), "--images", str(photographs))
    return [sys.executable, "-m", "exemplar.cli", "lift", *files, "-o", str(folder), *options]


def wait_for(folder: Path, done: int) -> None:
    for _ in range(600):
        try:
            with Ledger(folder) as ledger:
                if ledger.progress(EVERYONE)[1] >= done:
                    return
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"{done} people were not done in 30 s")


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


@pytest.mark.slow
def test_ray_workers_may_die(
    photographs: Path,
    tmp_path: Path,
    undisturbed: list[PseudoTruth],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else other programs starve them
    with new_job(tmp_path, photographs) as ledger:
        ledger.join()
        heard: list[PseudoTruth] = []
        killed: list[int] = []

        def kill_one(made) -> None:
            heard.extend(made)
            if not killed:
                found = subprocess.run(
                    ["pgrep", "-f", "ray::_Fitter"], capture_output=True, text=True, check=False
                )
                killed.extend(int(pid) for pid in found.stdout.split()[:1])
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

        run_ray(ledger, FAST, "cpu", EVERYONE, kill_one, RayConfig(actors=2, window=2))
        assert killed, "no worker was found to kill"
        assert len(heard) == COUNT
        assert numbers(list(ledger.truths())) == numbers(undisturbed)


class Nodes:
    """A cluster of this machine's processes; some of its nodes see no images."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, list[subprocess.Popen]()
        self.address = "127.0.0.1:6397"
        self.start("--head", "--port=6397", "--include-dashboard=false")

    def start(self, *options: str, hidden: Path | None = None) -> None:
        command = ["ray", "start", *options, "--num-cpus=1", "--block", "--disable-usage-stats"]
        command += ["--object-store-memory=80000000"]
        if hidden is not None:
            mount = f'mount -t tmpfs none {hidden} && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, "sh", *command]
        paths = os.pathsep.join(filter(None, sys.path))
        environment = os.environ | {"PYTHONPATH": paths, "RAY_worker_niceness": "0"}
        with (self.folder / f"node{len(self.began)}.log").open("w") as log:
            self.began.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, env=environment, start_new_session=True
                )
            )
        status = ["ray", "status", "--address", self.address]
        for _ in range(60):
            shown = subprocess.run(status, capture_output=True, text=True, check=False).stdout
            if shown.count(" node_") == len(self.began):
                return
            time.sleep(0.5)
        raise AssertionError("the node did not come up")

    def kill(self, number: int) -> None:
        os.killpg(self.began[number].pid, signal.SIGKILL)

    def stop(self) -> None:
        for process in reversed(self.began):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    pytest.importorskip("ray")
    try:
        subprocess.run(["unshare", "-m", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make a mount namespace")
    made = Nodes(tmp_path_factory.mktemp("nodes"))
    yield made
    made.stop()


@pytest.mark.slow
def test_a_node_that_sees_no_images_and_one_that_dies_change_no_number(
    nodes: Nodes, tmp_path: Path, photographs: Path, undisturbed: list[PseudoTruth]
) -> None:
    nodes.start(f"--address={nodes.address}", hidden=photographs)
    nodes.start(f"--address={nodes.address}")
    heard: list[PseudoTruth] = []

    def kill_at_a_third(made) -> None:
        before = len(heard)
        heard.extend(made)
        if before < COUNT // 3 <= len(heard):
            nodes.kill(2)

    with new_job(tmp_path / "job", photographs) as ledger:
        ledger.join()
        cluster = RayConfig(nodes.address, window=2)
        run_ray(ledger, FAST, "cpu", EVERYONE, kill_at_a_third, cluster)
        assert numbers(list(ledger.truths())) == numbers(undisturbed)
    assert len(heard) == COUNT


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
    assert {row.iterations for row in rows} == {1}
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
    main([*job, "--recipe", "regressor", "--teacher", "landmarks", "--limit", "1"])
    assert "1 people in" in capsys.readouterr().out
    with Ledger.open(out) as ledger:
        (made,) = ledger.truths()
    assert made.recipe == "regressor+landmarks"
    with pytest.raises(SystemExit):
        main([*job, "--recipe", "regressor"])
    assert "a job with teacher landmarks, not None" in capsys.readouterr().err


def test_a_job_as_a_function(photographs: Path, tmp_path: Path) -> None:
    annotation, out = write_annotation(tmp_path / "a.npz"), tmp_path / "out"
    first = Selection(limit=2)
    config = LiftConfig(recipe="regressor")
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
        (("--recipe", "magic"), "unknown recipe"),
        (("--teacher", "magic"), "unknown teacher"),
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
