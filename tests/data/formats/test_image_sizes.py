"""The size of the annotated image, in the formats that state it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.formats import coco, spin_npz, table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.data.records import size_of
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49


def person(**changes: Any) -> Sample:
    points = np.zeros((len(SMPL_49), 3))
    points[25:] = [10.0, 20.0, 1.0]
    return Sample("a.jpg", np.array([50.0, 60.0]), 0.5, points, 1, **changes)


@pytest.mark.parametrize("size", [(640, 480), None])
def test_our_own_files_keep_it(tmp_path: Path, size: tuple[int, int] | None) -> None:
    given = person(image_size=size)
    coco.write([given], tmp_path / "a.json")
    (image,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (image.get("width"), image.get("height")) == (size or (None, None))
    assert next(coco.read(tmp_path / "a.json")).image_size == size
    table.write([PseudoTruth(given)], tmp_path / "a.parquet")
    assert next(table.read(tmp_path / "a.parquet")).sample.image_size == size


def test_spin_s_arrays_have_the_height_first(tmp_path: Path) -> None:
    sizes = {"img_h": np.array([480, 0]), "img_w": np.array([640, 0])}
    both = {"orig_shape": np.array([[480, 640], [480, 640]])}
    for arrays, expected in ((sizes, [(640, 480), None]), (both, [(640, 480)] * 2)):
        rows = {"imgname": np.array(["a.jpg", "b.jpg"]), "center": np.zeros((2, 2))}
        np.savez(tmp_path / "a.npz", **rows, scale=np.ones(2), **arrays)
        assert [sample.image_size for sample in spin_npz.read(tmp_path / "a.npz")] == expected


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (640, 480, (640, 480)),
        (np.float64(640), 480.0, (640, 480)),
        (640.5, 480, None),
        ("640", "480", None),
        (None, None, None),
        (0, 0, None),
        (-4, 3, None),
        (float("nan"), float("inf"), None),
        ([1], {}, None),
    ],
)
def test_a_size_is_two_whole_numbers(width: object, height: object, expected: object) -> None:
    assert size_of(width, height) == expected


def test_another_size_is_named_with_both() -> None:
    person().check_image_size(540, 960)
    person(image_size=(540, 960)).check_image_size(540, 960)
    with pytest.raises(ValueError, match=r"image size: annotated in 1080 x 1920 px, .* 540 x 960"):
        person(image_size=(1080, 1920)).check_image_size(540, 960)
