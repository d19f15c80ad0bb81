"""Lifting on a Ray cluster: actors fit, this process claims and commits. Actors may die."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import Report, claim_size
from exemplar.lift.store import Ledger, Selection
from exemplar.samples import Sample

PENDING = 2
"""Windows that wait at each actor, so that none idles while results travel."""

TRIES = 5
"""A window whose actors died so often is the job's fault, not theirs."""


@dataclass(frozen=True)
class RayConfig:
    """The cluster."""

    address: str | None = None
    """Address of a running cluster; None starts one on this machine."""
    actors: int | None = None
    """Processes that fit, one CPU each (and one GPU each for a CUDA device); None takes as many as
    the cluster has of these."""
    window: int = 8
    """Samples sent to an actor at a time."""


class _Fitter:
    """What runs in an actor."""

    def __init__(self, config: LiftConfig, device: str, images: str) -> None:
        self.lifter = Lifter(config, device, workers=1)
        self.prepare = self.lifter.preparer(Path(images))

    def fit(self, claimed: Sequence[tuple[int, Sample]]) -> list[tuple[int, PseudoTruth]]:
        """Results of the samples."""
        made: list[tuple[int, PseudoTruth]] = []
        people = [self.prepare(number, sample) for number, sample in claimed]
        self.lifter.fit(people, lambda number, truth: made.append((number, truth)))
        return made


def run_ray(
    ledger: Ledger,
    config: LiftConfig,
    device: str,
    selection: Selection,
    report: Report,
    cluster: RayConfig,
) -> None:
    """Fit what waits in the ledger on a cluster whose machines all see the images.

    A window whose actor dies is given to another one. ImportError naming the extra without ray.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports] - an extra
        from ray.exceptions import RayActorError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("--engine ray needs ray: pip install 'exemplar-hmr[ray]'") from error

    started = not ray.is_initialized()
    if started:
        ray.init(address=cluster.address, log_to_driver=False, include_dashboard=False)
    gpus = 1 if device.startswith("cuda") else 0
    remote = ray.remote(num_cpus=1, num_gpus=gpus)(_Fitter)
    images = str(ledger.images.resolve())

    def hire() -> Any:
        return remote.remote(config, device, images)

    room = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1))
    actors = {number: hire() for number in range(cluster.actors or max(1, room))}
    working: dict[Any, tuple[int, list[tuple[int, Sample]], int]] = {}
    returned: deque[tuple[list[tuple[int, Sample]], int]] = deque()

    def send(number: int) -> None:
        """Keep an actor busy."""
        while sum(busy == number for busy, _, _ in working.values()) < PENDING:
            if returned:
                window, tries = returned.popleft()
            else:
                ledger.release_dead()
                size = claim_size(ledger, selection, cluster.window)
                window, tries = ledger.claim(size, selection), 0
            if not window:
                return
            working[actors[number].fit.remote(window)] = (number, window, tries)

    try:
        for number in actors:
            send(number)
        while working:
            (ready, *_), _ = ray.wait(list(working), num_returns=1)
            number, window, tries = working.pop(ready)
            try:
                made = ray.get(ready)
                ledger.finish(made)
                report([truth for _, truth in made])
            except RayActorError as error:
                if tries + 1 == TRIES:
                    raise OSError(f"{TRIES} Ray workers died at the same samples") from error
                returned.append((window, tries + 1))
                lost = [task for task, (busy, _, _) in working.items() if busy == number]
                returned.extend(working.pop(task)[1:] for task in lost)
                actors[number] = hire()
            send(number)
    finally:
        for actor in actors.values():
            ray.kill(actor)
        if started:
            ray.shutdown()
