"""Train a network's head with an exemplar step inside, and fit people with it and its auxiliary.

python examples/06_train.py FOLDER
(pip install '.[train,data]' for the packages that train and read data sets)

Forty people and ten steps show how it goes, and teach a network nothing; `docs/training.md` has the
commands for more.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from exemplar import DualConfig, fit_dual, load_body, load_regressor
from exemplar.bodies import BodyParams
from exemplar.data.crops import batch_of, crop_person, person_box
from exemplar.metrics import pa_mpjpe
from exemplar.samples import Batch
from exemplar.synth import draw_samples
from exemplar.synth.folders import ANNOTATIONS, DatasetPlan, write_dataset
from exemplar.training.augment import frame_of
from exemplar.training.job import AUXILIARY_WEIGHTS, WEIGHTS, TrainConfig, run_training
from exemplar.training.recipes import recipe_named
from exemplar.training.sources import SourceConfig

PEOPLE, HELD_OUT, STEPS = 40, 4, 7


def trained(folder: Path) -> TrainConfig:
    """Draw people, train on them, and leave the networks in the folder's `run`."""
    write_dataset(DatasetPlan("wild", folder / "wild", PEOPLE, truth="give"))
    recipe = recipe_named("exemplar", "default")
    config = TrainConfig(
        recipe=replace(recipe, batch_size=8, loop=replace(recipe.loop, steps=10, log_every=1)),
        data=(SourceConfig("wild", folder / "wild" / ANNOTATIONS),),
        regressor="mobile",
        auxiliary="mobile",
        frozen=1,  # all but the head
        workers=0,
    )
    run_training(config, folder / "run")
    return config


def held_out(regressor: nn.Module) -> tuple[Batch, BodyParams]:
    """People who were not trained on, as the regressor wants them cropped, and what is true."""
    drawn = draw_samples(HELD_OUT, seed=5)
    shown = frame_of(regressor)
    batch = batch_of(
        [
            crop_person(image, points, person_box(points, shown.framing), shown.resolution)
            for image, points in zip(
                drawn.images, torch.from_numpy(drawn.keypoints_2d).float(), strict=True
            )
        ]
    )
    truth = (drawn.global_orient, drawn.body_pose, drawn.betas)
    return batch, BodyParams(*(torch.from_numpy(array).float() for array in truth))


def main(folder: Path) -> None:
    """Train, fit, and compare with the truth."""
    inner = trained(folder).recipe.inner
    assert inner is not None
    regressor, info = load_regressor(str(folder / "run" / WEIGHTS))
    auxiliary, _ = load_regressor(str(folder / "run" / AUXILIARY_WEIGHTS))
    body = load_body(info.body)
    batch, truth = held_out(regressor)
    # at test time the step of training, more often
    config = DualConfig(
        learning_rate=inner.learning_rate, iterations=STEPS, adapt=inner.adapt, loss=inner.loss
    )
    fits = fit_dual(regressor, auxiliary, body, batch, config)
    wanted = body.keypoints(truth, "h36m17")
    for name, found in (("network", fits.before), (f"after {STEPS} steps", fits.after)):
        error = pa_mpjpe(body.keypoints(found.prediction.body_params(), "h36m17"), wanted)
        pixels = float(found.evaluation.error_px.mean())
        print(f"{name:13s} PA-MPJPE {float(error.mean()):6.1f} mm   2D {pixels:5.1f} px")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
