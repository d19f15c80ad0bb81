"""Videos: any container to upright 8-bit RGB frames with their times, and pictures to an `.mp4`.

PyAV is imported inside the functions that need it; the extra `video` brings it.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from exemplar.counting import counted
from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import one_line

LARGEST_SIDE = 8192
"""Videos with a longer side (px) are refused."""

SMALLEST_SIDE = 16
"""So are those with a shorter one."""

SLOWEST = Fraction(1, 1001)
"""Frames a second of written videos, at least."""

_FALLBACK_FPS = 30.0
"""Of a container that tells neither times nor a rate."""

_FOCAL_TAGS = ("com.apple.quicktime.camera.focal_length.35mm_equivalent", "FocalLengthIn35mmFilm")
_FOCALS_35MM = (5.0, 2000.0)
"""Lenses that there are, mm."""


@dataclass(frozen=True)
class VideoInfo:
    """What a container says of its video, as it is displayed."""

    width: int
    """Px."""
    height: int
    """Px."""
    fps: float
    """Mean frames a second."""
    frames: int
    """Number of frames, 0 if it does not say."""
    focal_35mm: float | None
    """The lens's focal length as for 35 mm film, mm, if it says."""


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a clip."""

    number: int
    """Its place among all frames of the file, from 0."""
    time: float
    """When it is shown, seconds from the file's first frame."""
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a clip are taken."""

    start: float = 0.0
    """Seconds from the clip's first frame."""
    end: float = math.inf
    """Frames from here on are left out, seconds."""
    every: int = 1
    """Take every n-th frame."""
    fps: float | None = None
    """Take at most so many frames a second."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and self.start >= 0 and self.end > self.start):
            raise ValueError(
                f"expected 0 <= start < end in seconds, got {self.start:g} to {self.end:g}"
            )
        if self.every < 1:
            raise ValueError(f"expected every 1 or more, got {self.every}")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"expected frames a second above 0, got {self.fps:g}")


ALL_FRAMES = Selection()
"""The whole clip."""


def read_info(path: str | Path) -> VideoInfo:
    """What a file says of its video; its first frame is decoded.

    FileNotFoundError, OSError or ValueError, in one line, as `read_frames`.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(container, path), None)
        if first is None:
            raise ValueError(f"{path} has no frame that can be read")
        height, width = _upright(first, path).shape[:2]
        told = {**container.metadata, **stream.metadata}
        return VideoInfo(width, height, _rate(stream), int(stream.frames or 0), _focal(told))


def read_frames(path: str | Path, selection: Selection = ALL_FRAMES) -> Iterator[VideoFrame]:
    """The selected frames of a video, one at a time: RGB, turned as the container says, 8 bits.

    Frames keep the times that the file gives them, which may be uneven; where it gives none they
    follow at the mean rate. A file that breaks off gives the frames before, and warns
    (UserWarning). FileNotFoundError, OSError or ValueError, in one line, if the file is no video,
    has no frame at all, or is too large or too small.
    """
    with _opened(path) as (container, stream):
        step = 1 / _rate(stream)
        number, first, last, due, taken = -1, None, -math.inf, -math.inf, 0
        shape: tuple[int, ...] | None = None
        for frame in _decoded(container, path):
            number += 1
            told = frame.time
            first = told if first is None and told is not None else first
            time = 0.0 if number == 0 else last + step
            if told is not None and first is not None and (number == 0 or told - first > last):
                time = told - first
            last = time
            if time >= selection.end:
                break
            if time < selection.start:
                continue
            taken += 1
            if (taken - 1) % selection.every or time < due - step / 2:
                continue
            if selection.fps is not None:
                due = max(due, time) + 1 / selection.fps
            pixels = _upright(frame, path)
            shape = pixels.shape if shape is None else shape
            if pixels.shape != shape:
                _warn(f"{path}: the picture's size changes at {time:.2f} s, the rest is left out")
                break
            yield VideoFrame(number, time, pixels)
        if number < 0:
            raise ValueError(f"{path} has no frame that can be read")
        if shape is None:
            raise ValueError(
                f"{path}: no frame from {selection.start:g} s on, the clip has {last + step:.2f} s"
            )


@contextmanager
def video_writer(path: str | Path, fps: float) -> Iterator[Any]:
    """Inside, a function that takes RGB pictures (h, w, 3) uint8 of one size: an H.264 `.mp4`.

    The file appears when the block succeeds. An odd row or column is left out, as players want.
    """
    av = _av()
    rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream: Any = None

        def write(picture: UInt8[np.ndarray, "h w 3"]) -> None:
            nonlocal stream
            height, width = (side - side % 2 for side in picture.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                # the bytes must not depend on how many cores there are
                stream.thread_count = 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]))
            container.mux(stream.encode(frame))

        yield write
        if stream is not None:
            container.mux(stream.encode())


def _av() -> Any:
    """PyAV; ImportError with the extra that brings it."""
    try:
        import av
        import av.logging
    except ImportError:
        raise ImportError("reading videos needs PyAV: pip install 'exemplar-hmr[video]'") from None
    av.logging.set_level(None)
    return av


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """A container and its first video stream.

    The file is handed over open, and with no protocol allowed: what it says of other files and
    addresses (playlists, references) leads nowhere.
    """
    path, av = Path(path), _av()
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a video")
    if not path.exists():
        raise FileNotFoundError(f"no video at {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty, expected a video")
    with path.open("rb") as file:
        try:
            container = av.open(
                file, options={"protocol_whitelist": "none"}, metadata_errors="replace"
            )
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise ValueError(f"{path} is not a video that can be read: {reason}") from error
        with container:
            if not container.streams.video:
                raise ValueError(f"{path} has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError(f"{path}: its video is of a kind that cannot be decoded")
            _check_size(stream.codec_context.width, stream.codec_context.height, path)
            # pictures that grow within the stream are stopped before memory is taken
            stream.codec_context.options = {"max_pixels": str(LARGEST_SIDE**2)}
            stream.thread_type = "AUTO"
            yield container, stream


def _decoded(container: Any, path: str | Path) -> Iterator[Any]:
    """The frames up to where the file breaks off."""
    av = _av()
    count = 0
    try:
        for frame in container.decode(video=0):
            count += 1
            yield frame
    except (av.FFmpegError, ValueError, MemoryError) as error:
        if not count:
            raise ValueError(f"{path} has no frame that can be read: {one_line(error)}") from error
        _warn(f"{path} breaks off after {counted(count, 'frame')}: {one_line(error)}")
        return
    told = container.streams.video[0].frames
    # an edit list may leave out a few
    if 0 < count < 0.9 * told - 2:
        _warn(f"{path} breaks off: it has {count} of the {told} frames that it tells of")


def _upright(frame: Any, path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """A decoded frame as it is displayed."""
    _check_size(frame.width, frame.height, path)
    pixels = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def _check_size(width: int, height: int, path: str | Path) -> None:
    if not (min(width, height) >= SMALLEST_SIDE and max(width, height) <= LARGEST_SIDE):
        raise ValueError(
            f"{path} is {width} x {height} px, expected {SMALLEST_SIDE} to {LARGEST_SIDE} px on"
            " each side"
        )


def _rate(stream: Any) -> float:
    """Mean frames a second of a stream."""
    for told in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if told and 0 < float(told) <= 1000:
            return float(told)
    return _FALLBACK_FPS


def _focal(metadata: dict[str, str]) -> float | None:
    for tag in _FOCAL_TAGS:
        try:
            value = float(metadata.get(tag, ""))
        except ValueError:
            continue
        if _FOCALS_35MM[0] <= value <= _FOCALS_35MM[1]:
            return value
    return None


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)
