"""Photos: any image file to upright 8-bit RGB, and crops of it."""

import io
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from exemplar.files.atomic_files import replacing
from exemplar.files.reading_files import one_line
from exemplar.geometry.crops import Box

SMALLEST_SIDE = 16
"""Images with a side shorter than this many pixels are refused."""

OUTSIDE_VARIABLE = "EXEMPLAR_ALLOW_OUTSIDE"
"""Environment variable that lets annotations name images anywhere; `--allow-outside` sets it."""

OUTSIDE = "image outside the folder"
"""What the message of `OutsideError` begins with."""

_ORIENTATION_TAG, _SIDEWAYS = 0x0112, (5, 6, 7, 8)
_EXIF_TAG, _FOCAL_35MM_TAG = 0x8769, 0xA405
_FOCALS_35MM = (5.0, 2000.0)
"""Lenses that there are, mm."""

_STRIP_PIXELS = 1 << 22
"""Pixels that are converted together."""

_PROGRAMS = frozenset({"EPS", "WMF"})
"""Pillow's formats whose files are programs."""


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """The image at `path` as it is displayed: RGB, EXIF orientation applied, first frame.

    Transparent parts are shown over white; 16-bit and float images are scaled to 8 bits.
    FileNotFoundError if there is no such file; OSError if it cannot be read; ValueError if it is
    not an image, is damaged, too large, or smaller than `SMALLEST_SIDE` on a side. All are one
    line, whatever the decoder raised.
    """
    path = _file(path)
    return decode_image(path.read_bytes(), path)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height (px) of the image at `path` as it is displayed, without decoding it.

    FileNotFoundError, OSError or ValueError, in one line, like `read_image`.
    """
    path = _file(path)
    with path.open("rb") as stream:
        return stream_size(stream, path)


def stream_size(stream: Any, name: str | Path) -> tuple[int, int]:
    """`image_size` of an open file; `name` is what errors call it."""
    with _one_line(name), _opened(stream) as image:
        width, height = image.size
        sideways = _orientation(image) in _SIDEWAYS
    return (height, width) if sideways else (width, height)


def decode_image(data: bytes, name: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """`read_image` of a file's bytes; `name` is what errors call it."""
    with _one_line(name), _opened(io.BytesIO(data)) as image:
        image.load()
        pixels = _pixels(_upright(image))
    height, width = pixels.shape[:2]
    if min(width, height) < SMALLEST_SIDE:
        raise ValueError(
            f"{name} is {width} x {height} px, expected at least {SMALLEST_SIDE} px on each side"
        )
    return pixels


def _opened(source: Any) -> Image.Image:
    """A picture of any format but those that other programs run (EPS: Ghostscript)."""
    Image.init()
    return Image.open(source, formats=[name for name in Image.OPEN if name not in _PROGRAMS])


def _file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected an image file")
    if not path.exists():
        raise FileNotFoundError(f"no image at {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty, expected an image file")
    return path


class OutsideError(ValueError):
    """An annotation names an image that is not where the images are kept."""


def image_within(folder: str | Path, name: str) -> Path:
    """The file of an image that an annotation names, within the folder of its images.

    OutsideError for a name that leads out of it (an absolute one, `..`, a link), unless
    `OUTSIDE_VARIABLE` is set: a data set's author would choose which files of the machine are read
    and drawn.
    """
    path = Path(folder) / name
    if not os.environ.get(OUTSIDE_VARIABLE) and not Path(os.path.realpath(path)).is_relative_to(
        os.path.realpath(folder)
    ):
        raise OutsideError(f"{OUTSIDE}: {name!r} is not in {folder} (--allow-outside reads it)")
    return path


def focal_35mm(path: str | Path) -> float | None:
    """The lens's focal length as for 35 mm film (mm) that the image's EXIF tells, or None."""
    try:
        with _opened(path) as image:
            value = float(image.getexif().get_ifd(_EXIF_TAG).get(_FOCAL_35MM_TAG, 0))
    except Exception:  # a damaged EXIF block can raise anything
        return None
    return value if _FOCALS_35MM[0] <= value <= _FOCALS_35MM[1] else None


@contextmanager
def _one_line(name: str | Path) -> Iterator[None]:
    """Whatever goes wrong within is a ValueError or OSError about the file: decoders raise what
    they like (NotImplementedError, RuntimeError, struct.error, ...)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError as error:
        known = "expected a JPEG, PNG, WebP, TIFF, BMP or GIF file"
        raise ValueError(f"{name} is not an image that can be read, {known}") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise ValueError(f"{name} is too large, expected at most {limit} megapixels") from error
    except Exception as error:
        reason = one_line(error)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(f"cannot read {name}: {error.strerror}") from error
        raise ValueError(f"cannot read {name}, the file may be damaged: {reason}") from error


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says; as it is when its EXIF block makes no sense."""
    if _orientation(image) == 1:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1


def _pixels(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """The image in RGB, converted a strip at a time: copies of all of it in other modes would take
    gigabytes."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    white = _white(image, boxes) if image.mode.startswith(("I", "F")) else 0.0
    pixels = np.empty((height, width, 3), np.uint8)
    for box in boxes:
        strip = image.crop(box)
        pixels[box[1] : box[3]] = _grey(strip, white) if white else np.asarray(_to_rgb(strip))
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def _white(image: Image.Image, boxes: Sequence[tuple[int, int, int, int]]) -> float:
    """The value that stands for white: integers are of 16 bits, floats span 0..1, 0..255 or
    0..65535."""
    if not image.mode.startswith("F"):
        return 65535.0
    brightest = max(float(_finite(image.crop(box)).max(initial=0.0)) for box in boxes)
    return next((top for top in (1.0, 255.0, 65535.0) if brightest <= top), brightest)


def _grey(image: Image.Image, white: float) -> UInt8[np.ndarray, "h w 1"]:
    """Grey values as 0..255."""
    return np.rint(np.clip(_finite(image) / white, 0.0, 1.0) * 255.0).astype(np.uint8)[..., None]


def _finite(image: Image.Image) -> Float64[np.ndarray, "h w"]:
    return np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def write_image(image: UInt8[np.ndarray, "h w 3"], path: str | Path) -> None:
    """Write RGB to `path` in the format that its suffix names (.png, .jpg, .webp, ...).

    ValueError for an unknown suffix, OSError when the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"cannot tell an image format from {path.name!r}, expected .png or .jpg")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, quality=92)


def crop_image(
    image: UInt8[np.ndarray, "h w 3"], box: Box, resolution: int, width: int | None = None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """What one `box` shows, `resolution` px high; black beyond the image's edge.

    A point at crop units u (`geometry.crops.image_to_crop`) is at (u + 1) / 2 * resolution px.
    `width` (px; the height unless given) shows less or more of the sides: x is then at
    (u resolution + width) / 2 px.
    Shrinking averages over the pixels, so large photos do not alias. ValueError unless `box` is
    a single box of positive finite size and `resolution` and `width` are positive.
    """
    width = resolution if width is None else width
    if box.centre.shape != (2,) or resolution < 1 or width < 1:
        raise ValueError(
            f"expected one box and a positive resolution, got a box of shape"
            f" {tuple(box.centre.shape[:-1])} and {width} x {resolution}"
        )
    to_image = _crop_to_image(box, resolution, width)
    if not np.isfinite(to_image).all() or float(box.size) <= 0:
        raise ValueError(f"expected a box of positive finite size, got {float(box.size)} px")
    window, offset = _window(image, to_image, (width, resolution))
    if window.size == 0:
        return np.zeros((resolution, width, 3), np.uint8)
    ratio = float(box.size) / resolution
    window, shrink = _shrunk(window, max(1, int(ratio)))
    samples = 1 if ratio <= 1 else 2
    matrix = to_image.copy()
    matrix[:, 2] -= offset
    matrix *= shrink[:, None]
    matrix[:, :2] /= samples
    # cv2 counts from pixel centres: x_cv = x - 0.5 on both sides
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
    size = (samples * width, samples * resolution)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(window, matrix, size, flags=flags, borderValue=(0, 0, 0))
    if samples > 1:
        crop = cv2.resize(crop, (width, resolution), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def _crop_to_image(box: Box, resolution: int, width: int) -> Float64[np.ndarray, "2 3"]:
    """The affine map from crop px to image px."""
    centre = box.centre.detach().cpu().numpy().astype(np.float64)
    scale, angle = float(box.size) / resolution, float(box.angle)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, centre - linear @ np.array([width / 2, resolution / 2])])


def _window(
    image: np.ndarray, to_image: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image under the crop, with a margin, and its top left corner (x, y)."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(size)
    corners = corners @ to_image[:, :2].T + to_image[:, 2]
    margin = 2 + 2 * float(np.linalg.norm(to_image[:, 0]))
    edge = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(corners.min(0) - margin), 0, edge).astype(int)
    high = np.clip(np.ceil(corners.max(0) + margin), 0, edge).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)


def _shrunk(window: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The window reduced about `factor` times by averaging, and the exact factors (x, y) <= 1."""
    height, width = window.shape[:2]
    if factor == 1:
        return np.ascontiguousarray(window), np.ones(2)
    size = (-(-width // factor), -(-height // factor))
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    return small, np.array([size[0] / width, size[1] / height])
