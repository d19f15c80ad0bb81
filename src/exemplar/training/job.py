"""A training run from settings to weights: data, networks, the loop, what it leaves behind."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError
from torch import nn

from exemplar.bodies import OPEN_BODY
from exemplar.files.atomic_files import replacing
from exemplar.fitting.dual import check_crops
from exemplar.fitting.weights import parts_of
from exemplar.regressors.checkpoints import RegressorInfo, body_for, save_regressor
from exemplar.training.augment import frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.feature_cache import CacheConfig, CachedData, fill_cache, prefix_digest
from exemplar.training.loop import Ahead, Batches, Pictures, Summary, train
from exemplar.training.mixtures import Augmented, Mixture, TrainingData, mixture_of, prefetched
from exemplar.training.processes import open_fabric
from exemplar.training.recipes import Recipe
from exemplar.training.run_folder import BEST, LAST, LOG, check_folder, load_weights
from exemplar.training.schedule import LoopConfig
from exemplar.training.sources import People, SourceConfig, load_people
from exemplar.training.starting import starting_regressor
from exemplar.training.trainee import Trainee
from exemplar.training.validation import ValidationPeople, evaluated, means

WEIGHTS, AUXILIARY_WEIGHTS = "regressor.safetensors", "auxiliary.safetensors"
"""What a finished run leaves for `load_regressor`: the best weights."""

COMPILED_FROM = 2000
"""Crops for which compiling the frozen parts, half a minute, pays when a cache is filled."""


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
    auxiliary_info: RegressorInfo | None
    """What the auxiliary one is."""
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
    step, info, auxiliary_info = networks(config)
    frame = frame_of(step.main.regressor)
    validation = None
    if config.validation is not None:
        source = load_people(config.validation)
        say(f"validation: {source.summary()}")
        frozen = parts_of(step.main.regressor)[: config.frozen] if config.cache else []
        validation = ValidationPeople(source, frame, frozen=frozen, limit=config.validation_people)
    return TrainingJob(config, step, info, auxiliary_info, people, mixture, validation)


def networks(config: TrainConfig) -> tuple[TrainingStep, RegressorInfo, RegressorInfo | None]:
    """The step module of a run's networks, and what the main and the auxiliary one are.

    ValueError or FileNotFoundError, in one line, for networks that do not fit each other.
    """
    recipe, inner = config.recipe, config.recipe.inner
    start: dict[str, Any] = {"backbone": config.backbone}
    regressor, info = starting_regressor(
        config.regressor, seed=config.seed, fresh_head=config.fresh_head, **start
    )
    body = body_for(info, config.body)
    if config.body is not None:
        info = replace(info, body=OPEN_BODY if config.body == OPEN_BODY else "smpl")
    options: dict[str, Any] = {
        "frozen": config.frozen,
        "cached": config.cache is not None,
        "batch_norm": recipe.batch_norm,
    }
    _set_dropout(regressor, recipe.dropout)
    main = Trainee(regressor, passes=recipe.passes, **options)
    if inner is None or inner.teacher != "auxiliary":
        if config.auxiliary is not None:
            raise ValueError("an auxiliary network is for training with the auxiliary teacher only")
        return TrainingStep(main, body, recipe.loss, inner), info, None
    fresh = config.auxiliary is None or config.fresh_head
    second, other = starting_regressor(
        config.auxiliary or config.regressor,
        seed=config.seed + 1, fresh_head=fresh, body=info.body, **start,
    )  # fmt: skip
    if config.auxiliary is None:
        other = replace(other, body=info.body)
    _check_pair(config, regressor, second, info, other)
    _set_dropout(second, recipe.dropout)
    auxiliary = Trainee(second, **options)
    return TrainingStep(main, body, recipe.loss, inner, auxiliary), info, other


def _check_pair(
    config: TrainConfig,
    main: nn.Module,
    auxiliary: nn.Module,
    info: RegressorInfo,
    other: RegressorInfo,
) -> None:
    """ValueError unless the auxiliary network sees what the main one sees, for the same body."""
    if other.body != info.body:
        raise ValueError(f"the auxiliary network is for the body {other.body}, not {info.body}")
    check_crops(main, auxiliary)
    if config.cache is not None:
        digests = {prefix_digest(network, config.frozen) for network in (main, auxiliary)}
        if len(digests) > 1:
            raise ValueError(
                "a cache holds the main network's features, and the auxiliary network's first "
                f"{config.frozen} part(s) are others: start both from the same, or do without"
            )


def batches_of(job: TrainingJob, *, say: Callable[[str], None] = lambda line: None) -> Batches:
    """The run's batches, from images or from the cache, which is filled first."""
    config, recipe = job.config, job.config.recipe
    regressor = job.step.main.regressor
    if config.cache is None:
        make = Augmented(frame_of(regressor), recipe.augmentation)
        data = TrainingData(job.people, job.mixture, make, recipe.batch_size, seed=config.seed)
    else:
        cache = CacheConfig(config.frozen, config.variants)  # runs of all seeds share it
        crops = config.variants * sum(len(source) for source in job.people)
        fill_cache(
            config.cache, regressor.eval().to(_device(recipe.loop)), job.people,
            recipe.augmentation, cache, compiled=crops >= COMPILED_FROM, report=_report(say),
        )  # fmt: skip
        regressor.cpu()
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

    ValueError, FileNotFoundError, OSError or ImportError in one line, as `loop.train` has them; a
    run that ends before its first row of the log leaves nothing behind.
    """
    loop = replace(config.recipe.loop, seed=config.seed)
    first = check(config, folder, resume=resume)
    console = console if console is not None and first else Console(quiet=True)
    with _nothing_left(folder):
        job, summary = _trained_job(config, loop, folder, resume, pictures, console)
    if summary.finished and first:
        best = f"best at step {summary.best_step}" if summary.best_step else "the last weights"
        for path in write_weights(job, folder):
            console.print(f"wrote {path} ({best})")
    return summary


def check(config: TrainConfig, folder: Path, *, resume: bool) -> bool:
    """What can be found wrong before anything is loaded; whether this is the first process.

    ValueError or ImportError, in one line.
    """
    check_folder(folder, resume=resume)
    fabric = open_fabric(config.recipe.loop)
    if config.cache is not None and config.frozen < 1:
        raise ValueError("a cache keeps what frozen parts return: freeze at least one part")
    size, inner = config.recipe.batch_size, config.recipe.inner
    share, rest = divmod(size, fabric.world_size)
    if rest or size < 1:
        raise ValueError(
            f"expected a batch that {fabric.world_size} process(es) can share evenly, got {size}"
        )
    if inner is not None and inner.group_size and share % inner.group_size:
        raise ValueError(
            f"expected a group_size that divides the {share} people that a process has of a "
            f"batch, got {inner.group_size}"
        )
    return fabric.global_rank == 0


def _trained_job(
    config: TrainConfig,
    loop: LoopConfig,
    folder: Path,
    resume: bool,
    pictures: Callable[[TrainingJob], Pictures] | None,
    console: Console,
) -> tuple[TrainingJob, Summary]:
    say = console.print
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
    return job, summary


@contextlib.contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """If what is done within fails before the run has anything to show, its folder is as before."""
    before = set(folder.iterdir()) if folder.is_dir() else None
    try:
        yield
    except BaseException:
        if folder.is_dir() and not any((folder / name).exists() for name in (LOG, LAST, BEST)):
            for path in set(folder.iterdir()) - (before or set()):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            if before is None:
                with contextlib.suppress(OSError):  # another process is in it
                    folder.rmdir()
        raise


def write_weights(job: TrainingJob, folder: Path) -> list[Path]:
    """The best weights of a run (the last, if nobody validated) as regressors' files.

    OSError in one line, and files of before stay, if they cannot be written.
    """
    source = folder / BEST if (folder / BEST).exists() else folder / LAST
    job.step.load_state_dict(load_weights(source))
    made = [(job.step.main, job.info, folder / WEIGHTS)]
    if job.step.auxiliary is not None:
        assert job.auxiliary_info is not None
        made.append((job.step.auxiliary, job.auxiliary_info, folder / AUXILIARY_WEIGHTS))
    for trainee, info, path in made:
        with replacing(path) as temporary:
            try:
                save_regressor(trainee.regressor, replace(info, notes="exemplar train"), temporary)
            except SafetensorError as error:  # it wraps the system's
                raise OSError(str(error)) from error
    return [path for _, _, path in made]


def _device(loop: LoopConfig) -> torch.device:
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(automatic if loop.accelerator == "auto" else loop.accelerator)


def _set_dropout(regressor: nn.Module, share: float | None) -> None:
    for module in regressor.modules():
        if isinstance(module, nn.Dropout) and share is not None:
            module.p = share


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
