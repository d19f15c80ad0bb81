"""The loop: a regressor's weights, copied for one exemplar, as the unknowns of an optimisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from exemplar.fitting.updates import Params, State, Update
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction


@dataclass(frozen=True)
class Evaluation:
    """An objective's view of a prediction, one value per exemplar."""

    loss: Float[Tensor, " b"]
    """What is minimised."""
    error_px: Float[Tensor, " b"]
    """Mean 2D error over the fitted keypoints, px of a 224 crop."""
    terms: Mapping[str, Tensor]
    """Weighted terms, summing to the loss."""


@dataclass(frozen=True)
class Iterate:
    """The state after some number of updates (0: the regressor's own answer)."""

    prediction: Prediction
    """What the weights of this moment predict."""
    evaluation: Evaluation
    """How the objective sees it."""


@dataclass(frozen=True)
class Trace:
    """All iterates of a fit, the first before any update."""

    iterates: tuple[Iterate, ...]
    """In order; each finite."""
    diverged: bool
    """Whether the fit stopped because a number was no longer finite."""


def trainable(
    module: nn.Module, select: Callable[[str], bool] = lambda name: True
) -> tuple[Params, Params]:
    """Fresh copies of the weights that a fit moves, and the other weights and buffers as they are.

    Batch-norm's affine weights never move (facts of EFT's program; its statistics are buffers).
    """
    frozen = {
        f"{prefix}.{name}" if prefix else name
        for prefix, child in module.named_modules()
        if isinstance(child, nn.modules.batchnorm._BatchNorm)
        for name, _ in child.named_parameters(recurse=False)
    }
    moving, still = {}, {name: buffer for name, buffer in module.named_buffers()}
    for name, value in module.named_parameters():
        if name not in frozen and select(name):
            moving[name] = value.detach().clone(memory_format=_layout(value)).requires_grad_()
        else:
            still[name] = value.detach()
    if not moving:
        raise ValueError("no weight of the regressor was selected to be fine-tuned")
    return moving, still


def minimise(
    module: nn.Module,
    inputs: Float[Tensor, "b c h w"],
    box: Box,
    objective: Callable[[Prediction], Evaluation],
    update: Update[State],
    steps: int,
    *,
    select: Callable[[str], bool] = lambda name: True,
    stop: Callable[[Evaluation], bool] = lambda evaluation: False,
    progress: Callable[[int, Evaluation], None] = lambda step, evaluation: None,
) -> Trace:
    """Minimise `objective` over a copy of the module's weights (EFT, Eq. 3).

    `module(inputs, box)` gives a `Prediction`: a regressor and its crops, or a regressor's later
    part and the activations that enter it.

    The module itself is untouched; it must be in eval mode, so that batch-norm statistics and
    dropout stay frozen. Stops after `steps` updates, when `stop` says so, or when a number is no
    longer finite.
    """
    assert not module.training, "put the regressor in eval mode before fitting"
    params, still = trainable(module, select)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    state = update.init(params)
    iterates: list[Iterate] = []
    for step in range(steps + 1):
        prediction = functional_call(module, {**still, **params}, (inputs, box))
        evaluation = objective(prediction)
        if not (prediction.is_finite() and bool(torch.isfinite(evaluation.loss).all())):
            return Trace(tuple(iterates), diverged=True)
        iterates.append(Iterate(prediction.detach(), _detached(evaluation)))
        progress(step, iterates[-1].evaluation)
        if step == steps or stop(evaluation):
            break
        slopes = torch.autograd.grad(
            evaluation.loss.sum(), list(params.values()), materialize_grads=True
        )
        with torch.no_grad():
            state = update.step(params, dict(zip(params, slopes, strict=True)), state)
    return Trace(tuple(iterates), diverged=False)


def _layout(tensor: Tensor) -> torch.memory_format:
    """Channels last for convolutions and images: the same numbers, a fifth faster on a CPU."""
    return torch.channels_last if tensor.ndim == 4 else torch.preserve_format


def _detached(evaluation: Evaluation) -> Evaluation:
    return Evaluation(
        evaluation.loss.detach(),
        evaluation.error_px.detach(),
        {name: value.detach() for name, value in evaluation.terms.items()},
    )
