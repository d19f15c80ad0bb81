"""Qualisys' calibrations (`.qca.txt`): XML, in 64ths of a pixel and in millimetres."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from exemplar.geometry.rigs import LensCamera

SUBPIXELS = 64
"""Qualisys counts in 64ths of a pixel."""

_MILLIMETRE = 1e-3
_LENS = (
    "radialDistortion1",
    "radialDistortion2",
    "tangentalDistortion1",
    "tangentalDistortion2",
    "radialDistortion3",
)
_MARKS = (b"<!DOCTYPE", b"<!ENTITY")


def matches(path: Path) -> bool:
    """Whether it is XML with Qualisys' root."""
    return path.is_file() and b"<calibration" in path.read_bytes()[:4096]


def read(path: Path) -> list[LensCamera]:
    """Its cameras, metres."""
    text = path.read_bytes()
    if any(mark in text for mark in _MARKS):
        raise ValueError("its XML defines entities, which no calibration does")
    return [_camera(element) for element in ElementTree.fromstring(text).iter("camera")]


def _camera(element: ElementTree.Element) -> LensCamera:
    name = element.get("serial", "")
    transform, intrinsic = _part(element, "transform"), _part(element, "intrinsic")
    turn = np.array([[float(transform[f"r{i}{j}"]) for j in "123"] for i in "123"])
    position = np.array([float(transform[axis]) for axis in "xyz"]) * _MILLIMETRE
    number = {key: float(value) / SUBPIXELS for key, value in intrinsic.items()}
    intrinsics = np.array(
        [
            [number["focalLengthU"], number.get("skew", 0.0), number["centerPointU"]],
            [0.0, number["focalLengthV"], number["centerPointV"]],
            [0.0, 0.0, 1.0],
        ]
    )
    # Qualisys' cameras look along -z with y up; ours along z with y down
    rotation = np.diag([1.0, -1.0, -1.0]) @ turn
    distortion = np.array([number.get(key, 0.0) for key in _LENS])
    return LensCamera(
        name, intrinsics, rotation, -rotation @ position, distortion, _size(element, name)
    )


def _part(element: ElementTree.Element, name: str) -> Mapping[str, str]:
    found = element.find(name)
    if found is None:
        raise ValueError(f"camera {element.get('serial')} lacks its {name}")
    return found.attrib


def _size(element: ElementTree.Element, name: str) -> tuple[int, int] | None:
    found = element.find("fov_video")
    if found is None:
        return None
    view = found.attrib
    left, right, top, bottom = (int(view[side]) for side in ("left", "right", "top", "bottom"))
    if right <= left or bottom <= top:
        raise ValueError(f"camera {name} sees no picture: {dict(view)}")
    return right - left + 1, bottom - top + 1
