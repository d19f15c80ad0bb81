"""CLIFF's .npz: SPIN's, with a translation and a focal length."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.data.contents import Contents
from exemplar.data.formats import cliff_npz, spin_npz
from exemplar.samples import BodyTruth, Sample


def arrays() -> dict[str, np.ndarray]:
    """Two people of a 640 x 480 and a 100 x 200 image."""
    return {
        "imgname": np.array(["a.png", "b.png"]),
        "center": np.array([[320.0, 240.0], [50.0, 100.0]]),
        "scale": np.ones(2),
        "pose": np.zeros((2, 72)),
        "shape": np.zeros((2, 10)),
        "S": np.ones((2, 24, 4)),
        "global_t": np.array([[0.1, 0.2, 8.0], [0.3, 0.4, 9.0]]),
        "focal_l": np.array([800.0, 224.0]),
    }


def saved(folder: Path, **changes: object) -> Path:
    kept = {name: value for name, value in (arrays() | changes).items() if value is not None}
    np.savez(folder / "cliff.npz", **kept)  # pyright: ignore
    return folder / "cliff.npz"


def test_translation_focal_length_and_3d_joints_are_read(tmp_path: Path) -> None:
    first, second = cliff_npz.read(saved(tmp_path))
    assert first.body is not None
    assert first.body.translation is not None
    assert first.body.translation.tolist() == [0.1, 0.2, 8.0]
    assert first.intrinsics is None
    assert first.extra["focal_length"] == 800.0
    assert cliff_npz.focal_of(second) == 224.0
    assert second.joints_3d is not None


@pytest.mark.parametrize("source", ["img_h and img_w", "orig_shape", "images"])
def test_the_principal_point_is_the_image_s_middle(tmp_path: Path, source: str) -> None:
    sizes = {
        "img_h and img_w": {"img_h": np.array([480, 200]), "img_w": np.array([640, 100])},
        "orig_shape": {"orig_shape": np.array([[480, 640], [200, 100]])},
        "images": {},
    }[source]
    images = None
    if source == "images":
        images = tmp_path
        Image.new("RGB", (640, 480)).save(tmp_path / "a.png")
        turned = Image.Exif()
        turned[0x0112] = 6  # stored on its side
        Image.new("RGB", (200, 100)).save(tmp_path / "b.png", exif=turned)
    first, second = cliff_npz.read(saved(tmp_path, **sizes), images=images)
    assert first.intrinsics is not None
    assert first.intrinsics.tolist() == [[800, 0, 320], [0, 800, 240], [0, 0, 1]]
    assert second.intrinsics is not None
    assert second.intrinsics[:2, 2].tolist() == [50, 100]


def test_a_missing_image_leaves_the_camera_unknown(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "a.png")
    first, second = cliff_npz.read(saved(tmp_path), images=tmp_path)
    assert first.intrinsics is not None
    assert second.intrinsics is None


def test_the_dual_authors_files_have_a_focal_length_only(tmp_path: Path) -> None:
    path = saved(tmp_path, global_t=None, focal_l=None, focal_length=np.array([5.0, 6.0]))
    first, second = cliff_npz.read(path)
    assert [cliff_npz.focal_of(s) for s in (first, second)] == [5.0, 6.0]
    assert first.body is not None
    assert first.body.translation is None


def test_it_is_told_from_spin_s(tmp_path: Path) -> None:
    cliff = Contents(saved(tmp_path))
    assert cliff_npz.matches(cliff)
    assert not spin_npz.matches(cliff)
    saved(tmp_path, global_t=None, focal_l=None)
    spin = Contents(tmp_path / "cliff.npz")
    assert spin_npz.matches(spin)
    assert not cliff_npz.matches(spin)


def test_a_broken_camera_does_not_cost_the_rest(tmp_path: Path) -> None:
    moved = np.array([[0.1, np.nan, 8.0], [0.3, 0.4, 9.0]])
    first, second = cliff_npz.read(saved(tmp_path, global_t=moved))
    assert "not finite" in first.problem
    assert not second.problem
    with pytest.raises(ValueError, match=r"'focal_l' has 1 rows"):
        cliff_npz.read(saved(tmp_path, focal_l=np.ones(1)))


def made(**changes: object) -> Sample:
    body = BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.ones(10), translation=np.arange(3.0))
    values = {
        "image": "a.jpg",
        "box_centre": np.ones(2),
        "box_scale": 0.5,
        "keypoints_2d": np.ones((49, 3)),
        "body": body,
        "intrinsics": np.array([[900.0, 0, 301], [0, 910, 199], [0, 0, 1]]),
    }
    return Sample(**(values | changes))  # pyright: ignore


def test_writing_and_reading_gives_the_same_camera(tmp_path: Path) -> None:
    known_focal = made(intrinsics=None, extra={"focal_length": np.array(700.0)})
    people = [made(), known_focal, made(body=None)]
    path = tmp_path / "out.npz"
    assert cliff_npz.write(people, path) == 3
    assert cliff_npz.matches(Contents(path))
    first, second, third = cliff_npz.read(path)
    np.testing.assert_array_equal(first.intrinsics, people[0].intrinsics)
    assert first.body is not None
    assert first.body.translation is not None
    assert first.body.translation.tolist() == [0, 1, 2]
    assert second.intrinsics is None
    assert cliff_npz.focal_of(second) == 700
    assert third.body is None
    with np.load(path) as file:
        assert file["focal_l"].tolist() == [900, 700, 900]
        assert file["global_t"].shape == (3, 3)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (made(intrinsics=None), "a.jpg has no focal length"),
        (made(body=BodyTruth(np.zeros((24, 3, 3)), np.ones(10))), "without a translation"),
    ],
)
def test_people_without_a_full_camera_are_not_written(
    tmp_path: Path, sample: Sample, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        cliff_npz.write([sample], tmp_path / "out.npz")
