"""Synthetic data sets on disk: the same bytes however they were drawn, and true."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.bodies.body import BodyParams
from exemplar.bodies.open_body import load_open_body
from exemplar.data.contents import Contents
from exemplar.data.formats import read, recognise
from exemplar.files.image_files import read_image
from exemplar.skeletons import GT_24, OPENPOSE_25
from exemplar.synth import SynthBatch, SynthConfig, draw_samples, folders
from exemplar.synth.domains import DOMAINS, Domain
from exemplar.synth.folders import DatasetPlan, write_dataset

CONFIG = SynthConfig(image_size=48, antialias=1)


def draw(count: int, seed: int, start: int) -> SynthBatch:
    """Small pictures."""
    return draw_samples(count, seed=seed, start=start, config=CONFIG)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain of small pictures, in small parts."""
    monkeypatch.setitem(DOMAINS, "tiny", Domain("small", CONFIG, draw, lambda i: f"S{i % 2}"))  # pyright: ignore
    monkeypatch.setattr(folders, "BLOCK", 4)


def plan(folder: Path, count: int = 10, **more: object) -> DatasetPlan:
    """A small data set."""
    return replace(DatasetPlan("tiny", folder, count, seed=1), **more)  # pyright: ignore


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the parts, whose cuts may differ."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.parent.name != "parts")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_ranges_do_not_change_a_byte(tmp_path: Path) -> None:
    assert write_dataset(plan(tmp_path / "whole")) == 10
    write_dataset(plan(tmp_path / "shared", 3, start=7))
    assert write_dataset(plan(tmp_path / "shared", 5, start=0)) == 8
    assert write_dataset(plan(tmp_path / "shared", 4, start=3)) == 10
    assert contents(tmp_path / "whole") == contents(tmp_path / "shared")


@pytest.mark.slow
def test_processes_do_not_change_a_byte(tmp_path: Path) -> None:
    """Of a real domain: the workers do not have the tests' one."""
    for workers in (1, 2):
        write_dataset(DatasetPlan("odd", tmp_path / str(workers), 6), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_finished_people_are_not_drawn_again(tmp_path: Path) -> None:
    drawn: list[int] = []
    write_dataset(plan(tmp_path, 4), report=drawn.append)
    write_dataset(plan(tmp_path, 10), report=drawn.append)
    write_dataset(plan(tmp_path, 10), report=drawn.append)
    assert drawn == [4, 4, 2]


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(plan(tmp_path / "a"), report=stop)
    drawn: list[int] = []
    write_dataset(plan(tmp_path / "a"), report=drawn.append)
    assert sum(drawn) == 6
    write_dataset(plan(tmp_path / "b"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_truth_is_hidden_or_given(tmp_path: Path) -> None:
    write_dataset(plan(tmp_path, 4))
    path = tmp_path / folders.ANNOTATIONS
    assert recognise(Contents(path)) == "spin_npz"
    hidden = list(read(path))
    assert all(s.body is None and s.joints_3d is None and not s.problem for s in hidden)
    write_dataset(plan(tmp_path, 4, truth="give"))
    given = list(read(path))
    assert all(s.body is not None and s.joints_3d is not None for s in given)
    for one, other in zip(hidden, given, strict=True):
        assert np.array_equal(one.keypoints_2d, other.keypoints_2d)
        assert not one.keypoints_2d[: len(OPENPOSE_25)].any()
        assert read_image(tmp_path / one.image).shape == (48, 48, 3)
        assert one.subject == f"S{one.annotation_id % 2}"  # pyright: ignore


def test_the_truth_read_back_is_what_was_drawn(tmp_path: Path) -> None:
    """Axis-angle and back in float64 of float32 rotations: 1e-6; 2D exact to float32."""
    write_dataset(plan(tmp_path, 4))
    batch = draw(4, 1, 0)
    for row, sample in enumerate(read(tmp_path / folders.TRUTH)):
        assert sample.body is not None
        assert sample.joints_3d is not None
        pose = np.concatenate([batch.global_orient[row][None], batch.body_pose[row]])
        assert np.abs(sample.body.pose - pose).max() < 1e-6
        assert np.allclose(sample.body.betas, batch.betas[row])
        known = batch.keypoints_2d[row][:, 2] > 0
        assert np.array_equal(sample.keypoints_2d[known], batch.keypoints_2d[row][known])
        assert not sample.keypoints_2d[~known].any()
        points = batch.keypoints_3d[row][len(OPENPOSE_25) :]
        assert np.allclose(sample.joints_3d[:, :3], points)


def test_the_weak_camera_is_in_units_of_the_annotated_box(tmp_path: Path) -> None:
    """Seen by it, the body lies where the picture's own weak camera puts it: 1e-3 px of 48."""
    write_dataset(plan(tmp_path, 4))
    batch = draw(4, 1, 0)
    params = (batch.global_orient, batch.body_pose, batch.betas)
    with torch.no_grad():
        body = load_open_body()
        bodies = BodyParams(*(torch.from_numpy(array) for array in params))
        points = body.keypoints(bodies, "smpl49").numpy()[..., :2]
    for row, sample in enumerate(read(tmp_path / folders.TRUTH)):
        assert sample.body is not None
        assert sample.body.weak_camera is not None
        camera, own = sample.body.weak_camera, batch.weak_camera[row]
        in_box = (camera[0] * points[row] + camera[1:]) * sample.box_size / 2 + sample.box_centre
        in_picture = (own[0] * points[row] + own[1:] + 1) * 48 / 2
        assert np.abs(in_box - in_picture).max() < 1e-3


def test_truth_has_the_full_camera(tmp_path: Path) -> None:
    """Float32 pixels of a picture of 48: 1e-3."""
    write_dataset(plan(tmp_path, 4))
    with np.load(tmp_path / folders.TRUTH) as file:
        points = file["S"][..., :3] + file["root"][:, None]
        pixels = points[..., :2] / points[..., 2:] * file["focal"][:, None, None]
        pixels = pixels + file["principal_point"][:, None]
        known = file["part"][..., 2] > 0
        assert np.abs(pixels - file["part"][..., :2])[known].max() < 1e-3
        assert file["visible"].shape == (4, len(OPENPOSE_25) + len(GT_24))


def test_the_header_tells_what_it_is(tmp_path: Path) -> None:
    write_dataset(plan(tmp_path, 3))
    header = json.loads((tmp_path / folders.HEADER).read_text())
    assert (header["domain"], header["seed"], header["count"]) == ("tiny", 1, 3)
    assert header["config"]["image_size"] == 48
    assert header["version"]


def test_settings_that_an_older_header_lacks_do_not_matter(tmp_path: Path) -> None:
    write_dataset(plan(tmp_path, 1))
    path = tmp_path / folders.HEADER
    header = json.loads(path.read_text())
    del header["config"]["views"]["ends"]
    path.write_text(json.dumps(header))
    assert write_dataset(plan(tmp_path, 2)) == 2
    header["config"]["views"]["box_scale"] = 3.0
    path.write_text(json.dumps(header))
    with pytest.raises(ValueError, match="not the same config"):
        write_dataset(plan(tmp_path, 2))


def test_other_data_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    write_dataset(plan(tmp_path / "a", 1))
    before = contents(tmp_path / "a")
    with pytest.raises(ValueError, match=r"another data set \(domain tiny, seed 1\)"):
        write_dataset(plan(tmp_path / "a", 1, seed=2))
    assert contents(tmp_path / "a") == before
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="is not empty"):
        write_dataset(plan(tmp_path / "b", 1))
    (tmp_path / "a" / folders.HEADER).write_text("[1")
    with pytest.raises(ValueError, match="not the header"):
        write_dataset(plan(tmp_path / "a", 1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"count": 0}, "count of 1 or more, got 0"),
        ({"start": -1}, "start of 0 or more"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"count": 10**9}, "at most 100,000,000"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    tmp_path: Path, wrong: dict[str, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        write_dataset(plan(tmp_path / "a", **wrong))
    assert not (tmp_path / "a").exists()


def test_a_full_disk_costs_the_part_being_drawn_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = folders.write_image

    def full_after_six(image: np.ndarray, path: Path) -> None:
        if path.stem.endswith("6"):
            raise OSError(f"cannot write to {path}: no space left on device")
        written(image, path)

    monkeypatch.setattr(folders, "write_image", full_after_six)
    with pytest.raises(OSError, match="no space left"):
        write_dataset(plan(tmp_path))
    monkeypatch.setattr(folders, "write_image", written)
    drawn: list[int] = []
    assert write_dataset(plan(tmp_path), report=drawn.append) == 10
    assert sum(drawn) == 6
