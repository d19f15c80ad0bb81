"""Calibrations in TOML: Pose2Sim's, Anipose's (also FreeMoCap's and SLEAP's) and Caliscope's.

A table a camera, in OpenCV's terms: `matrix`, `distortions`, `rotation` (a rotation vector or a
matrix) and `translation` from world to camera, `size`, `fisheye`. Pose2Sim's world is in metres,
the others' in whatever their board was measured in. Caliscope numbers cameras by `port` or
`cam_id`, may put their tables under `cameras`, and marks those to leave out with `ignore`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from exemplar.files.atomic_files import replacing
from exemplar.geometry.rigs import LensCamera

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

_NAMES = ("name", "cam_id", "port")


def matches(path: Path) -> bool:
    """Whether it is a `.toml`."""
    return path.is_file() and path.suffix.lower() == ".toml"


def read(path: Path) -> list[LensCamera]:
    """Its cameras."""
    content = tomllib.loads(path.read_text("utf-8"))
    tables = content.get("cameras", content)
    cameras = {
        key: table for key, table in tables.items() if isinstance(table, dict) and "matrix" in table
    }
    if not cameras:
        raise ValueError("no table has a camera's matrix")
    return [_camera(key, table) for key, table in cameras.items() if not table.get("ignore")]


def write(cameras: Sequence[LensCamera], path: Path) -> None:
    """Write cameras so that `read` and the programs above read them."""
    tables = [_table(number, camera) for number, camera in enumerate(cameras)]
    with replacing(path) as half:
        half.write_text("\n\n".join(tables) + "\n", "utf-8")


def _table(number: int, camera: LensCamera) -> str:
    rows = {
        "name": camera.name,
        "size": camera.image_size and list(camera.image_size),
        "matrix": camera.intrinsics.tolist(),
        "distortions": camera.distortion.tolist(),
        "rotation": cv2.Rodrigues(camera.rotation)[0].ravel().tolist(),
        "translation": camera.translation.tolist(),
        "fisheye": camera.fisheye,
    }
    # JSON's texts, numbers and lists are TOML's
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in rows.items()
        if value is not None
    ]
    return "\n".join([f"[cam_{number}]", *lines])


def _camera(key: str, table: Mapping[str, Any]) -> LensCamera:
    name = next((str(table[each]) for each in _NAMES if each in table), key)
    for part in ("rotation", "translation"):
        if table.get(part) in (None, []):
            raise ValueError(f"camera {name} lacks its {part}: was it placed in the world?")
    return camera_of(
        name,
        table["matrix"],
        table.get("distortions", []),
        table["rotation"],
        table["translation"],
        size=table.get("size"),
        fisheye=bool(table.get("fisheye", False)),
    )


def camera_of(
    name: str,
    matrix: Any,
    distortion: Any,
    rotation: Any,
    translation: Any,
    *,
    size: Any = None,
    fisheye: bool = False,
) -> LensCamera:
    """A camera in OpenCV's terms, the rotation a vector or a matrix; ValueError if it is none."""
    turn = _numbers(rotation, name, "rotation", 3, 9)
    lens = _numbers(distortion, name, "distortion", *range(15))
    image_size = None
    if size is not None:
        width, height = _numbers(size, name, "size", 2)
        if not (width >= 1 and height >= 1 and width < 1e6 and height < 1e6):
            raise ValueError(f"camera {name}: {width:g}x{height:g} is no size of a picture")
        image_size = (round(width), round(height))
    return LensCamera(
        name,
        _numbers(matrix, name, "matrix", 9).reshape(3, 3),
        turn.reshape(3, 3) if len(turn) == 9 else cv2.Rodrigues(turn)[0],
        _numbers(translation, name, "translation", 3),
        lens if fisheye else _padded(lens),
        image_size,
        fisheye,
    )


def _padded(lens: np.ndarray) -> np.ndarray:
    """Radial coefficients alone, which Anipose writes, with OpenCV's others as 0."""
    return np.pad(lens, (0, 4 - len(lens))) if 0 < len(lens) < 4 else lens


def _numbers(value: Any, name: str, what: str, *counts: int) -> np.ndarray:
    try:
        found = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        found = np.full(1, np.nan)
    if len(found) not in counts or not np.isfinite(found).all():
        raise ValueError(
            f"camera {name}: its {what} is {str(value)[:60]}, expected"
            f" {' or '.join(map(str, counts)) if len(counts) < 5 else 'up to 14'} finite numbers"
        )
    return found
