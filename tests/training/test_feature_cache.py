"""Activations of a frozen beginning, kept on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exemplar.geometry.crops import Box
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.prediction import Prediction
from exemplar.training import feature_cache
from exemplar.training.augment import AugmentConfig, Frame, frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.feature_cache import CacheConfig, CachedData, fill_cache, read_header
from exemplar.training.mixtures import Augmented, Draws, Mixture, TrainingData, prefetched
from exemplar.training.sources import People, SourceConfig, load_people
from exemplar.training.trainee import Trainee
from tests.training.people_files import shade, write_people


class Split(nn.Module):
    """A part with three outputs, of which the last is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.norm(self.convolution(image))
        return found, found.mean((2, 3)), found.new_zeros(len(found), 0)


class Joined(nn.Module):
    """A part that takes them."""

    def forward(self, inputs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return inputs[0].amax((2, 3)) + inputs[1]


class Head(nn.Module):
    """Never run here."""

    def forward(self, inputs: Tensor, box: Box) -> Prediction:
        raise NotImplementedError


class Toy(nn.Module):
    """A regressor of three parts on crops of 12 px."""

    resolution = width = 12
    framing = "level"
    camera_model = "weak"

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.ModuleList([Split(), Joined(), Head()])

    def parts(self) -> list[nn.Module]:
        return list(self.chain)


FRAME = Frame(12, 12, framing="level")
NONE = AugmentConfig.none()
SMALL = CacheConfig(variants=3, block=4)


@pytest.fixture
def regressor() -> nn.Module:
    return Toy().eval()


@pytest.fixture
def people(tmp_path: Path) -> list[People]:
    first = load_people(SourceConfig("a", write_people(tmp_path / "a", 10, bodies=True)))
    return [first, load_people(SourceConfig("b", write_people(tmp_path / "b", 3)))]


BOTH = Mixture({"a": 0.5, "b": 0.5})


def same(first: TrainingBatch, second: TrainingBatch) -> bool:
    """Whether two batches are equal to the bit."""
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


def tensors(batch: TrainingBatch) -> list[Tensor]:
    """All numbers of a batch."""
    inputs = [batch.inputs] if isinstance(batch.inputs, Tensor) else list(batch.inputs)
    body, box = batch.body, [value for value in vars(batch.box).values() if value is not None]
    return [
        *inputs, *box, batch.keypoints_2d, batch.joints_3d, batch.has_joints_3d,
        body.global_orient, body.body_pose, body.betas, batch.has_body,
    ]  # fmt: skip


@pytest.mark.parametrize("parts", [1, 2])
def test_cached_batches_are_the_parts_outputs_and_the_same_targets(
    regressor: nn.Module, people: list[People], tmp_path: Path, parts: int
) -> None:
    config = replace(SMALL, parts=parts, variants=1)
    assert fill_cache(tmp_path / "c", regressor, people, NONE, config) == 13
    cached = CachedData(tmp_path / "c", regressor, BOTH, 6, seed=3)
    plain = TrainingData(people, BOTH, Augmented(FRAME, NONE), 6, seed=3)
    for step in range(3):
        want, got = plain.batch(step), cached.batch(step)
        expected = want.inputs
        with torch.no_grad():
            for part in regressor.parts()[:parts]:  # pyright: ignore
                expected = part(expected)
        inputs = (expected,) if isinstance(expected, Tensor) else expected
        found = (got.inputs,) if isinstance(got.inputs, Tensor) else got.inputs
        for a, b in zip(found, inputs, strict=True):
            # half precision has 11 bits: half a unit in the last place is 2^-11 of the number
            torch.testing.assert_close(a, b, rtol=2**-11, atol=1e-6)
        assert same(replace(want, inputs=torch.zeros(1)), replace(got, inputs=torch.zeros(1)))
    assert isinstance(cached.batch(0).inputs, tuple if parts == 1 else Tensor)


def test_the_default_networks_landmarks_are_cached(people: list[People], tmp_path: Path) -> None:
    network, _ = load_regressor("mobile")
    fill_cache(tmp_path / "c", network, people[:1], NONE, CacheConfig(variants=1))
    alone = Mixture({"a": 1.0})
    cached = CachedData(tmp_path / "c", network, alone, 4).batch(0)
    plain = TrainingData(people[:1], alone, Augmented(frame_of(network), NONE), 4).batch(0)
    assert [x.shape[1:].numel() for x in cached.inputs] == [66, 99, 33, 33]
    step = [Trainee(network, frozen=1, cached=kept).eval() for kept in (True, False)]
    with torch.no_grad():
        found, wanted = step[0](cached.inputs, cached.box), step[1](plain.inputs, plain.box)
    for ours, theirs in zip(vars(found).values(), vars(wanted).values(), strict=True):
        # landmarks in half precision: up to 0.06 px of the crop off, and 0.5 mm
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-3)


def test_the_first_variant_is_plain_and_the_others_differ(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    fill_cache(tmp_path / "c", regressor, people, AugmentConfig.spin(), SMALL)
    fill_cache(tmp_path / "p", regressor, people, NONE, replace(SMALL, variants=1))
    fill_cache(
        tmp_path / "q", regressor, people, AugmentConfig.spin(), replace(SMALL, plain_first=False)
    )
    plain = CachedData(tmp_path / "p", regressor, BOTH, 13)
    first = CachedData(tmp_path / "c", regressor, BOTH, 13, variants=1)
    assert same(plain.batch(0), first.batch(0))
    other = CachedData(tmp_path / "q", regressor, BOTH, 13, variants=1)
    assert not same(plain.batch(0), other.batch(0))


def test_a_persons_variants_come_in_turn(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    fill_cache(tmp_path / "c", regressor, people[1:], AugmentConfig.spin(), SMALL)
    alone = Mixture({"b": 1.0})
    cached = CachedData(tmp_path / "c", regressor, alone, 3)
    draws = Draws(alone, {"b": 3}, 0)
    seen: dict[int, set[bytes]] = {0: set(), 1: set(), 2: set()}
    for step in range(6):
        batch, drawn = cached.batch(step), draws(3 * step, 3)
        for row, person in enumerate(drawn.people.tolist()):
            seen[person].add(batch.keypoints_2d[row].numpy().tobytes())
    assert [len(variants) for variants in seen.values()] == [3, 3, 3]


def test_processes_share_the_rows_of_one_cached_batch(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    fill_cache(tmp_path / "c", regressor, people, AugmentConfig.spin(), SMALL)
    cached = CachedData(tmp_path / "c", regressor, BOTH, 6)
    whole = cached.batch(5)
    for rank in range(3):
        assert same(cached.batch(5, rank, 3), whole[rank::3])
    assert same(next(prefetched(cached, 5, 6, workers=1)), whole)


class Killed(BaseException):
    """Stands for a kill."""


def test_a_cache_goes_on_after_a_kill_with_the_same_bytes(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    def dies(done: int, total: int) -> None:
        assert total == 13
        if done == 6:  # within the second block
            raise Killed

    spin = AugmentConfig.spin()
    with pytest.raises(Killed):
        fill_cache(tmp_path / "c", regressor, people, spin, SMALL, report=dies)
    with pytest.raises(ValueError, match="lacks 2 of 3 blocks of a: fill it with the same"):
        CachedData(tmp_path / "c", regressor, BOTH, 6)
    (tmp_path / "c" / ".partial-a-00001").mkdir()  # as a kill while writing leaves it
    (tmp_path / "c" / ".partial-a-00001" / "targets.npy").write_bytes(b"half of it")
    assert fill_cache(tmp_path / "c", regressor, people, spin, SMALL) == 9
    assert fill_cache(tmp_path / "c", regressor, people, spin, SMALL) == 0
    assert fill_cache(tmp_path / "whole", regressor, people, spin, SMALL) == 13
    assert files(tmp_path / "c") == files(tmp_path / "whole")


def test_shares_make_the_same_cache(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    done = [
        fill_cache(tmp_path / "c", regressor, people, NONE, SMALL, shard=(i, 2)) for i in (1, 0)
    ]
    assert sum(done) == 13
    assert all(done)
    fill_cache(tmp_path / "whole", regressor, people, NONE, SMALL)
    assert files(tmp_path / "c") == files(tmp_path / "whole")


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_sources_may_be_added_later(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    assert fill_cache(tmp_path / "c", regressor, people[:1], NONE, SMALL) == 10
    with pytest.raises(ValueError, match="has no b, only a"):
        CachedData(tmp_path / "c", regressor, BOTH, 4)
    assert fill_cache(tmp_path / "c", regressor, people[1:], NONE, SMALL) == 3
    fill_cache(tmp_path / "whole", regressor, people, NONE, SMALL)
    assert files(tmp_path / "c") == files(tmp_path / "whole")


def test_a_cache_of_something_else_is_one_line(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    fill_cache(tmp_path / "c", regressor, people, NONE, SMALL)

    def refused(says: str, *, network: nn.Module = regressor, who: list[People] = people,
                how: AugmentConfig = NONE, config: CacheConfig = SMALL) -> None:  # fmt: skip
        with pytest.raises(ValueError, match=says) as caught:
            fill_cache(tmp_path / "c", network, who, how, config)
        assert "\n" not in str(caught.value)

    other = Toy().eval()
    other.load_state_dict(regressor.state_dict())
    fill_cache(tmp_path / "c", other, people, NONE, SMALL)  # the same weights
    other.chain[0].norm.running_mean += 1e-3  # pyright: ignore
    refused("weights is .*, expected", network=other)
    refused("augmentation.flip is 0.0, expected 0.5", how=AugmentConfig.spin())
    refused("config.seed is 0, expected 7", config=replace(SMALL, seed=7))
    fewer = load_people(SourceConfig("b", write_people(tmp_path / "d", 2)))
    refused("sources.b.people is 3, expected 2", who=[people[0], fewer])
    with pytest.raises(ValueError, match=r"weights is .*, expected"):
        CachedData(tmp_path / "c", other, BOTH, 4)
    with pytest.raises(ValueError, match="has 3 variants, got 4"):
        CachedData(tmp_path / "c", regressor, BOTH, 4, variants=4)
    assert set(read_header(tmp_path / "c")["sources"]) == {"a", "b"}


def test_what_cannot_be_cached_is_one_line(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"Toy has 3 part\(s\), expected from 1 to 2 .*, got 3"):
        fill_cache(tmp_path / "c", regressor, people, NONE, replace(SMALL, parts=3))
    assert not (tmp_path / "c").exists()
    with pytest.raises(ValueError, match="expected variants of 1 or more, got 0"):
        CacheConfig(variants=0)
    with pytest.raises(ValueError, match="is not empty and has no cache"):
        fill_cache(tmp_path, regressor, people, NONE, SMALL)
    with pytest.raises(FileNotFoundError, match="no cache of features in"):
        CachedData(tmp_path / "none", regressor, BOTH, 4)
    nn.init.constant_(regressor.chain[0].convolution.bias, 1e6)  # pyright: ignore
    with pytest.raises(ValueError, match=r"activations of up to 1e\+06 do not fit half"):
        fill_cache(tmp_path / "c", regressor, people, NONE, SMALL)


def test_a_full_disk_is_one_line_and_leaves_whole_blocks(
    regressor: nn.Module, people: list[People], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = np.save, []

    def full(path: Path, array: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 5:  # the second file of the second block
            raise OSError(28, "No space left on device")
        save(path, array)

    monkeypatch.setattr(feature_cache.np, "save", full)
    with pytest.raises(OSError, match=r"^cannot write to .*a-00001: no space left on device$"):
        fill_cache(tmp_path / "c", regressor, people, NONE, SMALL)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["a-00000", "header.json"]


def test_a_damaged_block_is_one_line(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    fill_cache(tmp_path / "c", regressor, people, NONE, SMALL)
    (tmp_path / "c" / "a-00001" / "features-0.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged"):
        CachedData(tmp_path / "c", regressor, BOTH, 4)


def test_people_without_an_image_are_replaced_by_the_next(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    """4 to 7 are a whole block without anybody."""
    alone, config = Mixture({"a": 1.0}), replace(SMALL, variants=1, parts=2)
    fill_cache(tmp_path / "whole", regressor, people[:1], NONE, config)
    for person in (1, 4, 5, 6, 7, 9):
        people[0].image(person).write_bytes(b"broken")
    fill_cache(tmp_path / "c", regressor, people[:1], NONE, config)
    whole = CachedData(tmp_path / "whole", regressor, alone, 10).batch(0)
    got = CachedData(tmp_path / "c", regressor, alone, 10).batch(0)
    drawn = Draws(alone, {"a": 10}, 0)(0, 10).people.tolist()
    stand_in = {1: 2, 4: 8, 5: 8, 6: 8, 7: 8, 9: 0}
    rows = [drawn.index(stand_in.get(person, person)) for person in drawn]
    assert same(got, whole[torch.tensor(rows)])
    for person in range(10):
        people[0].image(person).write_bytes(b"broken")
    fill_cache(tmp_path / "none", regressor, people[:1], NONE, config)
    with pytest.raises(ValueError, match="has nobody of a: no image could be used"):
        CachedData(tmp_path / "none", regressor, alone, 4)


def test_without_a_compiler_the_network_runs_as_it_is(
    regressor: nn.Module, people: list[People], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(module: nn.Module):
        def run(image: Tensor) -> Tensor:
            raise RuntimeError("no compiler")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    fill_cache(tmp_path / "c", regressor, people, NONE, SMALL, compiled=True)
    fill_cache(tmp_path / "plain", regressor, people, NONE, SMALL)
    assert files(tmp_path / "c") == files(tmp_path / "plain")


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_activations(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    for name, compiled in (("c", True), ("plain", False)):
        fill_cache(tmp_path / name, regressor, people, NONE, SMALL, compiled=compiled)
    for a, b in zip(
        *(tensors(CachedData(tmp_path / n, regressor, BOTH, 8).batch(0)) for n in ("c", "plain")),
        strict=True,
    ):
        # other rounding before half precision: one unit in its last place
        torch.testing.assert_close(a.float(), b.float(), rtol=2**-10, atol=1e-4)


def test_the_shade_of_an_image_reaches_its_features(
    regressor: nn.Module, people: list[People], tmp_path: Path
) -> None:
    """Rows of features belong to their people: a grey crop's activations are the grey's."""
    config = replace(SMALL, variants=1, parts=2)
    fill_cache(tmp_path / "c", regressor, people[:1], NONE, config)
    alone = Mixture({"a": 1.0})
    batch = CachedData(tmp_path / "c", regressor, alone, 10).batch(0)
    drawn = Draws(alone, {"a": 10}, 0)(0, 10).people.tolist()
    grey = torch.tensor([shade(person) / 255 for person in drawn])
    with torch.no_grad():
        parts = regressor.parts()[:2]  # pyright: ignore
        expected = parts[1](parts[0](grey[:, None, None, None].expand(-1, 3, 12, 12)))
    torch.testing.assert_close(batch.inputs, expected, rtol=2**-11, atol=1e-6)
