"""How good a network is in training: errors on annotated people, after some test-time steps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.files.image_files import read_image
from exemplar.fitting.projections import projection_of
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.objectives import mean_error_px
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import H36M_17, LSP_14, OPENPOSE_25, indices
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import AugmentConfig, Frame
from exemplar.training.batches import Example, TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.mixtures import Augmented, Packed
from exemplar.training.sources import People

BLOCK = 50
"""People that are looked at together."""

JOINTS = indices(LSP_14, H36M_17)
"""The joints whose errors are reported, of the H36M regressor's."""

SHOWN = 6
"""How many of them a run draws."""


class ValidationPeople:
    """People as they are, kept in memory: 8-bit crops, or features of frozen parts."""

    shown: list[Example]
    """The first few, with their crops."""
    shown_batch: TrainingBatch
    """The same as a batch of what the network takes."""

    def __init__(
        self,
        people: People,
        frame: Frame,
        *,
        frozen: Sequence[nn.Module] = (),
        limit: int | None = None,
    ) -> None:
        """`frozen`: parts whose features are kept in place of crops. People whose image cannot be
        used are left out; ValueError if that leaves nobody, or nobody of whom there is a body or an
        annotated keypoint."""
        if limit is not None and limit < 1:
            raise ValueError(f"expected at least 1 person to validate on, got {limit}")
        make = Augmented(frame, AugmentConfig.none())
        nothing_drawn = np.random.default_rng(0)
        self._frozen, self._blocks = frozen, list[Packed | TrainingBatch]()
        waiting: list[Example] = []
        telling = False
        count = len(people) if limit is None else min(limit, len(people))
        for person in range(count):
            try:
                pixels = read_image(people.image(person))
                waiting.append(make(people.sample(person), pixels, nothing_drawn))
            except (ValueError, OSError):
                continue
            annotated = waiting[-1].keypoints_2d[len(OPENPOSE_25) :, 2] > 0
            telling = telling or waiting[-1].has_body or bool(annotated.any())
            if len(waiting) == BLOCK:
                self._keep(waiting)
                waiting = []
        if waiting:
            self._keep(waiting)
        if not self._blocks:
            raise ValueError(f"{people.name}: no image of its people can be used")
        if not telling:
            raise ValueError(f"{people.name}: nobody to validate on has a body or annotated joints")
        self.shown_batch = next(iter(self))[:SHOWN]

    def _keep(self, examples: Sequence[Example]) -> None:
        packed = Packed.of(examples, {})
        if not self._blocks:
            self.shown = list(examples[:SHOWN])
        if not self._frozen:
            self._blocks.append(packed)
            return
        batch = packed.opened()
        features = batch.inputs
        with torch.no_grad():
            for part in self._frozen:
                features = part(features)
        self._blocks.append(replace(batch, inputs=features))

    def __iter__(self) -> Iterator[TrainingBatch]:
        for block in self._blocks:
            yield block.opened() if isinstance(block, Packed) else block


def errors(
    body: Body, regressor: nn.Module, prediction: Prediction, batch: TrainingBatch
) -> dict[str, Float[Tensor, " b"]]:
    """pa_mpjpe and mpjpe in mm over the 14 joints (about the pelvis), NaN for those whose body is
    not known; px: 2D error over the annotated joints, px of a 224 crop, NaN for those who have
    none."""
    params = prediction.body_params()
    ours, theirs = (body.keypoints(x, "h36m17") for x in (params, batch.body))
    ours, theirs = (points - points[:, :1] for points in (ours, theirs))
    unknown = torch.where(batch.has_body, 0.0, torch.nan)
    rows = torch.arange(len(batch), device=ours.device)
    projected = projection_of(regressor, batch.box)(
        body.keypoints(params, "smpl49"), prediction.camera, rows
    )
    split = len(OPENPOSE_25)
    wanted = batch.keypoints_2d[:, split:]
    weights = wanted[..., 2] * body.available("smpl49")[split:]
    pixels = mean_error_px(projected[:, split:], wanted[..., :2], weights)
    return {
        "pa_mpjpe": pa_mpjpe(ours[:, JOINTS], theirs[:, JOINTS]) + unknown,
        "mpjpe": mpjpe(ours[:, JOINTS], theirs[:, JOINTS]) + unknown,
        "px": torch.where((weights > 0).any(-1), pixels, torch.nan),
    }


def evaluated(
    step: TrainingStep,
    people: Iterable[TrainingBatch],
    steps: Sequence[int],
    inner: InnerConfig | None = None,
    *,
    device: torch.device | str = "cpu",
) -> dict[int, dict[str, Float[Tensor, " people"]]]:
    """Everybody's errors after so many test-time steps (`TrainingStep.predictions`)."""
    found: dict[int, dict[str, list[Tensor]]] = {count: {} for count in steps}
    for block in people:
        batch = block.to(device)
        for count, prediction in zip(steps, step.predictions(batch, steps, inner), strict=True):
            with torch.no_grad():
                values = errors(step.body, step.main.regressor, prediction, batch)
            for name, value in values.items():
                found[count].setdefault(name, []).append(value.cpu())
    return {
        count: {name: torch.cat(parts) for name, parts in values.items()}
        for count, values in found.items()
    }


def means(found: Mapping[int, Mapping[str, Tensor]]) -> dict[str, float]:
    """Mean errors under flat names (`pa_mpjpe`, `pa_mpjpe_7`), and `score`: the first number of
    steps' PA-MPJPE, or its 2D error where nobody's body is known. ValueError without either."""
    out: dict[str, float] = {}
    for count, values in found.items():
        for name, value in values.items():
            known = value[~value.isnan()]
            if len(known):
                out[name if count == 0 else f"{name}_{count}"] = float(known.mean())
    first = next(iter(found))
    suffix = "" if first == 0 else f"_{first}"
    score = out.get(f"pa_mpjpe{suffix}", out.get(f"px{suffix}"))
    if score is None:
        raise ValueError("no error is known: nobody has a body or annotated joints")
    return out | {"score": score}
