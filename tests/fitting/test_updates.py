"""Updates against torch's own optimisers."""

import torch

from exemplar.fitting.updates import Adam


def test_adam_equals_torchs() -> None:
    start = {"a": torch.randn(4, 3).double(), "b": torch.randn(5).double()}
    ours = {name: value.clone() for name, value in start.items()}
    theirs = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimiser = torch.optim.Adam(theirs.values(), lr=0.01)
    update = Adam(0.01)
    state = update.init(ours)
    for _ in range(7):
        slopes = {name: value.sin() + value**3 for name, value in ours.items()}
        for value in theirs.values():
            value.grad = (value.sin() + value**3).detach()
        optimiser.step()
        state = update.step(ours, slopes, state)
    for name in start:
        # float64, the same formula: rounding only
        assert torch.allclose(ours[name], theirs[name], rtol=1e-12)
