"""Averaged weights."""

import pytest
import torch
from torch import nn

from exemplar.training.averages import WeightAverage


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False))


def test_the_average_follows_the_usual_warm_up_by_hand() -> None:
    module = network()
    module[0].weight.data.fill_(0.0)
    average = WeightAverage(module, decay=0.15)
    values = []
    for now in (1.0, 2.0):
        module[0].weight.data.fill_(now)
        average.update(module)
        with average.applied(module):
            values.append(module[0].weight.item())
    # decays: min(0.15, 1/10), min(0.15, 2/11); float32
    assert values == pytest.approx([0.9, 0.15 * 0.9 + 0.85 * 2.0], rel=1e-6)


def test_buffers_are_taken_as_they_are_and_weights_come_back() -> None:
    module = network()
    average = WeightAverage(module, decay=0.9)
    module[0].weight.data.fill_(5.0)
    module[1].running_mean.fill_(7.0)
    average.update(module)
    with average.applied(module):
        assert float(module[1].running_mean) == 7.0
        assert module[0].weight.item() != 5.0
    assert module[0].weight.item() == 5.0
    with pytest.raises(KeyError), average.applied(module):
        raise KeyError
    assert module[0].weight.item() == 5.0


def test_a_state_is_taken_up_exactly_and_another_networks_refused() -> None:
    module = network()
    average = WeightAverage(module, decay=0.9)
    module[0].weight.data.fill_(5.0)
    average.update(module)
    other = WeightAverage(network(), decay=0.9)
    other.load_state_dict(average.state_dict())
    for each in (average, other):
        each.update(module)
    with average.applied(module):
        ours = module[0].weight.data
    with other.applied(module):
        assert torch.equal(module[0].weight.data, ours)
    assert other.updates == 2
    with pytest.raises(ValueError, match=r"averages of other weights: 0\.bias"):
        WeightAverage(nn.Sequential(nn.Linear(1, 1)), 0.9).load_state_dict(average.state_dict())


def test_frozen_weights_are_not_kept_twice() -> None:
    module = network().requires_grad_(False)
    assert WeightAverage(module, 0.9).state_dict() == {"updates": 0, "average": {}}
