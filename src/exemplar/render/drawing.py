"""What pictures of people are drawn with: parts of photos, bodies, keypoints and text."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import ImageFont

from exemplar.render.raster import render_projected_mesh
from exemplar.skeletons import ALIASES, BONES, OPENPOSE_PREFIX, SMPL_49

BODY_COLOURS = (
    (0.56, 0.72, 0.95), (0.97, 0.63, 0.53), (0.58, 0.83, 0.60), (0.98, 0.81, 0.46),
    (0.77, 0.65, 0.92), (0.47, 0.82, 0.82), (0.96, 0.67, 0.80), (0.83, 0.76, 0.65),
)  # fmt: skip
"""Colour of each person's body, RGB in 0..1; people beyond the last start again."""

Rgb = tuple[int, int, int]
"""A colour, 0..255."""

LEFT, RIGHT, MIDDLE = (30, 136, 229), (245, 124, 0), (255, 224, 102)
"""Colours of keypoints of the person's left, right and middle, RGB."""

BACKDROP, PAPER = (244, 245, 247), (255, 255, 255)
"""Colours behind bodies without a photo and behind text, RGB."""

INK, SOFT_INK = (33, 37, 41), (108, 117, 125)
"""Colours of text, RGB."""

OPACITY = 0.93
"""Of a body over a photo."""

_OUTLINE: Rgb = (20, 20, 20)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class View:
    """A part of a photo, resized."""

    corner: Float[np.ndarray, "2"]
    """Its top left corner, image px."""
    scale: Float[np.ndarray, "2"]
    """View px per image px, along x and y."""
    photo: UInt8[np.ndarray, "h w 3"]
    """What it shows."""

    def points(self, image_points: np.ndarray) -> np.ndarray:
        """Image px to view px."""
        return (image_points - self.corner) * self.scale


def view_of(
    image: UInt8[np.ndarray, "rows columns 3"], region: tuple[int, int, int, int], height: int
) -> View:
    """The region (x, y, width, height in whole px, inside the image), `height` px high."""
    x, y, region_width, region_height = region
    height = max(height, 1)
    width = max(1, round(region_width * height / region_height))
    part = np.ascontiguousarray(image[y : y + region_height, x : x + region_width])
    shrinks = height < region_height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    photo = np.asarray(cv2.resize(part, (width, height), interpolation=method), np.uint8)
    scale = np.array([width / region_width, height / region_height])
    return View(np.array([x, y], np.float64), scale, photo)


def with_body(
    picture: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "v 2"],
    depth: Float[np.ndarray, " v"],
    faces: Int[np.ndarray, "f 3"],
    *,
    pixels_per_metre: float,
    person: int = 0,
    opacity: float = OPACITY,
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a body drawn over it; only the part under the body is rendered.

    Args:
        picture: RGB; it is left as it is.
        points: the mesh's vertices, picture px. Unless all are finite nothing is drawn.
        depth: metres, larger is farther.
        faces: triangles.
        pixels_per_metre: the projection's scale, for the shading.
        person: whose of `BODY_COLOURS` the body wears.
        opacity: 0..1.
    """
    if not np.isfinite(points).all():
        return picture
    height, width = picture.shape[:2]
    low = np.clip(np.floor(points.min(0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 1, 0, (width, height)).astype(int)
    if (high <= low).any():
        return picture
    drawn = render_projected_mesh(
        points - low,
        depth,
        faces,
        pixels_per_metre=pixels_per_metre,
        width=int(high[0] - low[0]),
        height=int(high[1] - low[1]),
        colour=BODY_COLOURS[person % len(BODY_COLOURS)],
        light=(-0.35, -0.6, -0.9),
    )
    out = picture.copy()
    under = out[low[1] : high[1], low[0] : high[0]]
    alpha = drawn[..., 3:].astype(np.float32) * (opacity / 255)
    blended = under + (drawn[..., :3].astype(np.float32) - under) * alpha
    under[:] = (blended + 0.5).astype(np.uint8)
    return out


def from_the_side(
    vertices: Float[np.ndarray, "v 3"], pelvis: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "v 3"]:
    """Vertices about the pelvis, metres, seen by a camera on the image's left.

    A person who faces the photo's camera looks to the right.
    """
    x, y, z = (vertices - pelvis).T
    return np.stack([-z, y, x], axis=1)


def draw_keypoints(
    picture: UInt8[np.ndarray, "h w 3"],
    keypoints_2d: Float[np.ndarray, "49 3"],
    to_picture: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Draw a person's keypoints and the bones between them into `picture`.

    `keypoints_2d` are x, y in image px and confidence, 0 for those to leave out; `to_picture`
    takes image px to picture px. Left and right have their colours.
    """
    thickness = max(2, round(picture.shape[0] / 160))
    places = {name: to_picture(point) for name, point in _visible(keypoints_2d).items()}
    for width, dark in ((thickness + 2, True), (thickness, False)):
        for a, b in BONES:
            ends = [ALIASES.get(name, name) for name in (a, b)]
            if ends[0] in places and ends[1] in places:
                colour = _OUTLINE if dark else joint_colour(a, b)
                _line(picture, places[ends[0]], places[ends[1]], colour, width)
    for name, place in places.items():
        _dot(picture, place, _OUTLINE, thickness + 2)
        _dot(picture, place, joint_colour(name, name), thickness + 1)


def _visible(keypoints_2d: np.ndarray) -> dict[str, np.ndarray]:
    """Places of the joints with a confidence, image px; annotated joints before OpenPose's."""
    places: dict[str, np.ndarray] = {}
    for name, (x, y, confidence) in zip(SMPL_49, keypoints_2d, strict=True):
        if confidence > 0:
            places[name.removeprefix(OPENPOSE_PREFIX)] = np.array([x, y])
    return places


def joint_colour(a: str, b: str) -> Rgb:
    """The colour of a bone between two joints, or of one joint given twice."""
    left, right = "left" in a or "left" in b, "right" in a or "right" in b
    if left == right:
        return MIDDLE
    return LEFT if left else RIGHT


def _cv2_point(point: np.ndarray) -> tuple[int, int]:
    """cv2's fixed-point coordinates, which count from pixel centres."""
    limited = np.clip(point, -10_000, 10_000) - 0.5
    x, y = np.rint(limited * 2**_SUBPIXEL_BITS).astype(int)
    return int(x), int(y)


def _line(picture: np.ndarray, a: np.ndarray, b: np.ndarray, colour: Rgb, width: int) -> None:
    ends = (_cv2_point(a), _cv2_point(b))
    cv2.line(picture, *ends, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(picture: np.ndarray, place: np.ndarray, colour: Rgb, radius: int) -> None:
    fixed = radius << _SUBPIXEL_BITS
    cv2.circle(picture, _cv2_point(place), fixed, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def fitting_font(text: str, size: int, room: int):
    """The default font, smaller than `size` where `text` would be wider than `room` px."""
    fonts = (ImageFont.load_default(smaller) for smaller in range(size, 8, -1))
    return next((f for f in fonts if f.getlength(text) <= room), ImageFont.load_default(8))
