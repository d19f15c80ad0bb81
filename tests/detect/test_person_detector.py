"""The detector agrees with the published network and finds people in all sorts of images."""

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from exemplar.detect.person_detector import (
    RESOLUTION,
    STRIDE,
    ZOOMS,
    Detection,
    Window,
    anchors,
    as_rgb,
    decode,
    default_detector,
    detect_people,
    enlarged_windows,
    square,
    suppress,
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


def detection(x: float, size: float, score: float) -> Detection:
    return Detection(score, np.array([x, 100.0]), square(x, 200.0, size))


def test_finds_the_astronaut_and_her_face():
    person = detect_people(skimage.data.astronaut())[0]
    assert np.abs(person.face - (220, 130)).max() < 60  # her nose, by eye
    assert abs(float(person.box.angle)) < 0.4  # she sits upright


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_image_gives_a_turned_crop(quarters):
    image = skimage.data.astronaut()
    upright = detect_people(image, zooms=False)[0]
    turned = np.rot90(image, -quarters)  # clockwise: x towards y
    person = detect_people(turned, zooms=False)[0]
    difference = float(person.box.angle - upright.box.angle) - quarters * math.pi / 2
    # the same four turns are searched, but the image in its frame is seen upright alone
    assert abs(math.remainder(difference, math.tau)) < 0.2


def test_a_small_person_is_found_enlarged():
    image = np.full((1200, 1600, 3), 90, np.uint8)
    image[820:948, 1200:1328] = skimage.data.astronaut()[::4, ::4]
    assert detect_people(image, zooms=False) == []
    for person in detect_people(image):
        assert np.abs(person.face - (1255, 852)).max() < 30


def test_two_people_side_by_side_are_found_in_one_window():
    image = np.full((600, 900, 3), 90, np.uint8)
    for x in (100, 500):
        image[200:456, x : x + 256] = skimage.data.astronaut()[::2, ::2]
    faces = np.array([person.face for person in detect_people(image)])
    for x in (210, 610):
        assert np.linalg.norm(faces - (x, 265), axis=1).min() < 40


def test_a_face_that_fills_the_image_is_found():
    face = skimage.data.astronaut()[:260, 90:350]
    assert detect_people(face, zooms=False)


@pytest.mark.parametrize("shape", NOTHING_TO_SEE)
def test_odd_images_hold_nobody(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert detect_people(image) == []


def test_a_grey_image_will_do():
    person = detect_people(skimage.data.astronaut().mean(axis=2).astype(np.uint8))[0]
    assert person.score > 0.5


def test_a_picture_with_two_channels_is_refused():
    with pytest.raises(ValueError, match=r"expected a uint8 image .* got uint8 \(4, 4, 2\)"):
        as_rgb(np.zeros((4, 4, 2), np.uint8))


def test_there_are_as_many_anchors_as_outputs():
    assert anchors().shape == (2254, 2)
    assert anchors().min() > 0
    assert anchors().max() < RESOLUTION
    with torch.no_grad():
        scores, boxes = default_detector()(torch.zeros(1, 3, 3 * STRIDE, 5 * STRIDE))
    assert anchors(3 * STRIDE, 5 * STRIDE).shape == (scores.shape[1], 2)
    assert boxes.shape[1] == scores.shape[1]


@pytest.mark.parametrize(("rows", "columns"), [(224, 224), (96, 320)])
def test_decoding_inverts_a_hand_made_output(rows, columns):
    grid = anchors(rows, columns)
    values = np.zeros((len(grid), 12))
    scores = np.zeros(len(grid))
    middle = np.array([columns / 2, rows / 2])
    scores[100] = 0.9
    values[100, :2] = middle - (0, 20) - grid[100]
    values[100, 4:8] = (*(middle - grid[100]), *(middle - (0, 50) - grid[100]))
    window = Window(square(500.0, 400.0, 2.0 * rows), rows, columns)
    (person,) = decode(scores, values, window, 0.5)
    np.testing.assert_allclose(person.box.centre, (500, 400), atol=1e-3)  # float32 px
    np.testing.assert_allclose(person.face, (500, 360), atol=1e-3)
    assert float(person.box.size) == pytest.approx(2 * 1.25 * 100, abs=1e-3)
    assert float(person.box.angle) == pytest.approx(0, abs=1e-6)


def test_a_face_seen_twice_is_kept_once_for_each_size():
    once, again = detection(0.0, 100.0, 0.9), detection(3.0, 110.0, 0.8)
    larger, neighbour = detection(0.0, 200.0, 0.7), detection(30.0, 100.0, 0.6)
    assert suppress([neighbour, larger, again, once]) == [once, larger, neighbour]


@pytest.mark.parametrize(("width", "height"), [(640, 480), (333, 1000), (6000, 4000)])
def test_enlarged_windows_hold_the_image_at_a_bounded_cost(width, height):
    windows = enlarged_windows(width, height)
    assert len(windows) == len(ZOOMS)
    for window, zoom in zip(windows, ZOOMS, strict=True):
        scale = window.rows / float(window.box.size)
        assert scale * max(width, height) == pytest.approx(zoom * RESOLUTION)
        assert window.rows % STRIDE == window.columns % STRIDE == 0
        # 1e-3 px: 224 / 6000 * 6000 is not 224
        assert -1e-3 < window.rows - scale * height < STRIDE
        assert -1e-3 < window.columns - scale * width < STRIDE
        np.testing.assert_allclose(window.box.centre, (width / 2, height / 2))


def test_small_images_are_not_enlarged_beyond_what_they_show():
    assert enlarged_windows(200, 200) == []
