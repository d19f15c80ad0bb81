"""Calibrations as OpenCV's `FileStorage` writes them: `.yml`, `.json` or `.xml`.

Three namings are known:

- EasyMocap's: `names`, and for each camera `K_`, `dist_`, `Rot_` (or `R_`) and `T_`, in one file or
  in `intri.yml` and `extri.yml` of one folder;
- a map a camera, at the top or under `cameras`: `camera_matrix`, `distortion_coefficients`,
  `rotation` (or `rvec`, `R`) and `translation` (or `tvec`, `T`), `image_width` and `image_height`;
- two cameras of OpenCV's stereo example: `M1`, `D1`, `M2`, `D2`, `R`, `T`, the first at the
  world's origin, in one file or in `intrinsics.yml` and `extrinsics.yml` of one folder.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2

from exemplar.data.calibration.toml import camera_of
from exemplar.geometry.rigs import LensCamera

DEEPEST = 16
"""No calibration nests more deeply."""

_MARKS = re.compile(r"[\[\]{}]|</|/>|<(?![!?/])")
_SUFFIXES = (".yml", ".yaml", ".json", ".xml")
_PAIRS = (("intri", "extri"), ("intrinsics", "extrinsics"))
_MATRICES = ("camera_matrix", "matrix", "K", "M")
_LENSES = ("distortion_coefficients", "dist_coeffs", "distortions", "dist", "D")
_TURNS = ("rotation", "rvec", "R", "rotation_matrix")
_SHIFTS = ("translation", "tvec", "T")


def matches(path: Path) -> bool:
    """Whether it has an ending of OpenCV's storages, or is a folder of two of them."""
    return path.suffix.lower() in _SUFFIXES if path.is_file() else len(_files(path)) == 2


def read(path: Path) -> list[LensCamera]:
    """Its cameras."""
    content: dict[str, Any] = {}
    for file in _files(path):
        content |= _storage(file)
    if isinstance(content.get("names"), list):
        return [_easymocap(str(name), content) for name in content["names"]]
    if {"M1", "M2", "R", "T"} <= content.keys():
        here = camera_of("1", content["M1"], content.get("D1", []), [0.0] * 3, [0.0] * 3)
        there = camera_of("2", content["M2"], content.get("D2", []), content["R"], content["T"])
        return [here, there]
    cameras = [_named(name, each) for name, each in _maps(content.get("cameras", content))]
    if not cameras:
        raise ValueError("none of its maps is a camera: expected camera_matrix, rotation, ...")
    return cameras


def _files(path: Path) -> list[Path]:
    """The file, and the one that belongs to it; of a folder, two that belong together."""
    folder, stem = (path, None) if path.is_dir() else (path.parent, path.stem)
    for pair in _PAIRS:
        for suffix in _SUFFIXES:
            both = [folder / f"{each}{suffix}" for each in pair]
            if (stem is None or path in both) and all(file.is_file() for file in both):
                return both
    return [] if path.is_dir() else [path]


def _storage(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    # OpenCV's parser calls itself for each level, until its stack is full
    if _depth(text) > DEEPEST:
        raise ValueError("it nests too deeply")
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    try:
        found = _value(storage.root())
    finally:
        storage.release()
    if not isinstance(found, dict):
        raise ValueError("expected a map of cameras")
    return found


def _depth(text: str) -> int:
    """How deeply brackets and XML's elements nest, or more."""
    deepest = now = 0
    for mark in _MARKS.finditer(text):
        now += 1 if mark[0] in "[{" or (mark[0][0] == "<" and mark[0] != "</") else -1
        deepest = max(deepest, now)
    return deepest


def _value(node: cv2.FileNode, depth: int = 0) -> Any:
    """A node as Python's own; ValueError where it nests as no calibration does."""
    if depth > DEEPEST:
        raise ValueError("it nests too deeply")
    if node.isMap():
        keys = node.keys()
        # a matrix: OpenCV would make one of the size that the file says, whatever data it has
        if "data" in keys and {"rows", "sizes"} & set(keys):
            return _value(node.getNode("data"), depth + 1)
        return {key: _value(node.getNode(key), depth + 1) for key in keys}
    if node.isSeq():
        return [_value(node.at(i), depth + 1) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _easymocap(name: str, content: Mapping[str, Any]) -> LensCamera:
    turn = content.get(f"Rot_{name}", content.get(f"R_{name}"))
    size = (content.get(f"W_{name}"), content.get(f"H_{name}"))
    return camera_of(
        name,
        content.get(f"K_{name}"),
        _lens(content.get(f"dist_{name}", content.get(f"D_{name}", []))),
        turn,
        content.get(f"T_{name}"),
        size=size if all(isinstance(side, float) for side in size) else None,
    )


def _named(name: str, values: Mapping[str, Any]) -> LensCamera:
    size = (values.get("image_width"), values.get("image_height"))
    model = str(values.get("distortion_model", values.get("camera_model", "")))
    return camera_of(
        str(values.get("name", values.get("camera_name", name))),
        _first(values, _MATRICES),
        _lens(_first(values, _LENSES, [])),
        _first(values, _TURNS),
        _first(values, _SHIFTS),
        size=None if None in size else size,
        fisheye=bool(values.get("fisheye", False)) or "fisheye" in model.lower(),
    )


def _maps(content: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The maps of cameras, by name or number."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for name, values in pairs:
        if isinstance(values, dict) and any(key in values for key in _MATRICES):
            yield str(name), values


def _first(values: Mapping[str, Any], names: tuple[str, ...], default: Any = None) -> Any:
    return next((values[name] for name in names if name in values), default)


def _lens(values: Any) -> Any:
    """The coefficients; none at all if a storage wrote an empty matrix."""
    return [] if values is None else values
