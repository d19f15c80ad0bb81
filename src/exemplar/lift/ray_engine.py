"""Lifting on a Ray cluster: actors fit, this process claims and commits. Actors come and go."""

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exemplar.counting import counted
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.file_budget import VARIABLE
from exemplar.files.image_files import OUTSIDE_VARIABLE
from exemplar.files.image_store_files import ImageStore, open_images
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import LOOKED_FOR, Report, claim_size, sees_images
from exemplar.lift.reasons import WORKERS_DIED, lacks_image
from exemplar.lift.store import Ledger, Selection
from exemplar.results import BAD_INPUT
from exemplar.samples import Sample

PENDING = 2
"""Windows that wait at each actor, so that none idles while results travel."""

TRIES = 3
"""A person at whom so many actors died is given up."""

DEATHS = 5
"""A node whose actors died so often, and made nothing in between, is set aside."""

NODES_TRIED = 3
"""An image that so many nodes cannot read is believed to be missing, or damaged."""

LOOK_SECONDS = 5.0
"""How often the cluster is looked at."""

STALLED_SECONDS = 180.0
"""After so long without a result it is said who holds what."""

Say = Callable[[str], None]
"""Called with a line for the user."""


@dataclass(frozen=True)
class RayConfig:
    """The cluster."""

    address: str | None = None
    """Address of a running cluster; None starts one on this machine."""
    actors: int | None = None
    """Most processes that fit, one CPU each (and one GPU each for a CUDA device); None takes as
    many as the cluster has of these."""
    window: int = 8
    """Samples sent to an actor at a time."""


@dataclass(frozen=True)
class _Window:
    """Samples that go to an actor together."""

    people: Sequence[tuple[int, Sample]]
    deaths: int = 0
    """How many actors died at them."""
    lacking: Mapping[str, Sequence[tuple[int, PseudoTruth]]] = field(default_factory=dict)
    """What nodes that could not read their images made of them."""


@dataclass
class _Actor:
    """One of the processes that fit."""

    handle: Any
    node: str
    """The node's id."""
    ready: Any
    """What is there once it has loaded; None from then on."""
    sent: dict[Any, _Window] = field(default_factory=dict)
    """Windows that it was sent, the one in work first."""
    since: float = field(default_factory=time.monotonic)
    """When it last sent a result, or was hired."""


class _Fitter:
    """What runs in an actor."""

    def load(
        self,
        config: LiftConfig,
        device: str,
        images: ImageStore,
        some: Sequence[str],
        files: Mapping[str, tuple[str, bytes]],
    ) -> None:
        """Get ready. `files` are the settings that name a file: its name and bytes."""
        self.copies = TemporaryDirectory(prefix="exemplar-")
        paths = {}
        for setting, (name, data) in files.items():
            path = Path(self.copies.name) / setting / name
            path.parent.mkdir()
            path.write_bytes(data)
            paths[setting] = str(path)
        self.lifter = Lifter(replace(config, **paths), device, workers=1)
        self.prepare, self.some = self.lifter.preparer(images), some

    def fit(self, claimed: Sequence[tuple[int, Sample]]) -> list[tuple[int, PseudoTruth]] | None:
        """Results of the samples; None if the images' place cannot be read from here."""
        people = [self.prepare(number, sample) for number, sample in claimed]
        if not sees_images(self.prepare, people, self.some):
            return None
        made: list[tuple[int, PseudoTruth]] = []
        self.lifter.fit(people, lambda number, truth: made.append((number, truth)))
        return made


def run_ray(
    ledger: Ledger,
    config: LiftConfig,
    device: str,
    selection: Selection,
    report: Report,
    cluster: RayConfig,
    say: Say = print,
) -> None:
    """Fit what waits in the ledger on a cluster.

    Nodes need no shared disk if the images are in a store that all reach: checkpoints and bodies
    are sent along. Work of actors that die goes to others; nodes that join are used. An image that
    a node cannot read is tried on others; a node that sees none at all is set aside. `say` hears
    of these. ImportError naming the extra without ray; OSError without a cluster, or if no node is
    left that can work.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        raise ImportError("--engine ray needs ray: pip install 'exemplar-hmr[ray]'") from error
    job = _Job(ledger, config, device, selection, report, cluster, say)
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.WARNING,
            )
        except Exception as error:  # Ray raises what it likes: no cluster, a wrong token, no ports
            where = "a Ray cluster" if cluster.address is None else f"Ray at {cluster.address}"
            raise OSError(f"cannot start or reach {where}: {_line(error)}") from error
    try:
        job.run()
    finally:
        for actor in job.actors:
            ray.kill(actor.handle)
        if started:
            ray.shutdown()


class _Job:
    """The queue, and the actors that take from it."""

    def __init__(
        self,
        ledger: Ledger,
        config: LiftConfig,
        device: str,
        selection: Selection,
        report: Report,
        cluster: RayConfig,
        say: Say,
    ) -> None:
        self.ledger, self.selection, self.cluster = ledger, selection, cluster
        self.report, self.say = report, say
        self.kind = "GPU" if device.startswith("cuda") else "CPU"
        images, some = open_images(ledger.images), ledger.some_images(LOOKED_FOR)
        self.loading = (config, device, images, some, _files(config))
        self.actors: list[_Actor] = []
        self.back: deque[_Window] = deque()
        self.room: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.aside: dict[str, str] = {}
        self.deaths = Counter[str]()
        self.looked = float("-inf")
        self.moved = self.told = time.monotonic()

    def run(self) -> None:
        """Until nothing waits and nobody holds anything."""
        import ray  # pyright: ignore[reportMissingImports] - an extra

        limits = {k: os.environ[k] for k in (OUTSIDE_VARIABLE, VARIABLE) if k in os.environ}
        self.remote: Any = ray.remote(
            num_cpus=1,
            num_gpus=int(self.kind == "GPU"),
            runtime_env={"env_vars": limits},
        )(_Fitter)
        self.shipped = [ray.put(part) for part in self.loading]
        while True:
            if time.monotonic() - self.looked > LOOK_SECONDS:
                self._look()
            self._settle()
            for actor in self.actors:
                self._feed(actor)
            if not self.back and not any(actor.sent for actor in self.actors):
                self.ledger.release_dead()
                if not self.ledger.left(self.selection)[1]:
                    return
            self._await()
            self._tell_if_stalled()

    def _await(self) -> None:
        """Hear of what ends next, if anything does before the cluster is to be looked at."""
        import ray  # pyright: ignore[reportMissingImports] - an extra

        waits = {actor.ready: actor for actor in self.actors if actor.ready is not None}
        waits |= {task: actor for actor in self.actors for task in actor.sent}
        if not waits:
            time.sleep(LOOK_SECONDS / 10)
            return
        for done in ray.wait(list(waits), num_returns=1, timeout=LOOK_SECONDS)[0]:
            self._hear(waits[done], done)

    def _hear(self, actor: _Actor, done: Any) -> None:
        import ray  # pyright: ignore[reportMissingImports] - an extra
        from ray.exceptions import (  # pyright: ignore[reportMissingImports] - an extra
            RayError,
            RayTaskError,
        )

        try:
            made = ray.get(done)
        except RayTaskError as error:
            if done is not actor.ready:
                who = f"a worker on node {self.names.get(actor.node, actor.node)}"
                what = f"{type(error.cause).__name__}: {_line(error.cause)}"
                raise OSError(f"{who} failed: {what}") from error
            self._set_aside(actor.node, f"cannot load: {_line(error.cause)}")
        except RayError as error:
            self._bury(actor, _line(error))
        else:
            if done is actor.ready:
                actor.ready = None
            elif made is None:
                self._set_aside(actor.node, f"cannot read {self.ledger.images}: is it mounted?")
            else:
                self._take(actor, actor.sent.pop(done), made)

    def _take(
        self, actor: _Actor, window: _Window, made: Sequence[tuple[int, PseudoTruth]]
    ) -> None:
        """Commit what an actor made; who lacks their image there may have it elsewhere."""
        actor.since = self.moved = time.monotonic()
        self.deaths[actor.node] = 0
        lacking = [(n, truth) for n, truth in made if lacks_image(truth.status, truth.message)]
        numbers = {number for number, _ in lacking}
        self._commit([(number, truth) for number, truth in made if number not in numbers])
        if lacking:
            people = [(number, sample) for number, sample in window.people if number in numbers]
            found = {**window.lacking, actor.node: lacking}
            self.back.append(replace(window, people=people, lacking=found))

    def _commit(self, made: Sequence[tuple[int, PseudoTruth]]) -> None:
        if made:
            self.ledger.finish(made)
            self.report([truth for _, truth in made])

    def _settle(self) -> None:
        """Believe in missing images that every node has looked for."""
        for window in list(self.back):
            tried = window.lacking.keys() - self.aside.keys()
            everywhere = self.room and not self.room.keys() - tried
            if tried and (everywhere or len(tried) >= NODES_TRIED):
                self.back.remove(window)
                numbers = {number for number, _ in window.people}
                last = window.lacking[sorted(tried)[0]]
                self._commit([(number, truth) for number, truth in last if number in numbers])

    def _feed(self, actor: _Actor) -> None:
        """Keep an actor that has loaded busy."""
        while actor.ready is None and len(actor.sent) < PENDING:
            window = self._next(actor.node)
            if not window.people:
                return
            if not actor.sent:
                actor.since = time.monotonic()
            actor.sent[actor.handle.fit.remote(window.people)] = window

    def _next(self, node: str) -> _Window:
        """What came back, unless this node has tried it; else what nobody has yet."""
        for window in self.back:
            if node not in window.lacking:
                self.back.remove(window)
                return window
        self.ledger.release_dead()
        size = claim_size(self.ledger, self.selection, self.cluster.window)
        return _Window(self.ledger.claim(size, self.selection))

    def _bury(self, actor: _Actor, why: str) -> None:
        """An actor has died: what it had goes back, the people in work one by one."""
        self._dismiss(actor)
        windows = list(actor.sent.values())
        if windows and actor.ready is None:
            first = windows.pop(0)
            self.back.extend(
                replace(first, people=[one], deaths=first.deaths + 1) for one in first.people
            )
        self.back.extend(windows)
        for window in [w for w in self.back if w.deaths >= TRIES]:
            self.back.remove(window)
            message = f"{WORKERS_DIED}: {TRIES} of them, one after another"
            self._commit(
                [(number, PseudoTruth(one, BAD_INPUT, message)) for number, one in window.people]
            )
        self.deaths[actor.node] += 1
        if self.deaths[actor.node] >= DEATHS:
            self._set_aside(actor.node, f"{DEATHS} workers died there: {why}")

    def _dismiss(self, actor: _Actor) -> None:
        import ray  # pyright: ignore[reportMissingImports] - an extra

        self.actors.remove(actor)
        ray.kill(actor.handle)

    def _set_aside(self, node: str, why: str) -> None:
        """Take no more work to a node; what its actors have goes to others."""
        if node in self.aside:
            return
        self.aside[node] = why
        self.room.pop(node, None)
        for actor in [actor for actor in self.actors if actor.node == node]:
            self._dismiss(actor)
            self.back.extend(actor.sent.values())
        self.say(f"set aside: node {self.names.get(node, node)} {why}; its people go to others")
        self.looked = float("-inf")

    def _look(self) -> None:
        """See which nodes there are, and have actors on them; who finds no place holds no work."""
        import ray  # pyright: ignore[reportMissingImports] - an extra
        from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
            NodeAffinitySchedulingStrategy,
        )

        self.looked = time.monotonic()
        alive = [node for node in ray.nodes() if node["Alive"]]
        self.names = {node["NodeID"]: _name(node) for node in alive}
        self.room = {
            node["NodeID"]: int(node["Resources"].get(self.kind, 0))
            for node in alive
            if node["NodeID"] not in self.aside and node["Resources"].get(self.kind, 0) >= 1
        }
        if self.aside and not self.room:
            reasons = "; ".join(f"{self.names.get(n, n)} {why}" for n, why in self.aside.items())
            raise OSError(f"no node of the cluster can do the work: {reasons}")
        for actor in [actor for actor in self.actors if actor.node not in self.names]:
            self._bury(actor, "the node is gone")
        most = sum(self.room.values())
        if self.cluster.actors is not None:
            most = min(most, self.cluster.actors)
        while len(self.actors) < most:
            hired = Counter(actor.node for actor in self.actors)
            node = max(self.room, key=lambda node: self.room[node] - hired[node])
            if hired[node] >= self.room[node]:
                return
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            handle = self.remote.options(scheduling_strategy=here).remote()
            self.actors.append(_Actor(handle, node, handle.load.remote(*self.shipped)))

    def _tell_if_stalled(self) -> None:
        now = time.monotonic()
        if now - max(self.moved, self.told) < STALLED_SECONDS:
            return
        self.told = now
        holds = [
            f"{self.names.get(actor.node, actor.node)} "
            + (
                f"has {counted(sum(len(window.people) for window in actor.sent.values()))}"
                if actor.ready is None
                else "has a worker that is not placed or loading"
            )
            + f" for {now - actor.since:.0f} s"
            for actor in self.actors
        ]
        waiting = sum(len(window.people) for window in self.back)
        waiting += self.ledger.left(self.selection)[1]
        lines = "; ".join(holds) or f"no node has a free {self.kind}"
        self.say(f"no result for {now - self.moved:.0f} s, {counted(waiting)} waiting: {lines}")


def _files(config: LiftConfig) -> dict[str, tuple[str, bytes]]:
    """Name and bytes of the files that the settings name."""
    named = {name: getattr(config, name) for name in ("regressor", "auxiliary", "body")}
    paths = {name: Path(value) for name, value in named.items() if value is not None}
    return {name: (path.name, path.read_bytes()) for name, path in paths.items() if path.is_file()}


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"


def _line(error: object) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
