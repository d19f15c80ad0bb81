"""A step of each exemplar's own weights inside a training iteration (dual networks, Eq. 4 to 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.fitting.low_rank import applies_to, changed_prediction, own_step, storages_of
from exemplar.fitting.optimiser import unroll
from exemplar.fitting.updates import Params, Sgd
from exemplar.fitting.weights import Adapt, Inputs, Parts, each_input, predict_grouped
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction, run

WHOLE_BATCH = 0
"""Group size that stands for all exemplars of a batch."""


@dataclass(frozen=True)
class InnerConfig:
    """The exemplar step inside a training iteration; the defaults are this project's."""

    teacher: Literal["none", "auxiliary"] = "auxiliary"
    """What the inner loss compares with besides the 2D keypoints: an auxiliary network's body."""
    steps: int = 1
    """Inner steps of gradient descent."""
    learning_rate: float = 1e-5
    """Their size (dual networks paper, section 3.6). In first order the training loss does not see
    what its size does, and nothing holds a step back that is too large for the features: then
    inner and outer loss grow together until they are no longer finite."""
    learned: bool = False
    """Learn a size for each layer with the training loss; `learning_rate` is where they start. Of
    heads of linear layers and layer norms alone."""
    adapt: Adapt = "head"
    """Which weights they move."""
    group_size: int = 1
    """Exemplars that share a copy of the weights: 1 as in the paper, 0 the whole batch as in the
    released program."""
    second_order: bool = False
    """Differentiate through the inner gradients instead of taking them as constants."""
    loss: BodyLossConfig = field(default_factory=BodyLossConfig)
    """The inner loss."""
    pseudo_for: Literal["all", "annotated"] = "all"
    """Whose auxiliary bodies count: everybody's, or (as released) theirs who have a true one."""
    train_auxiliary: bool = True
    """Train the auxiliary network against the truth at the same time (Eq. 5's second term)."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.group_size < 0 or not self.learning_rate > 0:
            raise ValueError(
                "expected at least 1 inner step, a group_size of 0 or more and a positive "
                f"learning_rate, got {self.steps}, {self.group_size} and {self.learning_rate}"
            )

    @property
    def compared(self) -> BodyLossConfig:
        """The inner loss, without bodies if there is no teacher."""
        return self.loss if self.teacher == "auxiliary" else self.loss.only_2d()

    @classmethod
    def paper(cls) -> "InnerConfig":
        """As printed: own copies of all weights, differentiated through."""
        return cls(adapt="all", second_order=True)

    @classmethod
    def released(cls) -> "InnerConfig":
        """As the authors' program runs by its README: one copy of the head for a batch."""
        return cls(
            group_size=WHOLE_BATCH,
            loss=replace(BodyLossConfig.released(), scale=1.0),
            pseudo_for="annotated",
            train_auxiliary=False,
        )


Loss = Callable[[Prediction], Float[Tensor, " b"]]
"""The inner loss of each exemplar."""


def adapted_prediction(
    parts: Sequence[nn.Module],
    moves: frozenset[str],
    inputs: Inputs,
    box: Box,
    loss: Loss,
    config: InnerConfig,
    sizes: Float[Tensor, " layers"] | None = None,
) -> tuple[Prediction, Float[Tensor, " b"]]:
    """What the parts predict after the inner steps, and the inner losses before them.

    `moves` are the names of the weights in the chain of `parts`. `sizes` are the learned steps of
    its layers. Differentiable in the weights, the inputs and the sizes. ValueError if the batch is
    not of whole groups.
    """
    count = len(box.size)
    group = config.group_size or count
    if count % group:
        raise ValueError(f"a batch of {count} has no whole groups of {group}")
    # in first order nothing flows back through the inner pass: it need not reach what came before
    constant = inputs if config.second_order else each_input(inputs, Tensor.detach)
    if group == 1 and has_own_layers(parts, moves):
        return _by_outer_products(parts, inputs, constant, box, loss, config, sizes)
    return _by_copies(parts, moves, inputs, constant, box, loss, config, count // group)


def _by_outer_products(
    parts: Sequence[nn.Module],
    inputs: Inputs,
    constant: Inputs,
    box: Box,
    loss: Loss,
    config: InnerConfig,
    sizes: Tensor | None,
) -> tuple[Prediction, Tensor]:
    """Linear layers and layer norms alone: no copies."""
    changes, first = {}, None
    rate = config.learning_rate
    if sizes is not None:
        rate = dict(zip(storages_of(Parts(parts)), sizes, strict=True))
    for _ in range(config.steps):
        _, values, changes = own_step(
            lambda: run(parts, constant, box),
            loss,
            rate,
            changes,
            second_order=config.second_order,
        )
        first = values if first is None else first
    after = changed_prediction(lambda: run(parts, inputs, box), changes)
    assert first is not None
    return after, first


def _by_copies(
    parts: Sequence[nn.Module],
    moves: frozenset[str],
    inputs: Inputs,
    constant: Inputs,
    box: Box,
    loss: Loss,
    config: InnerConfig,
    groups: int,
) -> tuple[Prediction, Tensor]:
    """A copy of the weights for each group."""
    chain = Parts(parts)
    named = dict(chain.named_parameters())
    still = {name: p for name, p in named.items() if name not in moves}
    still |= dict(chain.named_buffers())
    first: list[Tensor] = []

    def one(params: Params, inputs: Inputs, box: Box) -> Prediction:
        return functional_call(chain, {**still, **params}, (inputs, box))

    def predict(params: Params, inputs: Inputs) -> Prediction:
        if groups == 1:
            return one({name: p[0] for name, p in params.items()}, inputs, box)
        return predict_grouped(one, params, inputs, box, groups, randomness="different")

    def group_loss(params: Params) -> Tensor:
        values = loss(predict(params, constant))
        first.append(values)
        return values.unflatten(0, (groups, -1)).mean(1)

    start = {name: named[name].expand(groups, *named[name].shape) for name in sorted(moves)}
    params = unroll(
        group_loss,
        start,
        Sgd(config.learning_rate),
        config.steps,
        second_order=config.second_order,
    )
    return predict(params, inputs), first[0]


def has_own_layers(parts: Sequence[nn.Module], moves: frozenset[str]) -> bool:
    """Whether all weights of the parts move, and are of layers that need no copies."""
    return applies_to(Parts(parts)) and moves == _all_names(parts)


def _all_names(parts: Sequence[nn.Module]) -> frozenset[str]:
    return frozenset(name for name, _ in Parts(parts).named_parameters())
