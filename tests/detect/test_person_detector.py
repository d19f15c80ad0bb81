"""The detector agrees with the published network and finds people in all sorts of images."""

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from exemplar.detect.person_detector import (
    RESOLUTION,
    anchors,
    as_rgb,
    decode,
    default_detector,
    detect_people,
    overlap,
    square,
    tiles,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "trunk" / "blazepose.npz"
NOTHING_TO_SEE = [(1, 1, 3), (1, 1), (40_000, 1, 3), (3, 500), (60, 60, 1), (20, 10, 4), (0, 5, 3)]


def test_agrees_with_the_published_network():
    golden = np.load(GOLDEN)
    pixels = torch.from_numpy(golden["squares"]).float() / 127.5 - 1
    image = pixels.repeat_interleave(14, 0).repeat_interleave(14, 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores, boxes = default_detector()(image)
    rows = golden["anchors"]
    # Logits reach hundreds and boxes hundreds of px; float32 sums run in another order.
    np.testing.assert_allclose(scores[0].numpy()[rows], golden["scores"], atol=5e-3)
    np.testing.assert_allclose(boxes[0].numpy()[rows], golden["boxes"], atol=1e-2)


def test_finds_the_astronaut_and_her_face():
    (person,) = detect_people(skimage.data.astronaut())
    face_centre = (person.face[:2] + person.face[2:]) / 2
    assert np.abs(face_centre - (220, 130)).max() < 60  # her nose, by eye
    assert abs(float(person.box.angle)) < 0.4  # she sits upright


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_image_gives_a_turned_crop(quarters):
    image = skimage.data.astronaut()
    (upright,) = detect_people(image)
    (person,) = detect_people(np.rot90(image, -quarters))  # clockwise: x towards y
    difference = float(person.box.angle - upright.box.angle) - quarters * math.pi / 2
    assert abs(math.remainder(difference, math.tau)) < 1e-3  # the same four windows are searched


def test_a_small_person_is_found_by_tiles():
    image = np.full((1200, 1600, 3), 90, np.uint8)
    image[820:948, 1200:1328] = skimage.data.astronaut()[::4, ::4]
    assert detect_people(image, tiling="never") == []
    (person,) = detect_people(image)
    assert 1200 < person.face[[0, 2]].mean() < 1328


@pytest.mark.parametrize("shape", NOTHING_TO_SEE)
def test_odd_images_hold_nobody(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert detect_people(image) == []


def test_a_grey_image_will_do():
    (person,) = detect_people(skimage.data.astronaut().mean(axis=2).astype(np.uint8))
    assert person.score > 0.5


def test_a_picture_with_two_channels_is_refused():
    with pytest.raises(ValueError, match=r"expected a uint8 image .* got uint8 \(4, 4, 2\)"):
        as_rgb(np.zeros((4, 4, 2), np.uint8))


def test_there_are_as_many_anchors_as_outputs():
    assert anchors().shape == (2254, 2)
    assert anchors().min() > 0
    assert anchors().max() < 1


def test_decoding_inverts_a_hand_made_output():
    values = np.zeros((2254, 12))
    scores = np.zeros(2254)
    scores[1000] = 0.9
    at = anchors()[1000] * RESOLUTION
    values[1000, :8] = (*(112 - at), 20, 20, *(112 - at), *((112, 62) - at))
    (person,) = decode(scores, values, square(500.0, 400.0, 448.0), 0.5)
    np.testing.assert_allclose(person.box.centre, (500, 400), atol=1e-3)  # float32 px
    np.testing.assert_allclose(person.face, (480, 380, 520, 420), atol=1e-3)
    assert float(person.box.size) == pytest.approx(2 * 1.25 * 100, abs=1e-3)
    assert float(person.box.angle) == pytest.approx(0, abs=1e-6)


def test_overlap_by_hand():
    a = np.array([0.0, 0, 2, 2])
    assert overlap(a, a) == 1.0
    assert overlap(a, np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)
    assert overlap(a, np.array([5.0, 5, 6, 6])) == 0.0


@pytest.mark.parametrize(("width", "height"), [(100, 40), (33, 100), (64, 64)])
def test_tiles_cover_the_image(width, height):
    side = max(width, height) / 2
    covered = np.zeros((height, width), bool)
    for tile in tiles(width, height, side):
        left, top = np.maximum(tile.centre.numpy() - side / 2, 0).astype(int)
        covered[top : math.ceil(top + side), left : math.ceil(left + side)] = True
    assert covered.all()
