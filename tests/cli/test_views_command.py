"""`exemplar views`: which files appear, resuming, and one line for what the user can mend."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from exemplar.bodies import BodyParams, load_body
from exemplar.cli import main
from exemplar.data.formats import table
from exemplar.files.image_files import write_image
from exemplar.files.video_files import read_info
from exemplar.motion_files import read_motions
from exemplar.scene import view_people
from exemplar.scene.association import associate
from exemplar.scene.view_people import Found, PeopleFinder
from exemplar.scene.views import keypoints_of
from exemplar.skeletons import OPENPOSE_25
from tests.data.test_calibration import toml
from tests.fixtures.made_rig import SIZE, joints_of, made_body, made_rig, seen_by

pytest.importorskip("av")

FRAMES = 3


def run(*arguments: object) -> int:
    """Exit status of a command."""
    try:
        main(["views", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command prints."""
    assert run(*arguments) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    (line,) = shown.err.strip().splitlines()
    return line


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A calibration, and a folder of three grey frames for each of its cameras."""
    (tmp_path / "calib.toml").write_text(toml(made_rig()))
    for camera in made_rig():
        for number in range(FRAMES):
            grey = np.full((SIZE[1], SIZE[0], 3), 90 + number, np.uint8)
            write_image(grey, tmp_path / camera.name / f"{number:03d}.png")
    return tmp_path


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two people who walk, found without a network; the list has the frames that are asked for."""
    asked: list[int] = []
    body = load_body("open")

    def find(finder: PeopleFinder, pictures) -> Found:
        number = int(pictures[0][0, 0, 0]) - 90
        asked.append(number)
        cameras = list(finder.cameras)
        each = [
            made_body(body, seed=seed, place=(0.05 * number + seed, 0.9, 0.0)) for seed in range(2)
        ]
        points = [seen_by(cameras, joints_of(body, params)) for params in each]
        views = [[own[c] for own in points] for c in range(len(cameras))]
        return Found(tuple(associate(views, cameras)), (2,) * len(cameras), float("nan"))

    monkeypatch.setattr(PeopleFinder, "find", find)
    return asked


def footage(shots: Path) -> list[Path]:
    return [shots / camera.name for camera in made_rig()]


def quick(shots: Path, *more: object) -> list[object]:
    words = [shots / "calib.toml", *footage(shots), "-o", shots / "out", "--iterations", 1]
    return [*words, "--regressor", "mobile", *more]


def test_two_people_become_motions_of_one_world(
    shots: Path, people: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*quick(shots, "--fps", 25, "--to", "trc", "bvh")) == 0
    shown = capsys.readouterr().out
    assert "calibration in m, y up" in shown
    motions = read_motions(shots / "out")
    assert [motion.frame for motion in motions] == ["world", "world"]
    assert [motion.seen.all() for motion in motions] == [True, True]
    assert motions[0].fps == 25
    body = load_body("open")
    truth = joints_of(body, made_body(body))
    # the network sees grey pictures: the place is the keypoints' alone
    nearest = min(abs(motion.translation[0, 0]) for motion in motions)
    assert nearest < 0.3
    assert all(0 < motion.translation[0, 1] < 1.5 * np.nanmax(truth) for motion in motions)
    files = {path.name for path in (shots / "out").iterdir()}
    assert files == {
        "motion.npz", "motion_person0.trc", "motion_person1.trc", "motion_person0.bvh",
        "motion_person1.bvh", "cameras.toml", "overlay.mp4", "overlay.png", "summary.json",
    }  # fmt: skip
    summary = json.loads((shots / "out" / "summary.json").read_text())
    assert summary["cameras"] == ["cam0", "cam1", "cam2"]
    assert [person["moments"] for person in summary["people"]] == [FRAMES, FRAMES]
    assert summary["triangulation_px"] < 0.1


def test_bodies_are_training_data_of_each_camera(shots: Path, people: list[int]) -> None:
    assert run(*quick(shots, "--training", "--every", 2)) == 0
    folder = shots / "out" / "training"
    rows = list(table.read(folder / "people.parquet"))
    assert len(rows) == 2 * 2 * len(made_rig())
    body, cameras = load_body("open"), {camera.name: camera for camera in made_rig()}
    motions = read_motions(shots / "out")
    for row in rows:
        sample, truth = row.sample, row.sample.body
        assert (folder / "images" / sample.image).is_file()
        assert truth is not None
        assert sample.joints_3d is not None
        name, frame = sample.image.split("/")
        motion = motions[int(sample.subject[-1])]
        of_world = keypoints_of(motion, body)[int(Path(frame).stem) // 2]
        assert truth.translation is not None
        params = BodyParams(
            torch.from_numpy(truth.pose[0]).float(),
            torch.from_numpy(truth.pose[1:]).float(),
            torch.from_numpy(truth.betas).float(),
            torch.from_numpy(truth.translation).float(),
        )
        local = body.keypoints(params).numpy()
        # float32 bodies some metres away
        assert local == pytest.approx(cameras[name].in_camera(of_world), abs=1e-4)
        known = sample.joints_3d[:, 3] > 0
        assert sample.joints_3d[known, :3] == pytest.approx(
            local[len(OPENPOSE_25) :][known], abs=1e-4
        )


def test_each_person_has_one_shape(shots: Path, people: list[int]) -> None:
    assert run(*quick(shots, "--people", 1, "--to", "csv")) == 0
    (motion,) = read_motions(shots / "out")
    assert motion.betas.ndim == 1


def test_a_run_that_was_stopped_goes_on(
    shots: Path, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PeopleFinder.find

    def stops(finder: PeopleFinder, pictures) -> Found:
        if len(people) == 2:
            raise KeyboardInterrupt
        return whole(finder, pictures)

    monkeypatch.setattr(PeopleFinder, "find", stops)
    words = quick(shots, "--people", 1, "--to", "csv")
    assert run(*words) == 130
    monkeypatch.setattr(PeopleFinder, "find", whole)
    assert run(*words) == 0
    assert people == [0, 1, 2]
    assert not (shots / "out" / "work").exists()
    gone_on = read_motions(shots / "out")
    assert run(*words) == 0
    for one, other in zip(gone_on, read_motions(shots / "out"), strict=True):
        assert np.array_equal(one.body_pose, other.body_pose)


def test_what_was_done_for_other_settings_is_not_used(
    shots: Path, people: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("--people", 1, "--to", "csv")
    assert run(*quick(shots, *one, "--keep")) == 0
    capsys.readouterr()
    assert "other files or settings" in fails(capsys, *quick(shots, *one, "--every", 2))


def test_cameras_of_different_lengths_are_told(
    shots: Path, people: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        (shots / "cam1" / f"{number:03d}.png").unlink()
    assert run(*quick(shots)) == 0
    assert "cameras of different lengths" in capsys.readouterr().out
    assert [len(motion.times) for motion in read_motions(shots / "out")] == [1, 1]


def test_a_camera_that_is_late_is_looked_at_later(
    shots: Path, people: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*quick(shots, "--fps", 25, "--offsets", "0,0.04,0", "--to", "csv")) == 0
    assert "late, and allowed for: cam1 +40 ms" in " ".join(capsys.readouterr().out.split())
    summary = json.loads((shots / "out" / "summary.json").read_text())
    assert summary["offsets_s"] == [0, 0.04, 0]
    # its last frame shows what the others show in the one before
    assert summary["moments"] == FRAMES - 1
    video = read_info(shots / "out" / "overlay.mp4")
    assert (video.frames, video.fps) == (FRAMES - 1, 25)


def test_photos_are_a_clip_of_one_moment(shots: Path, people: list[int]) -> None:
    photos = [folder / "000.png" for folder in footage(shots)]
    words = [shots / "calib.toml", *photos, "-o", shots / "out", "--iterations", 1]
    assert run(*words, "--regressor", "mobile") == 0
    assert {"body.glb", "body_person0.trc"} <= {path.name for path in (shots / "out").iterdir()}


def test_videos_are_read(shots: Path, people: list[int]) -> None:
    for camera in made_rig():
        path = str(shots / f"{camera.name}.avi")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 20, SIZE)
        for number in range(FRAMES):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 90 + number, np.uint8))
        writer.release()
    videos = [shots / f"{camera.name}.avi" for camera in made_rig()]
    words = [shots / "calib.toml", *videos, "-o", shots / "out", "--iterations", 0]
    assert run(*words, "--regressor", "mobile", "--people", 1, "--to", "csv") == 0
    assert read_motions(shots / "out")[0].fps == 20


def test_bad_input_is_one_line(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration, folders = shots / "calib.toml", footage(shots)
    (shots / "empty").mkdir()
    (shots / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 200)
    (shots / "cut.toml").write_text(toml(made_rig())[:200])
    photo = folders[0] / "000.png"
    assert "no calibration at" in fails(capsys, shots / "no.toml", *folders)
    assert "cut.toml" in fails(capsys, shots / "cut.toml", *folders)
    assert "no such file" in fails(capsys, calibration, shots / "no.mp4", *folders[1:])
    assert "no pictures in the folder" in fails(capsys, calibration, shots / "empty", *folders[1:])
    assert "is not a video that can be read" in fails(
        capsys, calibration, shots / "broken.mp4", *folders[1:]
    )
    assert "2 or more cameras" in fails(capsys, calibration, folders[0])
    assert "photos of all cameras or footage of all" in fails(
        capsys, calibration, photo, *folders[1:]
    )
    two = ("--offsets", "0,0.1", "--regressor", "mobile", "-o", shots / "out")
    assert "2 offsets for 3 cameras" in fails(capsys, calibration, *folders, *two)
    folders[2].rename(shots / "third")
    assert "has 3 cameras (cam0, cam1, cam2), got 2 files" in fails(
        capsys, calibration, folders[0], shots / "third"
    )
    for words, expected in (
        (("--every", 0), "must be 1 or more, got 0"),
        (("--start", 3, "--end", 2), "has no moments"),
        (("--unit", "inch"), "expected auto, m, cm, mm"),
        (("--up", "top"), "expected auto, x, y"),
        (("--fps", 0), "frames a second"),
        (("--offsets", "0,late,0"), "expected auto, none, or seconds for each camera"),
    ):
        assert expected in fails(capsys, calibration, *folders, *words)


def test_a_picture_of_another_shape_is_one_line(
    shots: Path, people: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(np.zeros((640, 480, 3), np.uint8), shots / "cam1" / "000.png")
    assert "was calibrated for pictures of 640x480 px" in fails(capsys, *quick(shots))


def test_a_calibration_of_other_cameras_is_one_line(
    shots: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People whom the true cameras see do not agree in the cameras of the file."""
    body = load_body("open")
    points = seen_by(made_rig(), joints_of(body, made_body(body)))

    def detected(picture):
        return [points[int(picture[0, 0, 0])]]

    for number, camera in enumerate(made_rig()):
        for frame in range(FRAMES):
            grey = np.full((SIZE[1], SIZE[0], 3), number, np.uint8)
            write_image(grey, shots / camera.name / f"{frame:03d}.png")
    monkeypatch.setattr(view_people, "detected", detected)
    tilts = [cv2.Rodrigues(np.array([angle, 0.0, 0.0]))[0] for angle in (0.25, -0.25, 0.5)]
    tilted = [
        replace(camera, rotation=tilt @ camera.rotation, translation=tilt @ camera.translation)
        for tilt, camera in zip(tilts, made_rig(), strict=True)
    ]
    (shots / "calib.toml").write_text(toml(tilted))
    line = fails(capsys, *quick(shots))
    assert "the cameras do not see one world" in line
    assert "is the calibration of these cameras" in line
