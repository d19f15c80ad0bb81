"""Updates against torch's own optimisers."""

import pytest
import torch
from torch import Tensor

from exemplar.fitting.updates import Adam, Sgd, Update

RULES = {
    "sgd": (Sgd(0.01), torch.optim.SGD),
    "adam": (Adam(0.01), torch.optim.Adam),
}


def slopes_of(params: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.sin() + value**3 for name, value in params.items()}


def started() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a": torch.randn(4, 3, generator=generator).double(),
        "b": torch.randn(2, 3, 5, 3, generator=generator)
        .double()
        .to(memory_format=torch.channels_last),
    }


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("in_place", [True, False])
def test_updates_equal_torchs(rule: str, in_place: bool) -> None:
    update, torchs = RULES[rule]
    ours, theirs = started(), {name: v.requires_grad_() for name, v in started().items()}
    optimiser = torchs(theirs.values(), lr=0.01)
    state = update.init(ours)
    for _ in range(7):
        for value in theirs.values():
            value.grad = slopes_of({"x": value.detach()})["x"]
        optimiser.step()
        if in_place:
            state = update.step_in_place(ours, slopes_of(ours), state)
        else:
            ours, state = update.step(ours, slopes_of(ours), state)
    for name, value in ours.items():
        # float64, the same formula: rounding only
        assert torch.allclose(value, theirs[name], rtol=1e-12)


@pytest.mark.parametrize("update", [Sgd(0.01), Adam(0.01), Adam(0.01, eps_root=1e-3)])
def test_in_place_steps_equal_differentiable_ones(update: Update) -> None:
    moved, values = started(), started()
    state, other = update.init(moved), update.init(values)
    for _ in range(3):
        state = update.step_in_place(moved, slopes_of(moved), state)
        values, other = update.step(values, slopes_of(values), other)
    for name in values:
        assert torch.allclose(moved[name], values[name], rtol=1e-12)


def test_a_gradient_may_lie_in_memory_otherwise_than_its_weight() -> None:
    """The fused kernel walks flat memory: a gradient of another layout must be laid out anew."""
    params = {"b": started()["b"]}
    slopes = {"b": slopes_of(params)["b"].contiguous()}
    assert slopes["b"].stride() != params["b"].stride()
    expected, _ = Adam(0.01).step(params, slopes, Adam(0.01).init(params))
    Adam(0.01).step_in_place(params, slopes, Adam(0.01).init(params))
    assert torch.allclose(params["b"], expected["b"], rtol=1e-12)
