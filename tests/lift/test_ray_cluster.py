"""Jobs on a Ray cluster of this machine's processes: the same table as an undisturbed job's."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import FEWEST, run_local
from exemplar.lift.store import Ledger
from tests.lift.toy import EVERYONE, FAST, PEOPLE, numbers, sample, wait_for

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

COUNT = 24
"""People, of whom each has an image: enough to tell a blind node from missing images."""
assert COUNT >= FEWEST

KILLED_AT = round(0.3 * COUNT)

JOB = """
import sys
from exemplar.lift import ray_engine
from exemplar.lift.store import Ledger
from tests.lift.toy import EVERYONE, FAST

waiting, feed = [True], ray_engine._Job._feed

def when_all_have_loaded(job, actor):
    if waiting and sum(each.ready is None for each in job.actors) == int(sys.argv[3]):
        waiting.clear()
    if not waiting:
        feed(job, actor)

ray_engine._Job._feed = when_all_have_loaded
with Ledger(sys.argv[1]) as ledger:
    ledger.join()
    cluster = ray_engine.RayConfig(sys.argv[2], window=2)
    ray_engine.run_ray(ledger, FAST, "cpu", EVERYONE, len, cluster)
"""
"""Every node has its share of the work: nobody gets any before all can take it."""

LIMIT = 400.0
"""Seconds for anything to happen on a busy machine."""


def new_job(folder: Path, images: Path | str) -> Ledger:
    ledger = Ledger(folder, create=True)
    people = (replace(sample(i), image=f"{i}.png") for i in range(COUNT))
    ledger.fill(people, {"images": str(images)})
    return ledger


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """A cluster with a token, ports and a folder of its own; some of its nodes see no images."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="ray-"))  # pytest's paths are too long for its sockets
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # else other programs starve them
        }
        self.address = f"127.0.0.1:{free_port()}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.jobs: list[subprocess.Popen[bytes]] = []
        self.killed: list[int] = []

    def start(self, *, hidden: Path | None = None) -> None:
        """One more node, with an empty folder in place of `hidden`."""
        head = ["--head", f"--port={self.address.partition(':')[2]}", "--include-dashboard=false"]
        head.append(f"--temp-dir={self.folder}")
        where = [f"--address={self.address}"] if self.nodes else head
        command = ["ray", "start", *where, "--num-cpus=1", "--block", "--disable-usage-stats"]
        command += ["--object-store-memory=80000000", "--node-ip-address=127.0.0.1"]
        if hidden is not None:
            mount = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(hidden), *command]
        log = self.folder / f"node{len(self.nodes)}.log"
        with log.open("w") as file:
            node = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # it ends with the tests
                stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=self.environment,
                start_new_session=True,
            )  # fmt: skip
        self.nodes.append(node)
        status = ["ray", "status", "--address", self.address]
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            shown = subprocess.run(
                status, capture_output=True, text=True, check=False, env=self.environment
            )
            if shown.stdout.count(" node_") == len(self.nodes):
                return
            time.sleep(0.5)
        raise AssertionError(f"the node did not come up: {log.read_text()[-2000:]}")

    def processes(self, node: int) -> list[int]:
        """A node's: its first one, and all that it and they started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        found = [self.nodes[node].pid]
        for process in found:
            found += [child for child, parent in parents.items() if parent == process]
        return found

    def kill(self, node: int) -> None:
        """At once, as if the machine were switched off."""
        for process in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                self.killed.append(process)
        self.nodes[node].wait()

    def stop(self) -> None:
        """End jobs and nodes; none of their processes may remain."""
        for job in self.jobs:
            job.kill()
            job.wait()
        for node in range(len(self.nodes)):
            self.kill(node)
        until = time.monotonic() + 60
        while left := [process for process in self.killed if Path(f"/proc/{process}").exists()]:
            assert time.monotonic() < until, f"processes {left} remain"
            time.sleep(0.1)

    def lift(self, folder: Path, images: Path | str) -> subprocess.Popen[bytes]:
        """A job of everybody, in a process of its own: a cluster's token is read once a process."""
        new_job(folder, images).close()
        command = [sys.executable, "-c", JOB, str(folder), self.address, str(len(self.nodes))]
        job = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.jobs.append(job)
        return job


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    made = Cluster()
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def can_hide() -> None:
    try:
        subprocess.run(["unshare", "-m", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make a mount namespace")


@pytest.fixture(scope="module")
def images(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(COUNT):
        shutil.copy(photographs / f"{i % PEOPLE}.png", folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[PseudoTruth]:
    with new_job(tmp_path_factory.mktemp("job"), images) as ledger:
        ledger.join()
        run_local(ledger, Lifter(FAST, workers=1), EVERYONE, lambda made: None)
        return list(ledger.truths())


def kill_early(cluster: Cluster, node: int, folder: Path) -> None:
    """A node dies while most of the work is to be done."""
    wait_for(folder, KILLED_AT, LIMIT)
    cluster.kill(node)
    with Ledger(folder) as ledger:
        assert ledger.progress(EVERYONE)[1] < COUNT


def finished(job: subprocess.Popen[bytes], folder: Path, wanted: list[PseudoTruth]) -> str:
    """What the job said; it has ended well, with what an undisturbed one has."""
    said = job.communicate(timeout=LIMIT)[0].decode()
    assert job.returncode == 0, said
    with Ledger(folder) as ledger:
        assert numbers(list(ledger.truths())) == numbers(wanted)
    return said


def test_a_worker_may_die(
    cluster: Cluster, tmp_path: Path, images: Path, undisturbed: list[PseudoTruth]
) -> None:
    cluster.start()
    job = cluster.lift(tmp_path / "job", images)
    wait_for(tmp_path / "job", 2, LIMIT)
    workers = [
        process
        for process in cluster.processes(0)
        if b"ray::_Fitter" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    finished(job, tmp_path / "job", undisturbed)


@pytest.mark.usefixtures("can_hide")
def test_a_node_that_sees_no_images_and_one_that_dies_change_no_number(
    cluster: Cluster, tmp_path: Path, images: Path, undisturbed: list[PseudoTruth]
) -> None:
    cluster.start()
    cluster.start(hidden=images)
    cluster.start()
    job = cluster.lift(tmp_path / "job", images)
    kill_early(cluster, 2, tmp_path / "job")
    said = finished(job, tmp_path / "job", undisturbed)
    (line,) = [line for line in said.splitlines() if line.startswith("set aside: ")]
    assert "is it mounted?" in line


@pytest.mark.usefixtures("can_hide")
def test_images_in_a_store_need_no_disk_of_a_node_and_a_node_may_die(
    cluster: Cluster, tmp_path: Path, images: Path, undisturbed: list[PseudoTruth]
) -> None:
    pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    port = free_port()
    store = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a"}
    store |= {"AWS_SECRET_ACCESS_KEY": "a", "AWS_DEFAULT_REGION": "us-east-1"}
    cluster.environment |= store
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (cluster.folder / "store.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.2)
        bucket = s3fs.S3FileSystem(
            key="a", secret="a", endpoint_url=store["AWS_ENDPOINT_URL"], skip_instance_cache=True
        )
        bucket.mkdir("photographs")
        for image in images.iterdir():
            bucket.put(str(image), f"photographs/set/{image.name}")
        for _ in range(2):
            cluster.start(hidden=images)
        job = cluster.lift(tmp_path / "job", "s3://photographs/set")
        kill_early(cluster, 1, tmp_path / "job")
        finished(job, tmp_path / "job", undisturbed)
    finally:
        server.kill()
        server.wait()
