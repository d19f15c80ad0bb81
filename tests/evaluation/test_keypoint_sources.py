"""Keypoints of each source: errors are as large as stated, and a person's own."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.evaluation.keypoint_sources import (
    DETECTOR,
    EXACT,
    KeypointNoise,
    keypoints_from,
    spoiled,
    with_exact,
)
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_25, SMPL_49, indices
from exemplar.synth.annotations import ANNOTATED

BOX = 448.0
"""Side of the box: two of its pixels are one of a 224 crop."""
PEOPLE = 400
TWINS = [(i, SMPL_49.index(name)) for i, name in enumerate(OPENPOSE_25) if name in SMPL_49]
ROWS = indices(ANNOTATED, SMPL_49)


def places() -> np.ndarray:
    """Keypoints in a box of 448 px about (300, 250)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-180, 180, (len(SMPL_49), 2)) + np.array([300.0, 250.0])
    return np.concatenate([points, np.ones((len(SMPL_49), 1))], 1)


def many(noise: KeypointNoise, count: int = PEOPLE) -> np.ndarray:
    """The same keypoints spoiled again and again."""
    centre = np.array([300.0, 250.0])
    rngs = (np.random.default_rng([1, i]) for i in range(count))
    return np.stack([spoiled(places(), BOX, noise, rng, box_centre=centre) for rng in rngs])


def person(image: str = "a.jpg", number: int | None = 3, **more: object) -> Sample:
    """Somebody with exact keypoints."""
    marks = places()
    marks[: len(OPENPOSE_25)] = 0
    sample = Sample(image, np.array([300.0, 250.0]), BOX / 200, marks, number)
    return replace(sample, **{"extra": {EXACT: places()}, **more})  # pyright: ignore


def test_no_noise_changes_nothing() -> None:
    np.testing.assert_array_equal(many(KeypointNoise(), 3), np.stack([places()] * 3))


def test_errors_have_the_stated_size() -> None:
    """19,600 numbers, of which 19 of 49 joints come twice: sd to within 1.5 % (3 sigma)."""
    moved = (many(KeypointNoise(deviation_px=3.0)) - places())[..., :2]
    assert moved.std() == pytest.approx(6.0, rel=0.015)
    assert abs(moved.mean()) < 0.15


def test_outliers_and_missing_joints_have_the_stated_shares() -> None:
    """Shares of 400 x 28 body joints or more: 3 sigma of 20 % is 0.011."""
    noise = KeypointNoise(outlier_share=0.2, outlier_px=200.0, missing_share=0.3)
    out = many(noise)
    missing = out[..., 2] == 0
    assert (out[missing] == 0).all()
    moved = np.linalg.norm((out - places())[..., :2], axis=-1) > 0
    assert missing.mean() == pytest.approx(0.3, abs=0.013)
    assert moved[~missing].mean() == pytest.approx(0.2, abs=0.013)
    assert (many(replace(noise, missing_share=1.0)) == 0).all()


def test_joints_thrown_into_the_box_fill_it_evenly() -> None:
    noise = KeypointNoise(outlier_share=1.0, outlier_px=None, outlier_confidence=0.9)
    unit = (many(noise)[..., :2] - np.array([300.0, 250.0])) / BOX
    assert np.abs(unit).max() <= 0.5
    shares = np.histogram(unit, bins=4, range=(-0.5, 0.5))[0] / unit.size
    np.testing.assert_allclose(shares, 0.25, atol=0.013)  # as above
    assert (many(noise, 1)[..., 2] == 0.9).all()


def test_without_a_centre_joints_are_thrown_about_the_middle_of_those_given() -> None:
    noise = KeypointNoise(outlier_share=1.0, outlier_px=None)
    points = places()
    points[:, :2] = [[1000.0, 2000.0]]
    points[5] = [0.0, 0.0, 0.0]
    out = spoiled(points, BOX, noise, np.random.default_rng(0))
    given = out[:, 2] > 0
    assert given.sum() == len(SMPL_49) - 1
    assert np.abs(out[given, :2] - [1000, 2000]).max() <= BOX / 2


def test_twins_share_their_error() -> None:
    shift = (many(KeypointNoise(3.0, 0.2, None, None, 0.3), 1)[0] - places())[:, :2]
    out = many(DETECTOR, 20)
    assert len(TWINS) == 18
    for mine, other in TWINS:
        np.testing.assert_array_equal(out[:, mine, 2] > 0, out[:, other, 2] > 0)
        kept = out[:, mine, 2] > 0
        # the same offset on two places: equal but for rounding at a few hundred px
        np.testing.assert_allclose(
            (out[:, mine] - places()[mine])[kept], (out[:, other] - places()[other])[kept],
            atol=1e-9,
        )  # fmt: skip
    assert np.ptp(shift[:, 0]) > 1


def test_more_noise_moves_the_same_joints_further() -> None:
    mild, wild = (many(KeypointNoise(px, missing_share=px / 20), 5) for px in (2.0, 10.0))
    assert ((wild[..., 2] > 0) <= (mild[..., 2] > 0)).all()
    kept = wild[..., 2] > 0
    move = [(out - places())[..., :2][kept] for out in (mild, wild)]
    np.testing.assert_allclose(5 * move[0], move[1], atol=1e-9)  # rounding, as above


def test_confidence_falls_with_the_error_but_does_not_tell_it() -> None:
    out = many(DETECTOR)
    kept = out[..., 2] > 0
    error = np.linalg.norm((out - places())[..., :2], axis=-1)[kept] * 224 / BOX
    confidence = out[..., 2][kept]
    ranks = [np.argsort(np.argsort(values)) for values in (error, confidence)]
    assert -0.9 < np.corrcoef(ranks)[0, 1] < -0.5
    assert np.median(confidence[error < 5]) > 0.85
    assert np.median(confidence[error > 20]) < 0.35
    assert 0 < confidence.min() <= confidence.max() <= 1


def test_confidence_at_the_stated_error_is_half() -> None:
    noise = KeypointNoise(deviation_px=12.0, confidence_px=12.0)
    out = many(noise)
    error = np.linalg.norm((out - places())[..., :2], axis=-1) * 224 / BOX
    near = np.abs(error - 12) < 0.2
    # the median mistake is a factor 1; some 200 values of deviation 0.23 about it, 3 sigma
    assert np.median(out[..., 2][near]) == pytest.approx(0.5, abs=0.06)


def test_absent_joints_stay_absent() -> None:
    points = places()
    points[3] = 0
    noise = KeypointNoise(outlier_share=1.0, outlier_px=None, outlier_confidence=0.9)
    assert (spoiled(points, BOX, noise, np.random.default_rng(0))[3] == 0).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outlier_share", 1.1), ("missing_share", -0.1), ("deviation_px", -1.0),
        ("deviation_px", float("nan")), ("outlier_px", float("inf")), ("confidence_px", 0.0),
        ("outlier_confidence", 0.0),
    ],
)  # fmt: skip
def test_noise_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}.*got"):
        KeypointNoise(**{field: value})


def test_a_box_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 0\.0 px"):
        spoiled(places(), 0.0, DETECTOR, np.random.default_rng(0))


def test_annotated_keypoints_are_the_files() -> None:
    sample = replace(person(), extra={})
    assert keypoints_from(sample, "annotated", 0) is sample


def test_true_keypoints_are_the_joints_that_people_mark() -> None:
    exact = places()
    exact[ROWS[0], 2] = 0
    out = keypoints_from(person(extra={EXACT: exact}), "true", 0).keypoints_2d
    assert np.flatnonzero(out[:, 2]).tolist() == sorted(ROWS[1:])
    np.testing.assert_array_equal(out[ROWS[1:]], exact[ROWS[1:]])


def test_a_detectors_keypoints_are_near_the_true_ones() -> None:
    people = [keypoints_from(person(number=i), "detected", 0) for i in range(100)]
    found = np.stack([sample.keypoints_2d[ROWS] for sample in people])
    kept = found[..., 2] > 0
    error = np.linalg.norm((found - places()[ROWS])[..., :2], axis=-1)[kept] * 224 / BOX
    assert kept.mean() == pytest.approx(0.9, abs=0.021)  # 3 sigma of 1,900
    # 1,700 of 95 % Rayleigh(3): the median is 3.53 + 0.13 for the outliers, sigma 0.07
    assert np.median(error) == pytest.approx(3.66, abs=0.25)


def test_outliers_are_thrown_among_a_detectors() -> None:
    detected, thrown = (
        np.stack([keypoints_from(person(number=i), s, 0).keypoints_2d for i in range(100)])
        for s in ("detected", "outliers")
    )
    changed = (detected != thrown).any(-1)[:, ROWS]
    given = detected[:, ROWS, 2] > 0
    assert not changed[~given].any()
    assert changed[given].mean() == pytest.approx(0.2, abs=0.03)  # 3 sigma of 1,700
    assert (thrown[:, ROWS][changed][:, 2] == 0.9).all()


@pytest.mark.parametrize("source", ["detected", "outliers"])
def test_errors_are_a_persons_and_a_seeds_own(source: str) -> None:
    def points(sample: Sample, seed: int) -> np.ndarray:
        return keypoints_from(sample, source, seed).keypoints_2d  # pyright: ignore

    first = points(person(), 0)
    np.testing.assert_array_equal(first, points(person(subject="x"), 0))
    for sample, seed in ((person(), 1), (person("b.jpg"), 0), (person(number=None), 0)):
        assert not np.array_equal(first, points(sample, seed))


def test_a_set_without_truth_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg has no exact keypoints, which 'true' needs"):
        keypoints_from(person(extra={}), "true", 0)


def test_truth_is_found_by_image_and_number() -> None:
    given = [person("a.jpg", 1, extra={}), person("a.jpg", 2, extra={"maskname": np.array("m")})]
    truth = [replace(sample, keypoints_2d=places() + row) for row, sample in enumerate(given[::-1])]
    first, second = with_exact(given, truth)
    np.testing.assert_array_equal(first.extra[EXACT], places() + 1)
    np.testing.assert_array_equal(second.extra[EXACT], places())
    assert str(second.extra["maskname"]) == "m"
    with pytest.raises(ValueError, match=r"no truth of 1 person, first a\.jpg"):
        with_exact(given, truth[:1])
