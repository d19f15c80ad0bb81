"""Memory of an exemplar, and how many fit at once."""

from pathlib import Path

import pytest
import torch

from exemplar.bodies import load_open_body
from exemplar.fitting import memory
from exemplar.fitting.exemplar import EftConfig, eft_objective
from exemplar.fitting.memory_files import available_bytes
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


def test_the_plan_takes_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    body = load_open_body()
    batch = exemplar_of(body, people(4, torch.float32))
    net = ToyConvNet().eval()
    weights = RegressorWeights(net, batch.image, batch.box)
    objective = eft_objective(body, batch, EftConfig())
    one = memory.bytes_per_group(weights, objective)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")

    def plan(room: float, device: torch.device, threads: int, count: int = 4) -> tuple[int, int]:
        monkeypatch.setattr(memory, "free_bytes", lambda _: int(room * one / memory.USED_SHARE))
        monkeypatch.setattr(memory, "cores", lambda: threads)
        return memory.plan(weights, objective, device, count)

    assert plan(10.5, cuda, 8) == (10, 1)
    assert plan(0.0, cuda, 8) == (1, 1)
    assert plan(10 * memory.MOST_ON_GPU, cuda, 8) == (memory.MOST_ON_GPU, 1)
    assert plan(10.5, torch.device("mps"), 8) == (1, 1)
    assert plan(10.5, cpu, 8) == (1, 8)
    assert plan(3.5, cpu, 8) == (1, 3)
    assert plan(0.0, cpu, 8) == (1, 1)
    assert plan(10.5, cpu, 1) == (1, 1)
    assert plan(10.5, cpu, 8, count=1) == (1, 1), "a single exemplar has one thread"
    monkeypatch.setattr(RegressorWeights, "side_by_side", 3)
    assert plan(10.5, cpu, 8) == (3, 3), "a small network takes some exemplars a thread"
    assert plan(2.5, cpu, 8) == (2, 1)
    assert plan(10.5, cpu, 1) == (3, 1)
    assert plan(10.5, cpu, 1, count=2) == (2, 1)
    assert plan(10.5, torch.device("mps"), 8) == (1, 1)


def test_free_memory_is_read_from_the_system(tmp_path: Path) -> None:
    assert 2**20 < memory.free_bytes(torch.device("cpu")) < 2**50
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:     7 kB\n")
    assert available_bytes(meminfo) == 7 * 1024
    assert available_bytes(tmp_path / "absent") > 0
