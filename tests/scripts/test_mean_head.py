"""Heads whose weights are averaged."""

import pytest
import torch

from exemplar.regressors.lifter import LifterConfig, LifterHead
from scripts.lifter.export import mean_head


def heads() -> list[LifterHead]:
    torch.manual_seed(0)
    return [LifterHead(LifterConfig(hidden=8, blocks=1)) for _ in range(2)]


def test_each_weight_is_the_mean_by_the_shares() -> None:
    first, second = heads()
    found = mean_head([first, second], (0.25, 0.75)).enter.weight
    assert torch.allclose(found, 0.25 * first.enter.weight + 0.75 * second.enter.weight)


def test_one_head_is_itself() -> None:
    (head, _) = heads()
    assert torch.equal(mean_head([head], (1.0,)).enter.weight, head.enter.weight)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6)])
def test_shares_are_of_all_heads_and_sum_to_one(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        mean_head(heads(), shares)
