"""Where the code runs."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from exemplar import environment


def test_the_commit_is_told_where_a_tree_tracks_the_code() -> None:
    here = Path(environment.__file__)
    tracked = subprocess.run(
        ["git", "-C", here.parent, "ls-files", "--error-unmatch", here.name], capture_output=True
    )
    commit = environment.code_commit()
    if tracked.returncode:
        assert commit is None
    else:
        assert commit is not None
        assert len(commit.removesuffix("+")) == 40


def test_a_machine_tells_its_cores() -> None:
    assert f"{os.cpu_count()} cores" in environment.machine()


def test_as_many_threads_are_started_as_one_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment.cores() == 3
    for text in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert environment.asked_threads() is None
        assert 1 <= environment.cores() <= (os.cpu_count() or 1)


def test_torch_has_its_threads_again_afterwards() -> None:
    torch.set_num_threads(2)
    with environment.one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
