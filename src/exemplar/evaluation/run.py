"""A regressor with what can be done after it, on a data set: scores of every person, resumable."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import torch

from exemplar.bodies import Body, load_body
from exemplar.data.contents import Contents
from exemplar.data.crops import batch_of
from exemplar.data.formats import format_named, read, recognise, table
from exemplar.data.looks import Looker
from exemplar.data.options import parse_options
from exemplar.environment import code_commit, code_version, cores, machine
from exemplar.evaluation.config import EvalConfig, Method
from exemplar.evaluation.judge import Judge
from exemplar.evaluation.keypoint_sources import keypoints_from, with_exact
from exemplar.evaluation.methods import FITTED_TOGETHER, Methods
from exemplar.evaluation.open_sets import open_people, open_set
from exemplar.evaluation.protocols import Protocol, protocol_named
from exemplar.evaluation.records import Row, failed_row, read_rows, rows_of, shown_of, write_rows
from exemplar.evaluation.run_files import CONFIG, SAMPLES, SUMMARY
from exemplar.evaluation.tables import summary_of
from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import read_json
from exemplar.geometry.cameras import CameraModel
from exemplar.lift.lifter import weights_digest
from exemplar.lift.prepare import Prepared, Preparer, shown_to
from exemplar.results import BAD_INPUT
from exemplar.samples import Gender, Sample

BLOCK = 32
"""People of a file of results, done together."""

WORKERS = cores()
"""Processes that draw an open set."""

OPEN_PREFIX = "open:"
"""Names of the open benchmark's sets, such as open:wild, begin so."""

BLOCKS = "blocks"
"""Folder of a run's folder with what is done."""


Told = Callable[[int, int, Sequence[Row]], None]
"""Called with how many people are done, how many there are, and the latest rows."""


def evaluate(
    config: EvalConfig,
    folder: Path,
    methods: Sequence[Method],
    *,
    device: str = "cpu",
    told: Told = lambda done, total, rows: None,
) -> dict[str, Any]:
    """Score methods on a data set; returns the summary (`tables.summary_of`).

    What is done stays in `folder`: the same call goes on, also with other methods;
    `samples.parquet` and `summary.json` are written at the end. ValueError or OSError in one line
    for what the user can mend; a broken sample becomes a row with a status.
    """
    table.require()  # what is missing is told before people are drawn
    tools = Methods(config.methods, device)
    tools.check(methods)
    people = people_of(config)
    judge = Judge(people.protocol, tools.body, _truth_bodies(config.truth_body, tools.device))
    judge.truth(_one_of_each_gender(people.samples))
    _same_run(folder, _identity(config, people, tools))
    fits = [fit for fit, gives in FITTED_TOGETHER.items() if set(gives) & set(methods)]
    work = _Work(config, people, judge, tools)
    rows: list[Row] = []
    total, done = len(people.samples) * len(fits), 0
    for first in range(0, len(people.samples), BLOCK):
        ready: list[Prepared] | None = None
        for fit in fits:
            path = folder / BLOCKS / f"{fit}-{first:06d}.parquet"
            if not path.exists():
                ready = work.prepared(first) if ready is None else ready
                write_rows(work.rows(fit, ready), path)
            made = read_rows(path)
            done += min(BLOCK, len(people.samples) - first)
            rows += [row for row in made if row["method"] in methods]
            told(done, total, made)
    rows.sort(key=lambda row: (row["number"], methods.index(row["method"])))
    write_rows(rows, folder / SAMPLES)
    summary = {
        "set": people.name,
        "differences": people.differences,
        "protocol": people.protocol.name,
        "keypoints": config.keypoints,
        "regressor": Path(config.methods.regressor).name,
        "body": tools.body.name,
        "people": len(people.samples),
        **summary_of(rows),
    }
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n")
    return summary


@dataclass(frozen=True)
class PeopleOfSet:
    """A data set's people."""

    name: str
    """What the set is called."""
    samples: list[Sample]
    """As annotated."""
    annotations: Path
    """What they were read from."""
    images: Path
    """Folder of their images."""
    protocol: Protocol
    """How they are scored."""
    differences: tuple[str, ...] = ()
    """In what an open set is not the published one, a line each."""


def people_of(config: EvalConfig) -> PeopleOfSet:
    """Read the set; an open one is drawn if it is not there. ValueError or OSError in one line."""
    if config.limit is not None and config.limit < 1:
        raise ValueError(f"--limit must be 1 or more, got {config.limit}")
    if config.data.startswith(OPEN_PREFIX):
        return _open_people(config)
    annotations = Path(config.data)
    images = Path(config.images or annotations.parent)
    if not images.is_dir():
        raise FileNotFoundError(f"no folder of images at {images}: give --images")
    contents = Contents(annotations)
    kind = config.format or recognise(contents)
    options = parse_options(format_named(kind).read, config.option, f"format {kind}")
    protocol = protocol_named(config.protocol or _USUAL.get(kind, "coco"), config.released)
    found = (one for one in read(contents, kind, **options) if protocol.includes(one))
    samples = list(islice(found, config.limit))
    if not samples:
        raise ValueError(f"{annotations} has nobody to evaluate (as {kind}, by {protocol.name})")
    if config.truth is not None:
        samples = with_exact(samples, read(config.truth))
    return PeopleOfSet(annotations.name, samples, annotations, images, protocol)


def _open_people(config: EvalConfig) -> PeopleOfSet:
    files = open_set(
        config.data.removeprefix(OPEN_PREFIX), config.open_folder, config.limit, workers=WORKERS
    )
    return PeopleOfSet(
        config.data,
        open_people(files, config.limit),
        files.annotations,
        files.images,
        protocol_named(config.protocol or "open", config.released),
        files.differences,
    )


class _Work:
    """Makes rows, a block of people at a time."""

    def __init__(
        self, config: EvalConfig, people: PeopleOfSet, judge: Judge, tools: Methods
    ) -> None:
        self.config, self.people, self.judge, self.tools = config, people, judge, tools
        shown = shown_to(tools.regressor, use_3d=config.use_3d)
        self.prepare = Preparer(people.images, shown)
        self.looker = Looker(tools.regressor, tools.body, tools.device)

    def prepared(self, first: int) -> list[Prepared]:
        """The people of a block."""
        samples = self.people.samples[first : first + BLOCK]
        return [self._prepared(first + i, sample) for i, sample in enumerate(samples)]

    def rows(self, fit: str, ready: Sequence[Prepared]) -> list[Row]:
        """The rows of people, of all methods that a fit gives."""
        rows = [
            failed_row(method, one, BAD_INPUT)
            for one in ready
            for method in FITTED_TOGETHER[fit]
            if one.person is None
        ]
        sound = [one for one in ready if one.person is not None]
        if not sound:
            return rows
        if fit != "none" and self.config.methods.looks:
            sound = self._looked_again(sound)
        own = [self.people.samples[one.number] for one in sound]
        crops = [one.person for one in sound if one.person is not None]
        batch = batch_of(crops, self.tools.device)
        shown = shown_of(own, sound, batch)
        truth = self.judge.truth(own)
        for method, answers in self.tools.answers(fit, batch).items():
            weak: CameraModel = "weak"
            own_camera: CameraModel = getattr(self.tools.regressor, "camera_model", weak)
            model = weak if method == "smplify" else own_camera
            rows += rows_of(self.judge, truth, shown, method, answers, model)
        return rows

    def _looked_again(self, people: Sequence[Prepared]) -> list[Prepared]:
        """People in the crops that fits see: others where the regressor misses the keypoints."""
        firsts = [one.person for one in people if one.person is not None]
        errors = self.looker.errors(firsts).tolist()
        return [
            replace(one, person=self.looker.best(first, partial(self.prepare.again, one)))
            if self.looker.doubts(error, first)
            else one
            for one, first, error in zip(people, firsts, errors, strict=True)
        ]

    def _prepared(self, number: int, sample: Sample) -> Prepared:
        try:
            given = keypoints_from(sample, self.config.keypoints, self.config.seed)
        except ValueError as error:
            return Prepared(number, sample, None, str(error))
        return self.prepare(number, given)


_USUAL: Mapping[str, str] = {
    "threedpw": "3dpw",
    "h36m": "h36m-p2",
    "mpi_inf_3dhp": "mpi-inf-3dhp",
}
"""Protocols by format."""


def _one_of_each_gender(samples: Sequence[Sample]) -> list[Sample]:
    """By whom a body that is missing is noticed before anything is done."""
    return list({one.body.gender: one for one in samples if one.body is not None}.values())


def _truth_bodies(texts: Sequence[str], device: torch.device) -> dict[Gender, Body]:
    genders: tuple[Gender, ...] = get_args(Gender)
    found: dict[Gender, Body] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        known: list[Gender] = [gender for gender in genders if gender == name]
        if not equals or not known:
            listed = ", ".join(genders)
            raise ValueError(f"--truth-body {text!r}: expected GENDER=FILE, GENDER one of {listed}")
        found[known[0]] = load_body(path).to(device)
    return found


def _identity(config: EvalConfig, people: PeopleOfSet, tools: Methods) -> dict[str, Any]:
    """What must be the same for results to belong together, as JSON has it."""
    return json.loads(
        json.dumps(
            {
                "config": asdict(config),
                "annotations": str(people.annotations),
                "images": str(people.images),
                "regressor": weights_digest(tools.regressor),
                "auxiliary": None if tools.auxiliary is None else weights_digest(tools.auxiliary),
                "version": code_version(),
            }
        )
    )


def _same_run(folder: Path, identity: Mapping[str, Any]) -> None:
    """Begin a run, or check that the one in the folder is the same; one without results is none."""
    path = folder / CONFIG
    known: Mapping[str, Any] = {}
    if path.exists() and any(folder.glob(f"{BLOCKS}/*.parquet")):
        known = _known_run(path)
        _compare(folder, known, identity)
        if known["auxiliary"] is not None or identity["auxiliary"] is None:
            return
    with replacing(path) as temporary:
        here = {"commit": code_commit(), "machine": machine()}
        temporary.write_text(json.dumps({**identity, **here}, indent=1) + "\n")


def _known_run(path: Path) -> dict[str, Any]:
    known = read_json(path, "the settings of an evaluation")
    if not isinstance(known, dict) or not {"config", "auxiliary"} <= set(known):
        raise ValueError(f"{path}: not the settings of an evaluation")
    return known


def _compare(folder: Path, known: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """ValueError for the first setting that is another."""
    # an older version's settings lack those that came since, with a default that changes nothing
    usual = _flat({"config": json.loads(json.dumps(asdict(EvalConfig(""))))})
    before = usual | _flat(known)
    for name, value in _flat(identity).items():
        if name in _AUXILIARY and None in (before.get(name), value):
            continue
        if before.get(name) != value:
            raise ValueError(
                f"{folder} holds an evaluation with another {name.rpartition('.')[2]}: "
                f"{before.get(name)!r}, not {value!r}; give another folder"
            )


_AUXILIARY = ("auxiliary", "config.methods.auxiliary")
"""Settings that need not be given before the dual networks are added to a run."""


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else None
        flat |= {f"{before}{name}": value} if nested is None else nested
    return flat
