"""Shares of data sets, who is drawn when, and batches."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.files.image_files import read_image
from exemplar.geometry.crops import Box
from exemplar.samples import Sample
from exemplar.training.augment import AugmentConfig, Frame
from exemplar.training.batches import Example, TrainingBatch, collate
from exemplar.training.mixtures import (
    PRESETS,
    Augmented,
    Draws,
    Make,
    Mixture,
    TrainingData,
    mixture_of,
    prefetched,
)
from exemplar.training.sources import People, SourceConfig, load_people
from tests.training.people_files import shade, write_people


def sources(*names: str, ratio: float | None = None) -> list[SourceConfig]:
    """Sources that are never read."""
    return [SourceConfig(name, Path(name), ratio=ratio) for name in names]


def test_every_preset_sums_to_one() -> None:
    for shares in PRESETS.values():
        Mixture(shares)


def test_presets_are_the_papers_tables() -> None:
    """EFT, Table 5, last rows; SPIN's program; dual networks: both stages (facts/dual.md 4)."""
    assert PRESETS["eft-cocoall-h36m-inf"] == {"cocoall": 0.3, "h36m": 0.5, "inf": 0.2}
    sizes = {"h36m": 100, "coco": 30, "mpii": 10, "inf": 7, "3dpw": 3}
    # COCO and MPII share 30 % by their sizes, 30 to 10
    assert Mixture(PRESETS["dual-3dpw"]).probabilities(sizes) == pytest.approx(
        {"h36m": 0.4, "coco": 0.225, "mpii": 0.075, "inf": 0.1, "3dpw": 0.2}
    )


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"a": 0.5, "b": 0.4}, r"must sum to 1, got 0.5 \+ 0.4 = 0.9"),
        ({"a": 1.2, "b": -0.2}, "must be over 0, got b -0.2"),
        ({"a": float("nan")}, "must be over 0, got a nan"),
        ({}, "must sum to 1, got none = 0"),
        ({"a+b": 0.5, "b": 0.5}, "names 'b' twice"),
    ],
)
def test_shares_that_make_no_mixture_are_one_line(shares: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Mixture(shares)


def test_rounded_thirds_are_a_mixture() -> None:
    Mixture({"a": 0.3333333, "b": 0.3333333, "c": 0.3333334})


def test_without_ratios_everybody_is_drawn_alike() -> None:
    shares = mixture_of(sources("a", "b")).probabilities({"a": 30, "b": 10})
    assert shares == pytest.approx({"a": 0.75, "b": 0.25})


def test_own_ratios_and_given_ratios_make_a_mixture() -> None:
    assert mixture_of([SourceConfig("a", Path(), ratio=0.3), SourceConfig("b", Path(), ratio=0.7)])
    mixture = mixture_of(sources("a", "b", "c"), ratios={"a": 0.4, "b+c": 0.6})
    assert mixture.names() == ["a", "b", "c"]


def test_what_does_not_fit_a_mixture_is_one_line() -> None:
    with pytest.raises(ValueError, match="unknown mixture 'duel', expected one of eft-coco-h36m"):
        mixture_of(sources("a"), preset="duel")
    with pytest.raises(ValueError, match="mixture dual lacks mpii, inf: give each as NAME=PATH"):
        mixture_of(sources("h36m", "coco"), preset="dual")
    with pytest.raises(ValueError, match="has no lsp, its data: h36m, coco, mpii, inf"):
        mixture_of(sources("h36m", "coco", "mpii", "inf", "lsp"), preset="dual")
    with pytest.raises(ValueError, match="without a ratio, while others have one: b"):
        mixture_of([*sources("a", ratio=0.5), *sources("b")])
    with pytest.raises(ValueError, match="given twice: by ratios and by @RATIO of a source"):
        mixture_of(sources("a", ratio=1.0), ratios={"a": 1.0})
    with pytest.raises(ValueError, match="no data to train on: give a data set"):
        mixture_of([])


SIZES = {"a": 50, "b": 7, "c": 1000}
SHARES = Mixture({"a": 0.2, "b": 0.3, "c": 0.5})


def test_sources_are_drawn_in_their_shares() -> None:
    drawn = Draws(SHARES, SIZES, seed=1)(0, 20000)
    shares = np.bincount(drawn.sources, minlength=3) / 20000
    # binomial, standard deviation at most sqrt(.25 / 20000) = .0035: four of them
    np.testing.assert_allclose(shares, (0.2, 0.3, 0.5), atol=0.014)


def test_everybody_is_drawn_once_before_anybody_is_drawn_twice() -> None:
    drawn = Draws(SHARES, SIZES, seed=1)(0, 5000)
    for source, size in enumerate(SIZES.values()):
        mine = drawn.people[drawn.sources == source]
        assert len(mine) >= size
        for turn in range(len(mine) // size):
            assert sorted(mine[turn * size : (turn + 1) * size]) == list(range(size))
        counts = Counter(mine.tolist())
        assert max(counts.values()) - min(counts.values()) <= 1
        np.testing.assert_array_equal(
            drawn.passes[drawn.sources == source], np.arange(len(mine)) // size
        )
    first, second = (drawn.people[drawn.sources == 1][i : i + 7].tolist() for i in (0, 7))
    assert first != second  # each time in another order (of 5040)


def test_a_place_draws_the_same_however_it_is_asked_for() -> None:
    """Also across the blocks of 65,536 in which sources are drawn."""
    whole = Draws(SHARES, SIZES, seed=1)(65_000, 1200)
    jumps = Draws(SHARES, SIZES, seed=1)
    for first in (66_000, 65_400, 65_000, 65_500):
        part, rows = jumps(first, 150), slice(first - 65_000, first - 65_000 + 150)
        np.testing.assert_array_equal(part.sources, whole.sources[rows])
        np.testing.assert_array_equal(part.people, whole.people[rows])
        np.testing.assert_array_equal(part.passes, whole.passes[rows])
    other = Draws(SHARES, SIZES, seed=2)(65_000, 1200)
    assert (other.people != whole.people).any()


def test_no_draw_falls_beyond_shares_that_sum_to_less_by_rounding() -> None:
    draws = Draws(Mixture({"a": 0.5, "b": 0.5 - 9e-7}), {"a": 2, "b": 3}, seed=0)
    draws._edges = np.array([0.4, 0.5])  # as if rounding had lost half of it
    assert set(draws(0, 100).sources.tolist()) == {0, 1}


def example_of(sample: Sample, pixels: np.ndarray, rng: np.random.Generator) -> Example:
    """The image's colour, and a random number in place of a confidence."""
    keypoints = torch.zeros(49, 3)
    keypoints[0, 2] = float(rng.random())
    box = Box(torch.zeros(2), torch.tensor(1.0), torch.tensor(0.0))
    return Example(
        pixels[:4, :4], box, keypoints, torch.zeros(24, 4), False, torch.eye(3).repeat(24, 1, 1),
        torch.zeros(10), sample.body is not None,
    )  # fmt: skip


def failing_example(sample: Sample, pixels: np.ndarray, rng: np.random.Generator) -> Example:
    """A mistake of the program's."""
    raise RuntimeError("a mistake")


def dying_example(sample: Sample, pixels: np.ndarray, rng: np.random.Generator) -> Example:
    """A process that is killed."""
    os._exit(9)


@pytest.fixture
def people(tmp_path: Path) -> list[People]:
    first = load_people(SourceConfig("a", write_people(tmp_path / "a", 12)))
    second = load_people(SourceConfig("b", write_people(tmp_path / "b", 5, bodies=True)))
    return [first, second]


def data_of(people: Sequence[People], **more: object) -> TrainingData:
    """Six people a step."""
    return TrainingData(people, Mixture({"a": 0.5, "b": 0.5}), example_of, 6, **more)  # pyright: ignore[reportArgumentType]


def who(batch: TrainingBatch) -> list[tuple[int, float]]:
    """The people of a batch: the image's grey value and the random number."""
    assert isinstance(batch.inputs, torch.Tensor)
    greys = (batch.inputs[:, 0, 0, 0] * 255).round().int().tolist()
    return list(zip(greys, batch.keypoints_2d[:, 0, 2].tolist(), strict=True))


def test_a_batch_is_a_function_of_seed_and_step(people: list[People]) -> None:
    data, again = data_of(people, seed=4), data_of(people, seed=4)
    later = who(data.batch(7))
    data.batch(2)
    assert who(data.batch(7)) == later == who(again.batch(7))
    assert who(data.batch(8)) != later
    assert who(data_of(people, seed=5).batch(7)) != later


def test_a_person_is_augmented_anew_each_time(people: list[People]) -> None:
    data = data_of(people)
    numbers = [number for step in range(10) for _, number in who(data.batch(step))]
    assert len(set(numbers)) == 60


def test_processes_share_the_rows_of_one_batch(people: list[People]) -> None:
    data = data_of(people)
    whole = who(data.batch(3))
    for world in (2, 3, 6):
        for rank in range(world):
            assert who(data.batch(3, rank, world)) == whole[rank::world]
    for rank, world in ((0, 4), (2, 2), (-1, 2)):
        with pytest.raises(ValueError, match="a batch of 6 cannot be shared evenly"):
            data.batch(3, rank, world)


def test_crops_are_what_collate_makes_of_them(people: list[People]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    sample = people[0].sample(0)

    def make(sample: Sample, image: np.ndarray, rng: np.random.Generator) -> Example:
        return example_of(sample, pixels, rng)

    data = TrainingData(people[:1], Mixture({"a": 1.0}), make, 3)
    one = collate([make(sample, pixels, np.random.default_rng(0))])
    batch = data.batch(0)
    assert isinstance(batch.inputs, torch.Tensor)
    assert isinstance(one.inputs, torch.Tensor)
    assert torch.equal(batch.inputs, one.inputs.expand(3, -1, -1, -1))


def test_a_source_may_be_made_in_its_own_way(people: list[People]) -> None:
    def black(sample: Sample, pixels: np.ndarray, rng: np.random.Generator) -> Example:
        return example_of(sample, pixels * 0, rng)

    data = data_of(people, makes={"b": black})
    batch = data.batch(0)
    for (grey, _), has_body in zip(who(batch), batch.has_body.tolist(), strict=True):
        assert (grey == 0) == has_body  # those of b have bodies


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_fails_is_replaced_by_the_next_person(
    people: list[People], workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = who(data_of(people).batch(0)), who(data_of(people).batch(1))
    people[0].image(3).write_bytes(b"broken")
    people[0].image(4).unlink()
    data = data_of(people)
    batches = list(prefetched(data, 0, 6, workers=workers))
    expected = [
        (shade(5) if grey in (shade(3), shade(4)) and not body else grey, number)
        for rows, batch in zip(before, batches[:2], strict=True)
        for (grey, number), body in zip(rows, batch.has_body.tolist(), strict=True)
    ]
    assert who(batches[0]) + who(batches[1]) == expected
    assert sorted(Path(name).name for name in data.troubles) == ["003.png", "004.png"]
    assert len(caplog.records) == 2  # each image once, in the process that asked
    assert "no image at" in caplog.text


def test_a_source_without_usable_images_ends_in_one_line(people: list[People]) -> None:
    for person in range(12):
        people[0].image(person).unlink()
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"^a: 12 people in a row failed: no image at") as bad:
            list(prefetched(data_of(people), 0, 5, workers=workers))
        assert "\n" not in str(bad.value)


def test_workers_change_no_number_and_keep_the_order(people: list[People]) -> None:
    data = data_of(people)
    expected = [who(data.batch(step, 1, 2)) for step in range(4, 9)]
    assert [who(batch) for batch in prefetched(data, 4, 9, 1, 2, workers=2)] == expected
    assert [who(batch) for batch in prefetched(data, 4, 9, 1, 2)] == expected
    assert list(prefetched(data, 4, 4)) == []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (failing_example, "a mistake"),
        # torch looks after its processes every five seconds
        pytest.param(dying_example, "exited unexpectedly", marks=pytest.mark.slow),
    ],
)
def test_mistakes_and_deaths_in_workers_are_not_silent(
    people: list[People], make: Make, says: str
) -> None:
    data = TrainingData(people, Mixture({"a+b": 1.0}), make, 2)
    with pytest.raises(RuntimeError, match=says):
        next(prefetched(data, 0, 2, workers=1))


def test_a_mixture_of_other_data_is_one_line(people: list[People]) -> None:
    with pytest.raises(ValueError, match="the mixture lacks c"):
        TrainingData(people, Mixture({"a": 0.5, "b": 0.3, "c": 0.2}), example_of, 2)
    with pytest.raises(ValueError, match="the mixture has no b"):
        TrainingData(people, Mixture({"a": 1.0}), example_of, 2)


def test_augmented_crops_are_those_of_the_person(people: list[People]) -> None:
    make = Augmented(Frame(16, 16, framing="level"), AugmentConfig.none())
    batch = TrainingData(people[:1], Mixture({"a": 1.0}), make, 4).batch(0)
    drawn = Draws(Mixture({"a": 1.0}), {"a": 12}, 0)(0, 4)
    assert [grey for grey, _ in who(batch)] == [shade(int(i)) for i in drawn.people]
    sample = people[0].sample(0)
    one = make(sample, read_image(people[0].image(0)), np.random.default_rng(0))
    assert torch.equal(batch.keypoints_2d[0], one.keypoints_2d)
    # the box is half the image about its middle: the circle's first point, a quarter image from
    # the middle, lies on the box's right edge
    torch.testing.assert_close(one.keypoints_2d[25], torch.tensor([1.0, 0.0, 1.0]))
