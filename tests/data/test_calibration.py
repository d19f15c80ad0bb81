"""Calibrations: each format is read as it was meant, and damage is one line."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from exemplar.data.calibration import read_cameras, write_cameras
from exemplar.geometry.rigs import LensCamera
from tests.fixtures.made_rig import SIZE, made_rig

POINTS = np.random.default_rng(1).normal(size=(9, 3)) * 0.4 + (0, 0.9, 0)
SHARED = Path(__file__).parents[3] / "shared" / "photos" / "multiview"


def toml(cameras: list[LensCamera], *, turns: str = "vector", head: str = "cam_{}") -> str:
    """As Anipose (rotation vectors) or older Caliscope (matrices) write it."""
    out = []
    for number, camera in enumerate(cameras):
        turn = camera.rotation if turns == "matrix" else cv2.Rodrigues(camera.rotation)[0].ravel()
        out += [
            f"[{head.format(number)}]",
            f'name = "{camera.name}"',
            f"size = [{SIZE[0]}, {SIZE[1]}]",
            f"matrix = {camera.intrinsics.tolist()}",
            f"distortions = {camera.distortion.tolist()}",
            f"rotation = {turn.tolist()}",
            f"translation = {camera.translation.tolist()}",
            "",
        ]
    return "\n".join([*out, "[metadata]", "adjusted = false", "error = 0.4"])


def qca(cameras: list[LensCamera]) -> str:
    """As Qualisys writes it: millimetres, 64ths of a px, cameras that look along -z."""
    out = ["<?xml version='1.0' encoding='ASCII'?>", '<calibration type="regular"><cameras>']
    for camera in cameras:
        turn = np.diag([1, -1, -1]) @ camera.rotation
        entries = " ".join(f'r{i + 1}{j + 1}="{turn[i, j]}"' for i in range(3) for j in range(3))
        x, y, z = camera.centre * 1000
        k1, k2, p1, p2, _ = camera.distortion * 64
        matrix = camera.intrinsics * 64
        out.append(
            f'<camera serial="{camera.name}">'
            f'<fov_video left="0" top="0" right="{SIZE[0] - 1}" bottom="{SIZE[1] - 1}"/>'
            f'<transform {entries} x="{x}" y="{y}" z="{z}"/>'
            f'<intrinsic focalLengthU="{matrix[0, 0]}" focalLengthV="{matrix[1, 1]}"'
            f' centerPointU="{matrix[0, 2]}" centerPointV="{matrix[1, 2]}" skew="0"'
            f' radialDistortion1="{k1}" radialDistortion2="{k2}" radialDistortion3="0"'
            f' tangentalDistortion1="{p1}" tangentalDistortion2="{p2}"/></camera>'
        )
    return "\n".join([*out, "</cameras></calibration>"])


def opencv(path: Path, cameras: list[LensCamera]) -> None:
    """A map a camera, in OpenCV's names."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.startWriteStruct("cameras", cv2.FileNode_MAP)
    for camera in cameras:
        storage.startWriteStruct(camera.name, cv2.FileNode_MAP)
        storage.write("camera_matrix", camera.intrinsics)
        storage.write("distortion_coefficients", camera.distortion)
        storage.write("rotation", cv2.Rodrigues(camera.rotation)[0])
        storage.write("translation", camera.translation)
        storage.write("image_width", SIZE[0])
        storage.write("image_height", SIZE[1])
        storage.endWriteStruct()
    storage.endWriteStruct()
    storage.release()


def easymocap(folder: Path, cameras: list[LensCamera]) -> None:
    """intri.yml and extri.yml."""
    inner = cv2.FileStorage(str(folder / "intri.yml"), cv2.FILE_STORAGE_WRITE)
    outer = cv2.FileStorage(str(folder / "extri.yml"), cv2.FILE_STORAGE_WRITE)
    for storage in (inner, outer):
        storage.startWriteStruct("names", cv2.FileNode_SEQ)
        for camera in cameras:
            storage.write("", camera.name)
        storage.endWriteStruct()
    for camera in cameras:
        inner.write(f"K_{camera.name}", camera.intrinsics)
        inner.write(f"dist_{camera.name}", camera.distortion.reshape(1, 5))
        outer.write(f"R_{camera.name}", cv2.Rodrigues(camera.rotation)[0])
        outer.write(f"Rot_{camera.name}", camera.rotation)
        outer.write(f"T_{camera.name}", camera.translation.reshape(3, 1))
    inner.release()
    outer.release()


def same(found: tuple[LensCamera, ...], cameras: list[LensCamera]) -> None:
    assert [camera.name for camera in found] == [camera.name for camera in cameras]
    for one, other in zip(found, cameras, strict=True):
        # rotations and files of 7 digits leave some thousandths of a px
        assert one.project(POINTS) == pytest.approx(other.project(POINTS), abs=1e-2)


def test_cameras_that_are_written_are_read_again(tmp_path: Path) -> None:
    cameras = made_rig()
    lens = np.array([0.1, 0, 0, 0])
    cameras[1] = replace(cameras[1], name='a "b" é', fisheye=True, distortion=lens)
    write_cameras(cameras, tmp_path / "cameras.toml")
    found = read_cameras(tmp_path / "cameras.toml")
    same(found, cameras)
    assert [(c.name, c.image_size) for c in found] == [(c.name, SIZE) for c in cameras]


@pytest.mark.parametrize("turns", ["vector", "matrix"])
@pytest.mark.parametrize("head", ["cam_{}", "cameras.{}"])
def test_toml_of_pose2sim_anipose_and_caliscope(tmp_path: Path, turns: str, head: str) -> None:
    cameras = made_rig()
    (tmp_path / "c.toml").write_text(toml(cameras, turns=turns, head=head))
    found = read_cameras(tmp_path / "c.toml")
    same(found, cameras)
    assert found[0].image_size == SIZE


def test_a_camera_that_caliscope_ignores_is_left_out(tmp_path: Path) -> None:
    text = toml(made_rig()).replace("[cam_1]", "[cam_1]\nignore = true")
    (tmp_path / "c.toml").write_text(text)
    assert [camera.name for camera in read_cameras(tmp_path / "c.toml")] == ["cam0", "cam2"]


def test_a_fisheye_lens_is_told_from_an_ordinary_one(tmp_path: Path) -> None:
    text = toml(made_rig()).replace("[-0.1, 0.05, 0.001, -0.002, 0.0]", "[0.1, 0, 0, 0]")
    (tmp_path / "c.toml").write_text(text.replace("size =", "fisheye = true\nsize ="))
    assert all(camera.fisheye for camera in read_cameras(tmp_path / "c.toml"))


def test_qualisys(tmp_path: Path) -> None:
    (tmp_path / "c.qca.txt").write_text(qca(made_rig()))
    found = read_cameras(tmp_path / "c.qca.txt")
    same(found, made_rig())
    assert found[0].image_size == SIZE


ONE = """<camera serial="cam{}">
<transform r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" r32="-1" r33="0"
 x="0" y="-3000" z="1000"/>
<intrinsic centerPointU="6400" centerPointV="12800" focalLengthU="64000" focalLengthV="64000"
 radialDistortion1="0" radialDistortion2="0" tangentalDistortion1="0" tangentalDistortion2="0"/>
</camera>"""


def test_qualisys_cameras_see_what_lies_before_them(tmp_path: Path) -> None:
    path = tmp_path / "one.qca.txt"
    two = ONE.format("07") + ONE.format("08")
    path.write_text(f"<?xml version='1.0'?><calibration><cameras>{two}</cameras></calibration>")
    camera, _ = read_cameras(path)
    assert camera.name == "cam07"
    # 3 m before the camera, half a metre to its right and one above it
    (seen,) = camera.project(np.array([[0.5, 0.0, 2.0]]))
    assert seen == pytest.approx([100 + 1000 / 6, 200 - 1000 / 3])
    assert camera.rotation[:, 2] == pytest.approx([0, -1, 0])


@pytest.mark.parametrize("ending", ["yml", "json", "xml"])
def test_opencv_storages(tmp_path: Path, ending: str) -> None:
    opencv(tmp_path / f"c.{ending}", made_rig())
    found = read_cameras(tmp_path / f"c.{ending}")
    same(found, made_rig())
    assert found[0].image_size == SIZE


@pytest.mark.parametrize("name", ["", "intri.yml", "extri.yml"])
def test_easymocaps_two_files(tmp_path: Path, name: str) -> None:
    easymocap(tmp_path, made_rig())
    same(read_cameras(tmp_path / name), made_rig())


def test_opencvs_stereo_example(tmp_path: Path) -> None:
    first, second = made_rig(2)
    turn = second.rotation @ first.rotation.T
    storage = cv2.FileStorage(str(tmp_path / "stereo.yml"), cv2.FILE_STORAGE_WRITE)
    for number, camera in enumerate((first, second), start=1):
        storage.write(f"M{number}", camera.intrinsics)
        storage.write(f"D{number}", camera.distortion.reshape(1, 5))
    storage.write("R", turn)
    storage.write("T", second.translation - turn @ first.translation)
    storage.release()
    found = read_cameras(tmp_path / "stereo.yml")
    local = first.in_camera(POINTS)
    assert found[1].project(local) == pytest.approx(second.project(POINTS), abs=1e-2)


BROKEN = {
    "cut": ("c.toml", lambda text: text[:300], "c.toml"),
    "empty": ("c.toml", lambda text: "", "no table has a camera's matrix"),
    "one camera": ("c.toml", lambda text: text[: text.index("[cam_1]")], "1 camera"),
    "no rotation": ("c.toml", lambda text: text.replace("rotation", "rot"), "lacks its rotation"),
    "words": ("c.toml", lambda text: text.replace("[640, 480]", '"large"'), "its size is large"),
    "nan": ("c.toml", lambda text: text.replace("600.0", "nan"), "its matrix is"),
    "no focal length": ("c.toml", lambda text: text.replace("600.0", "0.0"), "no camera matrix"),
    "no lens so long": ("c.toml", lambda text: text.replace("600.0", "1e30"), "no camera has"),
    "none so short": ("c.toml", lambda text: text.replace("600.0", "1e-30"), "no camera matrix"),
    "too far": (
        "c.toml",
        lambda text: text.replace("translation = [", "translation = [1e300, 0.0, 0.0] # "),
        "no camera has",
    ),
    "no lens bends so": (
        "c.toml",
        lambda text: text.replace("distortions = [", "distortions = [1e6, 0.0, 0.0, 0.0] # "),
        "bend the very middle",
    ),
    "twice": ("c.toml", lambda text: text.replace('"cam1"', '"cam0"'), "two cameras are called"),
    "other kind": ("c.docx", lambda text: text, "expected a calibration"),
    "yml": ("c.yml", lambda text: "%YAML:1.0\n---\nA: [", "c.yml"),
    "json": ("c.json", lambda text: '{"a": 1}', "none of its maps is a camera"),
    "xml": ("c.qca.txt", lambda text: "<calibration><camera", "c.qca.txt"),
    "entities": (
        "c.qca.txt",
        lambda text: '<!DOCTYPE a [<!ENTITY b "c">]><calibration/>',
        "defines entities",
    ),
    "deep yml": ("c.yml", lambda text: "%YAML:1.0\n---\na: " + "[" * 300_000, "too deeply"),
    "deep json": ("c.json", lambda text: '{"a":' * 100_000, "too deeply"),
    "deep xml": ("c.xml", lambda text: "<a>" * 300_000, "too deeply"),
    "large": ("c.toml", lambda text: text + "#" * 2_000_000, "too large"),
    "no cameras": ("c.qca.txt", lambda text: "<calibration/>", "0 camera"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_calibration_is_one_line(tmp_path: Path, case: str) -> None:
    name, change, expected = BROKEN[case]
    (tmp_path / name).write_text(change(toml(made_rig())))
    with pytest.raises(ValueError, match=r"c\.") as caught:
        read_cameras(tmp_path / name)
    assert expected in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_calibration_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        read_cameras("nowhere.toml")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared photos")
def test_two_calibrations_of_the_same_cameras_agree() -> None:
    of_toml, of_qca = (read_cameras(SHARED / name) for name in ("calib.toml", "Calib.qca.txt"))
    for one, other in zip(of_toml, of_qca, strict=True):
        assert one.project(POINTS) == pytest.approx(other.project(POINTS), abs=1e-6)
        assert one.image_size == other.image_size
