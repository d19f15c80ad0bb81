"""What the reproduced tables share: people, networks trained on them, and runs; each made once."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from rich.console import Console

from exemplar.counting import counted
from exemplar.environment import cores
from exemplar.evaluation.config import EvalConfig, KeypointSource, Method, MethodConfig
from exemplar.evaluation.keypoint_sources import keypoints_from
from exemplar.evaluation.methods import Methods
from exemplar.evaluation.open_sets import open_people, open_set
from exemplar.evaluation.records import Row, read_rows
from exemplar.evaluation.run import evaluate
from exemplar.evaluation.run_files import SAMPLES, SUMMARY
from exemplar.evaluation.tables import interval
from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import read_json
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import EXPORTS, export, open_job
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.prepare import Prepared, Preparer, shown_to
from exemplar.lift.store import Selection
from exemplar.synth.folders import ANNOTATIONS, DatasetPlan, Truth, write_dataset
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import AugmentConfig
from exemplar.training.job import AUXILIARY_WEIGHTS, WEIGHTS, TrainConfig, run_training
from exemplar.training.recipes import recipe_named
from exemplar.training.run_folder import CONFIG, LAST, LOG
from exemplar.training.sources import SourceConfig

ScaleName = Literal["smoke", "cpu", "gpu", "long"]

TRAINING_SEED = 11
"""Of the people that networks are trained on; the open sets have another."""


@dataclass(frozen=True)
class Scale:
    """How much is spent."""

    lab: int
    """Training people of the lab."""
    wild: int
    """Training people of the wild."""
    lifted: int
    """How many of them are lifted by EFT, all weights."""
    steps: int
    """Updates of a training run."""
    batch: int
    """People of an update."""
    tested: int
    """People on whom networks are tested."""
    fitted: int
    """People on whom fits of all weights are tested."""
    guarded: int
    """People of each open set and keypoint source in the guard's table."""
    overfitted: int
    """Exemplars of EFT's Fig. 4."""
    overfit_tested: int
    """People on whom each overfitted network is tested."""
    seeds: tuple[int, ...]
    """Of the dual networks' ablation."""
    start: str = "blazepose"
    """Where networks start (`training.starting`)."""
    frozen: int = 1
    """Parts of them that are not trained: 1 is all but the head."""
    learning_rate: float = 6e-4
    """Highest rate of training."""


SCALES: dict[ScaleName, Scale] = {
    "smoke": Scale(24, 24, 12, 4, 8, 8, 2, 2, 1, 4, (0,)),
    "cpu": Scale(1000, 2000, 400, 400, 128, 200, 48, 40, 12, 60, (0, 1)),
    "gpu": Scale(
        20000, 50000, 20000, 20000, 128, 2000, 500, 2000, 500, 500, (0, 1, 2), "hmr", 0, 1e-4
    ),
    "long": Scale(1000, 2000, 400, 400, 128, 200, 48, 40, 12, 60, (0, 1)),
}
"""By name. smoke: whether it runs at all. cpu: under 3 hours on 2 cores. long: as cpu; its tables
have numbers of their own (`long_tables`)."""

Augment = Literal["spin", "eft"]
"""Without and with extreme crops."""

AUGMENTATIONS: Mapping[Augment, Callable[[], AugmentConfig]] = {
    "spin": AugmentConfig.spin,
    "eft": AugmentConfig.eft,
}
"""By name."""


@dataclass(frozen=True)
class Network:
    """A trained network."""

    name: str
    """What the workbench calls it."""
    weights: Path
    """Checkpoint of the main network."""
    auxiliary: Path | None
    """And of the auxiliary one."""


@dataclass(frozen=True)
class Run:
    """Scores of people."""

    methods: Mapping[str, Mapping[str, Any]]
    """Means by method (`tables.summary_of`)."""
    rows: Sequence[Row]
    """A row a person and method."""
    folder: Path
    """Where they are."""

    def by_person(self, method: Method, score: str) -> dict[int, float]:
        """A score of those who have it, by their number."""
        own = [row for row in self.rows if row["method"] == method and row[score] is not None]
        return {row["number"]: row[score] for row in own}


class Difference(NamedTuple):
    """By how much the mean of one score is above another's."""

    mean: float
    """Mean over people, mm."""
    low: float
    """Lower end of its 95 % interval (draws of people)."""
    high: float
    """Upper end."""

    @property
    def clear(self) -> bool:
        """Whether it is above zero with its whole interval."""
        return self.low > 0

    def __str__(self) -> str:
        mean, low, high = (round(x, 1) + 0.0 for x in self)  # no -0.0
        return f"{mean:+.1f} mm, 95 % {low:+.1f} to {high:+.1f}"


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    """Mean difference `one - other` over the people of both; ValueError if there are none."""
    change = np.array([one[who] - other[who] for who in one if who in other])
    if not len(change):
        raise ValueError("nobody has both of the scores that are to be compared")
    return Difference(float(change.mean()), *interval(change))


class Workbench:
    """A folder in which things are made once, and what they took."""

    def __init__(
        self,
        folder: Path,
        scale: ScaleName,
        *,
        open_folder: Path,
        people_bank: Path = Path("bank"),
        device: str = "cpu",
        console: Console | None = None,
    ) -> None:
        """Begin, or go on, in `folder`; the open sets are drawn into `open_folder`. `people_bank`
        is what the scale long trains on."""
        self.console = console or Console(quiet=True)
        self.name: ScaleName = scale
        self.folder = folder / scale
        self.scale = SCALES[scale]
        self.open_folder = open_folder
        self.people_bank = people_bank
        self.device = device
        self.workers = cores()
        self.results = self.folder / "results"
        self._timed = self.folder / "seconds.json"

    def begin(self) -> None:
        """Make the folder this scale's; ValueError if it holds what another spending made."""
        path = self.folder / "scale.json"
        own = json.loads(json.dumps(asdict(self.scale)))
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(own, indent=1) + "\n")
        known = _read_json(path)
        if known != own:
            held = known if isinstance(known, dict) else {}
            names = ", ".join(key for key in own if held.get(key) != own[key])
            raise ValueError(
                f"{self.folder} was made with another {names or 'scale'}: choose another folder"
            )

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of a block to what making `name` took."""
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = self.seconds()
            seconds[name] = seconds.get(name, 0.0) + time.monotonic() - began
            with replacing(self._timed) as temporary:
                temporary.write_text(json.dumps(seconds, indent=1))

    def say(self, line: str) -> None:
        """A line about what is being done."""
        self.console.print(line, markup=False)

    def seconds(self) -> dict[str, float]:
        """What everything made so far took, s."""
        return _read_json(self._timed) if self._timed.exists() else {}

    def kept(self, file: str, name: str, make: Callable[[], Any]) -> Any:
        """Numbers that are made once: from a JSON file of the folder, or made now and written."""
        path = self.folder / file
        if not path.exists():
            with self.timed(name), replacing(path) as temporary:
                temporary.write_text(json.dumps(make(), indent=1))
        return _read_json(path)

    def _once(self, name: str, done: Path, make: Callable[[], Any]) -> Path:
        if not done.exists():
            self.say(f"making {name}")
            with self.timed(name):
                make()
            if not done.exists():
                raise ValueError(f"{name}: nothing usable was made, there is no {done}")
        return done

    def people(self, domain: Literal["lab", "wild"]) -> Path:
        """Folder of a domain's training people: the lab's have bodies, the wild's do not."""
        count = self.scale.lab if domain == "lab" else self.scale.wild
        folder = self.folder / "people" / domain
        truth: Truth = "give" if domain == "lab" else "hide"
        plan = DatasetPlan(domain, folder, count, TRAINING_SEED, truth=truth)
        name = f"people of {domain}"
        self._once(name, folder / ANNOTATIONS, lambda: write_dataset(plan, workers=self.workers))
        return folder

    def source(self, domain: Literal["lab", "wild"]) -> SourceConfig:
        """The training people as they are annotated."""
        people = self.people(domain)
        name = "lab" if domain == "lab" else "wild-2d"
        return SourceConfig(name, people / ANNOTATIONS, people)

    def lifted(self, recipe: Literal["eft", "smplify"], count: int) -> SourceConfig:
        """The first people of the wild, lifted: those that were accepted, with bodies."""
        people = self.people("wild")
        folder = self.folder / "lifted" / f"{recipe}-{count}"
        config = LiftConfig(recipe=recipe)

        def make() -> None:
            with open_job(folder, people / ANNOTATIONS, people, config) as ledger:
                ledger.join()
                threads = torch.get_num_threads()
                lifter = Lifter(config, self.device)
                run_local(ledger, lifter, Selection(count), lambda made: None)
                torch.set_num_threads(threads)  # a lifter works with threads of its own
                export(ledger, ("spin_npz",))

        done = folder / EXPORTS["spin_npz"]
        self._once(f"{counted(count)} lifted by {recipe}", done, make)
        return SourceConfig(f"{recipe}-{count}", done, people)

    def outcomes(self, recipe: Literal["eft", "smplify"], count: int) -> dict[str, int]:
        """What became of the people that were lifted."""
        self.lifted(recipe, count)
        with open_job(
            self.folder / "lifted" / f"{recipe}-{count}", None, None, LiftConfig(recipe=recipe)
        ) as ledger:
            return ledger.outcomes()

    def network(
        self,
        name: str,
        sources: Sequence[SourceConfig],
        *,
        ratios: Mapping[str, float] | None = None,
        augment: Augment = "spin",
        inner: InnerConfig | None = None,
        seed: int = 0,
    ) -> Network:
        """A network trained on some people, by name."""
        scale, folder = self.scale, self.folder / "networks" / f"{name}-{seed}"
        recipe = recipe_named("supervised", "default")
        loop = replace(
            recipe.loop, steps=scale.steps, learning_rate=scale.learning_rate, clip_norm=100.0,
            validate_every=None, checkpoint_every=200, tensorboard=False,
        )  # fmt: skip
        config = TrainConfig(
            replace(
                recipe, loop=loop, inner=inner, batch_size=scale.batch,
                augmentation=AUGMENTATIONS[augment](),
            ),
            tuple(sources),
            ratios=ratios,
            regressor=scale.start,
            frozen=scale.frozen,
            cache=self.folder / f"features-{augment}" if scale.frozen else None,
            variants=2,
            workers=0 if scale.frozen else 8,
            seed=seed,
        )  # fmt: skip
        two = inner is not None and inner.teacher == "auxiliary"
        auxiliary = folder / AUXILIARY_WEIGHTS if two else None

        def make() -> None:
            resume = (folder / LAST).exists()
            if not resume:  # what a run leaves that was killed before its first checkpoint
                for rest in (CONFIG, LOG):
                    (folder / rest).unlink(missing_ok=True)
            if not run_training(config, folder, resume=resume, console=self.console).finished:
                raise KeyboardInterrupt

        # the auxiliary network's file is written last
        self._once(f"network {name}-{seed}", auxiliary or folder / WEIGHTS, make)
        return Network(f"{name}-{seed}", folder / WEIGHTS, auxiliary)

    def open_wild(
        self, tools: Methods, count: int, keypoints: KeypointSource = "annotated"
    ) -> tuple[list[Prepared], Path]:
        """The first people of the open set `wild` as a network is shown them; their images."""
        files = open_set("wild", self.open_folder, count, workers=self.workers)
        prepare = Preparer(files.images, shown_to(tools.regressor, use_3d=False))
        people = open_people(files, count)
        ready = [prepare(i, keypoints_from(one, keypoints, 0)) for i, one in enumerate(people)]
        return ready, files.images

    def run(
        self, name: str, data: str, methods: Sequence[Method], limit: int, **settings: Any
    ) -> Run:
        """Scores on an open set. `settings` are those of `MethodConfig`, `keypoints` and `use_3d`
        of `EvalConfig`."""
        own = {key: settings.pop(key) for key in ("keypoints", "use_3d") if key in settings}
        config = EvalConfig(
            f"open:{data}",
            open_folder=str(self.open_folder),
            methods=MethodConfig(**settings),
            limit=limit,
            **own,
        )
        folder = self.folder / "runs" / name
        if not (folder / SUMMARY).exists():
            self.say(f"scoring {name}: {', '.join(methods)} on {limit} people of {data}")
        with self.timed(f"run {name}"):
            summary = evaluate(config, folder, methods, device=self.device)
        return Run(summary["methods"], read_rows(folder / SAMPLES), folder)


def _read_json(path: Path) -> Any:
    """What a file of the workbench holds; ValueError in one line if it is damaged."""
    try:
        return read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; delete it to make it anew") from None
