"""Updates against torch's own optimisers."""

import pytest
import torch
from torch import Tensor

from exemplar.fitting.updates import Adam, Sgd, Update, step_each_in_place

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


@pytest.mark.parametrize("update", [Sgd(0.01), Adam(0.01), Adam(0.01, eps_root=1e-3)])
def test_groups_that_began_at_different_times_step_together_as_alone(update: Update) -> None:
    """Rows of stacked tensors, each with its own count of steps, as slots have them."""
    together, alone = started(), started()

    def rows(params: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        return [{name: value[i : i + 1] for name, value in params.items()} for i in range(2)]

    states = [update.init(row) for row in rows(together)]
    others = [update.init(row) for row in rows(alone)]
    for step in range(4):
        taking = [0] if step == 0 else [0, 1]
        mine, theirs = rows(together), rows(alone)
        after = step_each_in_place(
            update,
            [mine[i] for i in taking],
            [slopes_of(mine[i]) for i in taking],
            [states[i] for i in taking],
        )
        for i, state in zip(taking, after, strict=True):
            states[i] = state
            others[i] = update.step_in_place(theirs[i], slopes_of(theirs[i]), others[i])
    for name in together:
        assert torch.equal(together[name], alone[name])
