"""Own weights for each exemplar in linear layers, without a copy of the weights for each.

The gradient of a linear layer's weights at one exemplar is a sum of outer products, one for each
row of inputs that the layer was given: sum_k g_k x_k^T with inputs x_k and slopes g_k of its
outputs. After steps of gradient descent an exemplar's weights are therefore
W - rate * sum_k g_k x_k^T, and its layer is

    y = W x - rate * sum_k (x_k . x) g_k,

exactly. A head uses each layer a few times a step: the sum stays short, all exemplars share the
large product, and adapting a head for each of a batch costs little more than running it. A layer
norm between them has a factor and a shift for each number, of which each exemplar has its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from exemplar.geometry.products import linear_in_lines
from exemplar.regressors.prediction import Prediction

Layer = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Which weights a layer is of: where they lie in memory, their shape and strides. (A head may take
its layers apart.)"""


@dataclass(frozen=True)
class LinearChange:
    """What each exemplar's steps added to a linear layer's weights: -sum_k g_k x_k^T, times the
    step."""

    inputs: Float[Tensor, "b k i"]
    """x_k."""
    slopes: Float[Tensor, "b k o"]
    """Step times g_k."""
    biased: Float[Tensor, " k"]
    """1 where the layer added its bias, which then moves by the same slopes; else 0."""


@dataclass(frozen=True)
class NormChange:
    """What each exemplar's steps took from a layer norm's weights."""

    factors: Float[Tensor, "b n"]
    """From its factors."""
    shifts: Float[Tensor, "b n"]
    """From what it adds."""


Changes = Mapping[Layer, LinearChange | NormChange]
"""By layer; none at the start."""


@dataclass(frozen=True)
class _Product:
    """A use of a linear layer."""

    layer: Layer
    storage: int
    inputs: Float[Tensor, "b *rows i"]
    output: Float[Tensor, "b *rows o"]
    biased: bool

    def change(self, slope: Tensor, *, constant: bool) -> LinearChange:
        """What a step along `slope` of the output does to the weights."""
        inputs = self.inputs.detach() if constant else self.inputs
        inputs, slope = (x.reshape(len(x), -1, x.shape[-1]) for x in (inputs, slope))
        return LinearChange(inputs, slope, slope.new_full(slope.shape[1:2], float(self.biased)))


@dataclass(frozen=True)
class _Norm:
    """A use of a layer norm."""

    layer: Layer
    storage: int
    inputs: Float[Tensor, "b *rows n"]
    """Of mean 0 and spread 1."""
    output: Float[Tensor, "b *rows n"]

    def change(self, slope: Tensor, *, constant: bool) -> NormChange:
        """What a step along `slope` of the output does to the weights."""
        inputs = self.inputs.detach() if constant else self.inputs
        inputs, slope = (x.reshape(len(x), -1, x.shape[-1]) for x in (inputs, slope))
        return NormChange((inputs * slope).sum(1), slope.sum(1))


def applies_to(module: nn.Module) -> bool:
    """Whether all weights of a module are linear layers' and layer norms' of one axis."""
    known = {id(p) for m in module.modules() if _is_known(m) for p in m.parameters()}
    return all(id(p) in known for p in module.parameters())


def storages_of(module: nn.Module) -> list[int]:
    """`storage_of` the weights of each linear layer and layer norm, in the module's order."""
    return [storage_of(m.weight) for m in module.modules() if _is_known(m)]


def storage_of(weight: Tensor) -> int:
    """Where the memory of a layer's weights begins, which parts of them share."""
    return weight.untyped_storage().data_ptr()


def _is_known(module: nn.Module) -> TypeGuard[nn.Linear | nn.LayerNorm]:
    if isinstance(module, nn.LayerNorm):
        return len(module.normalized_shape) == 1 and module.bias is not None
    return isinstance(module, nn.Linear)


def changed_prediction(predict: Callable[[], Prediction], changes: Changes) -> Prediction:
    """What `predict` gives when each exemplar's layers have their own changes."""
    with _OwnLayers(changes, None):
        return predict()


def own_step(
    predict: Callable[[], Prediction],
    loss: Callable[[Prediction], Float[Tensor, " b"]],
    rate: float | Mapping[int, Tensor],
    changes: Changes,
    *,
    second_order: bool = False,
) -> tuple[Prediction, Float[Tensor, " b"], dict[Layer, LinearChange | NormChange]]:
    """One step of gradient descent on each exemplar's own weights of the layers in `predict`.

    The first axis of what goes into a layer is the exemplars'. `rate` is the step's size, or that
    of each layer by `storage_of` its weights, which may itself be learned. Returns the prediction
    and losses before the step, and all changes after it. First order takes the gradients as
    constants; second order differentiates through them.
    """
    uses: list[_Product | _Norm] = []
    with torch.enable_grad():
        with _OwnLayers(changes, uses):
            prediction = predict()
        values = loss(prediction)
    slopes = torch.autograd.grad(
        values.sum(), [use.output for use in uses], create_graph=second_order
    )
    grown = dict(changes)
    for use, slope in zip(uses, slopes, strict=True):
        size = rate[use.storage] if isinstance(rate, Mapping) else rate
        new = use.change(size * slope, constant=not second_order)
        grown[use.layer] = _joined(grown.get(use.layer), new)
    return prediction, values, grown


def _joined(
    before: LinearChange | NormChange | None, new: LinearChange | NormChange
) -> LinearChange | NormChange:
    if isinstance(new, NormChange) and isinstance(before, NormChange):
        return NormChange(before.factors + new.factors, before.shifts + new.shifts)
    if isinstance(new, LinearChange) and isinstance(before, LinearChange):
        return LinearChange(
            torch.cat((before.inputs, new.inputs), dim=1),
            torch.cat((before.slopes, new.slopes), dim=1),
            torch.cat((before.biased, new.biased)),
        )
    assert before is None
    return new


class _OwnLayers(TorchFunctionMode):
    """Adds each exemplar's changes to layers, and notes how the layers are used."""

    def __init__(self, changes: Changes, uses: list[_Product | _Norm] | None) -> None:
        super().__init__()
        self.changes = changes
        self.uses = uses

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """See torch.overrides."""
        kwargs = kwargs or {}
        if func in (functional.linear, linear_in_lines) and not kwargs:
            return self._linear(*args)
        if func is functional.layer_norm:
            return self._layer_norm(*args, **kwargs)
        return func(*args, **kwargs)

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        output = functional.linear(inputs, weight, bias)
        biased, layer = bias is not None, _layer_of(weight)
        change = self.changes.get(layer)
        if change is not None:
            assert isinstance(change, LinearChange)
            overlap = torch.einsum("b...i,bki->b...k", inputs, change.inputs)
            overlap = overlap + biased * change.biased
            output = output - torch.einsum("b...k,bko->b...o", overlap, change.slopes)
        return self._noted(output, lambda y: _Product(layer, storage_of(weight), inputs, y, biased))

    def _layer_norm(
        self,
        inputs: Tensor,
        shape: tuple[int, ...],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        if weight is None or bias is None:
            return functional.layer_norm(inputs, shape, weight, bias, eps)
        even = functional.layer_norm(inputs, shape, eps=eps)
        layer, stored = _layer_of(weight), storage_of(weight)
        change = self.changes.get(layer)
        if change is not None:
            assert isinstance(change, NormChange)
            rows = (len(inputs), *[1] * (inputs.ndim - 2), -1)
            weight = weight - change.factors.view(rows)
            bias = bias - change.shifts.view(rows)
        return self._noted(weight * even + bias, lambda y: _Norm(layer, stored, even, y))

    def _noted(self, output: Tensor, use: Callable[[Tensor], _Product | _Norm]) -> Tensor:
        if self.uses is not None:
            if not output.requires_grad:
                output.requires_grad_()
            self.uses.append(use(output))
        return output


def _layer_of(weight: Tensor) -> Layer:
    return weight.data_ptr(), tuple(weight.shape), weight.stride()
