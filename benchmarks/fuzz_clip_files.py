"""Small valid files of clips and of several cameras, and their readers, for `benchmarks.fuzz`."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.fuzz_files import KINDS as KINDS_OF_DATA
from benchmarks.fuzz_files import Kind
from benchmarks.fuzz_folder_files import KINDS as KINDS_OF_FOLDERS
from exemplar.bodies import load_body
from exemplar.data.calibration import read_cameras
from exemplar.files.video_files import read_frames, read_info, video_writer
from exemplar.scene.clip_files import JOB_FILE, ClipJob
from exemplar.scene.kept import Kept
from exemplar.scene.sightings import COLOUR_BINS
from exemplar.scene.tracks import tracks_of
from exemplar.viewer.result.scene import read_scene

_SIZE = (64, 64)
_MATRIX = [[60.0, 0.0, 32.0], [0.0, 60.0, 32.0], [0.0, 0.0, 1.0]]
_LENS = [0.1, 0.0, 0.0, 0.0]


def _text(content: str, path: Path) -> None:
    path.write_text(content)


def _json(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content))


def _npz(content: Mapping[str, Any], path: Path) -> None:
    np.savez(path, **{name: np.asarray(value) for name, value in content.items()})


def _toml() -> str:
    tables = [
        f"[cam_{number}]\nname = 'cam{number}'\nsize = [64, 64]\nmatrix = {_MATRIX}\n"
        f"distortions = {_LENS}\nrotation = [0.1, {number}.0, 0.0]\ntranslation = [0.0, 0.1, 3.0]\n"
        for number in range(2)
    ]
    return "".join(tables)


def _qualisys() -> str:
    turn = " ".join(f'r{i}{j}="{int(i == j)}"' for i in "123" for j in "123")
    lens = " ".join(
        f'{name}="1"' for name in ("radialDistortion1", "radialDistortion2",
                                   "tangentalDistortion1", "tangentalDistortion2")
    )  # fmt: skip
    cameras = "".join(
        f'<camera serial="{number}"><fov_video left="0" top="0" right="63" bottom="63"/>'
        f'<transform {turn} x="{number}" y="-3000" z="1000"/><intrinsic focalLengthU="3840"'
        f' focalLengthV="3840" centerPointU="2048" centerPointV="2048" {lens}/></camera>'
        for number in range(2)
    )
    return f"<?xml version='1.0'?><calibration><cameras>{cameras}</cameras></calibration>"


def _opencv() -> dict[str, Any]:
    camera = {
        "camera_matrix": _MATRIX, "distortion_coefficients": _LENS, "rotation": [0.1, 0.2, 0.0],
        "translation": [0.0, 0.1, 3.0], "image_width": 64, "image_height": 64,
    }  # fmt: skip
    return {"cameras": {"a": camera, "b": {**camera, "rotation": np.eye(3).tolist()}}}


def _easymocap() -> str:
    def matrix(name: str, rows: list[list[float]]) -> str:
        data = ", ".join(str(value) for row in rows for value in row)
        return (
            f"{name}: !!opencv-matrix\n  rows: {len(rows)}\n  cols: {len(rows[0])}\n  dt: d\n"
            f"  data: [{data}]\n"
        )

    cameras = "".join(
        matrix(f"K_{name}", _MATRIX)
        + matrix(f"dist_{name}", [_LENS])
        + matrix(f"Rot_{name}", np.eye(3).tolist())
        + matrix(f"T_{name}", [[0.0], [0.1], [3.0]])
        for name in "ab"
    )
    return f'%YAML:1.0\n---\nnames:\n  - "a"\n  - "b"\n{cameras}'


@cache
def _clip() -> bytes:
    ramp = np.arange(3 * _SIZE[0] * _SIZE[1]).reshape(*_SIZE, 3)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        with video_writer(path, 10.0) as write:
            for number in range(6):
                write(((ramp + 40 * number) % 251).astype(np.uint8))
        return path.read_bytes()


def _write_clip(_: str, path: Path) -> None:
    path.write_bytes(_clip())


def _seen(path: Path) -> object:
    return read_info(path), [frame.pixels.shape for frame in read_frames(path)]


def _block() -> dict[str, Any]:
    people = 3
    return {
        "numbers": np.arange(2), "times": np.arange(2) / 30, "counts": np.array([1, 2]),
        "keypoints": np.ones((people, 33, 3)) * np.arange(33)[:, None],
        "scores": np.ones(people), "colours": np.ones((people, COLOUR_BINS**3)),
        "crops": np.ones((people, 4)), "boxes": np.ones((people, 4)),
        "inputs0": np.ones((people, 5), np.float32),
    }  # fmt: skip


def _job(path: Path) -> ClipJob:
    (path.parent / "clip.mp4").write_bytes(b"clip")
    return ClipJob(path.parent, path.parent / "clip.mp4", {"focal": 900.0})


def _watched(path: Path) -> object:
    block = _job(path).load(0)
    block.first_rows  # noqa: B018 - how a block is taken apart
    return tracks_of(block.people, block.times.tolist())


def _kept(name: str, shapes: Mapping[str, tuple[int, ...]]) -> Callable[[Path], object]:
    return lambda path: Kept(path.parent, name).read(0, shapes)


_MOMENT = {"points": np.ones((1, 2, 49, 3)), "counts": np.array([1, 1]), "gap": np.array(3.0)}


def _fit() -> dict[str, Any]:
    people, steps = 2, 3
    eye, rows = np.eye(3), 2 * 3
    return {
        "body": "open", "focal": 900.0, "principal_point": [32.0, 32.0], "image_size": list(_SIZE),
        "status": np.full(people, "ok"), "betas": np.zeros((people, 10)),
        "global_orient": np.tile(eye, (people, 1, 1)), "translation": np.ones((people, 3)),
        "body_pose": np.tile(eye, (people, 23, 1, 1)), "confidence": np.ones(people),
        "keypoints_2d": np.ones((people, 49, 3)),
        "step_person": np.repeat(np.arange(people), steps),
        "step_iteration": np.tile(np.arange(steps), people),
        "step_global_orient": np.tile(eye, (rows, 1, 1)),
        "step_body_pose": np.tile(eye, (rows, 23, 1, 1)),
        "step_betas": np.zeros((rows, 10)), "step_translation": np.ones((rows, 3)),
        "step_error_px": np.ones(rows),
    }  # fmt: skip


def _shown(path: Path) -> object:
    return read_scene(path, lambda name: load_body("open"))


KINDS: Mapping[str, Kind] = {
    **KINDS_OF_DATA,
    **KINDS_OF_FOLDERS,
    "calibration, toml": Kind("a.toml", _toml, _text, read_cameras),
    "calibration, Qualisys": Kind("a.qca.txt", _qualisys, _text, read_cameras),
    "calibration, OpenCV": Kind("a.json", _opencv, _json, read_cameras),
    "calibration, EasyMocap": Kind("a.yml", _easymocap, _text, read_cameras),
    "video": Kind("a.mp4", lambda: "a clip", _write_clip, _seen),
    "clip block": Kind("block_000000.npz", _block, _npz, _watched),
    "clip job": Kind(
        JOB_FILE, lambda: {"focal": 900.0, "clip": "4 bytes, 47be5895fa33640b"}, _json, _job),
    "views, people": Kind(
        "people_000000.npz", lambda: dict(_MOMENT), _npz,
        _kept("people", {"points": (-1, 2, 49, 3), "counts": (2,), "gap": ()})),
    "fit shown": Kind("fit.npz", _fit, _npz, _shown),
}  # fmt: skip
"""Every reader's files."""
