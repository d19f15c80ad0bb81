"""MoveNet agrees with the published network and sees people in all sorts of images."""

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from exemplar.detect.pose_finder import (
    Maps,
    Sighting,
    default_finder,
    is_same,
    overlap,
    see_people,
    sightings_of,
    suppress,
)
from exemplar.skeletons import COCO_17

GOLDEN = Path(__file__).parents[1] / "golden" / "trunk" / "movenet.npz"
NOTHING_TO_SEE = [(1, 1, 3), (40_000, 1, 3), (3, 500, 3), (20, 10, 3), (0, 5, 3)]
NOSE = COCO_17.index("nose")


def sighting(left: float, top: float, size: float = 100.0, score: float = 0.8) -> Sighting:
    """Somebody in a square box, with all joints along its diagonal."""
    line = np.linspace(0, size, len(COCO_17))
    keypoints = np.column_stack((left + line, top + line, np.full(len(line), 0.7)))
    return Sighting(score, np.array([left, top, left + size, top + size], float), keypoints)


def empty_maps(height: int, width: int) -> Maps:
    """Maps in which nobody is."""
    counts = {"centre": 1, "scale": 2, "shift": 2, "joint": 17, "regress": 34, "offset": 34}
    low = {"centre", "joint"}
    return Maps(
        **{k: torch.full((n, height, width), -9.0 if k in low else 0.0) for k, n in counts.items()}
    )


def test_agrees_with_the_published_network():
    golden = np.load(GOLDEN)
    pixels = torch.from_numpy(golden["squares"]).float() / 127.5 - 1
    image = pixels.repeat_interleave(4, 0).repeat_interleave(4, 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        maps = default_finder()(image)
    for name, value in maps._asdict().items():
        # Lengths reach tens of cells; the graph's own scaling of pixels has five digits.
        np.testing.assert_allclose(value.numpy(), golden[name], atol=2e-3, err_msg=name)


def test_maps_made_by_hand_are_read_as_they_were_made():
    maps = empty_maps(32, 24)
    maps.centre[0, 10, 12] = 2.0
    maps.scale[:, 10, 12] = torch.tensor([16.0, 8.0])
    maps.shift[:, 10, 12] = torch.tensor([0.5, -0.5])
    regress = maps.regress.view(17, 2, 32, 24)
    regress[NOSE, :, 10, 12] = torch.tensor([-5.0, 1.0])
    regress[NOSE + 1, :, 10, 12] = torch.tensor([-6.0, 2.0])
    maps.joint[NOSE, 4, 13] = 3.0  # a cell from where it is expected
    maps.joint[NOSE, 30, 13] = 5.0  # somebody else's, outside the box
    maps.offset.view(17, 2, 32, 24)[NOSE, :, 4, 13] = torch.tensor([0.25, 0.75])
    (person,) = sightings_of(maps)
    assert person.score == pytest.approx(1 / (1 + math.exp(-2)))
    np.testing.assert_allclose(person.box, 4 * np.array([7.5, 2.5, 15.5, 18.5]))
    np.testing.assert_allclose(person.keypoints[NOSE, :2], 4 * np.array([13.75, 4.25]))
    # a joint that is not seen lies where its person expects it
    np.testing.assert_allclose(person.keypoints[NOSE + 1, :2], 4 * np.array([14.0, 4.0]))
    assert person.keypoints[NOSE + 1, 2] < 0.01


def test_the_higher_of_two_neighbouring_centres_is_somebody():
    maps = empty_maps(16, 16)
    maps.centre[0, 8, 8], maps.centre[0, 8, 10], maps.centre[0, 2, 2] = 2.0, 1.0, -8.0
    (person,) = sightings_of(maps)
    assert person.score > 0.8


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_sees_the_astronaut_whichever_way_up(quarters):
    image = np.ascontiguousarray(np.rot90(skimage.data.astronaut(), -quarters))
    person = see_people(image)[0]
    x, y = person.keypoints[NOSE, :2] - 256
    for _ in range(quarters):
        x, y = y, -x
    assert np.abs(np.array([x, y]) + 256 - (224, 127)).max() < 12  # read off by eye
    upright = math.remainder(math.atan2(*(person.up * (1, -1))) - quarters * math.pi / 2, math.tau)
    assert abs(upright) < 0.3


def test_a_small_person_is_seen():
    image = np.full((600, 800, 3), 90, np.uint8)
    image[410:474, 600:664] = skimage.data.astronaut()[::8, ::8]
    person = see_people(image)[0]
    assert 600 < person.keypoints[NOSE, 0] < 664
    assert 410 < person.keypoints[NOSE, 1] < 474


@pytest.mark.parametrize("shape", NOTHING_TO_SEE)
def test_odd_images_hold_nobody(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert not any(person.sureness > 0.3 for person in see_people(image))


def test_a_body_and_its_bust_are_one_person():
    body, bust = sighting(0, 0, 100), sighting(0, 0, 100, score=0.5)
    small = Sighting(0.5, np.array([0.0, 0, 50, 50]), bust.keypoints)
    assert overlap(body.box, small.box) < 0.3
    assert suppress([small, body]) == [body]


def test_two_people_who_overlap_are_two():
    assert not is_same(sighting(0, 0), sighting(40, 0))
    assert not is_same(sighting(0, 0), sighting(200, 0))


def test_overlap_by_hand():
    a = np.array([0.0, 0, 2, 2])
    assert overlap(a, a) == 1.0
    assert overlap(a, np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)
    assert overlap(a, np.array([5.0, 5, 6, 6])) == 0.0
