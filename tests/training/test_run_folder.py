"""The folder of a run."""

import json
from pathlib import Path

import pytest
import torch

from exemplar.training.run_folder import (
    CsvLog,
    as_json,
    check_folder,
    check_settings,
    load_checkpoint,
    load_weights,
    opened_run,
    read_log,
    save_checkpoint,
)


def test_a_log_is_cut_back_to_a_step_and_grows_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = CsvLog(path, keep_to=0)
    for step in (1, 2, 3):
        log.append({"step": step, "loss": step / 10})
    with path.open("a") as file:
        file.write("4")  # killed while writing
    log = CsvLog(path, keep_to=2)
    log.append({"step": 3, "loss": 7.0, "score": 8.0})
    log.append({"step": 4, "loss": 9.0})
    assert path.read_text() == "step,loss,score\n1,0.1,\n2,0.2,\n3,7.0,8.0\n4,9.0,\n"
    assert read_log(path)[2] == {"step": "3", "loss": "7.0", "score": "8.0"}


def test_numbers_come_back_from_the_log_to_the_bit(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", keep_to=0)
    log.append({"step": 1, "third": 1 / 3})
    assert float(read_log(log.path)[0]["third"]) == 1 / 3


def test_a_run_tells_what_made_it(tmp_path: Path) -> None:
    for step in (0, 5):
        with opened_run(tmp_path, {"loop": {"steps": 3}}, step=step, device="cpu") as run:
            run.record(step + 1, {"loss": 1.0, "validation_score": 2.0})
    assert json.loads((tmp_path / "config.json").read_text()) == {"loop": {"steps": 3}}
    first, second = json.loads((tmp_path / "environment.json").read_text())
    assert (first["after_step"], second["after_step"]) == (0, 5)
    assert first["torch"] == torch.__version__
    assert first["device"] == "cpu"
    assert list(tmp_path.glob("events.out.tfevents*"))


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    options = {"step": 0, "device": "cpu", "tensorboard": False}
    with (
        opened_run(tmp_path, {}, **options),
        pytest.raises(ValueError, match="another process is training in"),
        opened_run(tmp_path, {}, **options),
    ):
        pass
    with opened_run(tmp_path, {}, **options):
        pass


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    left, mine = tmp_path / f".{'0f' * 16}.pt", tmp_path / ".mine.pt"
    for path in (left, mine):
        path.touch()
    with opened_run(tmp_path, {}, step=0, device="cpu", tensorboard=False):
        assert (left.exists(), mine.exists()) == (False, True)


def test_folders_that_do_not_suit_are_told(tmp_path: Path) -> None:
    check_folder(tmp_path / "new", resume=False)
    check_folder(tmp_path, resume=False)
    (tmp_path / "config.json").touch()
    with pytest.raises(ValueError, match=r"holds another run already \(config\.json\)"):
        check_folder(tmp_path, resume=False)
    with pytest.raises(ValueError, match="no checkpoint to resume from"):
        check_folder(tmp_path, resume=True)
    with pytest.raises(ValueError, match="is a file, expected a folder"):
        check_folder(tmp_path / "config.json", resume=False)


def test_a_failed_write_leaves_the_checkpoint_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})

    def full(state: object, file: object) -> None:
        file.write(b"half")  # pyright: ignore
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=r"cannot write to .*last\.pt: no space left on device"):
            save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_weights_are_the_averaged_ones_where_there_are_some(tmp_path: Path) -> None:
    module = {"a": torch.zeros(1), "buffer": torch.ones(1)}
    save_checkpoint(tmp_path / "plain.pt", {"module": module, "average": None})
    assert load_weights(tmp_path / "plain.pt") == module
    average = {"updates": 1, "average": {"a": torch.full((1,), 2.0)}}
    save_checkpoint(tmp_path / "averaged.pt", {"module": module, "average": average})
    weights = load_weights(tmp_path / "averaged.pt")
    assert {name: float(value) for name, value in weights.items()} == {"a": 2.0, "buffer": 1.0}
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_weights(tmp_path / "none.pt")


def test_settings_are_compared_by_name() -> None:
    then = as_json({"loop": {"steps": 3, "rate": 0.1}, "data": Path("a"), "sizes": (1, 2)})
    check_settings(as_json({**then, "data": "a", "sizes": [1, 2]}), then)
    now = {**then, "loop": {"steps": 4, "rate": 0.1}}
    check_settings(now, then, free=frozenset({"loop.steps"}))
    with pytest.raises(
        ValueError, match=r"with another value of loop\.steps: got 4, the run has 3"
    ):
        check_settings(now, then)
    with pytest.raises(
        ValueError, match="with another value of more: got 1, the run has 'nothing'"
    ):
        check_settings({**then, "more": 1}, then)
