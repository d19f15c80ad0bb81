"""Memory of an exemplar, and how many fit at once."""

import pytest
import torch

from exemplar.bodies import load_open_body
from exemplar.fitting import memory
from exemplar.fitting.exemplar import EftConfig, eft_objective
from exemplar.fitting.weights import RegressorWeights, moving_names
from tests.fitting.toy import ToyConvNet, exemplar_of, people


def need(adapt: str, group: int = 1) -> tuple[int, int]:
    body = load_open_body()
    batch = exemplar_of(body, people(4, torch.float32))
    net = ToyConvNet().eval()
    weights = RegressorWeights(net, batch.image, batch.box, moving_names(net, adapt))
    own = sum(p.numel() * 4 for p in weights.initial.values())
    return memory.bytes_per_group(weights, eft_objective(body, batch, EftConfig()), group), own


def test_memory_counts_the_copies_and_what_backward_needs() -> None:
    whole, own = need("all")
    head, own_head = need("head")
    assert whole > memory.SLACK * memory.COPIES * own
    assert own_head < own
    assert head < whole
    more, _ = need("all", group=4)
    assert whole < more < 4 * whole, "a group shares its weights, not its activations"


def test_a_chunk_takes_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    body = load_open_body()
    batch = exemplar_of(body, people(4, torch.float32))
    net = ToyConvNet().eval()
    weights = RegressorWeights(net, batch.image, batch.box)
    objective = eft_objective(body, batch, EftConfig())
    one = memory.bytes_per_group(weights, objective)
    cuda = torch.device("cuda")
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(10.5 * one / memory.USED_SHARE))
    assert memory.chunk_size_for(weights, objective, cuda) == 10
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    assert memory.chunk_size_for(weights, objective, cuda) == 1
    assert memory.chunk_size_for(weights, objective, torch.device("cpu"), 2) == 2


def test_free_memory_is_a_sensible_number() -> None:
    assert 2**20 < memory.free_bytes(torch.device("cpu")) < 2**50
