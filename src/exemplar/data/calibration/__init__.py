"""Calibrations of several cameras: one module a format."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from exemplar.counting import counted
from exemplar.data.calibration import opencv, qualisys, toml
from exemplar.files.reading_files import reading
from exemplar.geometry.rigs import LensCamera

FORMATS = (qualisys, toml, opencv)
"""In the order in which they are tried: each has `matches(path)` and `read(path)`."""

CAMERAS_FILE = "cameras.toml"
"""Where the folder of a result has the cameras that see it, in the result's world."""

LARGEST_FILE = 1024 * 1024
"""No calibration is larger, bytes."""

EXPECTED = (
    "a calibration: .toml of Pose2Sim, Anipose or Caliscope, .qca.txt of Qualisys, or .yml, .json"
    " or .xml of OpenCV"
)


def write_cameras(cameras: Sequence[LensCamera], path: Path) -> None:
    """Write cameras as Anipose does; OSError when the file cannot be written."""
    toml.write(cameras, path)


def read_cameras(path: str | Path, *, least: int = 2) -> tuple[LensCamera, ...]:
    """The cameras of a calibration file, or of the folder of EasyMocap's two, in its order.

    FileNotFoundError if there is none; ValueError, in one line, if it is damaged, of no known
    format, or has fewer than `least` cameras.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no calibration at {path}")
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path}: too large for a calibration")
    with reading(path, EXPECTED):
        module = next((module for module in FORMATS if module.matches(path)), None)
        if module is None:
            raise ValueError(f"expected {EXPECTED}")
        cameras = module.read(path)
        if len(cameras) < least:
            raise ValueError(f"it has {counted(len(cameras), 'camera')}, expected {least} or more")
        twice = [name for name, count in Counter(c.name for c in cameras).items() if count > 1]
        if twice:
            raise ValueError(f"two cameras are called {twice[0]}")
        return tuple(cameras)
