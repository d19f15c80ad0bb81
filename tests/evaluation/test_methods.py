"""What follows the regressor: whose answers they are, from which iterate, with whose settings."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from exemplar.data.crops import batch_of
from exemplar.evaluation import methods
from exemplar.evaluation.config import METHODS, Method, MethodConfig
from exemplar.evaluation.methods import Answers, Methods, dual_config, eft_config, smplify_config
from exemplar.fitting.dual import DualConfig
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.smplify import SmplifyConfig
from exemplar.fitting.weights import predict_in_blocks
from exemplar.lift.prepare import Preparer, shown_to
from exemplar.regressors.checkpoints import RegressorInfo
from exemplar.regressors.prediction import Prediction
from exemplar.results import BAD_INPUT, NOTHING_TO_FIT, OK
from exemplar.samples import Batch
from exemplar.training.recipes import recipe_named
from tests.fixtures.made_runs import drawn_people
from tests.fixtures.small_set import quick_tools
from tests.training.toy_run import save_toy

COUNT = 3
UPDATES = 2
FITS = ("none", "smplify", "eft", "dual")
INFO = RegressorInfo("toy", "open", 3e-4, "later")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with quick_tools():
        yield


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Methods:
    """Steps that are large enough to be told from rounding."""
    folder = tmp_path_factory.mktemp("networks")
    return Methods(
        MethodConfig(
            regressor=str(save_toy(folder / "toy.safetensors", 1)),
            auxiliary=str(save_toy(folder / "aux.safetensors", 2)),
            iterations=UPDATES,
            eft_rate=1e-2,
            dual_rate=1e-2,
            stop=False,
        )
    )


@pytest.fixture(scope="module")
def batch(tools: Methods, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("people")
    prepare = Preparer(folder, shown_to(tools.regressor, use_3d=False))
    ready = [prepare(i, one).person for i, one in enumerate(drawn_people(COUNT, folder))]
    return batch_of([person for person in ready if person is not None])


@pytest.fixture(scope="module")
def answers(tools: Methods, batch: Batch) -> dict[Method, Answers]:
    return everything(tools, batch)


def everything(tools: Methods, batch: Batch) -> dict[Method, Answers]:
    torch.set_num_threads(1)
    return {name: one for fit in FITS for name, one in tools.answers(fit, batch).items()}


def numbers(found: Prediction) -> Tensor:
    """All numbers of each body, axes (b, n) or (b, k, n)."""
    axes = found.camera.ndim - 1
    return torch.cat([part.flatten(axes) for part in vars(found).values()], -1)


def at(found: Prediction, steps: Tensor) -> Tensor:
    return numbers(found)[torch.arange(len(steps)), steps]


def test_every_method_answers_and_says_how_long_it_took(answers: dict[Method, Answers]) -> None:
    assert set(answers) == set(METHODS)
    for name, one in answers.items():
        assert one.prediction.camera.shape == (COUNT, 3), name
        assert one.prediction.is_finite(), name
        assert one.seconds > 0, name
        assert len(one.status) == COUNT


def test_none_is_the_regressor(
    tools: Methods, batch: Batch, answers: dict[Method, Answers]
) -> None:
    alone = predict_in_blocks(tools.regressor, batch.image, batch.box)
    assert torch.equal(numbers(answers["none"].prediction), numbers(alone))
    assert answers["none"].status == (OK,) * COUNT
    assert answers["none"].updates.tolist() == [0] * COUNT


@pytest.mark.parametrize("name", ["eft", "dual"])
def test_iterates_begin_at_the_regressor_and_end_at_the_answer(
    answers: dict[Method, Answers], name: Method
) -> None:
    one, start = answers[name], numbers(answers["none"].prediction)
    assert one.iterates is not None
    steps = numbers(one.iterates)
    assert steps.shape[1] == UPDATES + 1
    # the network runs in parts and one person at a time: float32's last bits of numbers up to 1
    assert torch.allclose(steps[:, 0], start, rtol=0, atol=1e-5)
    assert torch.equal(steps[:, -1], numbers(one.prediction))
    assert (steps[:, 1:] - steps[:, :-1]).abs().amax(-1).min() > 1e-4
    assert one.updates.tolist() == one.kept.tolist() == [UPDATES] * COUNT


def test_methods_differ(answers: dict[Method, Answers]) -> None:
    found = {name: numbers(answers[name].prediction) for name in ("none", "smplify", "eft", "dual")}
    for name, one in found.items():
        for other, two in found.items():
            if name < other:
                assert (one - two).abs().amax(-1).min() > 1e-3, (name, other)


def test_what_has_no_iterates_says_so(answers: dict[Method, Answers]) -> None:
    without = {name for name, one in answers.items() if one.iterates is None}
    assert without == {"none", "smplify"}


@pytest.mark.parametrize("step", range(UPDATES + 1))
def test_the_guard_keeps_the_iterate_that_is_chosen(
    tools: Methods, batch: Batch, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(methods, "choose", lambda *given: torch.full((COUNT,), step))
    found = tools.answers("eft", batch)
    guarded, plain = found["eft+guard"], found["eft"]
    assert plain.iterates is not None
    assert guarded.kept.tolist() == [step] * COUNT
    assert guarded.updates.tolist() == [UPDATES] * COUNT
    assert torch.equal(numbers(guarded.prediction), at(plain.iterates, guarded.kept))
    assert plain.kept.tolist() == [UPDATES] * COUNT
    assert guarded.seconds >= plain.seconds


@pytest.mark.parametrize("rate", [1e-2, 0.3])
def test_the_guard_is_the_one_of_exemplar_lift(tools: Methods, batch: Batch, rate: float) -> None:
    """The bodies and statuses of `fit_exemplars(guard=True)`, also where steps are too large."""
    config = replace(tools.config, eft_rate=rate)
    tools_now = Methods(config)
    found = tools_now.answers("eft", batch)["eft+guard"]
    fits = fit_exemplars(
        tools_now.regressor, tools_now.body, batch, eft_config(config, tools_now.info), guard=True
    )
    assert torch.equal(numbers(found.prediction), numbers(fits.after.prediction))
    assert found.kept.tolist() == fits.trace.updates.tolist()
    assert found.status == fits.status
    assert int((found.updates - found.kept).min()) >= 0


def test_a_guarded_body_is_accepted_or_rejected_for_what_it_is(
    tools: Methods, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the guard goes back to the regressor's answer, its status is that answer's."""
    monkeypatch.setattr(methods, "choose", lambda *given: torch.zeros(COUNT, dtype=torch.long))
    config = replace(eft_config(tools.config, tools.info), iterations=0)
    start = fit_exemplars(tools.regressor, tools.body, batch, config)
    found = tools.answers("eft", batch)
    assert found["eft+guard"].status == start.status
    assert found["eft"].status != start.status


# People with problems


def test_a_broken_person_has_a_status_and_disturbs_nobody(
    tools: Methods, batch: Batch, answers: dict[Method, Answers]
) -> None:
    keypoints = batch.keypoints_2d.clone()
    keypoints[1, 30, 0] = torch.nan
    keypoints[1, 30, 2] = 1.0
    found = everything(tools, replace(batch, keypoints_2d=keypoints))
    assert set(found) == set(METHODS)
    for name, one in found.items():
        assert [status == BAD_INPUT for status in one.status] == [False, True, False], name
        assert one.prediction.is_finite(), name
        others = numbers(one.prediction)[[0, 2]]
        # SMPLify's people share sums of a batch: float32's last bits
        assert torch.allclose(others, numbers(answers[name].prediction)[[0, 2]], atol=1e-4), name


def test_a_person_without_keypoints_keeps_the_regressors_body(
    tools: Methods, batch: Batch, answers: dict[Method, Answers]
) -> None:
    keypoints = batch.keypoints_2d.clone()
    keypoints[2, :, 2] = 0.0
    found = everything(tools, replace(batch, keypoints_2d=keypoints))
    start = numbers(answers["none"].prediction)[2]
    for name in ("smplify", "eft", "eft+guard", "dual"):
        assert found[name].status[2] == NOTHING_TO_FIT
        assert found[name].updates[2] == 0
        assert torch.allclose(numbers(found[name].prediction)[2], start, rtol=0, atol=1e-5)
    assert found["none"].status[2] == OK


# Settings


def test_presets_are_the_papers() -> None:
    for preset in ("paper", "released"):
        config = MethodConfig(eft=preset, smplify=preset, dual=preset)
        assert eft_config(config, INFO) == getattr(EftConfig, preset)()
        assert smplify_config(config) == getattr(SmplifyConfig, preset)()
        assert dual_config(config) == getattr(DualConfig, preset)()


def test_by_default_the_step_is_the_one_stored_with_the_weights() -> None:
    config = MethodConfig()
    assert eft_config(config, INFO) == EftConfig(learning_rate=3e-4, adapt="later")
    assert smplify_config(config) == SmplifyConfig()
    inner = recipe_named("exemplar", "default").inner
    assert inner is not None
    dual = dual_config(config)
    assert (dual.learning_rate, dual.adapt, dual.loss) == (
        inner.learning_rate, inner.adapt, inner.loss,
    )  # fmt: skip
    assert (dual.iterations, dual.adam_iterations) == (14, 0)


@pytest.mark.parametrize("preset", ["default", "paper", "released"])
def test_what_is_given_goes_before_a_preset(preset: str) -> None:
    config = MethodConfig(
        eft=preset, dual=preset, adapt="head", iterations=7, eft_rate=0.5, dual_rate=0.25,
        stop=False,
    )  # fmt: skip
    plain = MethodConfig(eft=preset, dual=preset)
    eft, dual = eft_config(config, INFO), dual_config(config)
    assert changed(eft, eft_config(plain, INFO)) >= {"adapt", "iterations", "learning_rate"}
    assert changed(eft, eft_config(plain, INFO)) <= {
        "adapt", "iterations", "learning_rate", "stop_px", "stop_loss",
    }  # fmt: skip
    assert (eft.adapt, eft.iterations, eft.learning_rate) == ("head", 7, 0.5)
    assert eft.stop_px is None
    assert eft.stop_loss is None
    assert (dual.adapt, dual.iterations, dual.learning_rate) == ("head", 7, 0.25)
    assert dual.stop_change is None
    assert changed(dual, dual_config(plain)) <= {
        "adapt", "iterations", "learning_rate", "stop_change",
    }  # fmt: skip


def changed(one: EftConfig | DualConfig, other: EftConfig | DualConfig) -> set[str]:
    return {f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)}


# What cannot be run


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("none", "hmr"), r"unknown method \['hmr'\]: expected none, smplify, eft, eft\+guard"),
        ((), "unknown method none given"),
        (("none", "dual"), "dual needs the auxiliary network: give --auxiliary FILE"),
    ],
)
def test_methods_that_cannot_be_run_are_refused_in_a_line(
    tools: Methods, wanted: tuple[str, ...], message: str
) -> None:
    alone = Methods(replace(tools.config, auxiliary=None))
    with pytest.raises(ValueError, match=message) as caught:
        alone.check(wanted)
    assert "\n" not in str(caught.value)
    tools.check(("none", "dual"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapt": "nothing"}, "adapt='nothing' selects no weight"),
        ({"eft_rate": 0.0}, "the learning rate must be positive, got 0"),
        ({"dual_rate": -1.0}, "step sizes must be positive, got -1"),
        ({"iterations": -1}, "iterations must be 0 or more, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_told_before_anything_is_fitted(
    tools: Methods, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Methods(replace(tools.config, **changes)).check(METHODS)


def test_missing_networks_are_named(tools: Methods, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing.pt")
    for name in ("regressor", "auxiliary"):
        with pytest.raises(FileNotFoundError, match=r"no regressor '.*nothing\.pt'"):
            Methods(replace(tools.config, **{name: nowhere}))


@pytest.mark.parametrize(
    ("settings", "reads"),
    [
        ({}, {"eft", "dual"}),
        ({"eft": "paper"}, {"dual"}),
        ({"dual": "released"}, {"eft"}),
        ({"shown": False}, set()),
    ],
)
def test_networks_read_keypoints_in_fits_of_our_own_only(
    tools: Methods, batch: Batch, settings: dict[str, Any], reads: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The regressor's own answer and the papers' fits know the crop alone."""
    monkeypatch.setattr(tools, "config", replace(tools.config, **settings))
    shown: set[str] = set()
    for name, fits in (("eft", "fit_exemplars"), ("dual", "fit_dual")):
        whole = getattr(methods, fits)

        def heard(*given: Any, name: str = name, whole: Any = whole, **more: Any) -> Any:
            (people,) = (x for x in given if isinstance(x, Batch))
            shown.update({name} if people.box.keypoints is not None else ())
            return whole(*given, **more)

        monkeypatch.setattr(methods, fits, heard)
    tools.answers("eft", batch)
    tools.answers("dual", batch)
    assert shown == reads


def test_the_step_is_that_of_the_head_that_fits() -> None:
    info = replace(INFO, given_rate=7e-4)
    assert eft_config(MethodConfig(), info).learning_rate == 7e-4
    assert eft_config(MethodConfig(shown=False), info).learning_rate == 3e-4
    assert eft_config(MethodConfig(), INFO).learning_rate == 3e-4
    assert eft_config(MethodConfig(eft="paper"), info) == EftConfig.paper()
