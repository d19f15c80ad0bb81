"""What a person makes of a fitted photo."""

from pathlib import Path

import numpy as np
import pytest

import exemplar
from exemplar.fit_result import FitResult
from tests.fixtures.made_results import made_result


@pytest.fixture(scope="module")
def result() -> FitResult:
    grey = np.full((300, 400, 3), 200, np.uint8)
    return FitResult.of(made_result(grey, [(200.0, 150.0)], 260.0, steps=2))


def test_the_public_class_is_this_one() -> None:
    assert exemplar.FitResult is FitResult


def test_saving_writes_the_files_of_the_command(result: FitResult, tmp_path: Path) -> None:
    written = result.save(tmp_path / "out")
    assert sorted(path.name for path in written) == [
        "body.glb", "fit.json", "fit.npz", "overlay.png", "photo.jpg", "steps.gif",
    ]  # fmt: skip
    assert all(path.stat().st_size > 500 for path in written)
    result.to_glb(tmp_path / "a.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "out" / "body.glb").read_bytes()


def test_a_plot_is_a_picture_with_the_photo_in_it(result: FitResult) -> None:
    picture = result.plot()
    assert picture.mode == "RGB"
    assert picture.width > result.image.shape[1]


def test_a_notebook_shows_a_picture_and_a_row_a_person(result: FitResult) -> None:
    shown = result._repr_html_()
    assert shown.startswith('<img src="data:image/jpeg;base64,')
    assert shown.count("<tr>") == 2
    assert "<td>ok</td>" in shown
    assert repr(result) == "<FitResult of a photo of 400 x 300 px: ok 14.9 -> 0.0 px>"
