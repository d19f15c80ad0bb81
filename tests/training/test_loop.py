"""The loop: exact to resume, stops where it should, and tells why."""

import builtins
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from exemplar.training.loop import Ahead, Summary, train
from exemplar.training.run_folder import load_checkpoint, load_weights
from exemplar.training.schedule import LoopConfig, rate_factor
from exemplar.training.state import NotFinite
from tests.training.toys import PEOPLE, Points, Regression, held_out, logged, points, small

QUIET = Console(quiet=True)
RECIPE = small(ema=0.9, schedule="one_cycle", clip_norm=3.0, validate_every=5, checkpoint_every=4)


def go(folder: Path, config: LoopConfig = RECIPE, **options: object) -> Summary:
    options = {"validate": held_out, "console": QUIET, "batches": points, **options}
    module = options.pop("module", None) or Regression()
    return train(module, config=config, folder=folder, **options)  # pyright: ignore


def in_a_process_that_dies(act: Callable[[], object]) -> int:
    """Run in a fork; returns the signal that killed it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] & 0x7F


def assert_same_run(one: Path, other: Path) -> None:
    """To the bit: logs but for clocks, weights, averages, optimiser, counts."""
    assert logged(one) == logged(other)
    for name in ("last.pt", "best.pt"):
        assert_same(load_checkpoint(one / name), load_checkpoint(other / name))


def assert_same(a: object, b: object) -> None:
    if isinstance(a, Tensor):
        assert isinstance(b, Tensor)
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert list(a) == list(b)
        for key, value in a.items():
            assert_same(value, b[key])
    elif isinstance(a, list):
        assert isinstance(b, list)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert go(folder).finished
    return folder


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    config = small(steps=150, learning_rate=0.05, log_every=150)
    before = held_out(Regression(32).eval())["score"]
    after = go(tmp_path / "run", config, module=Regression(32)).validation["score"]
    assert after < before / 2  # it is a third; half leaves room for other torch versions


def test_a_run_that_is_killed_goes_on_to_the_same_bits(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def killed_at_10(step: int, rank: int, world: int) -> Points:
        if step == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return points(step, rank, world)

    assert in_a_process_that_dies(lambda: go(folder, batches=killed_at_10)) == signal.SIGKILL
    assert len(logged(folder)) == 10  # two more than the checkpoint of step 8 has seen
    assert load_checkpoint(folder / "last.pt")["step"] == 8
    summary = go(folder, resume=True)
    assert (summary.step, summary.finished) == (20, True)
    assert_same_run(uninterrupted, folder)


def test_a_kill_in_the_middle_of_writing_a_checkpoint_costs_only_the_steps_since_the_last(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    save, saves = torch.save, []

    def killed(state: object, file: object) -> None:
        saves.append(state)
        if isinstance(state, dict) and state["step"] == 12:
            file.write(b"PK\x03\x04 half")  # pyright: ignore
            file.flush()  # pyright: ignore
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)  # pyright: ignore

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        assert in_a_process_that_dies(lambda: go(folder)) == signal.SIGKILL
    assert list(folder.glob(".*.pt"))
    assert load_checkpoint(folder / "last.pt")["step"] == 8
    go(folder, resume=True)
    assert_same_run(uninterrupted, folder)
    assert not list(folder.glob(".*.pt"))


def test_rows_of_means_are_the_same_after_a_resume_between_them(tmp_path: Path) -> None:
    config = replace(RECIPE, log_every=7, checkpoint_every=4)
    go(tmp_path / "whole", config)

    def stopping(step: int, rank: int, world: int) -> Points:
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return points(step, rank, world)

    assert not go(tmp_path / "parts", config, batches=stopping).finished
    go(tmp_path / "parts", config, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_row_of_the_log_has_the_means_since_the_last(tmp_path: Path) -> None:
    for every in (1, 4):
        go(tmp_path / str(every), small(steps=6, log_every=every))
    losses = [float(row["loss"]) for row in logged(tmp_path / "1")]
    rows = logged(tmp_path / "4")
    assert [row["step"] for row in rows] == ["4", "6"]
    # Python's sums, in the same order
    assert float(rows[0]["loss"]) == pytest.approx(sum(losses[:4]) / 4, rel=1e-12)
    assert float(rows[1]["loss"]) == pytest.approx(sum(losses[4:]) / 2, rel=1e-12)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_ends_the_step_and_saves(
    how: signal.Signals, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def asking(step: int, rank: int, world: int) -> Points:
        if step == 6:
            os.kill(os.getpid(), how)
        return points(step, rank, world)

    # the shell may have begun the tests with Ctrl-C ignored
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        summary = go(folder, batches=asking)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    assert (summary.step, summary.finished) == (7, False)
    assert load_checkpoint(folder / "last.pt")["step"] == 7
    go(folder, resume=True)
    assert_same_run(uninterrupted, folder)


def test_resuming_a_finished_run_does_nothing_and_more_steps_may_be_added(tmp_path: Path) -> None:
    config = replace(RECIPE, schedule="constant")
    go(tmp_path / "run", replace(config, steps=11))
    assert go(tmp_path / "run", replace(config, steps=11), resume=True).step == 11
    assert go(tmp_path / "run", replace(config, steps=13), resume=True).step == 13


def test_a_changed_setting_is_named_at_resume(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"another value of loop\.learning_rate: got 0\.02, the"):
        go(uninterrupted, replace(RECIPE, learning_rate=0.02), resume=True)
    with pytest.raises(ValueError, match=r"another value of loop\.steps: got 30, the run has 20"):
        go(uninterrupted, replace(RECIPE, steps=30), resume=True)
    with pytest.raises(
        ValueError, match=r"another value of losses\.betas: got 1, the run has 'nothing'"
    ):
        go(uninterrupted, resume=True, settings={"losses": {"betas": 1}})
    assert go(uninterrupted, replace(RECIPE, log_every=2), resume=True).finished


def test_another_network_is_refused_in_one_line(uninterrupted: Path) -> None:
    with pytest.raises(ValueError, match=r"last.pt does not fit the module to train") as caught:
        go(uninterrupted, module=Regression(width=6), resume=True)
    assert "\n" not in str(caught.value)


def test_a_used_folder_and_a_missing_checkpoint_are_told_in_one_line(
    uninterrupted: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="holds another run already"):
        go(uninterrupted)
    with pytest.raises(ValueError, match=r"no checkpoint to resume from: there is no last\.pt"):
        go(tmp_path / "none", resume=True)


def test_a_damaged_checkpoint_is_told_in_one_line(uninterrupted: Path, tmp_path: Path) -> None:
    whole = (uninterrupted / "last.pt").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "none": b"", "text": b"hello"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").write_bytes(content)
        with pytest.raises(ValueError, match="damaged or not a checkpoint") as caught:
            go(tmp_path / name, resume=True)
        assert "\n" not in str(caught.value)
    torch.save({"weights": 1}, tmp_path / "text" / "last.pt")
    with pytest.raises(ValueError, match="not a training checkpoint"):
        go(tmp_path / "text", resume=True)
    torch.save(torch.load(uninterrupted / "best.pt"), tmp_path / "text" / "last.pt")
    with pytest.raises(ValueError, match="has no optimiser"):
        go(tmp_path / "text", resume=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["optimiser"]["state"][0].update(exp_avg=torch.zeros(1)), "has moments"),
        (lambda c: c["optimiser"]["state"][0].pop("exp_avg_sq"), "has moments"),
        (lambda c: c["optimiser"]["param_groups"][0].update(lr="x"), "settings are not"),
        (lambda c: c["optimiser"]["param_groups"][0].update(amsgrad=True), "settings are not"),
        (lambda c: c["optimiser"]["param_groups"][0].update(betas=(0.9, 2.0)), "settings are not"),
        (lambda c: c.update(optimiser=[1]), "does not fit the optimiser"),
        (lambda c: c.pop("settings"), "not a training checkpoint: KeyError"),
        (lambda c: c["settings"].update(seed=torch.eye(2)), "cannot resume with another value"),
        (lambda c: c.update(format=torch.eye(2)), "format tensor"),
        (lambda c: c.update(module={"a": 1}), "does not fit the module"),
        (lambda c: c.update(step="3"), "step is '3', expected a number"),
        (lambda c: c.update(sums=[1]), "sums is"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told_before_a_step(
    uninterrupted: Path, tmp_path: Path, change: Any, says: str
) -> None:
    """An optimiser's step reads as many numbers as the weights have, whatever its state has."""
    checkpoint = torch.load(uninterrupted / "last.pt")
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=says) as caught:
        go(tmp_path, resume=True)
    assert "last.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_ends_the_run_and_keeps_the_checkpoint_of_before(
    uninterrupted: Path, tmp_path: Path
) -> None:
    import resource

    folder = tmp_path / "run"
    told = tmp_path / "told"

    def run_out(step: int, rank: int, world: int) -> Points:
        if step == 9:  # what is written from here on may be no longer than this
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        return points(step, rank, world)

    def act() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            go(folder, replace(RECIPE, validate_every=None), batches=run_out)
        except OSError as error:
            told.write_text(str(error))

    assert in_a_process_that_dies(act) == 0
    line = told.read_text()
    assert "last.pt: file too large; the checkpoint of step 8 is whole" in line
    assert "\n" not in line
    assert load_checkpoint(folder / "last.pt")["step"] == 8
    assert not list(folder.glob(".*.pt"))
    go(folder, resume=True)
    assert_same(*(load_checkpoint(f / "last.pt")["module"] for f in (uninterrupted, folder)))


class Breaking(nn.Module):
    """A loss that is fine until some step, then not; weights say how."""

    def __init__(self, how: str, at: int) -> None:
        super().__init__()
        self.weight, self.how, self.at, self.steps = nn.Parameter(torch.ones(2)), how, at, 0

    def forward(self, batch: Points) -> dict[str, Tensor]:
        self.steps += 1
        square = self.weight.square().sum()
        extra = torch.zeros(())
        if self.steps == self.at and self.how == "loss":
            extra = extra + math.inf
        if self.steps == self.at and self.how == "gradient":
            square = square + (self.weight - self.weight.detach()).abs().pow(0.5).sum()
        return {"loss": square + extra, "square": square, "extra": extra}


@pytest.mark.parametrize(
    ("how", "message"),
    [("loss", "'extra' is inf"), ("gradient", "the gradient of 'weight' is not finite")],
)
def test_numbers_that_break_stop_the_run_before_the_weights_move(
    how: str, message: str, tmp_path: Path
) -> None:
    modules = Breaking(how, at=6), Breaking("never", at=0)
    config = small(steps=5, checkpoint_every=2)
    go(tmp_path / "whole", config, module=modules[1], validate=None)
    with pytest.raises(NotFinite) as caught:
        go(tmp_path / "run", replace(config, steps=9), module=modules[0], validate=None)
    assert str(caught.value) == (
        f"step 6: {message}; the last good checkpoint is {tmp_path / 'run' / 'last.pt'} (step 4)"
    )
    assert isinstance(caught.value, ValueError)
    assert torch.equal(modules[0].weight, modules[1].weight)


def test_16_bit_overflows_are_skipped_counted_and_end_at_last(tmp_path: Path) -> None:
    config = small(precision="16-mixed", steps=12, validate_every=None)
    module = Breaking("never", at=0)

    class Steep(Breaking):
        def forward(self, batch: Points) -> dict[str, Tensor]:
            half = (1000 * self.weight.half()).sum()
            return {"loss": half.float()}  # its gradient, 65536 x 1000, needs five halvings

    module = Steep("never", at=0)
    summary = go(tmp_path / "run", config, module=module, validate=None)
    # 65536 x 1000 / 2^k <= 65504 (the largest half) first at k = 10
    assert summary.skipped == 10
    rows = logged(tmp_path / "run")
    assert [row["loss"] == "" for row in rows] == [True] * 10 + [False] * 2
    assert rows[-1]["scale"] == "64.0"
    # two steps of Adam with a constant gradient, each as long as the rate; float32 rounding
    torch.testing.assert_close(module.weight.data, torch.full((2,), 0.98), atol=1e-6, rtol=0)
    broken = Breaking("gradient", at=1)
    broken.register_forward_pre_hook(lambda m, _: setattr(m, "steps", 0))
    with pytest.raises(NotFinite, match="overflowed 31 times in a row"):
        go(tmp_path / "nan", replace(config, steps=40), module=broken, validate=None)


def test_bf16_leaves_the_batch_as_it_is(tmp_path: Path) -> None:
    seen = []

    class Looking(Regression):
        def forward(self, batch: Points) -> dict[str, Tensor]:
            seen.append((batch.x.dtype, self.last(batch.x.new_zeros(1, 5)).dtype))
            return super().forward(batch)

    go(tmp_path / "run", small(precision="bf16-mixed", steps=1), module=Looking(), validate=None)
    assert seen == [(torch.float32, torch.bfloat16)]


def test_groups_have_rates_of_their_own_and_others_do_not_move(tmp_path: Path) -> None:
    module, before = Regression(), Regression()
    groups = [
        {"params": list(module.last.parameters()), "lr": 1e-3},
        {"params": [module.network[0].weight], "lr": 1e-6},
    ]
    go(tmp_path / "run", small(steps=1), module=module, param_groups=groups)

    def moved(name: str) -> float:
        a, b = module.get_parameter(name), before.get_parameter(name)
        return float((a - b).detach().abs().max())

    # Adam's first step is as long as the rate; weights of size 1 are rounded to 6e-8
    assert moved("last.weight") == pytest.approx(1e-3, abs=1e-7)
    assert moved("network.0.weight") == pytest.approx(1e-6, abs=1e-7)
    assert moved("network.0.bias") == 0
    assert logged(tmp_path / "run")[0]["rate_1"] == "1e-06"


def test_the_gradient_is_cut_to_length(tmp_path: Path) -> None:
    module = Regression()
    config = small(steps=1, clip_norm=0.5)
    go(tmp_path / "run", config, module=module, validate=None)
    length = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]).norm()
    assert float(length) == pytest.approx(0.5, rel=1e-4)  # torch adds 1e-6 to what it divides by
    assert float(logged(tmp_path / "run")[0]["gradient_norm"]) > 0.5


def test_validation_sees_averaged_weights_in_eval_mode_and_the_best_are_kept(
    tmp_path: Path,
) -> None:
    seen = []
    scores = iter([3.0, 1.0, 2.0])

    def validate(module: nn.Module) -> dict[str, float]:
        seen.append((module.training, module.state_dict()["last.weight"].clone()))
        return {"other": 0.0, "mm": next(scores)}

    def draw(module: nn.Module, step: int, folder: Path) -> None:
        (folder / f"{step}.txt").write_text(str(module.training))

    module = Regression()
    module.network[1].eval()
    config = small(steps=6, validate_every=2, ema=0.9, score="mm", keep_every=3)
    folder = tmp_path / "run"
    summary = go(folder, config, module=module, validate=validate, pictures=draw)
    assert (summary.best_score, summary.best_step) == (1.0, 4)
    assert summary.validation == {"other": 0.0, "mm": 2.0}
    assert [training for training, _ in seen] == [False] * 3
    assert module.training
    assert not module.network[1].training
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == ["2.txt", "4.txt", "6.txt"]
    assert torch.equal(load_weights(folder / "best.pt")["last.weight"], seen[1][1])
    assert torch.equal(load_weights(folder / "last.pt")["last.weight"], seen[2][1])
    assert not torch.equal(module.last.weight.data, seen[2][1])
    assert not torch.equal(seen[0][1], seen[1][1])
    assert sorted(p.name for p in folder.glob("step_*")) == ["step_00000003.pt", "step_00000006.pt"]
    rows = logged(folder)
    assert [row["validation_mm"] for row in rows] == ["", "3.0", "", "1.0", "", "2.0"]
    with pytest.raises(ValueError, match="score 'score': expected one of mm"):
        go(tmp_path / "wrong", small(), validate=lambda module: {"mm": 1.0})


def test_each_step_draws_from_its_own_seed(uninterrupted: Path, tmp_path: Path) -> None:
    go(tmp_path / "other", replace(RECIPE, seed=1))
    first, other = logged(uninterrupted)[0], logged(tmp_path / "other")[0]
    assert first["loss"] != other["loss"]


def test_batches_can_come_from_a_stream_that_is_taken_up_anywhere() -> None:
    begun = []

    def stream(step: int, rank: int, world: int) -> Iterator[Points]:
        begun.append(step)
        while True:
            yield points(step, rank, world)
            step += 1

    ahead = Ahead(stream)
    for step in (3, 4, 5, 2, 3):
        assert torch.equal(ahead(step, 0, 2).x, points(step, 0, 2).x)
    assert begun == [3, 2]


def test_bad_steps_and_settings_are_told_in_one_line(tmp_path: Path) -> None:
    class Vector(Regression):
        def forward(self, batch: Points) -> dict[str, Tensor]:
            return {"loss": self.last.weight.sum(), "each": torch.zeros(PEOPLE)}

    class Lossless(Regression):
        def forward(self, batch: Points) -> dict[str, Tensor]:
            return {"square": self.last.weight.sum()}

    with pytest.raises(ValueError, match=r"'each' of the step has shape \(8,\): expected \(\)"):
        go(tmp_path / "a", module=Vector())
    with pytest.raises(ValueError, match="returned square: expected a loss"):
        go(tmp_path / "b", module=Lossless())
    with pytest.raises(ValueError, match="nothing to train"):
        go(tmp_path / "c", module=Regression().requires_grad_(False))
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        small(steps=0)
    with pytest.raises(ValueError, match="ema must lie between 0 and 1, got 1"):
        small(ema=1.0)
    with pytest.raises(ValueError, match="warm_up must be 0 to 19, got 20"):
        small(warm_up=20)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="CUDA") as caught:
            go(tmp_path / "d", small(accelerator="cuda"))
        assert "\n" not in str(caught.value)


def test_without_fabric_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("lightning_fabric"):
            raise ImportError(name)
        return real(name, *arguments, **options)  # pyright: ignore

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r"pip install 'exemplar-hmr\[train\]'"):
        go(tmp_path / "run")


def test_where_there_is_no_terminal_lines_tell_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exemplar.training.progress.LINE_SECONDS", 0.0)
    go(tmp_path / "run", small(steps=3), console=Console(file=sys.stdout, width=200))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 1/3  loss ")
    assert "people/s" in lines[0]
    assert lines[-1].startswith("step 3  score ")


@pytest.mark.slow
def test_a_compiled_step_trains_to_nearly_the_same_weights(tmp_path: Path) -> None:
    plain, compiled = (Regression().eval() for _ in range(2))
    go(tmp_path / "plain", small(steps=3), module=plain)
    go(tmp_path / "compiled", small(steps=3, compile=True), module=compiled)
    # the same sums in another order; Adam's steps are 0.01 long
    torch.testing.assert_close(
        dict(plain.state_dict()), dict(compiled.state_dict()), atol=1e-5, rtol=0
    )


def test_torchs_one_cycle_is_ours() -> None:
    config = small(steps=40, schedule="one_cycle", warm_up=12)
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, total_steps=40, pct_start=0.3, cycle_momentum=False
    )
    for step in range(40):
        # torch computes in another order
        assert rate_factor(step, config) == pytest.approx(
            optimiser.param_groups[0]["lr"], abs=1e-12
        )
        optimiser.step()
        theirs.step()


def test_rates_rise_stay_and_fall() -> None:
    flat = small(steps=10, warm_up=4)
    assert [rate_factor(k, flat) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = small(steps=10, schedule="cosine")
    assert rate_factor(0, cosine) == 1.0
    assert rate_factor(5, cosine) == pytest.approx(0.5)
    assert rate_factor(9, cosine) < 0.03
