"""Damaged files: every reader gives an answer or one clear line. `benchmarks.fuzz` tries more."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fuzz import damaged_file, fuzz
from benchmarks.fuzz_clip_files import KINDS
from benchmarks.fuzz_files import Kind


@pytest.mark.parametrize("name", KINDS)
def test_the_undamaged_file_is_read(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    path = tmp_path / kind.file
    path.parent.mkdir(parents=True, exist_ok=True)
    kind.write(kind.content(), path)
    if name == "safetensors":  # a whole network would take seconds
        with pytest.raises(ValueError, match="does not fit the network: missing: init_pose"):
            kind.read(path)
        return
    kind.read(path)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "safetensors"])
def test_damaged_files_are_read_or_refused_in_one_line(name: str) -> None:
    assert fuzz(name, range(10))[1] == []


def test_a_seed_is_a_file(tmp_path: Path) -> None:
    first, second = (damaged_file("npz", 5, tmp_path / name) for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()


def broken(path: Path) -> object:
    """A reader of its own kind of fault for each first byte."""
    if path.read_bytes()[0] % 2:
        raise KeyError("nothing catches this")
    raise ValueError("no file is named")


def test_faults_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    npy = KINDS["npy"]
    readers = {
        "KeyError": broken,
        "ended with -9": lambda path: __import__("os").kill(__import__("os").getpid(), 9),
        "hang": lambda path: [None for _ in iter(int, 1)],
    }
    for what, read in readers.items():
        kind = Kind(npy.file, npy.content, npy.write, read)
        monkeypatch.setitem(KINDS, "npy", kind)  # pyright: ignore[reportArgumentType]
        found = {fault.what for fault in fuzz("npy", range(3), seconds=0.2)[1]}
        assert any(what in one for one in found), (what, found)


_GREEDY = """
from dataclasses import replace
from benchmarks.fuzz import fuzz
from benchmarks.fuzz_clip_files import KINDS
KINDS["npy"] = replace(KINDS["npy"], read=lambda path: b"x" * 2**27)
print(*fuzz("npy", range(3), gigabytes=0.01)[1])
"""


def test_memory_over_the_limit_is_found() -> None:
    """In a process of its own: beside what a whole suite holds, little is not seen."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _GREEDY], cwd=root, capture_output=True, text=True, check=True
    )
    assert "memory: " in done.stdout
