"""Teachers: names, confidence, what a network's crop looks like to them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from exemplar.fitting.teachers import (
    SPREAD_SCALE,
    TEACHERS,
    Taught,
    landmark_teacher,
    teach,
    teacher_of,
    teacher_sizes,
)
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.skeletons import BLAZEPOSE_33, GT_24, LIMBS_12, flip_permutation

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
KNOWN = [name in (*LIMBS_12, *FACE) for name in GT_24]
IMAGE = torch.zeros(1, 3, 256, 256)


def reader(*, away: float = 0.0, visibility: float = 1.0, spread: float = 0.0) -> Callable:
    """Landmark k is at k cm in all axes, and at k hundredths of the crop."""
    places = torch.arange(len(BLAZEPOSE_33)) / 100

    def read(image: Tensor) -> Landmarks:
        world = places[:, None].repeat(len(image), 1, 3)
        world[..., 2] += away
        level = torch.ones(len(image), len(BLAZEPOSE_33))
        return Landmarks(world[..., :2], world, visibility * level, spread * level)

    return read


def test_joints_are_the_landmarks_of_their_names() -> None:
    taught = teacher_of([reader(visibility=0.75)])(IMAGE)
    for row, name in enumerate(GT_24):
        if KNOWN[row]:
            place = BLAZEPOSE_33.index(name) / 100
            assert taught.joints_3d[0, row, :3].tolist() == pytest.approx([place] * 3)
            assert taught.points[0, row].tolist() == pytest.approx([place, place, 0.75])
            # the readings of one reader are never quite at one place
            assert float(taught.joints_3d[0, row, 3]) == pytest.approx(0.75, rel=1e-5)
        else:
            assert not taught.joints_3d[0, row].any(), name
            assert not taught.points[0, row].any(), name


def test_readings_that_differ_say_less() -> None:
    """Spread within readers and between them, as variances; visibility in 2D stays."""
    taught = teacher_of([reader(spread=SPREAD_SCALE, visibility=0.5)])(IMAGE)
    expected = 0.5 * torch.exp(torch.tensor(-1.0))
    assert torch.allclose(taught.joints_3d[0, KNOWN, 3], expected, rtol=1e-4)
    apart = teacher_of([reader(spread=0.03), reader(spread=0.05, away=0.08)])(IMAGE)
    variance = (0.03**2 + 0.05**2) / 2 + 0.04**2
    sure = torch.exp(torch.tensor(-variance / SPREAD_SCALE**2))
    assert torch.allclose(apart.joints_3d[0, KNOWN, 3], sure, rtol=1e-4)
    nose = torch.tensor([0.0, 0.0, 0.04])
    assert torch.allclose(apart.joints_3d[0, GT_24.index("nose"), :3], nose, atol=1e-6)
    assert torch.equal(apart.points[0, KNOWN, 2], torch.ones(sum(KNOWN)))


def test_the_mirrored_crop_is_taught_as_the_mirrored_person() -> None:
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(3))
    teacher = landmark_teacher(teacher_sizes("landmarks"))
    plain, mirrored = teacher(image), teacher(image.flip(-1))
    flip = flip_permutation(GT_24)
    across = torch.tensor([-1.0, 1.0, 1.0, 1.0])
    # the same numbers in another order: float32 of a deep network
    assert torch.allclose(plain.joints_3d[:, flip] * across, mirrored.joints_3d, atol=1e-4)
    assert torch.allclose(plain.points[:, flip] * across[:3], mirrored.points, atol=1e-3)
    assert not plain.joints_3d.requires_grad


@pytest.mark.parametrize("size", [(256, 256), (224, 224), (256, 192), (512, 384)])
def test_a_crop_of_any_network_keeps_its_place(size: tuple[int, int]) -> None:
    """A bright spot 0.5 right of and 0.25 above the middle, in units of the square's half side."""
    height, width = size
    rows = (torch.arange(height) + 0.5) * 2 / height - 1
    columns = ((torch.arange(width) + 0.5) * 2 - width) / height
    spot = torch.exp(-((rows[:, None] + 0.25) ** 2 + (columns - 0.5) ** 2) / 0.02)
    seen: list[Tensor] = []

    def watch(image: Tensor) -> Taught:
        seen.append(image)
        return Taught(torch.zeros(len(image), 24, 4), torch.zeros(len(image), 24, 3))

    teach(watch, spot.expand(1, 3, height, width))
    (square,) = seen
    assert square.shape == (1, 3, 256, 256)
    along = (torch.arange(256) + 0.5) / 128 - 1
    weight = square[0, 0] / square[0, 0].sum()
    # a part of a pixel; the spot's tail is cut by narrow crops
    assert float((weight.sum(0) * along).sum()) == pytest.approx(0.5, abs=0.01)
    assert float((weight.sum(1) * along).sum()) == pytest.approx(-0.25, abs=0.01)


def test_teachers_have_names() -> None:
    assert {name: teacher_sizes(name) for name in TEACHERS} == TEACHERS
    with pytest.raises(ValueError, match="unknown teacher 'frau_mueller': expected landmarks, "):
        teacher_sizes("frau_mueller")
    with pytest.raises(ValueError, match="needs a reader"):
        teacher_of([])
