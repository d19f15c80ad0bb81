"""Packed people: the same people, in the pixels of smaller pictures."""

from pathlib import Path

import numpy as np
import pytest

from exemplar.data.formats import read, spin_npz
from exemplar.files.image_files import write_image
from exemplar.files.image_store_files import open_images
from exemplar.samples import Sample
from exemplar.skeletons import OPENPOSE_25
from scripts import pack_people

SPOT = np.array([410.5, 260.5])
"""A white square about here is the person's every keypoint."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    picture = np.zeros((500, 700, 3), np.uint8)
    picture[255:266, 405:416] = 255
    write_image(picture, tmp_path / "a.png")
    points = np.zeros((49, 3))
    points[len(OPENPOSE_25) :] = (*SPOT, 1.0)
    points[-1, :2] += (40, 30)
    person = Sample("a.png", np.array([400.0, 250.0]), 1.5, points)
    few = Sample("a.png", np.array([400.0, 250.0]), 1.5, np.zeros((49, 3)))
    absent = Sample("b.png", np.array([400.0, 250.0]), 1.5, points)
    spin_npz.write([few, absent, person, person], tmp_path / "people.npz")
    return tmp_path


def test_keypoints_stay_where_they_were(data: Path, tmp_path: Path) -> None:
    config = pack_people.Config(data / "people.npz", data, tmp_path / "out", side=200)
    pack_people.main(config)
    images = open_images(str(config.out / "images.tar"))
    packed = list(read(config.out / "people.npz"))
    assert [one.image for one in packed] == ["000000.jpg", "000001.jpg"]
    pixels = images.read(packed[0].image)
    assert max(pixels.shape) == 200
    height, width = pixels.shape[:2]
    weight = (pixels[..., 0] > 128).astype(float)
    seen = np.array([
        (weight.sum(0) * (np.arange(width) + 0.5)).sum(),
        (weight.sum(1) * (np.arange(height) + 0.5)).sum(),
    ]) / weight.sum()  # fmt: skip
    # a pixel for JPEG and resampling
    assert np.abs(packed[0].keypoints_2d[len(OPENPOSE_25), :2] - seen).max() < 1.0
    # the crop is 1.6 boxes of 300 px, at the picture's border 480 of them, and 200 px now
    assert packed[0].box_size == pytest.approx(300 * 200 / 480, rel=0.01)


def test_no_more_than_asked_for_is_packed(data: Path, tmp_path: Path) -> None:
    config = pack_people.Config(data / "people.npz", data, tmp_path / "out", count=1)
    pack_people.main(config)
    assert len(list(read(config.out / "people.npz"))) == 1
    with pytest.raises(ValueError, match="nobody to pack"):
        pack_people.main(
            pack_people.Config(data / "people.npz", data, tmp_path / "none", megabytes=0.0)
        )
