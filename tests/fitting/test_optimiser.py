"""The loop: batches, groups, chunks, stages, stopping, and differentiating through it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.exemplar import EftConfig, eft_objective
from exemplar.fitting.optimiser import minimise, unroll
from exemplar.fitting.stages import Stage
from exemplar.fitting.trace import Evaluation, Trace
from exemplar.fitting.updates import Adam, Sgd, Update
from exemplar.fitting.weights import RegressorWeights, moving_names
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from tests.fitting.toy import ToyConvNet, ToyRegressor, exemplar_of, people

UPDATES = {"sgd": Sgd(3e-3), "adam": Adam(2e-3), "adam eps_root": Adam(2e-3, eps_root=1e-12)}
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
"""float64: sums in another order, and Adam's division of small by small."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body().double()


def rows(batch: Batch, wanted: slice) -> Batch:
    return Batch(batch.image[wanted], batch.box[wanted], batch.keypoints_2d[wanted])


def run(
    body: Body,
    batch: Batch,
    update: Update,
    *,
    steps: int = 4,
    net: nn.Module | None = None,
    stop: Callable | None = None,
    **options,
) -> Trace:
    torch.manual_seed(1)
    net = (net or ToyConvNet()).double().eval()
    config = EftConfig()
    stage = Stage(eft_objective(body, batch, config), update, steps, stop=stop)
    weights = RegressorWeights(net, batch.image, batch.box)
    return minimise(weights, len(batch), [stage], history=True, **options)


def assert_same(a: Trace, b: Trace, wanted: slice = slice(None)) -> None:
    for name, value in vars(a.iterates.prediction).items():
        other = vars(b.iterates.prediction)[name][wanted]
        assert torch.allclose(value, other, **CLOSE), (name, float((value - other).abs().max()))
    assert torch.allclose(a.iterates.evaluation.loss, b.iterates.evaluation.loss[wanted], **CLOSE)
    assert torch.equal(a.updates, b.updates[wanted])
    assert torch.equal(a.diverged, b.diverged[wanted])


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("net", [ToyConvNet, ToyRegressor])
def test_batched_equals_one_by_one(body: Body, update: str, net: type[nn.Module]) -> None:
    batch = exemplar_of(body, people(5))
    torch.manual_seed(1)
    module = net()
    together = run(body, batch, UPDATES[update], net=module)
    for i in range(5):
        one = slice(i, i + 1)
        assert_same(run(body, rows(batch, one), UPDATES[update], net=module), together, one)
    moved = together.after.evaluation.loss - together.before.evaluation.loss
    assert bool((moved < 0).all())


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("group_size", [1, 2])
def test_the_chunk_size_changes_nothing(body: Body, update: str, group_size: int) -> None:
    batch = exemplar_of(body, people(5))
    whole = run(body, batch, UPDATES[update], group_size=group_size)
    for chunk in (1, 3):
        assert_same(
            run(body, batch, UPDATES[update], group_size=group_size, chunk_size=chunk), whole
        )
    assert_same(
        run(body, batch, UPDATES[update], group_size=group_size, chunk_size=1, workers=2), whole
    )


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_a_group_of_all_shares_its_weights(body: Body, update: str) -> None:
    """Against torch's own optimiser on one module and the batch's mean loss."""
    batch = exemplar_of(body, people(3))
    ours = run(body, batch, UPDATES[update], group_size=3)
    torch.manual_seed(1)
    net = ToyConvNet().double().eval()
    names = moving_names(net, "all")
    weights = [p for name, p in net.named_parameters() if name in names]
    theirs: torch.optim.Optimizer = torch.optim.Adam(weights, 2e-3)
    if update == "sgd":
        theirs = torch.optim.SGD(weights, 3e-3)
    objective = eft_objective(body, batch, EftConfig())
    for step in range(5):
        prediction = net(batch.image, batch.box)
        loss = objective(prediction, torch.arange(3)).loss
        assert torch.allclose(ours.iterates.evaluation.loss[:, step], loss, rtol=1e-6)
        theirs.zero_grad()
        loss.mean().backward()
        theirs.step()


def test_groups_differ_from_singles_and_a_ragged_last_group_is_its_own(body: Body) -> None:
    batch = exemplar_of(body, people(5))
    pairs, singles = (run(body, batch, Sgd(3e-3), group_size=g) for g in (2, 1))
    gap = (pairs.after.prediction.betas - singles.after.prediction.betas).abs().amax(1)
    assert bool((gap[:4] > 1e-6).all())
    assert float(gap[4]) < 1e-9


def test_a_stopped_exemplar_is_what_it_would_be_alone(body: Body) -> None:
    batch = exemplar_of(body, people(4))
    update = Adam(2e-3)
    free = run(body, batch, update, steps=6)
    losses = free.iterates.evaluation.error_px
    limit = float(losses[:, 3].median()) + 1e-6

    def stop(now: Evaluation, before: Evaluation | None) -> Tensor:
        return now.error_px < limit

    stopped = run(body, batch, update, steps=6, stop=stop)
    assert len(set(stopped.updates.tolist())) > 1, "the case should stop some early"
    for i in range(4):
        one = slice(i, i + 1)
        assert_same(run(body, rows(batch, one), update, steps=6, stop=stop), stopped, one)
        k = int(stopped.updates[i])
        assert torch.allclose(
            stopped.after.prediction.betas[i], free.iterates.prediction.betas[i, k], **CLOSE
        )


def test_a_stop_may_come_after_the_update(body: Body) -> None:
    batch = exemplar_of(body, people(2))
    torch.manual_seed(1)
    net = ToyConvNet().double().eval()
    weights = RegressorWeights(net, batch.image, batch.box)
    stage = Stage(
        eft_objective(body, batch, EftConfig()),
        Sgd(3e-3),
        5,
        stop=lambda now, before: torch.ones(2, dtype=torch.bool),
        stop_after_update=True,
    )
    assert minimise(weights, 2, [stage]).updates.tolist() == [1, 1]
    assert minimise(weights, 2, [replace(stage, stop_after_update=False)]).updates.tolist() == [
        0,
        0,
    ]


def test_stages_move_their_own_unknowns_in_turn(body: Body) -> None:
    """Two stages of the same update on all weights are one; a head stage leaves the rest."""
    batch = exemplar_of(body, people(2))
    torch.manual_seed(1)
    net = ToyConvNet().double().eval()
    weights = RegressorWeights(net, batch.image, batch.box)
    objective = eft_objective(body, batch, EftConfig())
    one = Stage(objective, Sgd(3e-3), 3)
    whole = minimise(weights, 2, [replace(one, steps=6)], history=True)
    assert_same(minimise(weights, 2, [one, one], history=True), whole)
    head = replace(one, moves=lambda name: name.startswith("head"))
    mixed = minimise(weights, 2, [head, one], history=True)
    only_head = RegressorWeights(net, batch.image, batch.box, moving_names(net, "head"))
    assert set(only_head.initial) == {"head.out.weight", "head.out.bias"}
    alone = minimise(only_head, 2, [one], history=True)
    assert torch.allclose(
        mixed.iterates.prediction.betas[:, :4], alone.iterates.prediction.betas, **CLOSE
    )
    with pytest.raises(ValueError, match="no stop but in the last"):
        minimise(weights, 2, [replace(one, stop=lambda now, before: now.loss < 0), one])


def test_without_a_history_the_ends_are_kept(body: Body) -> None:
    batch = exemplar_of(body, people(3))
    torch.manual_seed(1)
    net = ToyConvNet().double().eval()
    stage = Stage(eft_objective(body, batch, EftConfig()), Adam(2e-3), 4)
    weights = RegressorWeights(net, batch.image, batch.box)
    full = minimise(weights, 3, [stage], history=True)
    ends = minimise(weights, 3, [stage])
    assert full.iterates.prediction.camera.shape == (3, 5, 3)
    assert ends.iterates.prediction.camera.shape == (3, 2, 3)
    for name in ("before", "after"):
        assert torch.equal(
            getattr(full, name).prediction.camera, getattr(ends, name).prediction.camera
        )
    picked = full.at(torch.tensor([0, 2, 4]))
    assert torch.equal(picked.prediction.betas[1], full.iterates.prediction.betas[1, 2])


def test_a_row_that_is_not_finite_ends_alone_and_leaves_the_others_to_the_bit(body: Body) -> None:
    batch = exemplar_of(body, people(4))
    for bad_row in (0, 2):
        image = batch.image.clone()
        image[bad_row] = torch.nan
        broken = run(body, replace(batch, image=image), Adam(2e-3))
        whole = run(body, batch, Adam(2e-3))
        others = [i for i in range(4) if i != bad_row]
        assert broken.diverged.tolist() == [i == bad_row for i in range(4)]
        assert torch.equal(
            broken.iterates.prediction.body_pose[others],
            whole.iterates.prediction.body_pose[others],
        )
        assert all(bool(torch.isfinite(x).all()) for x in vars(broken.after.prediction).values())


def test_a_fit_that_explodes_keeps_its_last_finite_iterate(body: Body) -> None:
    batch = exemplar_of(body, people(2))
    trace = run(body, batch, Sgd(1e200), steps=5)
    assert trace.diverged.all()
    assert torch.isfinite(trace.after.prediction.body_pose).all()
    assert torch.isfinite(trace.after.evaluation.loss).all()


def test_skipped_exemplars_stay_and_do_not_touch_the_others(body: Body) -> None:
    batch = exemplar_of(body, people(3))
    whole = run(body, batch, Adam(2e-3))
    some = run(body, batch, Adam(2e-3), skip=torch.tensor([False, True, False]))
    assert some.updates.tolist() == [4, 0, 4]
    assert torch.equal(some.after.prediction.betas[[0, 2]], whole.after.prediction.betas[[0, 2]])
    assert torch.equal(some.after.prediction.betas[1], whole.before.prediction.betas[1])


class Greedy:
    """Unknowns that do not fit in memory more than two at a time."""

    def __init__(self, inner: RegressorWeights, error: Exception, most: int) -> None:
        self.inner, self.error, self.most = inner, error, most

    def start(self, rows: Tensor, groups: int) -> dict[str, Tensor]:
        if len(rows) > self.most:
            raise self.error
        return self.inner.start(rows, groups)

    def predict(self, params: dict[str, Tensor], rows: Tensor) -> Prediction:
        return self.inner.predict(params, rows)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    ],
)
def test_running_out_of_memory_halves_the_chunk(body: Body, error: Exception) -> None:
    batch = exemplar_of(body, people(5))
    torch.manual_seed(1)
    weights = RegressorWeights(ToyConvNet().double().eval(), batch.image, batch.box)
    stage = Stage(eft_objective(body, batch, EftConfig()), Adam(2e-3), 3)
    whole = minimise(weights, 5, [stage], history=True)
    assert_same(minimise(Greedy(weights, error, 2), 5, [stage], history=True), whole)
    with pytest.raises(type(error)):
        minimise(Greedy(weights, error, 0), 5, [stage])
    with pytest.raises(RuntimeError, match="other"):
        minimise(Greedy(weights, RuntimeError("other"), 2), 5, [stage])


@pytest.mark.parametrize("count", [0, -1])
def test_counts_must_be_positive(body: Body, count: int) -> None:
    batch = exemplar_of(body, people(2))
    with pytest.raises(ValueError, match="positive"):
        run(body, batch, Sgd(1.0), chunk_size=count)


@pytest.mark.parametrize("update", [Sgd(0.05), Adam(0.01, eps_root=1e-6)], ids=["sgd", "adam"])
@pytest.mark.parametrize("second_order", [True, False])
def test_outer_gradients_match_finite_differences(update: Update, second_order: bool) -> None:
    """Second order is the derivative of the unrolled fit. First order is not, by definition: it
    takes the inner gradients as constants, so that each update's Jacobian is the identity."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 3, generator=generator).double()
    wanted = torch.randn(2, 3, generator=generator).double()
    start = torch.randn(2, 3, generator=generator).double()

    def inner(params: dict[str, Tensor]) -> Tensor:
        return ((params["x"] - target) ** 4).sum(1) + params["x"].prod(1)

    def outer(x: Tensor) -> Tensor:
        moved = unroll(inner, {"x": x}, update, 3, second_order=second_order)
        return ((moved["x"] - wanted) ** 2).sum()

    x = start.clone().requires_grad_()
    (found,) = torch.autograd.grad(outer(x), x)
    if second_order:
        differences = torch.zeros_like(start)
        for i in range(2):
            for j in range(3):
                step = torch.zeros_like(start)
                step[i, j] = 1e-5
                up, down = (outer((start + s * step).requires_grad_()) for s in (1, -1))
                differences[i, j] = (up - down).detach() / 2e-5
        # central differences of step 1e-5: error of order 1e-10, magnified by the updates' slopes
        assert torch.allclose(found, differences, rtol=1e-6, atol=1e-8)
    else:
        moved = unroll(inner, {"x": start.clone().requires_grad_()}, update, 3)["x"]
        assert torch.allclose(found, 2 * (moved - wanted), rtol=1e-12)


def test_second_order_through_adam_needs_eps_root_where_a_gradient_vanishes() -> None:
    def outer(update: Adam) -> Tensor:
        x = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
        moved = unroll(lambda p: (p["x"] ** 2).sum(1), {"x": x}, update, 2, second_order=True)
        return torch.autograd.grad(moved["x"].sum(), x)[0]

    assert not torch.isfinite(outer(Adam(0.1))).all()
    assert torch.isfinite(outer(Adam(0.1, eps_root=1e-12))).all()


def test_unrolling_is_the_loop(body: Body) -> None:
    """The differentiable updates and the in-place ones give the same weights."""
    batch = exemplar_of(body, people(2))
    torch.manual_seed(1)
    net = ToyConvNet().double().eval()
    weights = RegressorWeights(net, batch.image, batch.box)
    objective = eft_objective(body, batch, EftConfig())
    everyone = torch.arange(2)
    for update in UPDATES.values():
        trace = minimise(weights, 2, [Stage(objective, update, 3)])
        start = {name: p.requires_grad_() for name, p in weights.start(everyone, 2).items()}
        moved = unroll(
            lambda params: objective(weights.predict(params, everyone), everyone).loss,
            start,
            update,
            3,
        )
        assert torch.allclose(
            weights.predict(moved, everyone).body_pose, trace.after.prediction.body_pose, **CLOSE
        )
