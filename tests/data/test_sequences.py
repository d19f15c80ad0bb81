"""The files of a data set's folder: one that breaks its reader costs itself alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.records import sample_or_problem
from exemplar.data.sequences import each_file
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49


def sample(image: str) -> Sample:
    return Sample(image, np.ones(2), 1.0, np.ones((len(SMPL_49), 3)))


@pytest.mark.parametrize(
    "error", [KeyError(0), IndexError("x"), RecursionError(), ValueError("no")]
)
def test_whatever_a_files_reader_raises_is_that_files_problem(
    tmp_path: Path, error: Exception
) -> None:
    files = [tmp_path / name for name in ("a.pkl", "b.pkl", "c.pkl")]

    def samples(path: Path) -> Iterator[Sample]:
        yield sample(f"{path.stem}.jpg")
        if path.stem == "b":
            raise error

    found = list(each_file(files, samples, root=tmp_path))
    assert [each.image for each in found] == ["a.jpg", "b.jpg", "b.pkl", "c.jpg"]
    assert [bool(each.problem) for each in found] == [False, False, True, False]
    assert str(files[1]) in found[2].problem
    with pytest.raises(ValueError, match=r"b\.pkl"):
        list(each_file([files[1]], samples, root=files[1]))


def test_a_record_whose_image_cannot_be_read_is_a_record_with_a_problem() -> None:
    def make() -> Sample:
        raise FileNotFoundError("no image at gone.jpg")

    (found,) = sample_or_problem(make, image="gone.jpg")
    assert found.problem == "broken annotation: no image at gone.jpg"
