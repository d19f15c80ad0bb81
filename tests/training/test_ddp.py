"""Several processes (gloo, CPU) train as one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from exemplar.training.loop import train
from exemplar.training.run_folder import load_checkpoint
from tests.training.toys import Adapting, Regression, held_out, logged, points, small

QUIET = Console(quiet=True)
TWO = {"strategy": "ddp_fork", "devices": 2}


def curve(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in logged(folder)]


def small_run(folder: Path, module: nn.Module, resume: bool = False, **changes: object) -> None:
    config = small(**{"steps": 10, "validate_every": 5, "checkpoint_every": 5, **changes})
    options = {"validate": held_out, "console": QUIET, "resume": resume}
    train(module, points, config=config, folder=folder, **options)  # pyright: ignore


def steady() -> nn.Module:
    """Batch norm sees its process's share only and dropout draws by process: not here."""
    return Regression().eval()


def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    small_run(tmp_path / "one", steady())
    small_run(tmp_path / "two", steady(), **TWO)
    # means of halves are added in another order: float32's 6e-8 at each of a few sums, ten steps
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=1e-5)
    assert curve(tmp_path / "one")[0] != curve(tmp_path / "one")[1]
    one, two = (logged(tmp_path / name)[-1] for name in ("one", "two"))
    assert float(two["validation_score"]) == pytest.approx(float(one["validation_score"]), rel=1e-5)


def test_gradients_inside_the_step_and_weights_without_any_are_no_hindrance(
    tmp_path: Path,
) -> None:
    for name, changes in {"one": {}, "two": TWO}.items():
        small_run(tmp_path / name, Adapting(each=True), **changes)
    one, two = (load_checkpoint(tmp_path / name / "last.pt")["module"] for name in ("one", "two"))
    # float64: sums in another order differ by 1e-16 or so in each of ten steps
    torch.testing.assert_close(one, two, atol=1e-13, rtol=0)
    start = Adapting(each=True).state_dict()
    assert not torch.equal(one["teacher"], start["teacher"])
    assert torch.equal(one["unused"], start["unused"])


def test_an_inner_gradient_of_a_batch_is_that_of_each_processs_share(tmp_path: Path) -> None:
    small_run(tmp_path / "two", Adapting(each=False), **TWO)
    module = Adapting(each=False)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for step in range(10):
        optimiser.zero_grad()
        halves = [module(points(step, rank, 2))["loss"] for rank in range(2)]
        torch.stack(halves).mean().backward()
        optimiser.step()
    two = load_checkpoint(tmp_path / "two" / "last.pt")["module"]
    # as above
    torch.testing.assert_close(dict(module.state_dict()), two, atol=1e-13, rtol=0)


def test_what_the_first_process_finds_wrong_ends_all(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(Exception, match="holds another run already"):
        small_run(tmp_path, steady(), **TWO)


def test_two_processes_resume_to_the_same_bits(tmp_path: Path) -> None:
    small_run(tmp_path / "whole", Regression(), **TWO)
    small_run(tmp_path / "parts", Regression(), steps=5, **TWO)
    small_run(tmp_path / "parts", Regression(), resume=True, **TWO)
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    with pytest.raises(ValueError, match="with another value of processes: got 1, the run has 2"):
        small_run(tmp_path / "parts", Regression(), resume=True)


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from exemplar.training.loop import train
from tests.training.toys import Regression, points, small
config = small(steps=5, devices=2)
print(train(Regression().eval(), points, config=config, folder=Path(sys.argv[1])).step)
"""


@pytest.mark.slow
def test_ddp_starts_the_command_again_for_each_device(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, script, tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split().count("5") == 2
    small_run(tmp_path / "one", steady(), steps=5)
    assert curve(tmp_path / "run") == pytest.approx(curve(tmp_path / "one"), rel=1e-5)
