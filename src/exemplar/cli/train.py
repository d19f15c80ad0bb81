"""`exemplar train`: train a regressor, supervised or with an exemplar step inside."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.console import Console

from exemplar.cli.options.train import ExemplarCommand, SupervisedCommand
from exemplar.environment import asked_threads, usable_device
from exemplar.evaluation.train_pictures import fits_of
from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.training.job import TrainConfig, run_training
from exemplar.training.recipes import AUGMENTATIONS, Kind, Recipe, recipe_named
from exemplar.training.sources import parse_source, parse_sources


def recipe_of(config: SupervisedCommand) -> Recipe:
    """The preset with what the command line changes; ValueError in one line for what cannot be."""
    exemplar = isinstance(config, ExemplarCommand)
    kind: Kind = "exemplar" if exemplar else "supervised"
    recipe = recipe_named(kind, config.preset)
    augmentation = AUGMENTATIONS[config.augment]() if config.augment else recipe.augmentation
    loop_names = (
        *("steps", "learning_rate", "schedule", "ema", "precision"),
        *("log_every", "validate_every", "checkpoint_every"),
    )
    loop = replace(recipe.loop, **_given(config, {name: name for name in loop_names}))
    device = usable_device(config.device, float64=True)  # MPS trains where it is asked for only
    if device.index is not None:
        raise ValueError(
            f"device {config.device!r}: expected auto, cpu, cuda or mps (CUDA_VISIBLE_DEVICES"
            " chooses)"
        )
    loop = replace(
        loop,
        accelerator=device.type,
        devices=config.devices,
        num_nodes=config.nodes,
        compile=config.compile,
    )
    inner = recipe.inner
    if isinstance(config, ExemplarCommand) and inner is not None:
        names = {"teacher": "teacher", "inner_steps": "steps", "inner_rate": "learning_rate"}
        names |= {name: name for name in ("adapt", "group_size", "second_order")}
        inner = replace(inner, **_given(config, names))
    return replace(
        recipe,
        loss=replace(
            recipe.loss,
            **_loss_weights(config.loss),
            **_given(config, {"joint_norm": "joint_norm"}),
        ),
        loop=loop,
        inner=inner,
        augmentation=replace(
            augmentation,
            **_given(config, {name: name for name in ("extreme_crop", "occlusion")}),
        ),
        **_given(config, {name: name for name in ("batch_size", "batch_norm", "dropout")}),
    )


LOSS_TERMS = tuple(BodyLossConfig().weights())
"""What of a loss has a weight."""


def _loss_weights(texts: Sequence[str]) -> dict[str, float]:
    """Weights by term from TERM=WEIGHT."""
    found = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            name = ""
        if name not in LOSS_TERMS or not 0 <= found[name] < math.inf:
            raise ValueError(
                f"--loss {text!r}: expected TERM=WEIGHT, TERM one of {', '.join(LOSS_TERMS)}, "
                "WEIGHT 0 or more"
            )
    return found


def _given(config: SupervisedCommand, names: dict[str, str]) -> dict[str, object]:
    """Options that are not None, by the names that they have in a recipe."""
    values = {there: getattr(config, here) for here, there in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def run(config: SupervisedCommand) -> None:
    """Train as the options say."""
    torch.set_num_threads(asked_threads() or 1)
    console = Console(soft_wrap=True, highlight=False)
    sources, ratios = parse_sources(config.data)
    settings = TrainConfig(
        recipe=recipe_of(config),
        data=tuple(sources),
        mixture=config.mixture,
        ratios=ratios,
        validation=None if config.validation is None else parse_source(config.validation),
        validation_people=config.validation_people,
        regressor=config.regressor,
        auxiliary=config.auxiliary if isinstance(config, ExemplarCommand) else None,
        fresh_head=config.fresh_head,
        backbone=config.backbone,
        body=config.body,
        frozen=config.freeze,
        cache=config.cache,
        variants=config.variants,
        workers=config.workers,
        seed=config.seed,
    )
    console.print(f"device {settings.recipe.loop.accelerator}", markup=False)
    run_training(settings, config.output, resume=config.resume, pictures=fits_of, console=console)
