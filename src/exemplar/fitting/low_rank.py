"""Own weights for each exemplar in linear layers, without a copy of the weights for each.

The gradient of a linear layer's weights at one exemplar is a sum of outer products, one for each
time the layer was used: sum_k g_k x_k^T with inputs x_k and slopes g_k of its outputs. After steps
of gradient descent an exemplar's weights are therefore W - rate * sum_k g_k x_k^T, and its layer is

    y = W x - rate * sum_k (x_k . x) g_k,

exactly. An iterative head uses each layer a few times a step: the sum stays short, all exemplars
share the large product, and adapting a head for each of a batch costs little more than running it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from exemplar.regressors.prediction import Prediction

Layer = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Which weights a product is with: where they lie in memory, their shape and strides. (A head may
take its layers apart.)"""


@dataclass(frozen=True)
class Change:
    """What each exemplar's steps added to one layer's weights: -sum_k g_k x_k^T, times the step."""

    inputs: Float[Tensor, "b k i"]
    """x_k."""
    slopes: Float[Tensor, "b k o"]
    """Step times g_k."""
    biased: Float[Tensor, " k"]
    """1 where the layer added its bias, which then moves by the same slopes; else 0."""


Changes = Mapping[Layer, Change]
"""By layer; none at the start."""


@dataclass(frozen=True)
class _Use:
    """One product of a pass."""

    layer: Layer
    inputs: Tensor
    output: Tensor
    biased: bool


def is_linear(module: nn.Module) -> bool:
    """Whether all weights of a module are linear layers', so that this applies."""
    linear = {id(p) for m in module.modules() if isinstance(m, nn.Linear) for p in m.parameters()}
    return all(id(p) in linear for p in module.parameters())


def changed_prediction(predict: Callable[[], Prediction], changes: Changes) -> Prediction:
    """What `predict` gives when each exemplar's linear layers have their own changes."""
    with _OwnLayers(changes, None):
        return predict()


def linear_step(
    predict: Callable[[], Prediction],
    loss: Callable[[Prediction], Float[Tensor, " b"]],
    rate: float,
    changes: Changes,
    *,
    second_order: bool = False,
) -> tuple[Prediction, Float[Tensor, " b"], dict[Layer, Change]]:
    """One step of gradient descent on each exemplar's own weights of the layers in `predict`.

    Returns the prediction and losses before the step, and all changes after it. First order takes
    the gradients as constants; second order differentiates through them.
    """
    uses: list[_Use] = []
    with torch.enable_grad():
        with _OwnLayers(changes, uses):
            prediction = predict()
        values = loss(prediction)
    slopes = torch.autograd.grad(
        values.sum(), [use.output for use in uses], create_graph=second_order
    )
    grown = dict(changes)
    for use, slope in zip(uses, slopes, strict=True):
        inputs = use.inputs if second_order else use.inputs.detach()
        grown[use.layer] = _joined(grown.get(use.layer), inputs, rate * slope, use.biased)
    return prediction, values, grown


def _joined(before: Change | None, inputs: Tensor, slope: Tensor, biased: bool) -> Change:
    one = Change(inputs[:, None], slope[:, None], slope.new_tensor([float(biased)]))
    if before is None:
        return one
    return Change(
        torch.cat((before.inputs, one.inputs), dim=1),
        torch.cat((before.slopes, one.slopes), dim=1),
        torch.cat((before.biased, one.biased)),
    )


class _OwnLayers(TorchFunctionMode):
    """Adds each exemplar's changes to linear layers, and notes how the layers are used."""

    def __init__(self, changes: Changes, uses: list[_Use] | None) -> None:
        super().__init__()
        self.changes = changes
        self.uses = uses

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """See torch.overrides."""
        if func is not nn.functional.linear or kwargs:
            return func(*args, **(kwargs or {}))
        inputs, weight = args[:2]
        biased = len(args) > 2 and args[2] is not None
        output = func(*args)
        layer = (weight.data_ptr(), tuple(weight.shape), weight.stride())
        change = self.changes.get(layer)
        if change is not None:
            overlap = torch.einsum("bi,bki->bk", inputs, change.inputs) + biased * change.biased
            output = output - torch.einsum("bk,bko->bo", overlap, change.slopes)
        if self.uses is not None:
            if not output.requires_grad:
                output.requires_grad_()
            self.uses.append(_Use(layer, inputs, output, biased))
        return output
