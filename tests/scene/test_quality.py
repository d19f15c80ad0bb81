"""Quality falls as network and keypoints disagree and the finder doubts; the status follows it."""

import numpy as np
import pytest

import exemplar
from exemplar.assets import asset_path
from exemplar.results import DOUBTFUL, NOTHING_TO_FIT, OK, REJECTED
from exemplar.scene import photo
from exemplar.scene.quality import disagreement_of, quality_of


def keypoints(size: float) -> np.ndarray:
    """49 keypoints along a line of `size` px, half of them missing."""
    line = np.linspace(0, size, 49)
    return np.column_stack((line, line, np.where(np.arange(49) % 2, 0.0, 0.8)))


def test_quality_falls_with_the_disagreement() -> None:
    found = [
        quality_of(disagreement_of(keypoints(200), 250.0, px), 0.8)
        for px in (1.0, 5.0, 15.0, 40.0, 200.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    assert found[-1] < 0.1


def test_of_two_who_agree_as_well_the_one_who_was_found_more_surely_is_believed_more() -> None:
    found = [quality_of(0.03, score) for score in (0.3, 0.5, 0.7, 0.9)]
    assert found == sorted(found)
    assert found[0] < 0.4 < 0.7 < found[-1]


def test_errors_count_by_the_visible_part_of_a_person() -> None:
    whole = disagreement_of(keypoints(200), 250.0, 8.0)
    assert disagreement_of(keypoints(60), 250.0, 8.0) > 3.0 * whole
    assert disagreement_of(keypoints(20), 25.0, 8.0) == pytest.approx(whole)


def test_no_error_is_no_quality() -> None:
    assert quality_of(disagreement_of(keypoints(200), 250.0, float("nan")), 1.0) == 0.0
    assert quality_of(disagreement_of(keypoints(0), 250.0, 8.0), 0.8) < 0.1


@pytest.mark.parametrize(
    ("quality", "status", "then", "word"),
    [
        (0.9, OK, OK, "good"),
        (0.6, OK, DOUBTFUL, "doubtful"),
        (0.2, OK, REJECTED, "poor"),
        (0.6, REJECTED, REJECTED, "doubtful"),
        (0.9, REJECTED, REJECTED, "good"),
    ],
)
def test_the_status_follows(
    demo: exemplar.FitResult,
    monkeypatch: pytest.MonkeyPatch,
    quality: float,
    status: str,
    then: str,
    word: str,
) -> None:
    monkeypatch.setattr(photo, "quality_of", lambda *numbers: quality)
    person = photo._judged(photo.replace(demo.people[0], status=status, quality=None))
    assert (person.status, person.quality, person.quality_word) == (then, quality, word)


def test_nothing_to_fit_has_no_quality(demo: exemplar.FitResult) -> None:
    person = photo.replace(demo.people[0], status=NOTHING_TO_FIT, quality=None)
    assert photo._judged(person) is person
    assert person.quality_word == ""


def test_only_fits_to_built_in_keypoints_have_one(demo: exemplar.FitResult) -> None:
    (person,) = demo.people
    assert person.quality_word == "good"
    options = exemplar.FitOptions(iterations=0)
    (given,) = exemplar.fit(demo.image, person.keypoints_2d[:25], options=options).people
    assert given.quality is None


@pytest.fixture(scope="module")
def demo() -> exemplar.FitResult:
    """The demo photo, as the network sees it."""
    with asset_path("demo.jpg") as path:
        return exemplar.fit(path, options=exemplar.FitOptions(iterations=0))
