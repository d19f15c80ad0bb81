"""Where the code runs."""

import os
import platform
import subprocess
import sys
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


FREED = """
import resource, numpy
from exemplar.environment import keep_freed_memory
assert keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints the page faults of the second of two arrays of 128 MB, which are 32,768 if it is new."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again() -> None:
    run = [sys.executable, "-c", FREED]
    faults = subprocess.run(run, capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 1000


@pytest.mark.parametrize(
    ("cuda", "mps", "float64", "expected"),
    [
        (True, True, False, "cuda"),
        (False, True, False, "mps"),
        (False, True, True, "cpu"),
        (False, False, False, "cpu"),
    ],
)
def test_auto_is_the_best_device_there_is(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, float64: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch, "zeros", lambda *sizes, device: None)  # no such device is here
    device = environment.usable_device("auto", float64=float64)
    assert str(device) == expected
    assert expected == "cuda" or environment.device_name(device) == expected


def test_finding_a_device_imports_no_other_package() -> None:
    code = (
        "import sys, exemplar.environment as e; before = set(sys.modules); e.usable_device('auto');"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "sys.exit(', '.join(new - {'torch'} - set(sys.stdlib_module_names)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
