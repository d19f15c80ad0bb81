"""Products whose rows do not depend on their place."""

import pytest
import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from exemplar.geometry.products import FEWEST, enough_rows, linear_in_lines


def operands(rows: int, inputs: int, outputs: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((rows, inputs), (outputs, inputs), (outputs,))
    return [torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (16, 32), (267, 157)])
def test_it_is_the_linear_map(inputs: int, outputs: int) -> None:
    x, weight, bias = (a.requires_grad_() for a in operands(7, inputs, outputs))
    for extra in ((), (bias,)):
        ours, torchs = linear_in_lines(x, weight, *extra), linear(x, weight, *extra)
        assert torch.allclose(ours, torchs, rtol=1e-12, atol=1e-12)  # float64 rounding
        slopes = [torch.autograd.grad(y.square().sum(), (x, weight)) for y in (ours, torchs)]
        for one, other in zip(*slopes, strict=True):
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_a_rows_answer_and_gradient_are_the_same_at_any_place() -> None:
    x, weight, bias = (a.float() for a in operands(32, 267, 72))
    given = torch.randn(32, 72, generator=torch.Generator().manual_seed(1))

    def both(order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = x[order].requires_grad_()
        out = linear_in_lines(rows, weight, bias)
        return out.detach(), torch.autograd.grad(out, rows, given[order])[0]

    whole = both(torch.arange(32))
    for order in (torch.arange(32).roll(1), torch.arange(5, 14), torch.arange(FEWEST)):
        for part, everything in zip(both(order), whole, strict=True):
            assert torch.equal(part, everything[order])


def test_a_mode_sees_it_as_one_function() -> None:
    given, seen = operands(2, 3, 5), []

    class Seeing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Seeing():
        linear_in_lines(*given)
    assert linear_in_lines in seen
    assert linear not in seen


def test_few_rows_are_repeated() -> None:
    assert enough_rows(0).tolist() == []
    assert enough_rows(1).tolist() == [0, 0, 0, 0]
    assert enough_rows(3).tolist() == [0, 1, 2, 0]
    assert enough_rows(6).tolist() == [0, 1, 2, 3, 4, 5]
