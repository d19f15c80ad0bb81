"""Training runs from settings to weights, on a toy network and tiny people."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from exemplar.bodies import load_open_body
from exemplar.evaluation.train_pictures import fits_of
from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.regressors.checkpoints import ARCHITECTURES, RegressorInfo, load_regressor
from exemplar.samples import Batch
from exemplar.training import job
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import AugmentConfig
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.job import (
    AUXILIARY_WEIGHTS,
    WEIGHTS,
    TrainConfig,
    networks,
    prepare,
    run_training,
)
from exemplar.training.recipes import Recipe
from exemplar.training.run_folder import load_checkpoint, load_weights
from exemplar.training.schedule import LoopConfig
from exemplar.training.sources import SourceConfig
from exemplar.training.trainee import Trainee
from tests.training.people_files import write_people
from tests.training.toy import ToyNetwork, people
from tests.training.toy_run import add_toy, numbers, save_toy

FEW_VERTICES = replace(BodyLossConfig.released(), vertex_stride=500)
INNER = InnerConfig(learning_rate=1e-3, loss=replace(FEW_VERTICES, scale=1.0))
LOOP = LoopConfig(
    steps=4, learning_rate=1e-3, accelerator="cpu", log_every=1, validate_every=2,
    checkpoint_every=2, ema=0.5, tensorboard=False,
)  # fmt: skip
INNERS = {"supervised": None, "exemplar": INNER}


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    add_toy(monkeypatch)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return SourceConfig("some", write_people(tmp_path_factory.mktemp("p"), 5, bodies=True))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_toy(tmp_path_factory.mktemp("s") / "start.safetensors", seed=3))


def settings(
    source: SourceConfig, inner: InnerConfig | None = None, steps: int = 4, **more: object
) -> TrainConfig:
    """Few steps of three people on the toy network."""
    check = (0,) if inner is None else (0, 2)
    loop = replace(LOOP, steps=steps)
    recipe = Recipe(
        FEW_VERTICES, AugmentConfig.spin(), loop, inner, batch_size=3, check_steps=check
    )
    changes = {"validation": source, "regressor": "toy", "workers": 0, "body": "open", **more}
    return TrainConfig(recipe, (source,), **changes)  # pyright: ignore[reportArgumentType]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows(folder)]


def same(first: object, second: object) -> bool:
    """Whether two nests of tensors are equal to the bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return first == second


@pytest.mark.parametrize("kind", INNERS)
def test_a_run_leaves_the_best_weights_and_what_led_to_them(
    kind: str, source: SourceConfig, tmp_path: Path
) -> None:
    config = settings(source, INNERS[kind])
    summary = run_training(config, tmp_path, pictures=fits_of)
    assert summary.finished
    assert summary.step == 4
    assert summary.best_step in (2, 4)
    found, info = load_regressor(tmp_path / WEIGHTS)
    assert (info.architecture, info.body, info.notes) == ("toy", "open", "exemplar train")
    best = load_weights(tmp_path / "best.pt")
    for name, value in found.state_dict().items():
        assert torch.equal(value, best[f"main.regressor.{name}"].half().to(value.dtype)), name
    assert (tmp_path / AUXILIARY_WEIGHTS).exists() == (kind == "exemplar")
    log = rows(tmp_path)
    assert [row["step"] for row in log] == ["1", "2", "3", "4"]
    assert [row["validation_score"] != "" for row in log] == [False, True, False, True]
    columns = {"loss", "outer", "keypoints_2d", "vertices", "validation_px", "gradient_norm"}
    columns |= {"inner", "auxiliary", "validation_pa_mpjpe_2"} if kind == "exemplar" else set()
    assert columns <= log[0].keys()
    assert json.loads((tmp_path / "config.json").read_text())["training"]["regressor"] == "toy"
    for step in (2, 4):
        picture = np.asarray(Image.open(tmp_path / "pictures" / f"fits_{step:08}.jpg"))
        assert picture.std() > 10
        # five rows; a second column, of test-time steps, makes it wider than high
        assert (picture.shape[1] > picture.shape[0]) == (kind == "exemplar")


def test_training_lowers_the_loss_of_the_people_it_sees(
    source: SourceConfig, tmp_path: Path
) -> None:
    config = settings(source, INNER, steps=20, validation=None)
    recipe = replace(config.recipe, augmentation=AugmentConfig.none())
    recipe = replace(recipe, loop=replace(recipe.loop, learning_rate=1e-2, checkpoint_every=20))
    summary = run_training(replace(config, recipe=recipe), tmp_path)
    assert (summary.best_step, summary.finished) == (None, True)
    found = losses(tmp_path)
    # the mean of these people, all that grey pictures let it learn, is within a few steps' reach
    assert found[-1] < 0.75 * found[0]
    # nobody validates: the last weights, averaged
    last = load_weights(tmp_path / "last.pt")["main.regressor.head.decode.weight"]
    written, _ = load_regressor(tmp_path / WEIGHTS)
    assert torch.equal(written.state_dict()["head.decode.weight"], last.half().float())


CACHED: dict[str, Callable[[Path], dict[str, object]]] = {
    "from images": lambda folder: {},
    "from a cache": lambda folder: {"cache": folder / "cache", "frozen": 2, "variants": 2},
}


@pytest.mark.parametrize("kind", INNERS)
@pytest.mark.parametrize("how", CACHED)
def test_two_and_two_steps_are_four_to_the_bit(
    kind: str, how: str, source: SourceConfig, start: str, tmp_path: Path
) -> None:
    def run(name: str, steps: int, *, resume: bool = False) -> None:
        more = CACHED[how](tmp_path / name) | {"regressor": start}
        config = settings(source, INNERS[kind], steps, validation_people=2, **more)
        run_training(config, tmp_path / name, resume=resume)

    run("whole", 4)
    run("parts", 2)
    run("parts", 4, resume=True)
    whole, parts = (numbers(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert same(whole, parts)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    for name in (WEIGHTS, AUXILIARY_WEIGHTS):
        files = [tmp_path / run / name for run in ("whole", "parts")]
        if files[0].exists() or files[1].exists():
            assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("kind", INNERS)
def test_a_cache_gives_the_numbers_of_frozen_parts(
    kind: str, source: SourceConfig, start: str, tmp_path: Path
) -> None:
    config = settings(source, INNERS[kind], regressor=start, frozen=2)
    config = replace(config, recipe=replace(config.recipe, augmentation=AugmentConfig.none()))
    run_training(config, tmp_path / "images")
    cached = replace(config, cache=tmp_path / "cache", variants=1)
    run_training(cached, tmp_path / "cached")
    # features of half precision, 5e-4 of themselves, of which the loss is a smooth function
    assert losses(tmp_path / "cached") == pytest.approx(losses(tmp_path / "images"), rel=2e-3)
    assert losses(tmp_path / "cached") != losses(tmp_path / "images")
    first, second = (load_weights(tmp_path / n / "best.pt") for n in ("images", "cached"))
    frozen = [n for n in first if ".stem." in n or ".late." in n]
    assert frozen
    beginning = networks(config)[0].state_dict()
    for name in frozen:
        assert torch.equal(first[name], second[name]), name
        assert torch.equal(first[name], beginning[name]), name


def test_a_full_cache_is_not_filled_again(
    source: SourceConfig, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(source, steps=2, regressor=start, frozen=2, cache=tmp_path / "cache")
    run_training(config, tmp_path / "first")
    monkeypatch.setattr("exemplar.training.feature_cache._variants", None)
    run_training(config, tmp_path / "second")
    assert losses(tmp_path / "first") == losses(tmp_path / "second")


def step_of(inner: InnerConfig) -> TrainingStep:
    main, auxiliary = (Trainee(ToyNetwork(seed, dropout=0.3)) for seed in (0, 1))
    return TrainingStep(main, load_open_body(), FEW_VERTICES, inner, auxiliary).double().eval()


def test_predictions_after_steps_are_those_of_a_dual_fit() -> None:
    inner = replace(INNER, learning_rate=2e-2, adapt="head", group_size=0, second_order=True)
    step, batch = step_of(inner), people(4, dtype=torch.float64)
    counts = (0, 1, 3)
    found = step.predictions(batch, counts)
    assert isinstance(batch.inputs, Tensor)
    assert step.auxiliary is not None
    fits = fit_dual(
        step.main.regressor,
        step.auxiliary.regressor,
        step.body,
        Batch(batch.inputs, batch.box, batch.keypoints_2d),
        DualConfig(
            learning_rate=inner.learning_rate, iterations=3, adapt="head", stop_change=None,
            loss=inner.loss,
        ),
        history=True,
    )  # fmt: skip
    for count, prediction in zip(counts, found, strict=True):
        for name, value in vars(prediction).items():
            wanted = vars(fits.trace.iterates.prediction)[name][:, count]
            # the same sums in another order, in float64
            assert torch.allclose(value, wanted, rtol=1e-8, atol=1e-9), (name, count)
    moved = (found[2].body_pose - found[0].body_pose).abs().max()
    assert moved > 1e-3  # or nothing would have been compared


def test_the_auxiliary_file_teaches_the_main_one_in_a_fit(
    source: SourceConfig, tmp_path: Path
) -> None:
    run_training(settings(source, INNER, steps=2), tmp_path)
    main, _ = load_regressor(tmp_path / WEIGHTS)
    auxiliary, info = load_regressor(tmp_path / AUXILIARY_WEIGHTS)
    assert info.architecture == "toy"
    batch = people(3)
    assert isinstance(batch.inputs, Tensor)
    fits = fit_dual(
        main, auxiliary, load_open_body(), Batch(batch.inputs, batch.box, batch.keypoints_2d),
        DualConfig(learning_rate=1e-3, iterations=2, adapt="head", loss=INNER.loss),
    )  # fmt: skip
    assert not torch.equal(fits.before.prediction.betas, fits.after.prediction.betas)


def test_the_auxiliary_file_names_its_own_network(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(info: RegressorInfo) -> ToyNetwork:
        network = ToyNetwork(1)
        network.register_buffer("own", torch.ones(1))
        return network

    monkeypatch.setitem(ARCHITECTURES, "other", other)  # pyright: ignore[reportArgumentType]
    run_training(settings(source, INNER, steps=2, auxiliary="other"), tmp_path)
    auxiliary, info = load_regressor(tmp_path / AUXILIARY_WEIGHTS)
    assert info.architecture == "other"
    assert "own" in auxiliary.state_dict()
    assert load_regressor(tmp_path / WEIGHTS)[1].architecture == "toy"


def test_the_auxiliary_network_starts_as_the_main_one_with_another_head(
    source: SourceConfig, start: str
) -> None:
    step, info, other = networks(settings(source, INNER, regressor=start))
    assert step.auxiliary is not None
    assert other == info
    ours, theirs = step.main.regressor.state_dict(), step.auxiliary.regressor.state_dict()
    others = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert others
    assert all(name.startswith("head.") for name in others)


def test_weights_are_for_the_body_that_they_were_trained_with(source: SourceConfig) -> None:
    assert networks(settings(source, INNER))[1].body == "open"


def test_the_auxiliary_networks_rate_is_its_own(source: SourceConfig, tmp_path: Path) -> None:
    config = settings(source, INNER, steps=2)
    recipe = replace(config.recipe, auxiliary_rate=1e-6)
    run_training(replace(config, recipe=recipe), tmp_path)
    optimiser = load_checkpoint(tmp_path / "last.pt")["optimiser"]
    assert [group["lr"] for group in optimiser["param_groups"]] == [1e-3, 1e-6]
    assert float(rows(tmp_path)[0]["rate_1"]) == 1e-6


PAIRS: dict[str, tuple[dict[str, object], str]] = {
    "another body": ({"auxiliary": "smpl.safetensors"}, "for the body smpl, not open"),
    "other crops": ({"auxiliary": "hmr_rect"}, "takes crops of 192x256 px, expected .* 8x8"),
    "other frozen parts": (
        {"auxiliary": "other.safetensors", "frozen": 1, "cache": Path("cache")},
        "first 1 part.s. are others",
    ),
    "no use for it": ({"auxiliary": "toy", "teacher": "none"}, "auxiliary teacher only"),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_networks_that_do_not_go_together_are_refused(
    kind: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_toy(tmp_path / "smpl.safetensors", body="smpl")
    save_toy(tmp_path / "other.safetensors", seed=8)
    options, reason = PAIRS[kind]
    inner = replace(INNER, teacher=options.get("teacher", "auxiliary"))  # pyright: ignore
    options = {name: value for name, value in options.items() if name != "teacher"}
    with pytest.raises(ValueError, match=reason):
        networks(settings(source, inner, **options))
    assert not (tmp_path / "cache").exists()


def test_a_run_that_fails_before_its_first_step_leaves_the_folder_as_it_was(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("nobody is there")

    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    with monkeypatch.context() as patched:
        patched.setattr(job.TrainingData, "packed", broken)
        for folder in ("new", "used"):
            with pytest.raises(ValueError, match="nobody is there"):
                run_training(settings(source), tmp_path / folder)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["notes.txt"]
    assert run_training(settings(source, steps=2), tmp_path / "used").finished


def test_a_run_that_fails_later_keeps_what_it_has(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = job.TrainingData.packed

    def broken(data: object, step: int, *more: int) -> object:
        if step == 3:
            raise ValueError("nobody is there")
        return whole(data, step, *more)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(job.TrainingData, "packed", broken)
        with pytest.raises(ValueError, match="nobody is there"):
            run_training(settings(source), tmp_path)
    assert not (tmp_path / WEIGHTS).exists()
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 2
    assert run_training(settings(source), tmp_path, resume=True).finished
    assert (tmp_path / WEIGHTS).exists()


def test_preparing_tells_who_is_there(source: SourceConfig) -> None:
    said: list[str] = []
    ready = prepare(settings(source), say=said.append)
    assert [line.partition(":")[0] for line in said] == ["some", "validation"]
    assert ready.validation is not None
    assert len(ready.people[0]) == 5
    assert ready.mixture.shares == {"some": 1.0}
