"""A product of matrices whose rows do not depend on where in a batch they lie."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear, pad
from torch.overrides import handle_torch_function, has_torch_function

LINE = 16
"""float32 numbers in a cache line."""

FEWEST = 4
"""Rows from which on a product's last bits do not depend on their number: fewer take kernels of
their own."""


def enough_rows(count: int) -> Int[Tensor, " rows"]:
    """The numbers of `count` rows, repeated until there are `FEWEST`."""
    return torch.arange(max(count, FEWEST if count else 0)) % max(count, 1)


def linear_in_lines(
    x: Float[Tensor, "*b inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Tensor | None = None,
) -> Float[Tensor, "*b outputs"]:
    """`torch.nn.functional.linear`; each row's answer and gradient are the same wherever it lies.

    MKL sums a row in an order that depends on how its first number is aligned in memory. So rows
    are filled up with zeros until all of them begin at cache lines. A `TorchFunctionMode` sees the
    whole as one function.
    """
    if has_torch_function((x, weight)):
        return handle_torch_function(linear_in_lines, (x, weight), x, weight, bias)
    outputs, inputs = weight.shape
    right, below = -inputs % LINE, -outputs % LINE
    bias = None if bias is None else pad(bias, (0, below))
    return linear(pad(x, (0, right)), pad(weight, (0, right, 0, below)), bias)[..., :outputs]
