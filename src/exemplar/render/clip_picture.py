"""A frame of a fitted clip: the picture with its bodies, and the same from the side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from exemplar.motion import Camera
from exemplar.render.drawing import (
    BACKDROP,
    BODY_COLOURS,
    INK,
    PAPER,
    SOFT_INK,
    fitting_font,
    view_of,
    with_body,
)

LARGEST_HEIGHT = 720
"""Of the picture, px."""

_STRIP = 28


@dataclass(frozen=True)
class SideView:
    """What is seen from the side: the whole clip's people, so that nothing jumps."""

    low: Float[np.ndarray, "2"]
    """Least z and y that are shown, metres."""
    high: Float[np.ndarray, "2"]
    """Greatest."""
    ground: float | None
    """Height of the ground, metres; None if it is not known."""

    @classmethod
    def of(cls, places: Float[np.ndarray, "n 3"], ground: float | None) -> "SideView":
        """Of people whose pelvises are at these places (x right, y up, z towards the camera)."""
        seen = places[:, [2, 1]]
        low, high = seen.min(0) - 1.2, seen.max(0) + 1.2
        if ground is not None:
            low[1] = min(low[1], ground - 0.15)
        return cls(low, high, ground)


def clip_picture(
    frame: UInt8[np.ndarray, "h w 3"],
    in_camera: Mapping[int, Float[np.ndarray, "v 3"]],
    upright: Mapping[int, Float[np.ndarray, "v 3"]],
    faces: Int[np.ndarray, "f 3"],
    camera: Camera,
    side: SideView,
    caption: str,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """A frame with its people's meshes, by person.

    Args:
        frame: RGB.
        in_camera: in the camera's frame, metres.
        upright: the same, x right, y up, z towards the camera.
        faces: triangles of every mesh.
        camera: what sees the frame.
        side: what the side view shows: from the left, so that who faces the camera looks right.
        caption: a line under the pictures.
    """
    height = min(LARGEST_HEIGHT, frame.shape[0])
    view = view_of(frame, (0, 0, frame.shape[1], frame.shape[0]), height)
    picture = view.photo
    for person in sorted(in_camera, key=lambda number: -float(in_camera[number][:, 2].mean())):
        vertices = in_camera[person]
        depth = np.maximum(vertices[:, 2], 0.05)
        seen = camera.focal * vertices[:, :2] / depth[:, None] + camera.principal_point
        scale = camera.focal / float(depth.mean()) * float(view.scale.mean())
        picture = with_body(
            picture, view.points(seen), depth, faces, pixels_per_metre=scale, person=person
        )
    panel = _from_the_side(upright, faces, side, height)
    return _with_caption(np.concatenate((picture, panel), axis=1), caption, sorted(in_camera))


def _from_the_side(
    upright: Mapping[int, np.ndarray], faces: np.ndarray, side: SideView, height: int
) -> UInt8[np.ndarray, "h w 3"]:
    extent = side.high - side.low
    width = int(np.clip(height * extent[0] / extent[1], 0.5 * height, 1.2 * height))
    scale = float(min(width / extent[0], height / extent[1]))
    picture = np.full((height, width, 3), BACKDROP, np.uint8)
    margin = (np.array([width, height]) - scale * extent) / 2

    def placed(points: np.ndarray) -> np.ndarray:
        away = np.stack((points[:, 0] - side.low[0], side.high[1] - points[:, 1]), 1)
        return margin + scale * away

    if side.ground is not None:
        row = int(placed(np.array([[0.0, side.ground]]))[0, 1])
        cv2.line(picture, (0, row), (width, row), SOFT_INK, 1, cv2.LINE_AA)
    # the eye is on the picture's left, and whoever is there is nearer to it
    for person in sorted(upright, key=lambda number: -float(upright[number][:, 0].mean())):
        x, y, z = upright[person].T
        picture = with_body(
            picture,
            placed(np.stack((z, y), 1)),
            x,
            faces,
            pixels_per_metre=scale,
            person=person,
            opacity=1.0,
        )
    return picture


def _with_caption(
    picture: np.ndarray, caption: str, people: Sequence[int]
) -> UInt8[np.ndarray, "h w 3"]:
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + _STRIP), PAPER)
    page.paste(Image.fromarray(picture), (0, 0))
    draw, middle = ImageDraw.Draw(page), height + _STRIP / 2
    draw.text((8, middle), caption, INK, font=fitting_font(caption, 15, width // 2), anchor="lm")
    right = width - 8.0
    for person in reversed(people):
        red, green, blue = (int(220 * c) for c in BODY_COLOURS[person % len(BODY_COLOURS)])
        text, font = f"person {person}", fitting_font("person 00", 15, width // 4)
        draw.text((right, middle), text, (red, green, blue), font=font, anchor="rm")
        right -= draw.textlength(text + "   ", font=font)
    return np.asarray(page, np.uint8)
