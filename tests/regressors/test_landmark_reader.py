"""Landmarks of a crop and its mirror image: units, sides, means."""

import pytest
import torch
from torch import Tensor

from exemplar.regressors.blazepose import TrunkOutput
from exemplar.regressors.checkpoints import load_trunk
from exemplar.regressors.landmark_reader import (
    LandmarkReader,
    Landmarks,
    landmarks_of,
    mean_of,
    unmirrored,
)
from exemplar.skeletons import BLAZEPOSE_33

COUNT = len(BLAZEPOSE_33)
LEFT, RIGHT = (BLAZEPOSE_33.index(f"{side}_wrist") for side in ("left", "right"))
NOSE = BLAZEPOSE_33.index("nose")


@pytest.fixture(scope="module")
def reader() -> LandmarkReader:
    return LandmarkReader(load_trunk()).eval()


def blank() -> Landmarks:
    return Landmarks(
        torch.zeros(1, COUNT, 2), torch.zeros(1, COUNT, 3), torch.zeros(1, COUNT),
        torch.zeros(1, COUNT),
    )  # fmt: skip


def test_a_reading_is_in_crop_units_metres_and_probabilities() -> None:
    landmarks = torch.zeros(1, 39, 5)
    landmarks[0, NOSE] = torch.tensor([256.0, 64.0, -9.0, 0.0, 0.0])
    landmarks[0, LEFT] = torch.tensor([128.0, 0.0, 5.0, 50.0, -50.0])
    world = torch.arange(39 * 3).reshape(1, 39, 3) / 100
    found = landmarks_of(TrunkOutput(landmarks, world, torch.zeros(1)))
    assert found.points[0, NOSE].tolist() == [1.0, -0.5]
    assert found.points[0, LEFT].tolist() == [0.0, -1.0]
    assert torch.equal(found.world, world[:, :COUNT])
    assert float(found.visibility[0, NOSE]) == 0.25, "both in the crop and not hidden"
    assert float(found.visibility[0, LEFT]) < 1e-6
    assert not found.spread.any()


def test_mirroring_exchanges_sides_and_the_sign_of_x() -> None:
    read = blank()
    read.points[0, LEFT] = torch.tensor([0.3, 0.6])
    read.world[0, LEFT] = torch.tensor([0.1, 0.2, -0.4])
    read.visibility[0, LEFT], read.spread[0, LEFT] = 0.9, 0.05
    found = unmirrored(read)
    # the same numbers at the other place, to the bit
    assert torch.equal(found.points[0, RIGHT], torch.tensor([-0.3, 0.6]))
    assert torch.equal(found.world[0, RIGHT], torch.tensor([-0.1, 0.2, -0.4]))
    assert torch.equal(found.visibility[0, RIGHT], read.visibility[0, LEFT])
    assert torch.equal(found.spread[0, RIGHT], read.spread[0, LEFT])
    assert not found.points[0, LEFT].any()


def test_mirroring_twice_changes_nothing() -> None:
    read = Landmarks(*(torch.randn(x.shape) for x in blank()))
    for once, twice in zip(read, unmirrored(unmirrored(read)), strict=True):
        assert torch.equal(once, twice)


def test_a_mean_tells_how_far_its_readings_are_apart() -> None:
    first, second = blank(), blank()
    second.world[0, NOSE] = torch.tensor([0.06, 0.0, 0.08])  # 10 cm away
    second.points[0, NOSE] = torch.tensor([0.5, 0.25])
    second.visibility[0, NOSE] = 0.5
    found = mean_of([first, second])
    assert torch.allclose(found.world[0, NOSE], torch.tensor([0.03, 0.0, 0.04]))
    assert torch.equal(found.points[0, NOSE], torch.tensor([0.25, 0.125]))
    assert float(found.visibility[0, NOSE]) == 0.25
    # two readings d apart have the standard deviation d / 2
    assert float(found.spread[0, NOSE]) == pytest.approx(0.05, rel=1e-5)
    # the least there is: a tenth of a millimetre, added under the root
    assert float(found.spread[0, LEFT]) == pytest.approx(1e-4, rel=1e-5)


def test_readings_that_agree_have_a_finite_slope() -> None:
    world = torch.zeros(1, COUNT, 3, requires_grad=True)
    read = blank()._replace(world=world)
    mean_of([read, read]).spread.sum().backward()
    assert world.grad is not None
    assert world.grad.isfinite().all()


def pictures() -> Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_mirrored_crop_is_read_as_the_mirrored_landmarks(reader: LandmarkReader) -> None:
    plain, other = reader(pictures()), unmirrored(reader(pictures().flip(-1)))
    for name in ("points", "world", "visibility", "spread"):
        # float32 through another order of the batch
        torch.testing.assert_close(
            getattr(other, name), getattr(plain, name), rtol=0, atol=1e-4, msg=name
        )


@torch.no_grad()
def test_a_crop_is_read_alone_as_among_others(reader: LandmarkReader) -> None:
    together = reader(pictures())
    for i in range(2):
        for ours, theirs in zip(together, reader(pictures()[i : i + 1]), strict=True):
            # float32 through another number of crops
            torch.testing.assert_close(ours[i : i + 1], theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_shapes_are_those_documented(reader: LandmarkReader) -> None:
    shapes = [tuple(x.shape) for x in reader(pictures())]
    assert shapes == [(2, 33, 2), (2, 33, 3), (2, 33), (2, 33)]
