"""Steps of gradient descent on each exemplar's own head, without a copy of its weights."""

import pytest
import torch
from torch import Tensor, nn

from exemplar.fitting.low_rank import applies_to, changed_prediction, own_step, storages_of
from exemplar.fitting.optimiser import unroll
from exemplar.fitting.updates import Sgd
from exemplar.geometry.crops import Box
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33
from tests.fixtures.iterative_head import IterativeHead

PEOPLE, RATE = 3, 0.05
ITERATIVE_FEATURES, SIZES = 7, (2, 3, 1, 1)


class OnNumbers(nn.Module):
    """The default regressor's head on landmarks that are one vector a person."""

    def __init__(self) -> None:
        super().__init__()
        self.head = LifterHead(LifterConfig(hidden=16, blocks=2, dropout=0.0))

    def forward(self, features: Tensor) -> Prediction:
        """Bodies from 33 x (2 + 3 + 1 + 1) numbers."""
        marks = features.unflatten(1, (len(BLAZEPOSE_33), sum(SIZES)))
        points, world, visibility, spread = (0.3 * marks).split(SIZES, dim=-1)
        read = Landmarks(points, world, visibility[..., 0], 0.1 * spread[..., 0])
        count = len(features)
        return self.head(read, Box(torch.zeros(count, 2), torch.ones(count), torch.zeros(count)))


def iterative() -> nn.Module:
    """Uses each layer several times."""
    return IterativeHead(ITERATIVE_FEATURES, hidden=16, rounds=3).eval()


HEADS = {
    "iterative": (ITERATIVE_FEATURES, iterative),
    # layer norms, and in eval mode two rows a person: landmarks and their mirror image
    "lifter": (len(BLAZEPOSE_33) * sum(SIZES), lambda: OnNumbers().eval()),
    "lifter in training": (len(BLAZEPOSE_33) * sum(SIZES), lambda: OnNumbers().train()),
}


@pytest.fixture(params=HEADS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def head(kind: str) -> nn.Module:
    torch.manual_seed(0)
    made = HEADS[kind][1]()
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(0, 0.1)
    return made.double()


def features(kind: str) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(PEOPLE, HEADS[kind][0], generator=draw).double()


def loss(prediction: Prediction) -> Tensor:
    """Anything that is different for each exemplar and bends with the weights."""
    wanted = torch.arange(PEOPLE, dtype=torch.float64)[:, None] / 10
    return (
        (prediction.camera - wanted).square().sum(1)
        + (prediction.betas - 0.3).square().sum(1)
        + prediction.body_pose[:, 3].square()[:, 0].sum(1) * (1 + wanted[:, 0])
    )


def one_by_one(kind: str, steps: int, *, second_order: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Losses after the steps, their gradient in the features and in the weights: each exemplar
    with a real copy of the weights."""
    network, known = head(kind), features(kind).requires_grad_()
    names = [name for name, _ in network.named_parameters()]
    total = torch.zeros(PEOPLE, dtype=torch.float64)
    for i in range(PEOPLE):

        def own(params: dict[str, Tensor], i: int = i) -> Tensor:
            found = torch.func.functional_call(network, params, (known[i : i + 1],))
            whole = Prediction(*(x.expand(PEOPLE, *x.shape[1:]) for x in vars(found).values()))
            return loss(whole)[i : i + 1]

        params = unroll(own, dict(network.named_parameters()), Sgd(RATE), steps,
                        second_order=second_order)  # fmt: skip
        total = total.index_put((torch.tensor([i]),), own(params))
    slopes = torch.autograd.grad(total.sum(), [known, *network.parameters()])
    assert len(slopes) == 1 + len(names)
    return total.detach(), slopes[0], list(slopes[1:])


def together(kind: str, steps: int, *, second_order: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The same, all exemplars at once and no copy of the weights."""
    network, known = head(kind), features(kind).requires_grad_()
    changes = {}
    for _ in range(steps):
        _, _, changes = own_step(
            lambda: network(known), loss, RATE, changes, second_order=second_order
        )
    total = loss(changed_prediction(lambda: network(known), changes))
    slopes = torch.autograd.grad(total.sum(), [known, *network.parameters()])
    return total.detach(), slopes[0], list(slopes[1:])


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_steps_and_their_gradients_are_those_of_real_copies(
    kind: str, steps: int, second_order: bool
) -> None:
    wanted, found = (f(kind, steps, second_order=second_order) for f in (one_by_one, together))
    # float64 rounding: sums in another order
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-12, atol=1e-12)
    for ours, theirs in zip([found[1], *found[2]], [wanted[1], *wanted[2]], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_first_and_second_order_differ(kind: str) -> None:
    first, second = (together(kind, 1, second_order=order)[2] for order in (False, True))
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(first, second, strict=True))


def test_a_network_whose_weights_are_frozen_can_be_adapted(kind: str) -> None:
    network, known = head(kind).requires_grad_(False), features(kind)
    before, values, changes = own_step(lambda: network(known), loss, RATE, {})
    after = loss(changed_prediction(lambda: network(known), changes))
    assert (after < values).all()
    # float64 rounding: a layer norm's factors are taken apart from it
    torch.testing.assert_close(before.camera, network(known).camera, rtol=1e-12, atol=1e-14)


def test_it_applies_to_linear_layers_and_layer_norms_of_one_axis(kind: str) -> None:
    assert applies_to(head(kind))
    for norm in (nn.BatchNorm1d(2), nn.LayerNorm((3, 2)), nn.LayerNorm(2, bias=False)):
        assert not applies_to(nn.Sequential(nn.Linear(2, 2), norm))


def test_steps_of_a_size_for_each_layer_are_steps_of_that_size(kind: str) -> None:
    network, known = head(kind), features(kind)
    sizes = dict.fromkeys(storages_of(network), torch.tensor(RATE, dtype=torch.float64))
    found = []
    for rate in (RATE, sizes):
        _, _, changes = own_step(lambda: network(known), loss, rate, {})
        found.append(loss(changed_prediction(lambda: network(known), changes)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_the_loss_after_a_step_tells_how_large_it_should_be(kind: str) -> None:
    network, known = head(kind), features(kind)
    sizes = torch.full((len(storages_of(network)),), RATE, dtype=torch.float64, requires_grad=True)

    def after(sizes: Tensor) -> Tensor:
        rate = dict(zip(storages_of(network), sizes, strict=True))
        _, _, changes = own_step(lambda: network(known), loss, rate, {})
        return loss(changed_prediction(lambda: network(known), changes)).sum()

    assert torch.autograd.gradcheck(after, sizes)
