"""Pictures of validation fits while a network trains."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import nn

from exemplar.bodies import Body
from exemplar.files.image_files import write_image
from exemplar.regressors.prediction import Prediction
from exemplar.render.review_picture import review_picture
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.training.batches import Example
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.job import TrainingJob
from exemplar.training.loop import Pictures

_SIZE = 200


def fits_of(job: TrainingJob) -> Pictures:
    """Draws the same few validation people each time: keypoints, body, side view; a column for each
    of the recipe's numbers of test-time steps."""
    steps = sorted({job.config.recipe.check_steps[0], job.config.recipe.check_steps[-1]})
    people = job.validation
    assert people is not None

    def draw(module: nn.Module, step: int, folder: Path) -> None:
        assert isinstance(module, TrainingStep)
        device = next(module.main.parameters()).device
        found = module.predictions(people.shown_batch.to(device), steps)
        columns = [column(people.shown, prediction, module.body) for prediction in found]
        write_image(np.concatenate(columns, axis=1), folder / f"fits_{step:08}.jpg")

    return draw


def column(
    examples: Sequence[Example], prediction: Prediction, body: Body
) -> UInt8[np.ndarray, "h w 3"]:
    """Predictions for some crops, one below the other."""
    # a perspective camera's (s, tx, ty) is near enough to a weak one's for a look
    rows = [
        review_picture(_as_sample(example, prediction, i), example.crop, body, _SIZE)
        for i, example in enumerate(examples)
    ]
    return np.concatenate(rows)


def _as_sample(example: Example, prediction: Prediction, row: int) -> Sample:
    """A crop as a photo of its own, with the body that was predicted."""
    height, width = example.crop.shape[:2]
    keypoints = example.keypoints_2d.double().numpy().copy()
    keypoints[:, :2] = keypoints[:, :2] * height / 2 + np.array([width, height]) / 2
    rotmats = np.concatenate(
        [
            prediction.global_orient[row, None].double().cpu().numpy(),
            prediction.body_pose[row].double().cpu().numpy(),
        ]
    )
    truth = BodyTruth(
        rotmats,
        prediction.betas[row].double().cpu().numpy(),
        prediction.camera[row].double().cpu().numpy(),
    )
    centre = np.array([width, height]) / 2
    return Sample("", centre, height / SCALE_UNIT, keypoints, body=truth)
