"""Reading photos of every kind, and cropping them where the geometry says."""

import errno
import math
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from exemplar.files import image_files
from exemplar.files.image_files import (
    OUTSIDE_VARIABLE,
    SMALLEST_SIDE,
    crop_image,
    image_size,
    image_within,
    read_image,
    write_image,
)
from exemplar.geometry.crops import Box, image_to_crop

WIDTH, HEIGHT = 32, 24
COLOUR = (204, 102, 51)
"""A colour of the web palette, so that palette images hold it exactly."""


def plain(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (WIDTH, HEIGHT), COLOUR).convert(mode)


def ramp(dtype: type, top: float) -> np.ndarray:
    """Grey from 0 at the left to `top` at the right."""
    return np.tile(np.linspace(0, top, WIDTH), (HEIGHT, 1)).astype(dtype)


def test_an_rgb_image_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)


def test_pictures_that_are_programs_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain().save(tmp_path / "a.eps")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.eps").read_bytes())
    ran = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *given, **more: ran.append(given))
    for name in ("a.eps", "b.jpg"):
        with pytest.raises(ValueError, match="not an image that can be read"):
            read_image(tmp_path / name)
    assert not ran


@pytest.mark.parametrize(
    ("mode", "name", "tolerance"),
    [("CMYK", "a.jpg", 6), ("P", "a.png", 0), ("RGBA", "a.png", 0), ("YCbCr", "a.jpg", 6)],
)
def test_colour_modes_keep_their_colour(
    tmp_path: Path, mode: str, name: str, tolerance: int
) -> None:
    """JPEG is lossy by a few grey levels."""
    plain(mode).save(tmp_path / name)
    read = read_image(tmp_path / name)
    assert read.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(read.astype(int) - COLOUR).max() <= tolerance


@pytest.mark.parametrize(
    ("pixels", "name"),
    [
        (ramp(np.uint8, 255), "grey.png"),
        (ramp(np.uint16, 65535), "sixteen.png"),
        (ramp(np.uint16, 65535), "sixteen.tif"),
        (ramp(np.int32, 65535), "integers.tif"),
        (ramp(np.float32, 1.0), "unit.tif"),
        (ramp(np.float32, 255.0), "bytes.tif"),
    ],
)
def test_grey_of_any_depth_spans_black_to_white(
    tmp_path: Path, pixels: np.ndarray, name: str
) -> None:
    Image.fromarray(pixels).save(tmp_path / name)
    read = read_image(tmp_path / name)
    assert np.array_equal(read[..., 0], read[..., 2])
    assert np.abs(read[0, :, 0] - np.linspace(0, 255, WIDTH)).max() <= 1


def test_sixteen_bit_colour_is_scaled_to_eight(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint16) + np.array(COLOUR[::-1], np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    assert (read_image(tmp_path / "a.png") == COLOUR).all()


def test_one_bit_images_are_black_and_white(tmp_path: Path) -> None:
    pixels = Image.fromarray(ramp(np.uint8, 255) > 127)
    assert pixels.mode == "1"
    pixels.save(tmp_path / "a.png")
    assert np.array_equal(np.unique(read_image(tmp_path / "a.png")), [0, 255])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        Image.new("RGB", (WIDTH, HEIGHT)).quantize(2).save(tmp_path / "a.png", transparency=0)
    else:
        Image.new("RGBA", (WIDTH, HEIGHT), (9, 9, 9, 0)).convert(mode).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (4, (-1, 0)),
     (5, (0, 0)), (6, (0, -1)), (7, (-1, -1)), (8, (-1, 0))],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_exif_orientation_is_applied(
    tmp_path: Path, orientation: int, corner: tuple[int, int], suffix: str
) -> None:
    """The stored top left corner appears where the orientation tag puts it."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif)
    read = read_image(tmp_path / f"a.{suffix}")
    turned = orientation >= 5
    assert read.shape[:2] == ((WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH))
    assert read[corner].min() > 240
    assert (read > 128).all(2).sum() == 64


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-900])


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("text.jpg", lambda path: path.write_text("hello"), "not an image"),
        ("empty.jpg", lambda path: path.touch(), "is empty"),
        ("folder.jpg", lambda path: path.mkdir(), "is a folder"),
        ("cut.jpg", truncated, "damaged"),
        ("cut.png", truncated, "damaged"),
        ("small.png", lambda path: Image.new("RGB", (40, 15)).save(path), "40 x 15 px"),
        ("dot.png", lambda path: Image.new("L", (1, 1)).save(path), f"at least {SMALLEST_SIDE}"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_with_its_name(
    tmp_path: Path, name: str, make: Callable[[Path], object], says: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(ValueError, match=says) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [NotImplementedError, RuntimeError, MemoryError, struct.error, RecursionError, KeyError],
)
@pytest.mark.parametrize("read", [read_image, image_size])
def test_whatever_a_decoder_raises_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], read
) -> None:
    plain().save(tmp_path / "a.png")

    def broken(stream: object) -> None:
        raise error("two\nlines")

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(ValueError, match=r"a\.png") as caught:
        read(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_an_interrupt_while_reading_is_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain().save(tmp_path / "a.png")

    def interrupted(stream: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_image(tmp_path / "a.png")


def test_a_disk_that_fails_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain().save(tmp_path / "a.png")

    def failing(stream: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Image, "open", failing)
    with pytest.raises(OSError, match=r"cannot read .*a\.png: Input/output error"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nobody.jpg"):
        read_image(tmp_path / "nobody.jpg")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "I;16", "I", "F", "1", "L"])
def test_large_images_are_converted_strip_by_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A small file of many pixels would take gigabytes otherwise."""
    ramp = np.arange(64 * 40, dtype=np.float32).reshape(64, 40)
    grey = Image.fromarray((ramp * 20).astype(np.uint16)) if mode == "I;16" else None
    image = grey or Image.fromarray(ramp).convert("L" if mode in ("P", "1") else mode)
    image = image.convert(mode) if mode in ("P", "1") else image
    path = tmp_path / "a.tif"
    image.save(path)
    whole, sizes = read_image(path), list[tuple[int, int]]()

    def crop(self: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        sizes.append((box[2] - box[0], box[3] - box[1]))
        return cropped(self, box)

    cropped = Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", crop)
    monkeypatch.setattr(image_files, "_STRIP_PIXELS", 300)
    assert np.array_equal(read_image(path), whole)
    assert max(width * height for width, height in sizes) <= 300
    assert len(np.unique(whole)) > 1


def test_an_image_over_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too large"):
        read_image(tmp_path / "a.png")


def test_a_written_image_reads_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    write_image(pixels, tmp_path / "new" / "a.png")
    assert np.array_equal(read_image(tmp_path / "new" / "a.png"), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected .png"):
        write_image(np.zeros((20, 20, 3), np.uint8), tmp_path / "a.xyz")


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write to .*a.png"):
        write_image(np.zeros((20, 20, 3), np.uint8), tmp_path / "file" / "a.png")


def box_of(centre: tuple[float, float], size: float, angle: float) -> Box:
    return Box(torch.tensor(centre), torch.tensor(size), torch.tensor(angle))


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.1, 3.1])
@pytest.mark.parametrize("size", [100.0, 224.0, 300.0, 447.0, 1300.0, 2600.0])
def test_a_dot_lands_where_the_geometry_says(size: float, angle: float) -> None:
    """To 0.1 px of the crop, up- and down-scaled; the centroid of a disc is its place."""
    image = np.zeros((900, 1100, 3), np.uint8)
    dot = np.array([612.0, 428.0])
    ys, xs = np.mgrid[:900, :1100]
    radius = max(3.0, size / 60)
    image[np.hypot(xs + 0.5 - dot[0], ys + 0.5 - dot[1]) < radius] = 255
    box = box_of((590.0, 440.0), size, angle)
    crop = crop_image(image, box, 224)[..., 0].astype(float)
    rows, columns = np.mgrid[:224, :224] + 0.5
    found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    units = image_to_crop(torch.tensor(dot[None], dtype=torch.float32), box)[0].numpy()
    assert np.abs(found - (units + 1) * 112).max() < 0.1


def test_an_unturned_crop_at_full_size_copies_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    crop = crop_image(image, box_of((40.0, 30.0), 32.0, 0.0), 32)
    assert np.array_equal(crop, image[14:46, 24:56])


@pytest.mark.parametrize("size", [250.0, 700.0, 990.0])
def test_shrinking_averages_fine_patterns(size: float) -> None:
    """A checkerboard of single pixels has to become grey; aliasing would leave its contrast."""
    board = (np.indices((1000, 1000)).sum(0) % 2 * 255).astype(np.uint8)
    crop = crop_image(np.stack([board] * 3, 2), box_of((500.0, 500.0), size, 0.3), 96)
    inner = crop[24:-24, 24:-24].astype(float)
    assert np.abs(inner - 127.5).max() < 40
    assert abs(inner.mean() - 127.5) < 2


def test_beyond_the_image_is_black() -> None:
    white = np.full((50, 50, 3), 255, np.uint8)
    crop = crop_image(white, box_of((0.0, 25.0), 40.0, 0.0), 40)
    assert (crop[:, :19] == 0).all()
    assert (crop[:, 21:] == 255).all()
    assert (crop_image(white, box_of((900.0, 900.0), 40.0, 0.5), 16) == 0).all()


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan"), float("inf")])
def test_a_box_without_a_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        crop_image(np.zeros((50, 50, 3), np.uint8), box_of((20.0, 20.0), size, 0.0), 16)


def test_a_batch_of_boxes_is_refused() -> None:
    box = Box(torch.zeros(2, 2), torch.ones(2), torch.zeros(2))
    with pytest.raises(ValueError, match="one box"):
        crop_image(np.zeros((50, 50, 3), np.uint8), box, 16)


def test_a_crop_of_the_whole_image_is_the_image():
    image = skimage.data.astronaut()
    np.testing.assert_array_equal(crop_image(image, box_of((256.0, 256.0), 512.0, 0.0), 512), image)


def test_a_quarter_turn_of_the_crop_turns_the_image():
    image = skimage.data.astronaut()
    crop = crop_image(image, box_of((256.0, 256.0), 512.0, math.pi / 2), 512)
    difference = crop.astype(int) - np.rot90(image)
    # Interpolation in fixed point, with an angle that is a quarter turn to float32.
    assert np.abs(difference[1:-1, 1:-1]).max() <= 12


@pytest.mark.parametrize("angle", [0.0, 0.4])
@pytest.mark.parametrize("size", [50.0, 300.0])
def test_a_narrow_crop_is_the_middle_of_the_square_one(angle: float, size: float) -> None:
    image = cv2.GaussianBlur(skimage.data.astronaut(), (0, 0), 6)
    box = Box(torch.tensor([200.0, 150.0]), torch.tensor(size), torch.tensor(angle))
    square, narrow = crop_image(image, box, 64), crop_image(image, box, 64, 48)
    assert narrow.shape == (64, 48, 3)
    # The windows that are averaged before sampling differ, so greys are not the same to the bit:
    # a tenth of a crop pixel at most.
    same, shifted = (
        np.abs(square[:, start : start + 48].astype(int) - narrow).mean() for start in (8, 9)
    )
    assert same < 0.1 * shifted


def test_a_crop_needs_a_positive_width() -> None:
    box = Box(torch.zeros(2), torch.tensor(10.0), torch.tensor(0.0))
    with pytest.raises(ValueError, match="0 x 8"):
        crop_image(np.zeros((20, 20, 3), np.uint8), box, 8, 0)


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_the_size_is_that_of_the_image_as_displayed(
    tmp_path: Path, orientation: int | None
) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    height, width = read_image(tmp_path / "a.jpg").shape[:2]
    assert image_size(tmp_path / "a.jpg") == (width, height)
    (tmp_path / "b.jpg").write_text("text")
    with pytest.raises(ValueError, match="not an image"):
        image_size(tmp_path / "b.jpg")
    with pytest.raises(FileNotFoundError, match="no image at"):
        image_size(tmp_path / "c.jpg")


@pytest.mark.parametrize(
    "name", ["../a.png", "b/../../a.png", "/etc/hostname", "out/a.png", "l.png"]
)
def test_an_image_outside_the_folder_is_refused_unless_allowed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (tmp_path / "a.png").touch()
    (images / "out").symlink_to(tmp_path)
    (images / "l.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"image outside the folder: .*--allow-outside"):
        image_within(images, name)
    monkeypatch.setenv(OUTSIDE_VARIABLE, "1")
    assert image_within(images, name) == images / name


def test_images_inside_are_found_also_through_links_that_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "a.png").touch()
    (tmp_path / "real" / "b.png").symlink_to("a.png")
    for name in ("a.png", "b.png", "x/../a.png", "not there.png"):
        assert image_within(tmp_path / "linked", name) == tmp_path / "linked" / name
    with pytest.raises(ValueError, match="null byte"):
        image_within(tmp_path, "a\0b")
