"""The cameras that a result's page looks through, and what they saw."""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from exemplar.counting import counted
from exemplar.data.calibration import CAMERAS_FILE, read_cameras
from exemplar.data.calibration.naming import named_after
from exemplar.data.footage import PHOTOS, open_footage
from exemplar.files.image_files import read_image
from exemplar.files.reading_files import read_json, reading
from exemplar.files.video_files import read_frames
from exemplar.geometry.rigs import LensCamera
from exemplar.motion import Motion

LONGEST_SIDE = 1600
"""A photo is made smaller than this many px, for the page alone."""

LONGEST_SIDE_OF_MANY = 800
"""So are the pictures of a clip."""

WORLD_TO_SCENE = np.diag([1.0, -1.0, -1.0])
"""The page has y down, as the camera's frame has."""

SUMMARY_FILE = "summary.json"
"""Where the folder of several cameras' result says how late they are."""

_QUALITY = 85
_NEAR = 0.002
"""A frame may be this much earlier than the time that it is for, seconds."""


@dataclass(frozen=True)
class SeenBy:
    """A camera, in the page's axes, and what it saw in each frame that is shown."""

    lens: LensCamera
    pictures: tuple[str, ...] = ()
    """Data URLs; one stands for all frames."""

    def written(self) -> dict[str, Any]:
        """As `result.js` takes it."""
        assert self.lens.image_size is not None
        return {
            "name": self.lens.name,
            "focal": [self.lens.intrinsics[0, 0], self.lens.intrinsics[1, 1]],
            "centre": self.lens.intrinsics[:2, 2].tolist(),
            "size": list(self.lens.image_size),
            "rotation": self.lens.rotation.tolist(),
            "translation": self.lens.translation.tolist(),
            "pictures": list(self.pictures),
        }


@dataclass(frozen=True)
class Clock:
    """When a camera took its frames."""

    late: float = 0.0
    """So much later than the result it shows a moment, seconds."""
    fps: float | None = None
    """Frames a second; None where the result does not say."""


def clocks_of(folder: Path) -> dict[str, Clock]:
    """Of the cameras that the summary beside a result names; none without one.

    ValueError, in one line, if it is damaged.
    """
    path = folder / SUMMARY_FILE
    found = read_json(path) if path.is_file() else {}
    with reading(path, "the summary of a result"):
        names = found.get("cameras", [])
        rates = found.get("camera_fps", [None] * len(names))
        clocks = [
            Clock(float(late), None if fps is None else float(fps))
            for late, fps in zip(found.get("offsets_s", []), rates, strict=True)
        ]
        if not all(math.isfinite(one.late) and (one.fps or 1) > 0 for one in clocks):
            raise ValueError("expected finite offsets and positive rates")
        return dict(zip(names, clocks, strict=True))


def cameras_of(folder: Path, motion: Motion) -> list[LensCamera]:
    """The cameras beside a result, else the one in it, in the page's axes; none if it has none.

    ValueError if the file of the cameras is damaged.
    """
    turn = WORLD_TO_SCENE if motion.frame == "world" else np.eye(3)
    if (folder / CAMERAS_FILE).is_file():
        found = read_cameras(folder / CAMERAS_FILE, least=1)
        return [
            replace(camera, rotation=camera.rotation @ turn)
            for camera in found
            if camera.image_size is not None
        ]
    if motion.camera is None or motion.frame == "world":
        return []
    return [motion.camera.lens]


def with_pictures(
    cameras: Sequence[LensCamera],
    paths: Sequence[Path],
    times: Float[np.ndarray, " t"],
    clocks: Mapping[str, Clock] = MappingProxyType({}),
) -> list[SeenBy]:
    """Cameras with what they took at these times (seconds, growing): photos, clips, or folders of
    frames, by the clocks of the cameras' names.

    Files that are named after their cameras may come in any order; else there is one for each.
    FileNotFoundError, ImportError or ValueError, in one line, if one cannot be read, or is not what
    was fitted.
    """
    if not paths:
        return [SeenBy(camera) for camera in cameras]
    if not cameras:
        raise ValueError(f"the result does not say where its cameras are: {paths[0]} has no place")
    names = [camera.name for camera in cameras]
    owners = named_after(names, paths)
    if owners is None and len(paths) == len(cameras):
        owners = list(range(len(paths)))
    if owners is None:
        raise ValueError(
            f"{counted(len(paths), 'file')} for {counted(len(cameras), 'camera')}"
            f" ({', '.join(names)}): name them after their cameras, or give one for each"
        )
    taken = dict(zip(owners, paths, strict=True))
    seen = []
    for number, camera in enumerate(cameras):
        clock = clocks.get(camera.name, Clock())
        own = _pictures(taken[number], camera, times, clock) if number in taken else ()
        seen.append(SeenBy(camera, tuple(own)))
    return seen


def _pictures(
    path: Path, camera: LensCamera, times: Float[np.ndarray, " t"], clock: Clock
) -> Iterator[str]:
    """Data URLs of what was seen at each time; of a photo, one."""
    times = times + clock.late
    if path.is_dir():
        yield from _of_folder(path, camera, times, clock.fps)
    elif path.suffix.lower() in PHOTOS:
        yield _url(read_image(path), path, camera, LONGEST_SIDE)
    else:
        yield from _of_video(path, camera, times)


def _of_folder(
    path: Path, camera: LensCamera, times: Float[np.ndarray, " t"], fps: float | None
) -> Iterator[str]:
    footage = open_footage(path, fps)
    if fps is None:
        raise ValueError(
            f"{path}: the result does not say how many frames a second its folders have"
            f" ({SUMMARY_FILE}): give clips, or run exemplar views again"
        )
    numbers = np.clip((times * fps).round().astype(int), 0, footage.count - 1).tolist()
    for pixels in footage.pictures(numbers):
        yield _url(pixels, path, camera, LONGEST_SIDE_OF_MANY)


def _of_video(path: Path, camera: LensCamera, times: Float[np.ndarray, " t"]) -> Iterator[str]:
    last, due = None, iter(times.tolist())
    time = next(due)
    for frame in read_frames(path):
        while frame.time > time - _NEAR:
            last = _url(frame.pixels, path, camera, LONGEST_SIDE_OF_MANY)
            yield last
            time = next(due, np.inf)
        if time == np.inf:
            return
    if last is None:
        raise ValueError(f"{path} ends before {times[0]:.2f} s, where the result begins")
    yield from [last] * (1 + len(list(due)))


def _url(pixels: UInt8[np.ndarray, "h w 3"], path: Path, camera: LensCamera, longest: int) -> str:
    """A picture without the lens' distortion; ValueError if the camera takes others."""
    height, width = pixels.shape[:2]
    if (width, height) != camera.image_size:
        expected = " x ".join(map(str, camera.image_size or ()))
        raise ValueError(f"{path} is {width} x {height} px, expected the {expected} of the result")
    matrix, lens = camera.intrinsics, camera.distortion
    if camera.fisheye:
        pixels = cv2.fisheye.undistortImage(pixels, matrix, lens, Knew=matrix).astype(np.uint8)
    elif lens.any():
        pixels = cv2.undistort(pixels, matrix, lens).astype(np.uint8)
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    picture.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
