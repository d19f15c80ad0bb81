"""What the reproduced tables share is made once, and what was killed half way is not taken for it.

The programs underneath (drawing, lifting, training, scoring) have their own tests of stopping and
going on; lifting, training and scoring are played by small functions here.
"""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.formats import read
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.config import EvalConfig
from exemplar.evaluation.records import write_rows
from exemplar.evaluation.reproduce import workbench
from exemplar.evaluation.reproduce.workbench import (
    SCALES,
    Difference,
    ScaleName,
    Workbench,
    paired,
)
from exemplar.evaluation.run_files import SAMPLES, SUMMARY
from exemplar.lift.store import Ledger, Selection
from exemplar.results import OK, REJECTED
from exemplar.samples import BodyTruth
from exemplar.synth import SynthBatch, SynthConfig, draw_samples, folders
from exemplar.synth.domains import DOMAINS, Domain
from exemplar.synth.folders import ANNOTATIONS
from exemplar.training.adaptation import InnerConfig
from exemplar.training.job import AUXILIARY_WEIGHTS, WEIGHTS, TrainConfig
from exemplar.training.loop import Summary
from exemplar.training.run_folder import CONFIG, LAST, LOG, check_folder
from exemplar.training.sources import SourceConfig

PICTURES = SynthConfig(image_size=48, antialias=1)


class Killed(BaseException):
    """An end that nothing catches."""


def draw(count: int, seed: int, start: int) -> SynthBatch:
    """Small pictures."""
    return draw_samples(count, seed=seed, start=start, config=PICTURES)


def bench_in(folder: Path, scale: ScaleName = "smoke") -> Workbench:
    """A bench with few people, on one core."""
    bench = Workbench(folder, scale, open_folder=folder / "open")
    bench.scale, bench.workers = replace(bench.scale, wild=6, lifted=4), 1
    return bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Draws small pictures in small parts."""
    monkeypatch.setitem(DOMAINS, "wild", Domain("small", PICTURES, draw))  # pyright: ignore
    monkeypatch.setattr(folders, "BLOCK", 3)
    return bench_in(tmp_path)


def test_people_are_drawn_once(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.people("wild")
    people = list(read(folder / ANNOTATIONS))
    assert len(people) == 6
    assert all(person.body is None for person in people)
    monkeypatch.setattr(workbench, "write_dataset", lambda *given, **more: pytest.fail("again"))
    assert bench.people("wild") == folder
    assert bench.source("wild").name == "wild-2d"


def test_people_who_were_killed_half_way_go_on(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, parts = folders._draw_part, []

    def once(job: Any) -> int:
        if parts:
            raise Killed
        parts.append(job)
        return real(job)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_draw_part", once)
        with pytest.raises(Killed):
            bench.people("wild")
    folder = bench.folder / "people" / "wild"
    assert not (folder / ANNOTATIONS).exists()
    first = folder / "images" / "00000000.jpg"
    drawn = first.stat().st_mtime_ns
    assert len(list(read(bench.people("wild") / ANNOTATIONS))) == 6
    assert first.stat().st_mtime_ns == drawn  # what was there stayed


@pytest.fixture
def lifting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lifting that gives everyone the same body, and rejects the first; ends after as many people
    as the list says, each time."""
    ends: list[int] = []

    def run_local(ledger: Ledger, lifter: Any, selection: Selection, report: Any) -> None:
        end, done = ends.pop(0) if ends else None, 0
        while claimed := ledger.claim(1, selection):
            if done == end:
                raise Killed
            ((number, sample),) = claimed
            body = BodyTruth(np.eye(3)[None].repeat(24, 0), np.zeros(10), np.ones(3))
            status, message = (OK, "") if number else (REJECTED, "shape: 7")
            truth = PseudoTruth(replace(sample, body=body), status, message)
            ledger.finish([(number, truth)])
            done += 1

    monkeypatch.setattr(workbench, "run_local", run_local)
    monkeypatch.setattr(workbench, "Lifter", lambda *given: None)
    return ends


def test_the_first_people_are_lifted_once(bench: Workbench, lifting: list[int]) -> None:
    source = bench.lifted("eft", 4)
    assert [p.annotation_id for p in read(source.annotations)] == [1, 2, 3]
    assert bench.outcomes("eft", 4) == {"ok": 3, "rejected (shape)": 1}
    lifting.append(0)  # whoever lifts again dies
    assert bench.lifted("eft", 4) == source
    lifting.clear()
    assert bench.lifted("smplify", 4).annotations != source.annotations


def test_a_lift_that_was_killed_half_way_goes_on(bench: Workbench, lifting: list[int]) -> None:
    lifting.append(2)
    with pytest.raises(Killed):
        bench.lifted("eft", 4)
    assert not list((bench.folder / "lifted").rglob("*.npz"))
    source = bench.lifted("eft", 4)
    assert bench.outcomes("eft", 4) == {"ok": 3, "rejected (shape)": 1}
    assert len(list(read(source.annotations))) == 3


def test_nobody_accepted_is_one_line(bench: Workbench, lifting: list[int]) -> None:
    with pytest.raises(ValueError, match="1 person lifted by eft: nothing usable was made"):
        bench.lifted("eft", 1)


class Training:
    """Plays `run_training`: writes what a run leaves up to where it is to end."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        """Where the next runs end: a file that is the last one written, or "stopped"."""
        self.resumed: list[bool] = []
        """Whether each run went on from another."""
        self.configs: list[TrainConfig] = []
        """Settings of each."""

    def __call__(self, config: TrainConfig, folder: Path, *, resume: bool, console: Any) -> Summary:
        check_folder(folder, resume=resume)
        self.resumed.append(resume)
        self.configs.append(config)
        end = self.ends.pop(0) if self.ends else ""
        inner = config.recipe.inner
        two = inner is not None and inner.teacher == "auxiliary"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, LOG, LAST, WEIGHTS, *((AUXILIARY_WEIGHTS,) if two else ())):
            if end == "stopped" and name == WEIGHTS:
                return Summary(folder, 2, False, None, None, 0)
            (folder / name).write_text(name)
            if name == end:
                raise Killed
        return Summary(folder, 4, True, None, None, 0)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    """Takes the place of training."""
    played = Training()
    monkeypatch.setattr(workbench, "run_training", played)
    return played


PEOPLE = (SourceConfig("lab", Path("lab"), Path("lab")),)


def test_a_network_is_trained_once(bench: Workbench, training: Training) -> None:
    first = bench.network("lab", PEOPLE)
    assert first.weights.is_file()
    assert first.auxiliary is None
    assert bench.network("lab", PEOPLE) == first
    assert len(training.resumed) == 1
    assert bench.network("lab", PEOPLE, seed=1).weights != first.weights
    assert [config.seed for config in training.configs] == [0, 1]
    assert {config.recipe.loop.steps for config in training.configs} == {bench.scale.steps}


@pytest.mark.parametrize(
    ("end", "resumed"),
    [(CONFIG, [False, False]), (LOG, [False, False]), (LAST, [False, True])],
)
def test_a_training_run_that_was_killed_goes_on(
    bench: Workbench, training: Training, end: str, resumed: list[bool]
) -> None:
    training.ends.append(end)
    with pytest.raises(Killed):
        bench.network("lab", PEOPLE)
    assert bench.network("lab", PEOPLE).weights.is_file()
    assert training.resumed == resumed


def test_a_run_that_ctrl_c_ended_is_not_done(bench: Workbench, training: Training) -> None:
    training.ends.append("stopped")
    with pytest.raises(KeyboardInterrupt):
        bench.network("lab", PEOPLE)
    assert bench.network("lab", PEOPLE).weights.is_file()
    assert training.resumed == [False, True]


def test_both_networks_must_be_there(bench: Workbench, training: Training) -> None:
    inner = InnerConfig(teacher="auxiliary")
    training.ends.append(WEIGHTS)  # killed between the two files
    with pytest.raises(Killed):
        bench.network("dual", PEOPLE, inner=inner)
    made = bench.network("dual", PEOPLE, inner=inner)
    assert made.auxiliary is not None
    assert made.auxiliary.is_file()
    assert training.resumed == [False, True]
    assert bench.network("inner", PEOPLE, inner=InnerConfig(teacher="none")).auxiliary is None


def test_a_run_gives_rows_and_means(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[EvalConfig] = []

    def evaluate(config: EvalConfig, folder: Path, methods: Any, *, device: str) -> dict[str, Any]:
        configs.append(config)
        rows = [
            {"method": "none", "number": 0, "pa_mpjpe": 60.0},
            {"method": "none", "number": 1, "pa_mpjpe": None},
            {"method": "eft", "number": 0, "pa_mpjpe": 50.0},
        ]
        write_rows(rows, folder / SAMPLES)
        (folder / SUMMARY).write_text("{}")
        return {"methods": {"none": {"pa_mpjpe": 60.0}}}

    monkeypatch.setattr(workbench, "evaluate", evaluate)
    run = bench.run(
        "name", "odd", ("none", "eft"), 7, keypoints="true", use_3d=True, eft="paper", stop=False
    )
    assert run.methods["none"]["pa_mpjpe"] == 60.0
    assert run.by_person("none", "pa_mpjpe") == {0: 60.0}  # nobody without a score
    assert run.by_person("eft", "pa_mpjpe") == {0: 50.0}
    (config,) = configs
    assert (config.data, config.limit, config.keypoints) == ("open:odd", 7, "true")
    assert config.use_3d
    assert (config.methods.eft, config.methods.stop) == ("paper", False)
    assert Path(config.open_folder) == bench.open_folder


def _sleep_and_die(bench: Workbench) -> None:
    with bench.timed("two"):
        time.sleep(0.01)
        raise Killed


def test_times_add_up(bench: Workbench) -> None:
    for _ in range(2):
        with bench.timed("one"):
            time.sleep(0.02)
    with pytest.raises(Killed):
        _sleep_and_die(bench)
    # sleeping never takes less; a machine with much to do may take far longer
    assert 0.04 <= bench.seconds()["one"] < 2
    assert 0.01 <= bench.seconds()["two"] < 2
    assert bench_in(bench.folder.parent).seconds() == bench.seconds()


def test_numbers_are_kept(bench: Workbench) -> None:
    assert bench.kept("x.json", "numbers", lambda: {"a": [1.5]}) == {"a": [1.5]}
    assert bench.kept("x.json", "numbers", lambda: pytest.fail("again")) == {"a": [1.5]}


def test_numbers_that_were_killed_half_way_are_made_anew(bench: Workbench) -> None:
    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        bench.kept("x.json", "numbers", die)
    assert not (bench.folder / "x.json").exists()
    assert bench.kept("x.json", "numbers", lambda: 3) == 3


@pytest.mark.parametrize("name", ["x.json", "seconds.json"])
def test_damaged_numbers_are_one_line(bench: Workbench, name: str) -> None:
    bench.folder.mkdir(parents=True)
    (bench.folder / name).write_text('{"a": [1')
    with pytest.raises(ValueError, match=f"{name} is damaged") as caught:
        bench.kept("x.json", "numbers", lambda: 3)
    assert len(str(caught.value).splitlines()) == 1


def test_another_scale_is_another_folder(tmp_path: Path) -> None:
    made = [Workbench(tmp_path, scale, open_folder=tmp_path) for scale in SCALES]
    assert len({bench.folder for bench in made}) == len(SCALES)
    assert all(bench.results.is_relative_to(bench.folder) for bench in made)
    with made[0].timed("one"):
        pass
    assert made[1].seconds() == {}


def test_a_folder_is_of_one_spending(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    bench.begin()
    bench_in(tmp_path).begin()
    bench.scale = replace(bench.scale, steps=99, batch=7)  # as another version may have them
    with pytest.raises(ValueError, match="was made with another steps, batch: ") as caught:
        bench.begin()
    assert len(str(caught.value).splitlines()) == 1
    (bench.folder / "scale.json").write_text("[]")
    with pytest.raises(ValueError, match="was made with another lab, wild"):
        bench.begin()


def test_a_larger_scale_spends_no_less() -> None:
    smoke, cpu, gpu = (asdict(SCALES[name]) for name in ("smoke", "cpu", "gpu"))
    counted = [name for name, value in smoke.items() if isinstance(value, int)]
    counted.remove("frozen")
    assert len(counted) == 10
    assert all(smoke[name] <= cpu[name] <= gpu[name] for name in counted)
    assert all(SCALES[name].lifted <= SCALES[name].wild for name in SCALES)


def test_differences_are_of_the_people_of_both() -> None:
    one, other = {0: 10.0, 1: 20.0, 2: 99.0}, {1: 15.0, 0: 7.0, 3: 0.0}
    found = paired(one, other)
    assert found.mean == 4.0  # (3 + 5) / 2
    assert 3.0 <= found.low < found.high <= 5.0  # every draw is of these two
    assert found.clear
    assert not paired(other, one).clear
    with pytest.raises(ValueError, match="nobody has both"):
        paired({0: 1.0}, {1: 1.0})


def test_a_difference_is_told_with_unit_and_interval() -> None:
    assert str(Difference(-0.01, -1.26, 2.0)) == "+0.0 mm, 95 % -1.3 to +2.0"


def test_timed_files_are_json(bench: Workbench) -> None:
    with bench.timed("a | b"):
        pass
    assert list(json.loads((bench.folder / "seconds.json").read_text())) == ["a | b"]
