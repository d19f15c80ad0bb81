"""The queue of a Ray job, without Ray: what comes back goes where it has not been."""

from pathlib import Path
from typing import Any

import pytest

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.image_store_files import FolderImages
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.ray_engine import DEATHS, TRIES, RayConfig, _Actor, _files, _Fitter, _Job
from exemplar.lift.store import Ledger, Selection
from exemplar.regressors.checkpoints import load_regressor, save_regressor
from exemplar.results import BAD_INPUT, OK
from tests.lift import toy
from tests.lift.test_store import sample

EVERYONE = Selection()
COUNT = 4


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A job of 4 people with nodes a and b; it hears of results and says lines."""
    monkeypatch.setattr(_Job, "_dismiss", lambda self, actor: self.actors.remove(actor))
    with Ledger(tmp_path, create=True) as ledger:
        ledger.fill((sample(i) for i in range(COUNT)), {"images": str(tmp_path)})
        ledger.join()
        said: list[str] = []
        cluster = RayConfig(window=COUNT)
        job = _Job(ledger, LiftConfig(), "cpu", EVERYONE, lambda made: None, cluster, said.append)
        job.room, job.said = {"a": 1, "b": 1}, said  # type: ignore[attr-defined]
        yield job


def hired(job: _Job, node: str) -> _Actor:
    actor = _Actor(Handle(), node, None)
    job.actors.append(actor)
    return actor


class Handle:
    """An actor that never answers."""

    def __init__(self) -> None:
        self.fit = self
        self.sent: list[Any] = []

    def remote(self, people: Any) -> int:
        self.sent.append([number for number, _ in people])
        return len(self.sent)


def lacking(number: int) -> tuple[int, PseudoTruth]:
    return number, PseudoTruth(sample(number), BAD_INPUT, "missing image: no image at x")


def fitted(number: int) -> tuple[int, PseudoTruth]:
    return number, PseudoTruth(sample(number), OK)


def claim_all(job: _Job, actor: _Actor) -> Any:
    """The one window that has everybody."""
    window = job._next(actor.node)
    while more := job._next(actor.node).people:
        window = type(window)([*window.people, *more])
    return window


def test_files_of_the_settings_are_sent_along(photographs: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "own.safetensors"
    module, info = load_regressor("mobile")
    save_regressor(module, info, checkpoint)
    config = LiftConfig(str(checkpoint), recipe="regressor")
    there = Lifter(config).made_by
    files = _files(config)
    checkpoint.unlink()
    worker = _Fitter()
    worker.load(config, "cpu", FolderImages(photographs), ["0.png"], files)
    ((number, truth),) = worker.fit([(5, toy.sample(0))]) or []
    assert number == 5
    assert truth.regressor == there["regressor"]
    assert truth.regressor.startswith("own.safetensors@")


def test_a_missing_image_is_tried_on_every_node_before_it_is_believed(job: _Job) -> None:
    a, b = hired(job, "a"), hired(job, "b")
    window = claim_all(job, a)
    job._take(a, window, [fitted(0), lacking(1), lacking(2), fitted(3)])
    job._settle()
    assert job.ledger.outcomes() == {"ok": 2}
    assert not job._next("a").people, "it has been there"
    again = job._next("b")
    assert [number for number, _ in again.people] == [1, 2]
    job._take(b, again, [fitted(1), lacking(2)])
    job._settle()
    assert job.ledger.outcomes() == {"ok": 3, "bad_input (missing image)": 1}
    assert not job.back


def test_what_a_node_lacks_that_is_set_aside_is_not_believed(job: _Job) -> None:
    a, b = hired(job, "a"), hired(job, "b")
    job._take(a, claim_all(job, a), [lacking(i) for i in range(COUNT)])
    job._set_aside("a", "cannot read it")
    job._settle()
    assert job.ledger.outcomes() == {}
    assert job.actors == [b]
    assert [number for number, _ in job._next("b").people] == list(range(COUNT))
    assert job.said == ["set aside: node a cannot read it; its people go to others"]  # type: ignore[attr-defined]


def test_nothing_is_believed_while_no_node_is_there(job: _Job) -> None:
    a = hired(job, "a")
    job._take(a, claim_all(job, a), [lacking(i) for i in range(COUNT)])
    job.room = {}
    job._settle()
    assert job.ledger.outcomes() == {}


def test_an_actor_that_is_not_placed_holds_no_work(job: _Job) -> None:
    a = hired(job, "a")
    a.ready = object()
    job._feed(a)
    assert not a.sent
    a.ready = None
    job._feed(a)
    assert a.sent


def test_people_of_the_dead_go_back_one_by_one_and_who_kills_is_given_up(job: _Job) -> None:
    a = hired(job, "a")
    job._take(a, claim_all(job, a), [lacking(i) for i in range(COUNT)])
    job.back[0] = type(job.back[0])(job.back[0].people)
    for tries in range(1, TRIES + 1):
        a.sent = {tries: job._next("a")}
        job._bury(a, "killed")
        if tries < TRIES:
            assert [len(window.people) for window in job.back] == [1] * COUNT
            killer = next(w for w in job.back if w.people[0][0] == 0)
            job.back.remove(killer)
            job.back.appendleft(killer)
        a = hired(job, "a")
    assert job.ledger.outcomes() == {"bad_input (workers died)": 1}
    assert [window.people[0][0] for window in job.back] == [1, 2, 3]


def test_a_node_where_workers_only_die_is_set_aside(job: _Job) -> None:
    for _ in range(DEATHS):
        job._bury(hired(job, "a"), "no memory")
    assert list(job.aside) == ["a"]
    assert "5 workers died there: no memory" in job.said[0]  # type: ignore[attr-defined]


def test_who_holds_what_is_said_when_nothing_moves(job: _Job) -> None:
    a, b = hired(job, "a"), hired(job, "b")
    a.sent, b.ready = {1: job._next("a")}, object()
    job._tell_if_stalled()
    assert not job.said  # type: ignore[attr-defined]
    job.moved = job.told = job.moved - 1000
    job._tell_if_stalled()
    job._tell_if_stalled()
    (line,) = job.said  # type: ignore[attr-defined]
    assert "a has 1 person" in line
    assert "b has a worker that is not placed" in line
