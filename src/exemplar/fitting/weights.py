"""A regressor's weights as unknowns: a copy for each group of exemplars, frozen parts run once."""

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from exemplar.fitting.names import Adapt
from exemplar.fitting.updates import Params
from exemplar.geometry.crops import Box
from exemplar.geometry.products import linear_in_lines
from exemplar.regressors.prediction import Prediction, network_for, run

Precision = Literal["float32", "bfloat16"]
"""What a network's products are computed in. (For TF32 on a GPU, set
`torch.set_float32_matmul_precision("high")`: it is a setting of the whole process.)"""

Convolutions = Literal["grouped", "unfold"]
"""How a convolution with own weights for each group is computed: as a grouped convolution, or as a
batched matrix product with the unfolded input. The numbers differ by rounding."""

Inputs = Tensor | tuple[Tensor, ...]
"""What passes between parts."""

PREFIX_BLOCK = 32
"""Crops that go through the frozen parts together."""


def parts_of(regressor: nn.Module) -> list[nn.Module]:
    """The regressor as a chain of modules; one that does not say its `parts` is a single part."""
    parts = getattr(regressor, "parts", None)
    return [regressor] if parts is None else list(parts())


def moving_names(regressor: nn.Module, adapt: Adapt, *, norms: bool = False) -> frozenset[str]:
    """Names of the weights that a fit moves.

    Batch norm's affine weights stay (as in EFT's released program) unless `norms`. ValueError if
    nothing is left.
    """
    parts = parts_of(regressor)
    sections = {"all": 0, "later": 1, "last_stage": -2, "head": -1}
    chosen = parts[sections.get(adapt, 0) :]
    if adapt in sections and adapt != "all" and len(chosen) == len(parts):
        raise ValueError(
            f"{type(regressor).__name__} has {len(parts)} part(s), too few for adapt={adapt!r}: "
            "use 'all' or words of weight names"
        )
    inside = {id(p) for part in chosen for p in part.parameters()}
    words = [] if adapt in sections else [word.strip() for word in adapt.split(",")]
    frozen = set() if norms else {id(p) for p in _norm_weights(regressor)}
    names = frozenset(
        name
        for name, p in regressor.named_parameters()
        if id(p) in inside
        and id(p) not in frozen
        and (not words or any(word in name for word in words))
    )
    if not names:
        raise ValueError(f"adapt={adapt!r} selects no weight of {type(regressor).__name__}")
    return names


class Parts(nn.Module):
    """Parts of a regressor as one module."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, inputs: Inputs, box: Box) -> Prediction:
        """What the last part predicts."""
        return run(list(self.parts), inputs, box)


class RegressorWeights:
    """The weights `moves` of a regressor, for the exemplars of a batch.

    The regressor itself is never changed and must be in eval mode: batch-norm statistics and
    dropout stay frozen. Parts before the first moving weight run once. With "bfloat16" the
    network's products are taken in that precision; weights and their updates keep theirs.
    `convolutions` counts where several groups are side by side.
    """

    def __init__(
        self,
        regressor: nn.Module,
        image: Float[Tensor, "b 3 height width"] | Inputs,
        box: Box,
        moves: frozenset[str] | None = None,
        *,
        precision: Precision = "float32",
        convolutions: Convolutions = "grouped",
        prepared: bool = False,
    ) -> None:
        """`prepared`: what is given for the images is what `frozen_outputs` made of them."""
        assert not regressor.training, "put the regressor in eval mode before fitting"
        moves = moving_names(regressor, "all") if moves is None else moves
        full_names = {id(p): name for name, p in regressor.named_parameters()}
        frozen, parts = _split(regressor, moves)
        inputs = image
        if not prepared:
            assert isinstance(image, Tensor), "crops are one tensor"
            inputs = _run(frozen, image)
        self.chain = Parts(parts)
        # Depthwise convolutions are a fifth faster channels last on a CPU, dense ones a bit slower.
        layers = [m for m in self.chain.modules() if isinstance(m, nn.Conv2d)]
        self._last = any(layer.groups > 1 for layer in layers)
        self._convolves = bool(layers)
        self.inputs = each_input(inputs, lambda x: x.contiguous(memory_format=self._layout(x)))
        self.box = box
        self._precision: Precision = precision
        self._convolutions: Convolutions = convolutions
        self._owner = threading.get_ident()
        self._local = threading.local()
        self.initial: Params = {}
        self._still: Params = dict(self.chain.named_buffers())
        self._chain_names: dict[str, str] = {}
        for name, p in self.chain.named_parameters():
            full = full_names[id(p)]
            if full in moves:
                self.initial[full] = p.detach()
                self._chain_names[full] = name
            else:
                self._still[name] = p.detach()

    @property
    def side_by_side(self) -> int:
        """As many as the one part that runs says; 1 where there are more, such as convolutions."""
        return getattr(self.chain.parts[0], "side_by_side", 1) if len(self.chain.parts) == 1 else 1

    def start(self, rows: Int[Tensor, " b"], groups: int) -> Params:
        """Copies of the weights (groups, ...)."""
        if groups > 1:
            return {n: p.expand(groups, *p.shape).clone() for n, p in self.initial.items()}
        return {
            n: p.clone(memory_format=self._layout(p)).unsqueeze(0) for n, p in self.initial.items()
        }

    def predict(self, params: Params, rows: Int[Tensor, " b"]) -> Prediction:
        """Bodies of these exemplars, from their groups' weights."""
        groups = len(next(iter(params.values())))
        inputs, box = each_input(self.inputs, lambda x: x[rows]), self.box[rows]
        if groups == 1:
            return self._call({n: p.squeeze(0) for n, p in params.items()}, inputs, box)

        def one(params: Params, inputs: Inputs, box: Box) -> Prediction:
            return self._call(params, inputs, box, own=True)

        return predict_grouped(one, params, inputs, box, groups)

    def _layout(self, tensor: Tensor) -> torch.memory_format:
        return torch.channels_last if self._last and tensor.ndim == 4 else torch.contiguous_format

    def _call(self, params: Params, inputs: Inputs, box: Box, *, own: bool = False) -> Prediction:
        moving = {self._chain_names[name]: p for name, p in params.items()}
        chain, tensors = self._own_chain(), {**self._still, **moving}
        if self._precision == "float32" and not (own and self._convolves):
            return functional_call(chain, tensors, (inputs, box))
        products = Products(
            pointwise=own,
            unfolded=own and self._convolutions == "unfold",
            precision=self._precision,
        )
        with products:
            return functional_call(chain, tensors, (inputs, box))

    def _own_chain(self) -> Parts:
        """This thread's modules, over the shared tensors.

        `functional_call` swaps a module's tensors for the time of the call, so threads that share
        a module would see each other's weights.
        """
        if threading.get_ident() == self._owner:
            return self.chain
        if not hasattr(self._local, "chain"):
            tensors = [*self.chain.parameters(), *self.chain.buffers()]
            self._local.chain = copy.deepcopy(self.chain, {id(t): t for t in tensors})
        return self._local.chain


class Products(TorchFunctionMode):
    """How convolutions and linear layers are computed.

    With weights for each exemplar a convolution becomes a grouped one, which libraries run badly;
    `pointwise` computes 1x1 convolutions as matrix products instead, which become batched ones,
    and `unfolded` the larger ones, too.
    With "bfloat16" operands are rounded to it; what lies between the layers keeps its type.
    """

    def __init__(self, *, pointwise: bool, precision: Precision, unfolded: bool = False) -> None:
        super().__init__()
        self.pointwise = pointwise
        self.unfolded = unfolded
        self.rounded = precision == "bfloat16"

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """See torch.overrides."""
        kwargs = kwargs or {}
        if func not in (nn.functional.conv2d, nn.functional.linear, linear_in_lines) or kwargs:
            return func(*args, **kwargs)
        kind = args[0].dtype
        if self.rounded:
            args = [x.bfloat16() if isinstance(x, Tensor) else x for x in args]
        if func is nn.functional.conv2d and (self.pointwise or self.unfolded):
            return self._conv2d(*args).to(kind)
        return func(*args).to(kind)

    def _conv2d(self, inputs, weight, bias, stride, padding, dilation, groups):
        """`conv2d`, by a matrix product where the kernel is a point, or by choice."""
        point = self.pointwise and weight.shape[-2:] == (1, 1) and not any(padding)
        if groups == 1 and point:
            inputs = inputs[..., :: stride[0], :: stride[1]]
            out = torch.einsum("oi,bihw->bohw", weight[..., 0, 0], inputs)
        elif self.unfolded and (groups, *dilation) == (1, 1, 1) and not isinstance(padding, str):
            out = unfolded_conv2d(inputs, weight, stride, padding)
        else:
            return nn.functional.conv2d(inputs, weight, bias, stride, padding, dilation, groups)
        return out if bias is None else out + bias[:, None, None]


def unfolded_conv2d(
    inputs: Float[Tensor, "b i height width"],
    weight: Float[Tensor, "o i down across"],
    stride: Sequence[int],
    padding: Sequence[int],
) -> Float[Tensor, "b o h w"]:
    """A convolution as one matrix product with every window of the input.

    The windows are views until the product lays them out: one kernel forward and two back,
    however many crops there are.
    """
    down, across = weight.shape[-2:]
    inputs = nn.functional.pad(inputs, (padding[1], padding[1], padding[0], padding[0]))
    windows = inputs.unfold(-2, down, stride[0]).unfold(-2, across, stride[1])
    return torch.einsum("oiyx,bihwyx->bohw", weight, windows)


def predict_grouped(
    predict: Callable[[Params, Inputs, Box], Prediction],
    params: Params,
    inputs: Inputs,
    box: Box,
    groups: int,
    *,
    randomness: Literal["error", "different"] = "error",
) -> Prediction:
    """Predictions for exemplars of which each successive B / groups share a copy of the weights.

    `params` are (groups, ...); `predict` sees one group. Dropout needs randomness "different".
    """
    fields, rebuild = _box_fields(box, groups)

    def one(params: Params, inputs: Inputs, fields: list[Tensor]) -> tuple[Tensor, ...]:
        found = predict(params, inputs, rebuild(fields))
        return found.global_orient, found.body_pose, found.betas, found.camera

    grouped = each_input(inputs, lambda x: x.unflatten(0, (groups, -1)))
    found = vmap(one, randomness=randomness)(params, grouped, fields)
    return Prediction(*(x.flatten(0, 1) for x in found))


def predict_in_blocks(
    regressor: nn.Module,
    inputs: Float[Tensor, "b 3 height width"] | Inputs,
    box: Box,
    moves: frozenset[str] | None = None,
) -> Prediction:
    """The regressor's own answers, a few crops at a time.

    With `moves` the inputs are what `frozen_outputs` made of the crops for these weights.
    """
    network = network_for(regressor, box)
    predict = network if moves is None else Parts(_split(network, moves)[1])
    with torch.no_grad():
        found = [
            predict(each_input(inputs, lambda x, rows=rows: x[rows]), box[rows])
            for rows in (slice(i, i + PREFIX_BLOCK) for i in range(0, len(box.size), PREFIX_BLOCK))
        ]
    return Prediction(*(torch.cat(x) for x in zip(*(vars(p).values() for p in found), strict=True)))


def frozen_outputs(
    regressor: nn.Module,
    image: Float[Tensor, "b 3 height width"],
    moves: frozenset[str],
    *,
    workers: int = 1,
) -> Inputs:
    """What the parts before the first moving weight make of crops; the crops if there is none.

    `workers` threads of a CPU take some crops each.
    """
    return _run(_split(regressor, moves)[0], image, workers)


def _split(regressor: nn.Module, moves: frozenset[str]) -> tuple[list[nn.Module], list[nn.Module]]:
    """The parts before the first moving weight, and the others."""
    full_names = {id(p): name for name, p in regressor.named_parameters()}
    parts = parts_of(regressor)
    frozen: list[nn.Module] = []
    while len(parts) > 1 and not any(full_names[id(p)] in moves for p in parts[0].parameters()):
        frozen.append(parts.pop(0))
    return frozen, parts


def _run(parts: Sequence[nn.Module], image: Tensor, workers: int = 1) -> Inputs:
    """The image after some parts, a few crops at a time."""
    if not parts:
        return image

    @torch.no_grad()
    def through(block: Tensor) -> Inputs:
        out: Inputs = block
        for part in parts:
            out = part(out)
        return out

    blocks = image.split(max(1, min(PREFIX_BLOCK, -(-len(image) // workers))))
    if workers == 1:
        done = [through(block) for block in blocks]
    else:
        with ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
            done = list(pool.map(through, blocks))
    if isinstance(done[0], Tensor):
        return torch.cat([out for out in done if isinstance(out, Tensor)])
    return tuple(torch.cat(tensors) for tensors in zip(*done, strict=True))


def each_input(inputs: Inputs, function: Callable[[Tensor], Tensor]) -> Inputs:
    """What passes between parts, with every tensor of it changed."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    return tuple(function(x) for x in inputs)


def _norm_weights(module: nn.Module) -> list[Tensor]:
    return [
        p
        for child in module.modules()
        if isinstance(child, nn.modules.batchnorm._BatchNorm)
        for p in child.parameters(recurse=False)
    ]


def _box_fields(box: Box, groups: int) -> tuple[list[Tensor], Callable[[list[Tensor]], Box]]:
    """A box's tensors by group, and how to make a box of them again."""
    present = [name for name, value in vars(box).items() if value is not None]
    fields = [vars(box)[name].unflatten(0, (groups, -1)) for name in present]
    return fields, lambda values: Box(**dict(zip(present, values, strict=True)))
