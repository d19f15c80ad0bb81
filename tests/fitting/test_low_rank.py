"""Steps of gradient descent on each exemplar's own head, as sums of outer products."""

import pytest
import torch
from torch import Tensor, nn

from exemplar.fitting.low_rank import changed_prediction, is_linear, linear_step
from exemplar.fitting.optimiser import unroll
from exemplar.fitting.updates import Sgd
from exemplar.regressors.mobile import IterativeHead, MobileConfig
from exemplar.regressors.prediction import Prediction

PEOPLE, FEATURES, RATE = 3, 7, 0.05


def head(dtype: torch.dtype = torch.float64) -> IterativeHead:
    torch.manual_seed(0)
    made = IterativeHead(FEATURES, MobileConfig(hidden=16, rounds=3, dropout=0.0))
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(0, 0.1)
    return made.to(dtype).eval()


def features() -> Tensor:
    return torch.randn(PEOPLE, FEATURES, generator=torch.Generator().manual_seed(1)).double()


def loss(prediction: Prediction) -> Tensor:
    """Anything that is different for each exemplar and bends with the weights."""
    wanted = torch.arange(PEOPLE, dtype=torch.float64)[:, None] / 10
    return (
        (prediction.camera - wanted).square().sum(1)
        + (prediction.betas - 0.3).square().sum(1)
        + prediction.body_pose[:, 3].square()[:, 0].sum(1) * (1 + wanted[:, 0])
    )


def one_by_one(steps: int, *, second_order: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Losses after the steps, their gradient in the features and in the weights: each exemplar
    with a real copy of the weights."""
    network, known = head(), features().requires_grad_()
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


def together(steps: int, *, second_order: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The same, all exemplars at once and no copy of the weights."""
    network, known = head(), features().requires_grad_()
    changes = {}
    for _ in range(steps):
        _, _, changes = linear_step(
            lambda: network(known), loss, RATE, changes, second_order=second_order
        )
    total = loss(changed_prediction(lambda: network(known), changes))
    slopes = torch.autograd.grad(total.sum(), [known, *network.parameters()])
    return total.detach(), slopes[0], list(slopes[1:])


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_steps_and_their_gradients_are_those_of_real_copies(steps: int, second_order: bool) -> None:
    wanted, found = (f(steps, second_order=second_order) for f in (one_by_one, together))
    # float64 rounding: sums in another order
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-12, atol=1e-12)
    for ours, theirs in zip([found[1], *found[2]], [wanted[1], *wanted[2]], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_first_and_second_order_differ() -> None:
    first, second = (together(1, second_order=order)[2] for order in (False, True))
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(first, second, strict=True))


def test_a_network_whose_weights_are_frozen_can_be_adapted() -> None:
    network, known = head().requires_grad_(False), features()
    before, values, changes = linear_step(lambda: network(known), loss, RATE, {})
    after = loss(changed_prediction(lambda: network(known), changes))
    assert (after < values).all()
    assert torch.equal(before.camera, network(known).camera)


def test_only_linear_layers_count_as_linear() -> None:
    assert is_linear(head())
    assert not is_linear(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
