"""One training iteration: supervised, or with an exemplar step inside (dual networks, section 3).

Each exemplar's weights take a step down the loss that a fit would minimise; the training loss is
then applied to what they predict. With an auxiliary network the inner loss compares with its body
and has the outer loss's form; without one it is the 2D error alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.fitting.body_loss import (
    SPLIT,
    BodyLossConfig,
    BodyTarget,
    body_terms,
    posed_vertices,
    pseudo_target,
    valid_shares,
)
from exemplar.fitting.low_rank import storages_of
from exemplar.fitting.projections import aspect_of, projection_of
from exemplar.fitting.weights import Parts
from exemplar.regressors.prediction import Prediction, run
from exemplar.training.adaptation import (
    WHOLE_BATCH,
    InnerConfig,
    adapted_prediction,
    has_own_layers,
)
from exemplar.training.batches import TrainingBatch
from exemplar.training.trainee import Trainee, batch_norms


class TrainingStep(nn.Module):
    """An iteration as a module, so that it can be compiled, or spread over machines."""

    def __init__(
        self,
        main: Trainee,
        body: Body,
        loss: BodyLossConfig,
        inner: InnerConfig | None = None,
        auxiliary: Trainee | None = None,
    ) -> None:
        """`inner`: the exemplar step; None is supervised training.

        ValueError if the teacher is missing or superfluous, or if exemplars with weights of their
        own would need the statistics of a batch.
        """
        super().__init__()
        self.main, self.auxiliary, self.body = main, auxiliary, body
        self.loss, self.inner = loss, inner
        self.moves: frozenset[str] = frozenset()
        self.own = 1
        if (inner is not None and inner.teacher == "auxiliary") != (auxiliary is not None):
            raise ValueError("an auxiliary network goes with teacher='auxiliary', and only with it")
        if inner is None:
            return
        self.moves, self.own = main.adapted(inner.adapt)
        shares_statistics = main.batch_norm == "train" and inner.group_size != WHOLE_BATCH
        if shares_statistics and batch_norms(nn.ModuleList(main.split(self.own)[1])):
            raise ValueError(
                f"adapt={inner.adapt!r} with group_size={inner.group_size} owns batch norms, whose "
                "statistics cannot be of a batch: set batch_norm='frozen'"
            )
        if inner.learned:
            self.log_sizes = nn.Parameter(self._first_sizes(inner).log())

    def _first_sizes(self, inner: InnerConfig) -> Tensor:
        parts = self.main.split(self.own)[1]
        if inner.group_size != 1 or not has_own_layers(parts, self.moves):
            raise ValueError(
                "learned steps are of heads of linear layers and layer norms, all of whose weights "
                "move for each exemplar"
            )
        return torch.full((len(storages_of(Parts(parts))),), inner.learning_rate)

    def sizes(self, inner: InnerConfig) -> Float[Tensor, " layers"] | None:
        """The learned steps of the layers that move; None if they have a common, fixed one."""
        return self.log_sizes.exp() if inner.learned else None

    def forward(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The loss to minimise, and what the log shows of it; scalars."""
        before, parts = self.main.split(self.own)
        shared = before(batch.inputs)
        target = truth(self.body, batch, self.loss)
        if self.inner is None:
            prediction, log, second = run(parts, shared, batch.box), {}, None
        else:
            teacher = _Teacher(self, batch, target, self.inner)
            prediction, first = adapted_prediction(
                parts, self.moves, shared, batch.box, teacher.loss, self.inner,
                self.sizes(self.inner),
            )  # fmt: skip
            log, second = {"inner": first.mean().detach()}, teacher.prediction
        outer = self._outer(self.main, prediction, batch, target)
        loss = torch.stack(list(outer.values())).sum()
        log |= {"outer": loss.detach()} | {name: term.detach() for name, term in outer.items()}
        if second is not None and self._trains_auxiliary:
            assert self.auxiliary is not None
            terms = self._outer(self.auxiliary, second, batch, target)
            error = torch.stack(list(terms.values())).sum()
            log["auxiliary"] = error.detach()
            loss = loss + error
        return {"loss": loss} | log

    def predictions(
        self, batch: TrainingBatch, steps: Sequence[int], inner: InnerConfig | None = None
    ) -> list[Prediction]:
        """What the main network says of a batch after so many test-time steps, for each number.

        The steps are those of training with own weights for each exemplar, on the batch's 2D
        keypoints and the auxiliary network's body; the truth is not looked at. Whose numbers are no
        longer finite keeps the answer before the steps. `inner` is for steps of another kind than
        it was trained with. ValueError if it was trained with none.
        """
        inner = inner or self.inner
        if inner is None and any(steps):
            raise ValueError("supervised training says nothing about test-time steps: give `inner`")
        moves, own = (self.moves, self.own) if inner is None else self.main.adapted(inner.adapt)
        before, parts = self.main.split(own)
        with torch.no_grad():
            shared = before(batch.inputs)
            found = {0: run(parts, shared, batch.box)}
        for count in sorted(set(steps) - {0}):
            assert inner is not None
            config = replace(inner, steps=count, group_size=1, second_order=False, pseudo_for="all")
            teacher = _Teacher(self, batch, truth(self.body, batch, config.compared), config)
            with torch.enable_grad():
                moved, _ = adapted_prediction(
                    parts, moves, shared, batch.box, teacher.loss, config, self.sizes(inner)
                )
            found[count] = _where_finite(moved.detach(), found[0])
        return [found[count] for count in steps]

    @property
    def _trains_auxiliary(self) -> bool:
        return self.inner is not None and self.inner.train_auxiliary

    def _outer(
        self, network: Trainee, prediction: Prediction, batch: TrainingBatch, target: BodyTarget
    ) -> dict[str, Tensor]:
        """Mean terms of the training loss, each over those who have its target."""
        terms = self.terms(network, prediction, batch, target, self.loss)
        factors = valid_shares(target, 1, everywhere=_mean_over_machines)
        return {name: (factors.get(name, 1.0) * term).mean() for name, term in terms.items()}

    def terms(
        self,
        network: Trainee,
        prediction: Prediction,
        batch: TrainingBatch,
        target: BodyTarget,
        loss: BodyLossConfig,
    ) -> dict[str, Tensor]:
        """Weighted terms of a network's prediction, one value per exemplar; in full precision
        whatever the network's."""
        regressor, weights = network.regressor, target.weights
        projection = projection_of(regressor, batch.box)
        rows = torch.arange(len(batch), device=weights.device)
        aspect = aspect_of(regressor)
        with torch.autocast(weights.device.type, enabled=False):
            whole = Prediction(*(x.to(weights.dtype) for x in vars(prediction).values()))
            return body_terms(self.body, whole, target, loss, projection, rows, aspect=aspect)[0]


class _Teacher:
    """The inner loss of a batch. The auxiliary network answers when it is first asked: in the
    released program it draws its dropout after the main network."""

    def __init__(
        self, step: TrainingStep, batch: TrainingBatch, target: BodyTarget, inner: InnerConfig
    ) -> None:
        self.step, self.batch, self.truth, self.inner = step, batch, target, inner
        self.prediction: Prediction | None = None
        self.target = target

    def loss(self, prediction: Prediction) -> Float[Tensor, " b"]:
        """The inner loss of each exemplar; a mean over a group is the group's loss."""
        if self.prediction is None and self.inner.teacher == "auxiliary":
            assert self.step.auxiliary is not None
            self._ask(self.step.auxiliary)
        config = self.inner.compared
        step = self.step
        terms = step.terms(step.main, prediction, self.batch, self.target, config)
        count = len(self.batch)
        groups = 1 if self.inner.group_size == WHOLE_BATCH else count // self.inner.group_size
        factors = valid_shares(self.target, groups)
        return torch.stack([factors.get(name, 1.0) * term for name, term in terms.items()]).sum(0)

    def _ask(self, auxiliary: Trainee) -> None:
        """The auxiliary network's bodies. They are constants where no gradient reaches it."""
        learns = self.inner.train_auxiliary or self.inner.second_order
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            answer: Prediction = auxiliary(self.batch.inputs, self.batch.box)
        self.prediction = answer
        seen = answer if self.inner.second_order else answer.detach()
        points, weights = self.truth.keypoints_2d, self.truth.weights
        with torch.set_grad_enabled(self.inner.second_order):
            found = pseudo_target(
                self.step.body, seen.body_params(), points, weights, self.inner.compared
            )
        if self.inner.pseudo_for == "annotated":
            has_joints, has_body = self.truth.has_joints, self.truth.has_body
            found = replace(found, has_joints=has_joints, has_body=has_body)
        self.target = found


def _where_finite(moved: Prediction, start: Prediction) -> Prediction:
    """Predictions after steps, and those before them of whom the steps went astray."""
    sound = moved.finite_rows()

    def chosen(after: Tensor, before: Tensor) -> Tensor:
        return torch.where(sound.view(-1, *[1] * (after.ndim - 1)), after, before)

    pairs = zip(vars(moved).values(), vars(start).values(), strict=True)
    return Prediction(*(chosen(after, before) for after, before in pairs))


def truth(body: Body, batch: TrainingBatch, config: BodyLossConfig) -> BodyTarget:
    """What a batch's bodies are compared with; of the 49 joints in 2D, the annotated block."""
    weights = batch.keypoints_2d[..., 2] * body.available("smpl49")
    weights = torch.cat((torch.zeros_like(weights[:, :SPLIT]), weights[:, SPLIT:]), dim=1)
    with torch.no_grad():
        vertices = posed_vertices(body, batch.body, config)
    return BodyTarget(
        batch.keypoints_2d[..., :2],
        weights,
        batch.joints_3d[..., :3],
        batch.joints_3d[..., -1],
        batch.body,
        vertices,
        batch.has_joints_3d,
        batch.has_body,
    )


def _mean_over_machines(share: Tensor) -> Tensor:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return share
    total = share.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
