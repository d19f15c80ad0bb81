"""Calibrations of several cameras: one module a format."""

from collections import Counter
from pathlib import Path

from exemplar.data.calibration import opencv, qualisys, toml
from exemplar.files.reading_files import reading
from exemplar.geometry.rigs import LensCamera

FORMATS = (qualisys, toml, opencv)
"""In the order in which they are tried: each has `matches(path)` and `read(path)`."""

LARGEST_FILE = 1024 * 1024
"""No calibration is larger, bytes."""

EXPECTED = (
    "a calibration: .toml of Pose2Sim, Anipose or Caliscope, .qca.txt of Qualisys, or .yml, .json"
    " or .xml of OpenCV"
)


def read_cameras(path: str | Path) -> tuple[LensCamera, ...]:
    """The cameras of a calibration file, or of the folder of EasyMocap's two, in its order.

    FileNotFoundError if there is none; ValueError, in one line, if it is damaged, of no known
    format, or has fewer than two cameras.
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
        if len(cameras) < 2:
            raise ValueError(f"it has {len(cameras)} camera(s), expected 2 or more")
        twice = [name for name, count in Counter(c.name for c in cameras).items() if count > 1]
        if twice:
            raise ValueError(f"two cameras are called {twice[0]}")
        return tuple(cameras)
