"""Calibrated cameras, markers, and who is who in several views."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.real_cameras import read_markers, triangulate
from benchmarks.real_sequences import FOURTEEN, LIMBS, associated, projected
from exemplar.data.calibration import read_cameras
from exemplar.geometry.rigs import LensCamera
from exemplar.skeletons import LIMBS_12, LSP_14

SHARED = Path(__file__).parents[3] / "shared" / "photos" / "multiview"


def ring(count: int = 4) -> list[LensCamera]:
    """Cameras 4 m around the origin, 1 m high, that look at it."""
    cameras = []
    for angle in np.arange(count) * 2 * np.pi / count:
        position = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0])
        forward = (np.array([0.0, 0.0, 1.0]) - position) / 4
        right = np.array([-np.sin(angle), np.cos(angle), 0.0])
        rotation = np.stack([right, [0.0, 0.0, -1.0], forward])
        matrix = np.array([[3000.0, 0, 1500], [0, 3000.0, 1500], [0, 0, 1]])
        lens = np.array([-0.05, 0.01, 1e-3, 1e-3])
        cameras.append(LensCamera(f"cam{angle:.1f}", matrix, rotation, -rotation @ position, lens))
    return cameras


def body(x: float, seed: int) -> np.ndarray:
    """`LSP_14` limb joints within half a metre of a place, the rest NaN."""
    points = np.random.default_rng(seed).uniform(-0.4, 0.4, (len(LSP_14), 3))
    points += np.array([x, 0.0, 1.0])
    points[~LIMBS] = np.nan
    return points


def test_triangulation_undoes_projection() -> None:
    cameras, truth = ring(), body(0.2, 0)
    views = {c: points[FOURTEEN] for c, points in projected(truth, cameras).items()}
    # 1e-4 m: OpenCV undoes the lens by a few iterations
    np.testing.assert_allclose(triangulate(views, cameras)[LIMBS], truth[LIMBS], atol=1e-4)


def test_points_that_two_cameras_see_are_not_triangulated() -> None:
    cameras = ring()
    views = projected(body(0.0, 0), cameras)
    assert np.isnan(triangulate({c: views[c][FOURTEEN] for c in (0, 1)}, cameras)).all()


def test_markers_are_read_z_up_and_counted_from_zero(tmp_path: Path) -> None:
    names = [("L" if n.startswith("left") else "R") + n.split("_")[1].title() for n in LIMBS_12]
    values = np.arange(36).reshape(12, 3)
    rows = [
        *("a", "b", "c"),
        "\t".join(["Frame#", "Time", *(x for name in names for x in (name, "", ""))]),
        "",
        "\t".join(["1", "0.0", *(str(x) for x in values.ravel())]),
    ]
    path = tmp_path / "x.trc"
    path.write_text("\n".join(rows))
    markers = read_markers(path)
    assert list(markers) == [0]
    np.testing.assert_array_equal(markers[0][LSP_14.index("left_shoulder")], [2, 0, 1])
    assert np.isnan(markers[0][LSP_14.index("head")]).all()


def test_two_people_are_told_apart_in_shuffled_views() -> None:
    cameras = ring()
    people = [body(-0.6, 1), body(0.6, 2)]
    seen = [projected(truth, cameras) for truth in people]
    views = {c: [seen[c % 2][c], seen[1 - c % 2][c]] for c in range(len(cameras))}
    found = associated(0, views, cameras)
    for one, truth in zip(found, people, strict=True):
        np.testing.assert_allclose(one.truth[LIMBS], truth[LIMBS], atol=1e-4)
        assert sorted(one.points) == [0, 1, 2, 3]


def test_a_view_that_mixes_the_legs_is_fitted_but_is_not_the_truth() -> None:
    cameras, truth = ring(), body(0.0, 3)
    views = {c: [points] for c, points in projected(truth, cameras).items()}
    swapped = views[2][0].copy()
    legs = FOURTEEN[:6]
    swapped[legs] = swapped[legs[::-1]]
    views[2] = [swapped]
    (one,) = associated(5, views, cameras)
    np.testing.assert_allclose(one.truth[LIMBS], truth[LIMBS], atol=1e-4)
    np.testing.assert_array_equal(one.points[2], swapped)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared videos")
def test_the_man_s_markers_lie_on_him_in_all_cameras() -> None:
    cameras = read_cameras(SHARED / "Calib.qca.txt")
    markers = read_markers(SHARED / "pose3d.trc")
    assert sorted(markers) == list(range(100))
    for camera in cameras:
        video = cv2.VideoCapture(str(SHARED / f"{camera.name}.mp4"))
        size = [video.get(x) for x in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        seen = camera.project(markers[0])[LIMBS]
        assert ((seen > 0) & (seen < size)).all()
        # he is seen from head to foot and stands: 500 to 700 px of 1920
        assert 400 < np.ptp(seen[:, 1]) < 800
