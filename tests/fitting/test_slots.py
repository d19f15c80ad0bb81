"""Continuous batching: the numbers of fits alone, in whatever order and company."""

import gc
import threading
import weakref

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.exemplar import EftConfig, eft_objective, fit_exemplars, stream_exemplars
from exemplar.fitting.fits import Fits
from exemplar.fitting.optimiser import minimise
from exemplar.fitting.slots import fit_in_slots
from exemplar.fitting.stages import Stage
from exemplar.fitting.trace import Evaluation, Trace
from exemplar.fitting.updates import Adam
from exemplar.fitting.weights import RegressorWeights
from tests.fitting.toy import ToyConvNet, exemplar_of, people

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
"""float64: sums in another order, and Adam's division of small by small."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body().double()


class Problem:
    """Seven people, of whom some stop early."""

    def __init__(self, body: Body) -> None:
        torch.manual_seed(1)
        self.batch = exemplar_of(body, people(7))
        self.net = ToyConvNet().double().eval()
        self.weights = RegressorWeights(self.net, self.batch.image, self.batch.box)
        self.calls = 0
        objective = eft_objective(body, self.batch, EftConfig())
        start = minimise(self.weights, 7, [Stage(objective, Adam(2e-3), 0)]).before
        limit = 0.9 * start.evaluation.loss.median()

        def counted(prediction, rows: Tensor) -> Evaluation:
            self.calls += 1
            return objective(prediction, rows)

        stop = lambda now, before: now.loss < limit  # noqa: E731
        self.stage = Stage(counted, Adam(2e-3), 6, stop=stop)

    def fit(self, **options) -> Trace:
        self.calls = 0
        return minimise(self.weights, 7, [self.stage], **options)


@pytest.mark.parametrize("slots", [1, 2, 3, 9])
@pytest.mark.parametrize("history", [False, True])
def test_refilled_slots_fit_everyone_as_if_alone(body: Body, slots: int, history: bool) -> None:
    problem = Problem(body)
    alone = problem.fit(chunk_size=1, history=history)
    assert len(alone.updates.unique()) > 1, "the test needs people who stop at different times"
    shared = problem.fit(chunk_size=slots, refill=True, history=history)
    assert torch.equal(alone.updates, shared.updates)
    assert torch.allclose(
        alone.iterates.prediction.body_pose, shared.iterates.prediction.body_pose, **CLOSE
    )
    assert torch.allclose(alone.iterates.evaluation.loss, shared.iterates.evaluation.loss, **CLOSE)


def test_a_freed_slot_is_taken_at_once(body: Body) -> None:
    problem = Problem(body)
    updates = problem.fit(chunk_size=1).updates
    problem.fit(chunk_size=3, refill=True)
    refilled = problem.calls
    problem.fit(chunk_size=3)
    # each person needs one evaluation more than updates; three slots share them
    assert refilled < problem.calls
    assert refilled <= -(-int((updates + 1).sum()) // 3) + 7


def test_skipped_people_keep_their_start(body: Body) -> None:
    problem = Problem(body)
    skip = torch.tensor([False, True, False, False, True, False, True])
    trace = problem.fit(chunk_size=2, refill=True, skip=skip)
    assert bool((trace.updates[skip] == 0).all())
    assert bool((trace.updates[~skip] > 0).any())


def test_running_out_of_memory_halves_the_slots_and_repeats_nobody(body: Body, monkeypatch) -> None:
    problem = Problem(body)
    alone = problem.fit(chunk_size=1)
    heard: list[int] = []
    predict = problem.weights.predict

    def tight(params, rows):
        if len(rows) > 2 and problem.calls > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(params, rows)

    monkeypatch.setattr(problem.weights, "predict", tight)
    trace = problem.fit(
        chunk_size=4, refill=True, finished=lambda rows, trace: heard.extend(rows.tolist())
    )
    assert sorted(heard) == list(range(7))
    assert torch.allclose(alone.after.evaluation.loss, trace.after.evaluation.loss, **CLOSE)


def test_only_fits_that_can_be_refilled_are(body: Body) -> None:
    problem = Problem(body)
    with pytest.raises(ValueError, match="one stage"):
        minimise(problem.weights, 7, [problem.stage], group_size=2, refill=True)


def test_slots_report_each_exemplar_once(body: Body) -> None:
    problem = Problem(body)
    rows = torch.tensor([6, 0, 3])
    heard: list[int] = []
    fit_in_slots(
        problem.weights,
        rows,
        problem.stage,
        2,
        idle=torch.zeros(7, dtype=torch.bool),
        history=False,
        progress=lambda rows, step, evaluation: None,
        finished=lambda rows, trace: heard.extend(rows.tolist()),
    )
    assert sorted(heard) == [0, 3, 6]


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize(("chunk", "workers"), [(1, 1), (1, 2), (3, 1)])
def test_streamed_fits_are_those_of_a_batch(
    body: Body, guard: bool, chunk: int, workers: int
) -> None:
    problem = Problem(body)
    points = problem.batch.keypoints_2d
    points[5] = 0.0
    points[6, 30, 0] = float("nan")
    config = EftConfig(learning_rate=2e-3, iterations=4)
    whole = fit_exemplars(problem.net, body, problem.batch, config, guard=guard)
    streamed: dict[int, tuple[Fits, int]] = {}
    lock = threading.Lock()

    def finished(rows: Tensor, fits: Fits) -> None:
        with lock:
            for i, row in enumerate(rows.tolist()):
                streamed[row] = (fits, i)

    stream_exemplars(
        problem.net,
        body,
        problem.batch,
        config,
        finished,
        guard=guard,
        chunk_size=chunk,
        workers=workers,
    )
    assert sorted(streamed) == list(range(7))
    assert tuple(fits.status[k] for fits, k in (streamed[i] for i in range(7))) == whole.status
    for i, (fit, k) in streamed.items():
        expected = whole.after.prediction.body_pose[i]
        assert torch.allclose(fit.after.prediction.body_pose[k], expected, **CLOSE)
        assert int(fit.made[k]) == int(whole.made[i])
        assert torch.allclose(fit.loss_2d[k], whole.loss_2d[i], **CLOSE)


@pytest.mark.parametrize(("chunk", "workers"), [(1, 1), (1, 2), (3, 1)])
def test_a_fit_leaves_nothing_behind(
    body: Body, chunk: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No circle of references keeps a batch until Python looks for circles: in long jobs that is
    late, and a batch is large."""
    batch, net = exemplar_of(body, people(4)), ToyConvNet().double().eval()
    kept: list[weakref.ref[RegressorWeights]] = []

    def noted(*arguments, **options) -> RegressorWeights:
        made = RegressorWeights(*arguments, **options)
        kept.append(weakref.ref(made))
        return made

    monkeypatch.setattr("exemplar.fitting.exemplar.RegressorWeights", noted)
    config = EftConfig(learning_rate=2e-3, iterations=1)
    gc.collect()
    gc.disable()
    try:
        stream_exemplars(
            net, body, batch, config, lambda rows, fits: None, chunk_size=chunk, workers=workers
        )
        assert [held() for held in kept] == [None]
    finally:
        gc.enable()
