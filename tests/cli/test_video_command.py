"""`exemplar video`: files written and read back, and one clear line for bad input."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exemplar.assets import asset_path
from exemplar.cli import main
from exemplar.files.image_files import read_image
from exemplar.motion_files import read_motions
from tests.files.test_video_files import make_clip, no_frames, sound_only, turned
from tests.fixtures.made_clips import make_photo_clip

pytest.importorskip("scipy")
read_info = pytest.importorskip("exemplar.files.video_files").read_info
av = pytest.importorskip("av")


def run(*arguments: object) -> int:
    """Exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_clip_of_one_frame_gives_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = make_photo_clip(tmp_path / "clip.mp4", 1), tmp_path / "out"
    assert run("video", clip, "-o", out, "--regressor", "mobile", "--person", "0") == 0
    told = capsys.readouterr().out
    assert "1 frame at " in told
    assert "above the ground" in told
    names = {path.name for path in out.iterdir()}
    assert names == {
        "motion.npz", "motion.glb", "motion.csv", "motion.bvh", "motion.trc", "motion_amass.npz",
        "cameras.toml", "overlay.mp4", "summary.json", "work",
    }  # fmt: skip
    (motion,) = read_motions(out)
    assert motion.frame == "world"
    assert motion.seen.all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 1
    assert summary["people"][0]["ok"] == 1
    assert np.isfinite(summary["people"][0]["camera_misfit_px"]["worst"])
    picture = read_info(out / "overlay.mp4")
    assert picture.width > picture.height / 2
    assert run("export", out, "--to", "ply", "-o", tmp_path / "body.ply") == 0


def test_the_clip_that_ships_is_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--demo", "--end", "0.03", "--regressor", "mobile", "--no-overlay")
    assert run("video", *words, "-o", tmp_path) == 0
    assert "demo_clip.mp4  1 frame at 30/s" in capsys.readouterr().out
    (motion,) = read_motions(tmp_path)
    assert motion.seen.all()


@pytest.mark.parametrize("words", [(), ("clip.mp4", "--demo")])
def test_one_clip_is_asked_for(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("video", *words) == 1
    assert "expected one clip: exemplar video CLIP, or exemplar video --demo" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"no video at all" * 50, "is not a video"), (None, "no video at")],
)
def test_bad_clips_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    message: str,
) -> None:
    clip = tmp_path / "clip.mp4"
    if content is not None:
        clip.write_bytes(content)
    assert run("video", clip, "-o", tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    (line,) = shown.err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("sound.wav", sound_only, "has no video stream"),
        ("none.mp4", no_frames, "none.mp4"),
        # large pictures are read, and nobody is in them
        ("4k.mp4", lambda path: make_clip(path, 1, size=(2160, 3840)), "no person found"),
        ("long.mp4", lambda path: make_clip(path, 1, size=(64, 8200)), "expected 16 to 8192 px"),
    ],
)
def test_clips_without_people_to_fit_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    make: Callable[[Path], Path],
    message: str,
) -> None:
    clip = make(tmp_path / name)
    assert run("video", clip, "-o", tmp_path / "out", "--regressor", "mobile") == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    (line,) = shown.err.strip().splitlines()
    assert message in line


def test_a_phones_clip_of_ten_bits_is_upright(tmp_path: Path) -> None:
    """The demo's photo lies on its side in the file, which says how to turn it."""
    with asset_path("demo.jpg") as photo:
        pixels = read_image(photo)
    lying = np.ascontiguousarray(np.rot90(pixels))
    lying = lying[: lying.shape[0] // 2 * 2, : lying.shape[1] // 2 * 2]
    with av.open(str(tmp_path / "flat.mp4"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = *lying.shape[:2], "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(lying).reformat(format="yuv420p10le")
        container.mux([*stream.encode(frame), *stream.encode()])
    clip = turned(tmp_path / "flat.mp4", tmp_path / "clip.mp4")
    words = ("--regressor", "mobile", "--no-overlay", "--quiet")
    assert run("video", clip, "-o", tmp_path / "out", *words) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["camera"]["image_size_px"] == [lying.shape[0], lying.shape[1]]
    assert summary["people"][0]["ok"] == 1
    # heads are above feet in the picture's frame
    up = np.array(summary["world"]["rotation_world_camera"])[1]
    assert up @ (0, -1, 0) > 0.8


@pytest.mark.parametrize(
    "words", [("--every", "0"), ("--start", "3", "--end", "1"), ("--focal", "-1"), ("--fps", "0")]
)
def test_impossible_settings_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run("video", tmp_path / "clip.mp4", "-o", tmp_path / "out", *words) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("module", ["av", "scipy.optimize"])
def test_without_the_extra_one_line_says_what_to_install(
    module: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run("video", tmp_path / "clip.mp4", "-o", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "exemplar-hmr[video]" in line
