"""What a camera saw: a video, a folder of frames, or a photo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from exemplar.data.calibration.naming import named_after
from exemplar.files.image_files import image_size, read_image
from exemplar.files.video_files import read_frames, read_info
from exemplar.geometry.rigs import LensCamera
from exemplar.motion import HIGHEST_FPS, STILL_FPS

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
"""Endings of pictures; any other file is taken for a video."""


@dataclass(frozen=True)
class Footage:
    """The frames of one camera."""

    path: Path
    kind: Literal["video", "folder", "photo"]
    count: int
    """How many frames there are, as far as the file tells."""
    fps: float
    """Frames a second."""
    size: tuple[int, int]
    """Width and height, px."""

    def pictures(self, wanted: Sequence[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """The frames of these growing numbers, RGB; fewer if the file ends before."""
        if self.kind == "video":
            yield from _of_video(self.path, wanted)
            return
        files = [self.path] if self.kind == "photo" else frames_in(self.path)
        for number in wanted:
            picture = read_image(files[number])
            height, width = picture.shape[:2]
            if (width, height) != self.size:
                raise ValueError(
                    f"{files[number]} has {width}x{height} px, the first frame"
                    f" {self.size[0]}x{self.size[1]}"
                )
            yield picture


def open_footage(path: Path, fps: float | None = None) -> Footage:
    """A video, a folder of frames or a photo; `fps` is a folder's, where it is not `STILL_FPS`.

    FileNotFoundError if there is none; ValueError, in one line, if it has no frames.
    """
    if fps is not None and not 0 < fps <= HIGHEST_FPS:
        raise ValueError(f"expected up to {HIGHEST_FPS:g} frames a second, got {fps:g}")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.is_dir():
        files = frames_in(path)
        if not files:
            raise ValueError(f"{path}: no pictures in the folder")
        return Footage(path, "folder", len(files), fps or STILL_FPS, image_size(files[0]))
    if path.suffix.lower() in PHOTOS:
        return Footage(path, "photo", 1, fps or STILL_FPS, image_size(path))
    return _open_video(path, fps)


def frames_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PHOTOS)


def cameras_of(
    footage: Sequence[Footage], cameras: Sequence[LensCamera], calibration: Path
) -> list[LensCamera]:
    """The camera of each: the one it is named after, or those of the calibration in order.

    ValueError if there are fewer than two, or neither names nor numbers go together.
    """
    if len(footage) < 2:
        raise ValueError(f"expected the footage of 2 or more cameras, got {len(footage)}")
    owners = named_after([camera.name for camera in cameras], [one.path for one in footage])
    if owners is not None:
        return [cameras[own] for own in owners]
    if len(footage) == len(cameras):
        return list(cameras)
    raise ValueError(
        f"{calibration} has {len(cameras)} cameras ({', '.join(c.name for c in cameras)}), got"
        f" {len(footage)} files: name them after their cameras, or give one for each"
    )


def differences(footage: Sequence[Footage]) -> list[str]:
    """What to say of cameras that do not go together; ValueError if they cannot."""
    if len({one.kind == "photo" for one in footage}) > 1:
        raise ValueError("expected photos of all cameras or footage of all, got both")
    rates = [one.fps for one in footage]
    lines = []
    if max(rates) / min(rates) > 1.01:
        shown = ", ".join(f"{rate:g}" for rate in rates)
        lines.append(f"cameras of {shown} frames a second: the nearest frames are taken")
    lengths = [one.count / one.fps for one in footage]
    if max(lengths) - min(lengths) > 1.5 / min(rates):
        shown = ", ".join(f"{length:.2f}" for length in lengths)
        lines.append(
            f"cameras of different lengths ({shown} s): the first {min(lengths):.2f} s are taken"
        )
    return lines


def _open_video(path: Path, fps: float | None) -> Footage:
    info = read_info(path)
    rate = fps or info.fps
    if not 0 < rate <= HIGHEST_FPS:
        raise ValueError(f"{path}: it says {rate:g} frames a second; give --fps")
    count = info.frames or sum(1 for _ in read_frames(path))
    return Footage(path, "video", count, rate, (info.width, info.height))


def _of_video(path: Path, wanted: Sequence[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    frames = read_frames(path)
    shown = None
    for number in wanted:
        while shown is None or shown.number < number:
            shown = next(frames, None)
            if shown is None:
                return
        yield shown.pixels
