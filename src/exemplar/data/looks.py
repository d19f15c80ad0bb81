"""Other crops of a person whose keypoints a regressor's answer misses, and the best of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.data.crops import CroppedPerson, batch_of, framing_of
from exemplar.fitting.projections import projection_of
from exemplar.fitting.weights import Inputs, predict_in_blocks
from exemplar.geometry.crops import Box
from exemplar.objectives import mean_error_px
from exemplar.skeletons import SMPL_49, flip_permutation

DOUBT_PX = 15.0
"""Mean 2D error of a regressor's answer from which other crops are tried, px of a 224 crop.

On held-out people of LSP-extended and COCO the error of joints that were not given stays as it is
from 10 to 15 px and falls by a quarter above (`docs/models/mobile.md`)."""

MEETS_PX = 25.0
"""Mean 2D error that the best answer may have, px of a 224 crop as large as the first.

Where no answer meets the keypoints, the least error says little: on 40 drawn people who are cut off
at waist or chest PA-MPJPE goes from 163 to 158 mm with this bound and to 163 without one."""

FEWEST = 4
"""Keypoints without which agreement says nothing."""

LOOKS = (
    (1.25, 0.0), (0.85, 0.0), (1.5, 0.0), (1.0, 30.0), (1.0, -30.0), (1.0, 90.0), (1.0, -90.0),
    (1.0, 180.0),
)  # fmt: skip
"""Side, in sides of the first crop, and turn, degrees."""

_EXCHANGED = flip_permutation(SMPL_49)

Crop = Callable[[Box], CroppedPerson]
"""The crop of one person that a box gives."""


class Looker:
    """Looks at people a second time, in other crops, where a regressor misses their keypoints.

    The crop whose answer agrees best with the keypoints is taken, so that a network that reads one
    crop wrongly has further tries. The answers are those of the crops alone: one that has read the
    keypoints agrees with wrong ones, too. Only regressors that choose their own crops
    (`framing` "hips") are asked again; others are shown what their papers say.
    """

    def __init__(self, regressor: nn.Module, body: Body, device: torch.device) -> None:
        self.regressor, self.body, self.device = regressor, body, device
        self.asks = framing_of(regressor) == "hips"

    def doubts(self, error_px: float, person: CroppedPerson) -> bool:
        """Whether an answer with this mean 2D error (px of a 224 crop) calls for another look."""
        enough = int((person.keypoints_2d[:, 2] > 0).sum()) >= FEWEST
        return self.asks and enough and error_px > DOUBT_PX

    def errors(
        self, people: Sequence[CroppedPerson], frozen: tuple[Inputs, frozenset[str]] | None = None
    ) -> Float[Tensor, " b"]:
        """Mean 2D error of the regressor's own answers over all keypoints, px of 224 crops.

        `frozen`: what `fitting.weights.frozen_outputs` made of the crops for weights, if it is
        known, and these weights.
        """
        target = torch.stack([person.keypoints_2d for person in people])
        return self._off(self._points(people, frozen), target)

    def _points(
        self, people: Sequence[CroppedPerson], frozen: tuple[Inputs, frozenset[str]] | None = None
    ) -> Float[Tensor, "b 49 2"]:
        """Where the regressor's own answers put the joints, crop units."""
        batch = batch_of(people, self.device)
        inputs, moves = frozen or (batch.image, None)
        found = predict_in_blocks(self.regressor, inputs, batch.box, moves)
        joints = self.body.keypoints(found.body_params(), "smpl49")
        project = projection_of(self.regressor, batch.box)
        return project(joints, found.camera, torch.arange(len(people)))

    def _off(
        self, points: Float[Tensor, "b 49 2"], target: Float[Tensor, "b 49 3"]
    ) -> Float[Tensor, " b"]:
        """Mean distance from keypoints, px of 224 crops."""
        target = target.to(points)
        weights = target[..., 2] * self.body.available("smpl49")
        return mean_error_px(points, target[..., :2], weights).cpu()

    def best(self, first: CroppedPerson, crop: Crop) -> CroppedPerson:
        """Of the first crop and those of `LOOKS` the one whose answer agrees best.

        The first is kept where it suits the keypoints with left and right exchanged: these are
        then as likely wrong as the answer, and some crop can always be misread likewise.
        """
        points = self._points([first])
        if float(self._off(points, first.keypoints_2d[None, _EXCHANGED])) <= DOUBT_PX:
            return first
        box = first.box
        others = [
            replace(box, size=box.size * side, angle=box.angle + math.radians(turn))
            for side, turn in LOOKS
        ]
        people = [first, *map(crop, others)]
        points = torch.cat((points, self._points(people[1:])))
        sides = torch.stack([person.box.size for person in people])
        target = torch.stack([person.keypoints_2d for person in people])
        errors = (self._off(points, target) * sides / box.size).nan_to_num(torch.inf)
        least = int(errors.argmin())
        return people[least] if float(errors[least]) < MEETS_PX else first
