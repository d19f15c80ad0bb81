"""A clip, from its file to motions: the same however often it is stopped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.files.video_files import Selection, video_writer
from exemplar.motion import rest_pose
from exemplar.scene import clip as clip_module
from exemplar.scene.clip import ClipFitter, ClipResult
from exemplar.scene.clip_files import JOB_FILE
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.clip_people import fps_of
from tests.fixtures.made_clips import FPS, make_photo_clip

pytest.importorskip("av")
pytest.importorskip("scipy")

FRAMES = 6


@pytest.fixture(scope="module")
def fitter() -> ClipFitter:
    return ClipFitter("mobile", ClipOptions(look_every=3))


@pytest.fixture(scope="module")
def made_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photo_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", FRAMES)


@pytest.fixture(scope="module")
def whole(
    fitter: ClipFitter, made_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ClipResult, Path]:
    """The clip fitted in one go, in blocks of two frames."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_module, "BLOCK", 2)
        return fitter.fit(made_clip, folder), folder


def test_the_person_is_in_every_frame_with_one_shape(whole: tuple[ClipResult, Path]) -> None:
    result, _ = whole
    motion = result.people[0].motion
    assert motion.seen.all()
    assert len(motion.times) == FRAMES
    assert motion.fps == pytest.approx(FPS)
    assert motion.frame == "camera"
    # a photo of somebody: within a room's distance
    assert (np.abs(motion.translation[:, 2] - 3) < 3).all()
    assert result.motions[0].frame == "world"


def test_a_person_does_not_jump_in_depth(whole: tuple[ClipResult, Path]) -> None:
    depth = whole[0].people[0].motion.translation[:, 2]
    # hips are guesses here: readings of one still picture alone differ by a tenth
    assert (np.abs(np.diff(depth)) < 0.06 * depth.mean()).all()


def test_a_job_that_is_stopped_goes_on_to_the_same_bytes(
    fitter: ClipFitter,
    made_clip: Path,
    whole: tuple[ClipResult, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_module, "BLOCK", 2)
    for kill_at in (1, 4):

        def stop(what: str, done: int, of: int, kill_at: int = kill_at) -> None:
            if what == "reading" and done == kill_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fitter.fit(made_clip, tmp_path, stop)
    resumed = fitter.fit(made_clip, tmp_path)
    names = sorted(path.name for path in whole[1].iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (whole[1] / name).read_bytes() == (tmp_path / name).read_bytes(), name
    for one, other in zip(whole[0].motions, resumed.motions, strict=True):
        for field in ("global_orient", "body_pose", "betas", "translation"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_another_jobs_folder_is_refused(
    fitter: ClipFitter, made_clip: Path, whole: tuple[ClipResult, Path]
) -> None:
    other = ClipFitter.__new__(ClipFitter)
    other.__dict__.update(fitter.__dict__)
    other.options = replace(fitter.options, selection=Selection(every=2))
    with pytest.raises(ValueError, match=r"other settings \(selection\)"):
        other.fit(made_clip, whole[1])


def test_a_job_with_a_setting_of_two_lines_is_refused_in_one(
    fitter: ClipFitter, made_clip: Path, whole: tuple[ClipResult, Path], tmp_path: Path
) -> None:
    told = json.loads((whole[1] / JOB_FILE).read_text())
    (tmp_path / JOB_FILE).write_text(json.dumps(told | {"a\nb": 1}))
    with pytest.raises(ValueError, match=r"other settings \(a b\)"):
        fitter.fit(made_clip, tmp_path)


def test_another_focal_length_needs_no_new_look(
    fitter: ClipFitter,
    made_clip: Path,
    whole: tuple[ClipResult, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_module, "BLOCK", 2)
    monkeypatch.setattr(clip_module, "sightings_in", None)
    other = ClipFitter.__new__(ClipFitter)
    other.__dict__.update(fitter.__dict__)
    before = whole[0].people[0].motion
    assert before.camera is not None
    other.options = replace(fitter.options, focal=2 * before.camera.focal)
    motion = other.fit(made_clip, whole[1]).people[0].motion
    # twice the focal length: twice as far away, but for the depth's smoothness
    ratio = np.median(motion.translation[:, 2]) / np.median(before.translation[:, 2])
    assert ratio == pytest.approx(2, rel=0.1)


def test_a_damaged_block_is_one_line(
    fitter: ClipFitter, made_clip: Path, whole: tuple[ClipResult, Path], tmp_path: Path
) -> None:
    for path in whole[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    block = tmp_path / "block_000001.npz"
    block.write_bytes(block.read_bytes()[:-200])
    with pytest.raises(ValueError, match="block_000001") as caught:
        fitter.fit(made_clip, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_room_is_one_line(fitter: ClipFitter, tmp_path: Path) -> None:
    with video_writer(tmp_path / "empty.mp4", 10.0) as write:
        for _ in range(2):
            write(np.full((64, 96, 3), 127, np.uint8))
    with pytest.raises(ValueError, match=r"no person found in .*empty\.mp4"):
        fitter.fit(tmp_path / "empty.mp4", tmp_path / "work")


def test_who_is_said_to_be_a_child_is_one_in_every_frame(made_clip: Path, tmp_path: Path) -> None:
    options = ClipOptions(selection=Selection(every=3), age=5.0, height=1.1, iterations=1)
    fitter = ClipFitter("mobile", options)
    result = fitter.fit(made_clip, tmp_path)
    motion = result.people[0].motion
    rest = rest_pose(fitter.body, motion.betas)
    assert np.ptp(rest.vertices[:, 1]) == pytest.approx(1.1, abs=0.02)
    assert len(motion.betas) == fitter.body.most_betas
    assert result.people[0].traits.said == {"age": 5.0, "height": 1.1}


def test_a_clips_rate_is_its_frames_over_its_seconds() -> None:
    assert fps_of(np.arange(3) / 29.999999) == 30
    assert fps_of(np.array([0.0, 86400.0])) == pytest.approx(1 / 86400, rel=1e-4)
