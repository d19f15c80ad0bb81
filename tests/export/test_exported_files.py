"""What every export shares: files appear whole, and an unwritable place is said in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exemplar.export import write_glb, write_json, write_npz
from exemplar.files.atomic_files import replacing
from exemplar.results import FitResult
from tests.fixtures.made_results import made_result

WRITERS = [(write_npz, "fit.npz"), (write_json, "fit.json"), (write_glb, "fit.glb")]


@pytest.fixture(scope="module")
def result() -> FitResult:
    return made_result(np.zeros((300, 400, 3), np.uint8), [(200.0, 150.0)], 260.0, steps=1)


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_file_replaces_the_old_one_and_leaves_nothing_else(
    tmp_path: Path, result: FitResult, write: Callable, name: str
) -> None:
    path = tmp_path / "new" / "folder" / name
    write(result, path)
    first = path.read_bytes()
    path.write_text("old")
    write(result, path)
    assert len(path.read_bytes()) == len(first)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_an_unwritable_place_is_said_in_one_line(
    tmp_path: Path, result: FitResult, write: Callable, name: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / name).mkdir()
    for path in (tmp_path / "file" / name, tmp_path / name):
        with pytest.raises(OSError, match="cannot write to") as caught:
            write(result, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half_way() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        half_way()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
