"""`exemplar train`: what it leaves behind, and one clear line for anything the user can mend."""

import builtins
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from exemplar.cli.train import (
    ExemplarCommand,
    SupervisedCommand,
    recipe_of,
)
from exemplar.regressors.checkpoints import load_regressor
from exemplar.training import job
from exemplar.training.recipes import recipe_named
from exemplar.training.run_folder import load_checkpoint
from tests.training.people_files import write_people
from tests.training.toy_run import FEW, add_toy, numbers, people_at, save_toy, train


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    add_toy(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return people_at(tmp_path / "people")


def error_line(capsys: pytest.CaptureFixture[str], status: int) -> str:
    """The one line of a command that failed."""
    shown = capsys.readouterr()
    assert status == 1, shown.out + shown.err
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert "Traceback" not in shown.out
    return lines[0]


@pytest.mark.parametrize("kind", ["supervised", "exemplar"])
def test_people_in_files_give_weights_log_and_pictures(
    kind: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    status = train(kind, "--data", data, "--validation", data, *FEW, "-o", out)
    shown = capsys.readouterr()
    assert (status, shown.err) == (0, "")
    names = {"regressor.safetensors", "last.pt", "best.pt", "log.csv", "config.json"}
    assert names <= {path.name for path in out.iterdir()}
    (picture,) = (out / "pictures").iterdir()
    assert np.asarray(Image.open(picture)).std() > 10
    assert load_regressor(out / "regressor.safetensors")[1].architecture == "toy"
    assert f"wrote {out / 'regressor.safetensors'} (best at step 2)" in shown.out
    assert (f"wrote {out / 'auxiliary.safetensors'}" in shown.out) == (kind == "exemplar")
    assert "some: 5 people; 5 with bodies" in shown.out
    assert "pa_mpjpe" in shown.out
    settings = json.loads((out / "config.json").read_text())
    assert settings["training"]["data"][0]["name"] == "some"
    assert settings["loop"]["steps"] == 2


def test_the_weights_of_a_run_are_where_another_starts(data: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("exemplar", "--data", data, *FEW, "-o", first) == 0
    more = ("--regressor", first / "regressor.safetensors")
    more += ("--auxiliary", first / "auxiliary.safetensors")
    few = ("--steps", 1, "--batch-size", 2, "--workers", 0, "--learning-rate", 1e-9)
    assert train("exemplar", "--data", data, *few, *more, "-o", second) == 0
    for name in ("regressor", "auxiliary"):
        files = [load_regressor(folder / f"{name}.safetensors")[0] for folder in (first, second)]
        old, new = (network.state_dict()["head.decode.weight"] for network in files)
        # a step of 1e-9, and half precision's last digit
        assert torch.allclose(old, new, rtol=1e-3, atol=1e-6)


def test_a_stopped_run_goes_on_to_the_bit(data: str, tmp_path: Path) -> None:
    def run(name: str, steps: int, *more: object) -> None:
        given = ("--regressor", "toy", "--batch-size", 2, "--schedule", "constant")
        given += ("--steps", steps, "--workers", 0, "-o", tmp_path / name)
        assert train("supervised", "--data", data, *given, *more) == 0

    run("whole", 4)
    run("parts", 2)
    run("parts", 4, "--resume")
    whole, parts = (numbers(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert str(whole) == str(parts)
    files = [tmp_path / name / "regressor.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_options_take_the_place_of_the_presets() -> None:
    plain = recipe_of(SupervisedCommand(Path("out"), preset="eft"))
    assert plain.loop.accelerator == "cpu"
    assert plain.augmentation == recipe_named("supervised", "eft").augmentation
    command = SupervisedCommand(
        Path("out"), preset="eft", steps=7, batch_size=4, learning_rate=0.5, ema=0.9,
        augment="dual", occlusion=0.25, batch_norm="frozen", precision="bf16-mixed", log_every=3,
        loss=("pose=30", "betas=0"), joint_norm="l1",
    )  # fmt: skip
    changed = recipe_of(command)
    assert (changed.loop.steps, changed.batch_size, changed.loop.learning_rate) == (7, 4, 0.5)
    assert (changed.loop.ema, changed.loop.precision) == (0.9, "bf16-mixed")
    assert (changed.loop.log_every, changed.batch_norm) == (3, "frozen")
    assert (changed.augmentation.extreme_crop, changed.augmentation.occlusion) == (0.0, 0.25)
    loss = replace(plain.loss, pose=30.0, betas=0.0, joint_norm="l1")
    assert (changed.loss, changed.inner) == (loss, None)
    inner = recipe_of(
        ExemplarCommand(
            Path("out"), preset="paper", teacher="none", inner_steps=3, inner_rate=0.1,
            adapt="head", group_size=2, second_order=False,
        )
    ).inner  # fmt: skip
    assert inner is not None
    assert (inner.teacher, inner.steps, inner.learning_rate) == ("none", 3, 0.1)
    assert (inner.adapt, inner.group_size, inner.second_order) == ("head", 2, False)
    kept = recipe_of(ExemplarCommand(Path("out"), preset="released", second_order=True)).inner
    released = recipe_named("exemplar", "released").inner
    assert kept is not None
    assert released is not None
    assert (kept.group_size, kept.pseudo_for) == (released.group_size, released.pseudo_for)
    assert kept.second_order


@dataclass(frozen=True)
class Bad:
    """A command that cannot work."""

    reason: str
    """What its one line says."""
    options: tuple[object, ...] = ()
    """Put behind those of a run that works; {} is the test's folder."""
    kind: str = "supervised"
    before: Callable[[Path], object] = lambda folder: None
    """Breaks something in the test's folder."""
    replaced: bool = False
    """Whether the options give the data."""
    also: Iterable[str] = field(default=())
    """What else the line says."""


def without_images(folder: Path) -> None:
    for image in (folder / "people" / "images").iterdir():
        image.unlink()


def broken_images(folder: Path) -> None:
    for image in (folder / "people" / "images").iterdir():
        image.write_bytes(image.read_bytes()[:40])


def bodyless(folder: Path) -> None:
    write_people(folder / "blind", 2, part=np.zeros((2, 24, 3)))


def damaged(folder: Path) -> None:
    path = save_toy(folder / "damaged.safetensors")
    path.write_bytes(path.read_bytes()[:500])
    torch.save({"model": {"fc1.weight": torch.zeros(3, 3)}}, folder / "other.pt")
    (folder / "empty.pt").touch()


def smpl(folder: Path) -> None:
    save_toy(folder / "smpl.safetensors", body="smpl")


TWO = ("--data", "a={}/people/people.npz", "--data", "b={}/people/people.npz")
A, B = "a={}/people/people.npz@0.5", "b={}/people/people.npz@0.3"
BAD: dict[str, Bad] = {
    "unknown preset": Bad("unknown preset 'best' of", ("--preset", "best")),
    "preset of the other kind": Bad("unknown preset 'eft'", ("--preset", "eft"), "exemplar"),
    "unknown term of the loss": Bad("expected TERM=WEIGHT, TERM one of", ("--loss", "poses=3")),
    "loss without a weight": Bad("--loss 'pose': expected TERM=WEIGHT", ("--loss", "pose")),
    "negative weight": Bad("WEIGHT 0 or more", ("--loss", "pose=-1")),
    "weight that is no number": Bad("WEIGHT 0 or more", ("--loss", "pose=nan")),
    "unknown mixture": Bad("unknown mixture 'all', expected one of", ("--mixture", "all")),
    "data that a mixture lacks": Bad(
        "mixture dual lacks h36m, coco, mpii, inf: give each as NAME=PATH", ("--mixture", "dual")
    ),
    "shares that do not sum to 1": Bad(
        "must sum to 1, got 0.5 + 0.3 = 0.8", ("--data", A, "--data", B), replaced=True
    ),
    "a share in one place only": Bad(
        "data sets without a ratio", (*TWO[:2], "--data", B), replaced=True
    ),
    "shares in two places": Bad(
        "given twice", ("--data", "coco={}/people/people.npz@1", "--mixture", "dual"), replaced=True
    ),
    "the same name twice": Bad("given twice", (*TWO[:2], *TWO[:2]), replaced=True),
    "no data": Bad("no data to train on", (), replaced=True),
    "no name": Bad("expected data as NAME=PATH", ("--data", "{}/people.npz"), replaced=True),
    "missing annotations": Bad(
        "a: no annotations at", ("--data", "a={}/none.npz"), replaced=True, also=("none.npz",)
    ),
    "missing file of sources": Bad(
        "no file of data sources at", ("--data", "{}/none.json"), replaced=True
    ),
    "annotations of something else": Bad(
        "known formats", ("--data", "a={}/people/images/000.png"), replaced=True
    ),
    "missing folder of images": Bad(
        "no folder of images", ("--data", "a={}/people/people.npz:{}/none"), replaced=True
    ),
    "missing images": Bad("some: ", before=without_images, also=("image",)),
    "broken images": Bad("some: 5 people in a row failed", before=broken_images),
    "missing validation": Bad("v: no annotations at", ("--validation", "v={}/none.npz")),
    "validation on people of whom nothing is known": Bad(
        "v: ", ("--validation", "v={}/blind/people.npz"), before=bodyless
    ),
    "validation on nobody": Bad(
        "at least 1 person",
        ("--validation", "v={}/people/people.npz", "--validation-people", 0),
    ),
    "missing regressor": Bad("no regressor '", ("--regressor", "{}/none.safetensors")),
    "damaged regressor": Bad(
        "damaged.safetensors", ("--regressor", "{}/damaged.safetensors"), before=damaged
    ),
    "empty checkpoint": Bad("empty.pt", ("--regressor", "{}/empty.pt"), before=damaged),
    "checkpoint of another network": Bad(
        "does not fit the network hmr", ("--regressor", "{}/other.pt"), before=damaged
    ),
    "backbone of another network": Bad(
        "is no backbone of ToyNetwork", ("--backbone", "{}/other.pt"), before=damaged
    ),
    "missing backbone": Bad("no backbone at", ("--backbone", "{}/none.pth")),
    "SMPL weights without a body": Bad(
        "give your own SMPL file with --body",
        ("--regressor", "{}/smpl.safetensors"),
        before=smpl,
    ),
    "missing body": Bad("none.pkl", ("--body", "{}/none.pkl")),
    "an auxiliary network for another body": Bad(
        "is for the body smpl, not open", ("--auxiliary", "{}/smpl.safetensors"), "exemplar", smpl
    ),
    "missing auxiliary network": Bad(
        "no regressor '", ("--auxiliary", "{}/none.safetensors"), "exemplar"
    ),
    "an auxiliary network of no use": Bad(
        "auxiliary teacher only", ("--auxiliary", "toy", "--teacher", "none"), "exemplar"
    ),
    "nothing to resume": Bad("no checkpoint to resume from", ("--resume",)),
    "output that is a file": Bad(
        "is a file", ("-o", "{}/run"), before=lambda folder: (folder / "run").touch()
    ),
    "output below a file": Bad("file/run", ("-o", "{}/people/people.npz/file/run")),
    "a device that is not there": Bad("device 'cuda' cannot be used", ("--device", "cuda")),
    "a device that does not exist": Bad("device 'tpu9' cannot be used", ("--device", "tpu9")),
    "a numbered device": Bad("device 'cpu:0': expected", ("--device", "cpu:0")),
    "no devices": Bad("devices must be 1 or more", ("--devices", 0)),
    "all of it frozen": Bad("ToyNetwork has 3 parts", ("--freeze", 3)),
    "less than nothing frozen": Bad("fewer can be frozen, got -1", ("--freeze", -1)),
    "a cache without frozen parts": Bad("freeze at least one part", ("--cache", "{}/cache")),
    "no variants": Bad(
        "variants of 1 or more", ("--cache", "{}/cache", "--freeze", 1, "--variants", 0)
    ),
    "a cache of other networks": Bad(
        "first 1 part(s) are others", ("--cache", "{}/cache", "--freeze", 1), "exemplar"
    ),
    "nobody in a batch": Bad("expected a batch that 1 process(es)", ("--batch-size", 0)),
    "no steps": Bad("steps must be positive, got 0", ("--steps", 0)),
    "a rate that is not one": Bad("learning_rate must be positive", ("--learning-rate", "nan")),
    "an average that is none": Bad("ema must lie between 0 and 1", ("--ema", 1)),
    "a share over 1": Bad("occlusion is a share", ("--occlusion", 2)),
    "dropout over 1": Bad("dropout", ("--dropout", 1.5)),
    "less than no workers": Bad("num_workers", ("--workers", -1)),
    "a seed below 0": Bad("seed must be 0 or more", ("--seed", -1)),
    "groups that do not fit": Bad(
        "a group_size that divides the 2 people", ("--group-size", 3), "exemplar"
    ),
    "groups of less than nobody": Bad("group_size of 0 or more", ("--group-size", -1), "exemplar"),
    "no inner steps": Bad("at least 1 inner step", ("--inner-steps", 0), "exemplar"),
    "an inner step of no size": Bad("positive learning_rate", ("--inner-rate", 0), "exemplar"),
    "weights of no name": Bad("selects no weight", ("--adapt", "elbow"), "exemplar"),
    "weights that are frozen": Bad(
        "selects no weight that is trained", ("--adapt", "stem", "--freeze", 1), "exemplar"
    ),
    "batch norms of exemplars": Bad(
        "set batch_norm='frozen'", ("--adapt", "all", "--batch-norm", "train"), "exemplar"
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_work_is_one_line_and_leaves_nothing_behind(
    kind: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = BAD[kind]
    bad.before(tmp_path)
    before = set(tmp_path.rglob("*"))
    given = () if bad.replaced else ("--data", data)
    options = tuple(str(option).replace("{}", str(tmp_path)) for option in bad.options)
    status = train(bad.kind, *given, *FEW, "-o", tmp_path / "out", *options)
    line = error_line(capsys, status)
    assert all(text in line for text in (bad.reason, *bad.also)), line
    assert set(tmp_path.rglob("*")) == before


def few_run(data: str, out: Path, *more: object) -> int:
    return train("supervised", "--data", data, *FEW, "--schedule", "constant", "-o", out, *more)


def test_an_output_folder_that_another_run_has(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert few_run(data, tmp_path / "run") == 0
    kept = (tmp_path / "run" / "last.pt").read_bytes()
    capsys.readouterr()
    assert "holds another run already" in error_line(capsys, few_run(data, tmp_path / "run"))
    assert (tmp_path / "run" / "last.pt").read_bytes() == kept


RESUMED: dict[str, tuple[tuple[object, ...], str]] = {
    "rate": (("--learning-rate", 0.5), "loop.learning_rate: got 0.5, the run has"),
    "batch": (("--batch-size", 4), "training.recipe.batch_size: got 4, the run has 2"),
    "frozen parts": (("--freeze", 1), "training.frozen: got 1, the run has 0"),
    "seed": (("--seed", 5), "seed: got 5, the run has 0"),
    "augmentation": (("--augment", "none"), "training.recipe.augmentation."),
    "network": (("--regressor", "mobile"), "training.regressor: got 'mobile', the run has 'toy'"),
}


@pytest.mark.parametrize("kind", RESUMED)
def test_other_settings_cannot_resume(
    kind: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert few_run(data, tmp_path / "run") == 0
    capsys.readouterr()
    options, reason = RESUMED[kind]
    line = error_line(capsys, few_run(data, tmp_path / "run", "--steps", 4, *options, "--resume"))
    assert "cannot resume with another value of" in line
    assert reason in line
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 2


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "something else": lambda whole: b"hello " * 100,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_not_resumed_and_not_removed(
    kind: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert few_run(data, out) == 0
    (out / "last.pt").write_bytes(DAMAGE[kind]((out / "last.pt").read_bytes()))
    before = {path.name for path in out.iterdir()}
    capsys.readouterr()
    line = error_line(capsys, few_run(data, out, "--steps", 4, "--resume"))
    assert "last.pt is damaged or not a checkpoint" in line
    assert {path.name for path in out.iterdir()} == before


def test_weights_that_cannot_be_written_leave_the_run_to_be_resumed(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(job, "save_regressor", full)
        line = error_line(capsys, few_run(data, out))
    assert f"cannot write to {out / 'regressor.safetensors'}: no space left on device" in line
    assert not list(out.glob("*.safetensors"))
    assert not list(out.glob(".*.safetensors"))
    assert few_run(data, out, "--resume") == 0
    assert load_regressor(out / "regressor.safetensors")[1].architecture == "toy"


LIMITED = """
import resource, sys
import pytest, torch
torch.set_num_threads(1)
from tests.training.toy_run import add_toy, train
patch = pytest.MonkeyPatch()
add_toy(patch)
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(train(*sys.argv[2:]))
"""


def limited(size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A training in a process whose files cannot grow beyond some bytes, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *(str(a) for a in arguments)],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip


@pytest.mark.slow  # a new Python and torch
def test_a_full_disk_is_one_line_and_the_checkpoint_of_before_survives(
    data: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert few_run(data, out, "--checkpoint-every", 1) == 0
    kept = (out / "last.pt").read_bytes()
    options = ("--data", data, *FEW, "--schedule", "constant", "-o", out)
    done = limited(
        len(kept) // 2, "supervised", *options, "--steps", 4, "--checkpoint-every", 1, "--resume"
    )
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert "cannot write to" in lines[0]
    assert "the checkpoint of step 2 is whole, resume to go on from it" in lines[0]
    assert (out / "last.pt").read_bytes() == kept
    assert not list(out.glob(".*.pt"))
    assert few_run(data, out, "--steps", 4, "--resume") == 0


@pytest.mark.slow  # a new Python and torch
def test_a_full_disk_when_the_weights_are_written(data: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert few_run(data, out) == 0
    size = (out / "regressor.safetensors").stat().st_size
    (out / "regressor.safetensors").unlink()
    options = ("--data", data, *FEW, "--schedule", "constant", "-o", out, "--resume")
    done = limited(size // 2, "supervised", *options)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert "cannot write to" in lines[0]
    assert not list(out.glob("*.safetensors"))


def test_without_fabric_the_line_names_the_extra(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = builtins.__import__

    def without(name: str, *more: object, **options: object) -> object:
        if name.startswith("lightning_fabric"):
            raise ImportError(f"No module named {name!r}")
        return whole(name, *more, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", without)
    line = error_line(capsys, few_run(data, tmp_path / "run"))
    assert "pip install 'exemplar-hmr[train]'" in line
    assert not (tmp_path / "run").exists()


def test_wrong_usage_exits_with_2(data: str, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "run")
    assert train("supervised", "--data", data, *out, "--inner-steps", 2) == 2
    assert train("supervised", "--data", data, *out, "--schedule", "linear") == 2
    assert train("supervised", "--data", data) == 2
    assert train("unsupervised", "--data", data, *out) == 2
