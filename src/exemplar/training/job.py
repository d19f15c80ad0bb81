"""A training run from settings to weights: data, networks, the loop, what it leaves behind."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from exemplar.fitting.weights import parts_of
from exemplar.regressors.checkpoints import RegressorInfo, body_for, save_regressor
from exemplar.training.augment import frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.feature_cache import CacheConfig, CachedData, fill_cache
from exemplar.training.loop import Ahead, Batches, Pictures, Summary, train
from exemplar.training.mixtures import Augmented, Mixture, TrainingData, mixture_of, prefetched
from exemplar.training.recipes import Recipe
from exemplar.training.run_folder import BEST, LAST, load_weights
from exemplar.training.sources import People, SourceConfig, load_people
from exemplar.training.starting import starting_regressor
from exemplar.training.trainee import Trainee
from exemplar.training.validation import ValidationPeople, evaluated, means

WEIGHTS, AUXILIARY_WEIGHTS = "regressor.safetensors", "auxiliary.safetensors"
"""What a finished run leaves for `load_regressor`: the best weights."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, how."""

    recipe: Recipe
    """How."""
    data: tuple[SourceConfig, ...]
    """On whom."""
    mixture: str | None = None
    """Preset of the sources' shares; None takes `ratios`, their own, or their sizes."""
    ratios: Mapping[str, float] | None = None
    """Shares of the sources (`Mixture`)."""
    validation: SourceConfig | None = None
    """Who validates; None validates on nobody, and keeps the last weights."""
    validation_people: int | None = None
    """How many of them at most."""
    regressor: str = "mobile"
    """Where the network starts (`starting_regressor`)."""
    auxiliary: str | None = None
    """Where the auxiliary network starts; None is as the network, with a fresh head."""
    fresh_head: bool = False
    """Draw the weights of the network's last part anew."""
    backbone: Path | None = None
    """A published backbone for both networks."""
    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    frozen: int = 0
    """How many parts of the networks, from the first, stay as they are."""
    cache: Path | None = None
    """Folder for what the frozen parts make of everybody, computed once."""
    variants: int = 4
    """Augmented variants of each person in the cache."""
    workers: int = 1
    """Processes that prepare batches."""
    seed: int = 0
    """Of fresh weights, draws, augmentation and dropout."""


@dataclass
class TrainingJob:
    """Everything that a run needs, ready."""

    config: TrainConfig
    """The settings."""
    step: TrainingStep
    """The networks."""
    info: RegressorInfo
    """What the main one is."""
    people: list[People]
    """The sources."""
    mixture: Mixture
    """Their shares."""
    validation: ValidationPeople | None
    """Who validates."""


def prepare(config: TrainConfig, *, say: Callable[[str], None] = lambda line: None) -> TrainingJob:
    """Networks and people. ValueError or FileNotFoundError, in one line, for what does not fit."""
    mixture = mixture_of(config.data, preset=config.mixture, ratios=config.ratios)
    people = [load_people(source) for source in config.data]
    for source in people:
        say(source.summary())
    step, info = networks(config)
    frame = frame_of(step.main.regressor)
    validation = None
    if config.validation is not None:
        source = load_people(config.validation)
        say(f"validation: {source.summary()}")
        frozen = parts_of(step.main.regressor)[: config.frozen] if config.cache else []
        validation = ValidationPeople(source, frame, frozen=frozen, limit=config.validation_people)
    return TrainingJob(config, step, info, people, mixture, validation)


def networks(config: TrainConfig) -> tuple[TrainingStep, RegressorInfo]:
    """The step module of a run's networks, and what the main one is."""
    recipe, inner = config.recipe, config.recipe.inner
    start: dict[str, Any] = {"backbone": config.backbone}
    regressor, info = starting_regressor(
        config.regressor, seed=config.seed, fresh_head=config.fresh_head, **start
    )
    body = body_for(info, config.body)
    options: dict[str, Any] = {
        "frozen": config.frozen,
        "cached": config.cache is not None,
        "batch_norm": recipe.batch_norm,
    }
    main = Trainee(regressor, passes=recipe.passes, **options)
    auxiliary = None
    if inner is not None and inner.teacher == "auxiliary":
        fresh = config.auxiliary is None or config.fresh_head
        second, other = starting_regressor(
            config.auxiliary or config.regressor, seed=config.seed + 1, fresh_head=fresh, **start
        )
        if other.body != info.body:
            raise ValueError(f"the auxiliary network is for the body {other.body}, not {info.body}")
        auxiliary = Trainee(second, **options)
    return TrainingStep(main, body, recipe.loss, inner, auxiliary), info


def batches_of(job: TrainingJob, *, say: Callable[[str], None] = lambda line: None) -> Batches:
    """The run's batches, from images or from the cache, which is filled first."""
    config, recipe = job.config, job.config.recipe
    regressor = job.step.main.regressor
    if config.cache is None:
        make = Augmented(frame_of(regressor), recipe.augmentation)
        data = TrainingData(job.people, job.mixture, make, recipe.batch_size, seed=config.seed)
    else:
        cache = CacheConfig(config.frozen, config.variants, seed=config.seed)
        fill_cache(
            config.cache, regressor.eval(), job.people, recipe.augmentation, cache,
            compiled=True, report=_report(say),
        )  # fmt: skip
        data = CachedData(config.cache, regressor, job.mixture, recipe.batch_size, seed=config.seed)
    steps = recipe.loop.steps

    def ahead(step: int, rank: int, world: int) -> Iterator[TrainingBatch]:
        return prefetched(data, step, steps, rank, world, workers=config.workers)

    return Ahead(ahead)


def run_training(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    pictures: Callable[[TrainingJob], Pictures] | None = None,
    console: Console | None = None,
) -> Summary:
    """Train, and write the best weights as files that `load_regressor` reads.

    ValueError, FileNotFoundError or OSError in one line, as `loop.train` has them.
    """
    say = (console or Console(quiet=True)).print
    job = prepare(config, say=say)
    step = job.step
    batches = batches_of(job, say=say)
    recipe = config.recipe
    groups: list[dict[str, Any]] = [{"params": _trained(step.main)}]
    if step.auxiliary is not None:
        rate = recipe.auxiliary_rate or recipe.loop.learning_rate
        groups.append({"params": _trained(step.auxiliary), "lr": rate})
    people = job.validation
    steps = recipe.check_steps

    def validate(module: nn.Module) -> dict[str, float]:
        assert isinstance(module, TrainingStep)
        assert people is not None
        device = next(module.main.parameters()).device
        return means(evaluated(module, people, steps, device=device))

    loop = replace(recipe.loop, seed=config.seed)
    summary = train(
        step.train(),
        batches,
        config=loop,
        folder=folder,
        validate=None if people is None else validate,
        pictures=None if pictures is None or people is None else pictures(job),
        resume=resume,
        param_groups=groups,
        settings={"training": _settings(config)},
        console=console,
    )
    if summary.finished:
        write_weights(job, folder)
    return summary


def write_weights(job: TrainingJob, folder: Path) -> list[Path]:
    """The best weights of a run (the last, if nobody validated) as regressors' files."""
    source = folder / BEST if (folder / BEST).exists() else folder / LAST
    job.step.load_state_dict(load_weights(source))
    made = [(job.step.main, folder / WEIGHTS)]
    if job.step.auxiliary is not None:
        made.append((job.step.auxiliary, folder / AUXILIARY_WEIGHTS))
    for trainee, path in made:
        save_regressor(trainee.regressor, replace(job.info, notes="exemplar train"), path)
    return [path for _, path in made]


def _trained(trainee: Trainee) -> list[nn.Parameter]:
    return [p for p in trainee.parameters() if p.requires_grad]


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What a resumed run must share with the one before, besides the loop's settings."""
    settings = asdict(config)
    del settings["recipe"]["loop"], settings["workers"]
    return settings


def _report(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Tells of a cache's progress, a line at each tenth."""
    told = -1

    def report(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            say(f"features of {done:,} of {total:,} people")

    return report
