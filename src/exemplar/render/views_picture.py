"""Pictures of several cameras side by side, with the bodies in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from exemplar.render.drawing import INK, PAPER, draw_keypoints, fitting_font, view_of, with_body

_STRIP = 34
_GAP = 8


@dataclass(frozen=True)
class SeenBody:
    """One person in one camera's picture."""

    number: int
    """Whose colour it wears."""
    vertices: Float[np.ndarray, "v 2"]
    """Image px."""
    depth: Float[np.ndarray, " v"]
    """Metres from the camera."""
    focal: float
    """Of the camera, px."""
    keypoints: Float[np.ndarray, "49 3"]
    """What was fitted in this picture: image px and confidence."""


def side_by_side(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    bodies: Sequence[Sequence[SeenBody]],
    titles: Sequence[str],
    faces: Int[np.ndarray, "f 3"],
    *,
    height: int = 480,
    keypoints: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """Every camera's picture, the keypoints on it, under it (or without them) the bodies."""
    columns = []
    for picture, seen, title in zip(pictures, bodies, titles, strict=True):
        rows, columns_px = picture.shape[:2]
        view = view_of(picture, (0, 0, columns_px, rows), height)
        found = view.photo.copy()
        fitted = view.photo
        for body in sorted(seen, key=lambda body: -float(body.depth.mean())):
            draw_keypoints(found, body.keypoints, view.points)
            scale = float(view.scale.mean()) * body.focal / float(body.depth.mean())
            fitted = with_body(
                fitted,
                view.points(body.vertices),
                body.depth,
                faces,
                pixels_per_metre=scale,
                person=body.number,
            )
        panels = [found, fitted] if keypoints else [fitted]
        columns.append((panels, title))
    return _page(columns)


def _page(columns: Sequence[tuple[Sequence[np.ndarray], str]]) -> UInt8[np.ndarray, "h w 3"]:
    width = sum(panels[0].shape[1] + _GAP for panels, _ in columns) + _GAP
    height = _STRIP + sum(panel.shape[0] + _GAP for panel in columns[0][0])
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    x = _GAP
    for panels, title in columns:
        room = panels[0].shape[1]
        draw.text((x, 8), title, INK, font=fitting_font(title, 18, room))
        y = _STRIP
        for panel in panels:
            page.paste(Image.fromarray(panel), (x, y))
            y += panel.shape[0] + _GAP
        x += room + _GAP
    return np.asarray(page, np.uint8)
