"""The exemplar step inside training: gradients, kinds of sharing, teachers, what is refused."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.on_landmarks import OnLandmarks, Unpack, packed
from exemplar.training import adaptation
from exemplar.training.adaptation import InnerConfig
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.recipes import OURS
from exemplar.training.trainee import Trainee
from tests.training.toy import ToyNetwork, people

FEW_VERTICES = replace(BodyLossConfig.paper(), vertex_stride=500)
RATE = 0.1
"""Large enough for the inner step to matter."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body().double()


def step_of(body: Body, inner: InnerConfig | None, **options: object) -> TrainingStep:
    """A float64 step on toy networks."""
    options = {"batch_norm": "frozen", **options}
    main = Trainee(ToyNetwork(0), **options)
    needs = inner is not None and inner.teacher == "auxiliary"
    auxiliary = Trainee(ToyNetwork(1), **options) if needs else None
    return TrainingStep(main, body, FEW_VERTICES, inner, auxiliary).double().train()


def gradients(step: TrainingStep, count: int = 4) -> tuple[float, dict[str, Tensor]]:
    loss = step(people(count, dtype=torch.float64))["loss"]
    loss.backward()
    named = step.named_parameters()
    return float(loss.detach()), {n: p.grad.clone() for n, p in named if p.grad is not None}


INNERS = [
    pytest.param(replace(InnerConfig(), steps=2), id="own head"),
    pytest.param(replace(InnerConfig(), teacher="none"), id="own head, 2D alone"),
    pytest.param(replace(InnerConfig(), adapt="all"), id="own weights, all"),
    pytest.param(replace(InnerConfig(), group_size=2), id="pairs"),
    pytest.param(replace(InnerConfig(), group_size=0, steps=2), id="one for the batch"),
]


@pytest.mark.parametrize("inner", INNERS)
def test_second_order_gradients_are_finite_differences(body: Body, inner: InnerConfig) -> None:
    inner = replace(inner, second_order=True, learning_rate=RATE, loss=FEW_VERTICES)
    step = step_of(body, inner)
    _, found = gradients(step)
    parts = ["main.regressor.stem", "main.regressor.late", "main.regressor.head"]
    if inner.teacher == "auxiliary":
        parts += ["auxiliary.regressor.stem", "auxiliary.regressor.head"]
    for part in parts:
        names = [name for name in found if name.startswith(part)]
        noise = torch.Generator().manual_seed(3)
        along = {n: torch.randn(found[n].shape, generator=noise).to(found[n]) for n in names}
        slope = sum(float((found[n] * along[n]).sum()) for n in names)
        # central differences of step 1e-5 in float64 are right to about 1e-9
        wanted = central_difference(step, along, 1e-5)
        assert slope == pytest.approx(wanted, rel=1e-6, abs=1e-8), part
        assert abs(slope) > 1e-6, part


def central_difference(step: TrainingStep, along: dict[str, Tensor], small: float) -> float:
    named = dict(step.named_parameters())

    def moved(by: float) -> float:
        with torch.no_grad():
            for name, direction in along.items():
                named[name].add_(direction, alpha=by)
        value = float(step(people(4, dtype=torch.float64))["loss"].detach())
        with torch.no_grad():
            for name, direction in along.items():
                named[name].add_(direction, alpha=-by)
        return value

    return (moved(small) - moved(-small)) / (2 * small)


def test_first_order_takes_the_inner_gradient_as_a_constant(body: Body) -> None:
    """Its outer gradient is that at w', applied to w: on one exemplar, supervised training's
    gradient of a network whose head has made the step."""
    inner = InnerConfig(learning_rate=RATE, loss=FEW_VERTICES, train_auxiliary=False)
    _, found = gradients(step_of(body, inner), count=1)
    moved = step_of(body, inner)
    head = dict(moved.main.regressor.head.named_parameters())
    target = people(1, dtype=torch.float64)
    before = [p.detach().clone() for p in head.values()]
    terms = inner_loss(moved, body)
    slopes = torch.autograd.grad(terms, list(head.values()))
    with torch.no_grad():
        for p, start, slope in zip(head.values(), before, slopes, strict=True):
            p.copy_(start - RATE * slope)
    plain = TrainingStep(moved.main, body, FEW_VERTICES)
    plain(target)["loss"].backward()
    wanted = {f"main.{n}": p.grad for n, p in plain.main.named_parameters()}
    compared = [name for name in found if wanted.get(name) is not None]
    assert len(compared) > 8
    for name in compared:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-9, atol=1e-12)


def inner_loss(step: TrainingStep, body: Body) -> Tensor:
    """The paper's L_expl of one exemplar, written out from the terms of `exemplar.objectives`."""
    batch = people(1, dtype=torch.float64)
    assert step.auxiliary is not None
    pseudo = step.auxiliary(batch.inputs, batch.box).detach()
    ours = step.main(batch.inputs, batch.box)
    points = [body.keypoints(p.body_params())[:, 25:] for p in (ours, pseudo)]
    on_hips = [p - p[:, [2, 3]].mean(1, keepdim=True) for p in points]
    meshes = [body(p.body_params(), stride=500).vertices for p in (ours, pseudo)]
    rotations = [torch.cat((p.global_orient[:, None], p.body_pose), 1) for p in (ours, pseudo)]
    seen = ours.camera[:, None, :1] * points[0][..., :2] + ours.camera[:, None, 1:]
    known = body.available("smpl49")[25:, None]
    flat = (known * (seen - batch.keypoints_2d[:, 25:, :2]).square()).sum() / (49 * 2)
    return (
        5 * flat
        + 5 * (known * (on_hips[0] - on_hips[1]).square()).mean()
        + 0.5 * (meshes[0] - meshes[1]).square().mean()
        + (rotations[0] - rotations[1]).square().mean()
        + 1e-3 * (ours.betas - pseudo.betas).square().mean()
    )


@pytest.mark.parametrize("second_order", [False, True])
def test_outer_products_and_copies_of_the_head_are_the_same(
    body: Body, monkeypatch: pytest.MonkeyPatch, second_order: bool
) -> None:
    inner = InnerConfig(learning_rate=RATE, loss=FEW_VERTICES, steps=2, second_order=second_order)
    by_products = gradients(step_of(body, inner))
    monkeypatch.setattr(adaptation, "applies_to", lambda module: False)
    by_copies = gradients(step_of(body, inner))
    assert by_products[0] == pytest.approx(by_copies[0], rel=1e-12)
    assert by_products[1].keys() == by_copies[1].keys()
    for name, gradient in by_products[1].items():
        torch.testing.assert_close(gradient, by_copies[1][name], rtol=1e-9, atol=1e-12)


def test_groups_share_a_step(body: Body) -> None:
    """A group of all is the whole batch; with people who have everything, own weights differ."""
    inner = InnerConfig(learning_rate=RATE, loss=FEW_VERTICES)
    whole, four, own = (
        gradients(step_of(body, replace(inner, group_size=size)))[0] for size in (0, 4, 1)
    )
    assert whole == pytest.approx(four, rel=1e-12)
    assert abs(whole - own) > 1e-6


def test_without_inner_step_it_is_supervised_training(body: Body) -> None:
    step = step_of(body, None)
    out = step(people(4, dtype=torch.float64))
    tiny = step_of(body, InnerConfig(learning_rate=1e-30, train_auxiliary=False))
    again = tiny(people(4, dtype=torch.float64))
    assert float(out["loss"].detach()) == pytest.approx(float(again["loss"].detach()), rel=1e-12)


def test_sparse_supervision_is_not_diluted(body: Body) -> None:
    """A term is the mean over those who have its target."""
    batch, step = people(4, dtype=torch.float64), step_of(body, None)
    rows = torch.tensor([0, 1, 3])
    assert float(step(batch)["pose"]) == pytest.approx(float(step(batch[rows])["pose"]), rel=1e-12)
    nobody = step(batch[torch.tensor([2])])
    assert float(nobody["pose"]) == 0.0
    assert float(nobody["keypoints_2d"]) > 0


def test_the_auxiliary_network_learns_from_the_truth(body: Body) -> None:
    inner = InnerConfig(learning_rate=RATE, loss=FEW_VERTICES)
    _, found = gradients(step_of(body, inner))
    alone = Trainee(ToyNetwork(1), batch_norm="frozen")
    plain = TrainingStep(alone, body, FEW_VERTICES).double().train()
    plain(people(4, dtype=torch.float64))["loss"].backward()
    for name, p in alone.named_parameters():
        torch.testing.assert_close(found[f"auxiliary.{name}"], p.grad, rtol=1e-9, atol=1e-12)


def test_frozen_parts_and_cached_features_give_the_same(body: Body) -> None:
    inner = InnerConfig(learning_rate=RATE, loss=FEW_VERTICES)
    whole = step_of(body, inner, frozen=1)
    batch = people(4, dtype=torch.float64)
    with torch.no_grad():
        features = whole.main.regressor.stem(batch.inputs)
    # both networks must have the same stem, as they do when it is frozen
    assert whole.auxiliary is not None
    whole.auxiliary.regressor.stem.load_state_dict(whole.main.regressor.stem.state_dict())
    cached = step_of(body, inner, frozen=1, cached=True)
    assert float(cached(replace(batch, inputs=features))["loss"].detach()) == pytest.approx(
        float(whole(batch)["loss"].detach()), rel=1e-12
    )
    assert not any(p.requires_grad for p in whole.main.regressor.stem.parameters())


def test_what_cannot_be_is_refused(body: Body) -> None:
    with pytest.raises(ValueError, match="owns batch norms"):
        step_of(body, InnerConfig(adapt="all"), batch_norm="train")
    with pytest.raises(ValueError, match="no whole groups of 3"):
        step_of(body, InnerConfig(group_size=3))(people(4, dtype=torch.float64))
    with pytest.raises(ValueError, match="of which fewer can be frozen, got 3"):
        Trainee(ToyNetwork(), frozen=3)
    with pytest.raises(ValueError, match="selects no weight that is trained"):
        step_of(body, InnerConfig(adapt="stem"), frozen=1)
    with pytest.raises(ValueError, match="an auxiliary network goes with"):
        TrainingStep(Trainee(ToyNetwork()), body, FEW_VERTICES, InnerConfig())
    with pytest.raises(ValueError, match="learning_rate"):
        InnerConfig(learning_rate=0.0)


def test_nobody_is_predicted_with_broken_numbers(body: Body) -> None:
    """Steps that are far too large: who goes astray keeps the answer before them."""
    step = step_of(body, InnerConfig(learning_rate=1e30, loss=FEW_VERTICES)).eval()
    before, after = step.predictions(people(4, dtype=torch.float64), [0, 3])
    assert after.is_finite()
    assert torch.equal(after.camera, before.camera)


def on_landmarks(inner: InnerConfig) -> TrainingStep:
    torch.manual_seed(0)
    head = LifterHead(LifterConfig(hidden=16, blocks=1, dropout=0.0))
    return TrainingStep(Trainee(OnLandmarks(head)), load_open_body(), OURS, inner).eval()


LEARNED = InnerConfig(teacher="none", learned=True, learning_rate=0.01, loss=OURS)


def test_learned_steps_begin_as_the_fixed_one_and_are_trained() -> None:
    batch = replace(people(3), inputs=packed(landmarks(3)))
    learned, fixed = (on_landmarks(replace(LEARNED, learned=x)) for x in (True, False))
    fixed.load_state_dict(learned.state_dict(), strict=False)
    losses = [step(batch)["loss"] for step in (learned, fixed)]
    torch.testing.assert_close(losses[0], losses[1])
    losses[0].backward()
    assert (learned.log_sizes.grad != 0).any()
    found = [step.predictions(batch, (0, 2))[1].camera for step in (learned, fixed)]
    torch.testing.assert_close(found[0], found[1])


def test_learned_steps_are_of_heads_that_need_no_copies(body: Body) -> None:
    with pytest.raises(ValueError, match="learned steps"):
        step_of(body, replace(InnerConfig(), learned=True, group_size=2))


def landmarks(count: int) -> Landmarks:
    draw = torch.Generator().manual_seed(0)
    sizes = ((33, 2), (33, 3), (33,), (33,))
    return Landmarks(*(0.3 * torch.randn(count, *size, generator=draw) for size in sizes))


def test_packed_landmarks_are_landmarks() -> None:
    read = landmarks(2)
    for one, other in zip(Unpack()(packed(read)), read, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
