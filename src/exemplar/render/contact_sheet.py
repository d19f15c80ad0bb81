"""A page of annotated people, to see at a glance whether a file was read as it is meant."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from exemplar.bodies import Body
from exemplar.data.records import BOX_MARGIN
from exemplar.render.drawing import (
    INK,
    LEFT,
    PAPER,
    RIGHT,
    SOFT_INK,
    Rgb,
    View,
    draw_keypoints,
    fitting_font,
    joint_colour,
)
from exemplar.render.review_picture import person_view, with_sample_body
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, OPENPOSE_PREFIX, SMPL_49, indices

TILE = 320
"""Side of a person's picture, px."""

_NAMES, _GAP, _CAPTION, _HEADING, _LINE, _TEXT = 116, 10, 22, 46, 14, 12
_RED: Rgb = (200, 30, 30)

Photo = UInt8[np.ndarray, "rows columns 3"]


def contact_sheet(
    people: Sequence[tuple[int, Sample]],
    image_of: Callable[[Sample], Photo | None],
    *,
    title: str,
    body: Body | None = None,
    columns: int = 4,
) -> UInt8[np.ndarray, "h w 3"]:
    """People about their boxes, with the skeleton and the name of every keypoint.

    Left and right have their colours, which the heading names; a joint of OpenPose's block is
    marked (OP). Bodies are drawn under the keypoints. Somebody without 2D keypoints is drawn with
    the 3D joints as they look from the front, as large as the box: the caption says so.

    Args:
        people: number in the file, and sample.
        image_of: a sample's photo (RGB); None, and the person is on grey, if there is none.
        title: of the page.
        body: the body model for samples with a body; None draws none.
        columns: people next to each other.
    """
    columns = max(1, min(columns, len(people)))
    rows = -(-len(people) // columns)
    width, height = TILE + 2 * _NAMES, TILE + _CAPTION
    size = (_GAP + columns * (width + _GAP), _HEADING + rows * (height + _GAP))
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    _heading(draw, title, size[0])
    for place, (number, given) in enumerate(people):
        sample = _from_the_front(given)
        x = _GAP + place % columns * (width + _GAP)
        y = _HEADING + place // columns * (height + _GAP)
        page.paste(Image.fromarray(_tile(sample, image_of(sample), body)), (x, y + _CAPTION))
        caption, colour = _caption(number, sample)
        caption += "  (3D joints)" if sample is not given else ""
        font = fitting_font(caption, 13, width)
        draw.text((x + width / 2, y + _CAPTION / 2), caption, colour, font=font, anchor="mm")
    return np.asarray(page, np.uint8)


def _from_the_front(sample: Sample) -> Sample:
    """3D joints along the camera's axes in place of missing 2D ones, fitted into the box."""
    joints, size = sample.joints_3d, sample.box_size
    if joints is None or (sample.keypoints_2d[:, 2] > 0).any() or not size > 0:
        return sample
    known = np.isfinite(joints).all(1) & (joints[:, -1] > 0)
    if not known.any():
        return sample
    low, high = joints[known, :2].min(0), joints[known, :2].max(0)
    scale = size / BOX_MARGIN / max(float((high - low).max()), 1e-6)
    points = np.zeros_like(sample.keypoints_2d)
    rows = len(points) - len(joints) + np.flatnonzero(known)
    points[rows, :2] = (joints[known, :2] - (low + high) / 2) * scale + sample.box_centre
    points[rows, 2] = 1.0
    return replace(sample, keypoints_2d=points)


def _heading(draw: ImageDraw.ImageDraw, title: str, width: int) -> None:
    legend = (("the person's left", LEFT), ("right", RIGHT))
    small = ImageFont.load_default(15)
    x = width - _GAP - sum(small.getlength(text) + 16 for text, _ in legend)
    font = fitting_font(title, 20, max(int(x) - 2 * _GAP, 1))
    draw.text((_GAP, _HEADING / 2), title, INK, font=font, anchor="lm")
    for text, colour in legend:
        draw.text((x, _HEADING / 2), text, colour, font=small, anchor="lm")
        x += small.getlength(text) + 16


def _caption(number: int, sample: Sample) -> tuple[str, Rgb]:
    if sample.problem:
        return f"{number}: {sample.problem}", _RED
    tags = [] if sample.annotation_id is None else [f"id {sample.annotation_id}"]
    tags += [sample.subject] if sample.subject else []
    return "  ".join([f"{number}: {sample.image}", *tags]), SOFT_INK


def _tile(sample: Sample, image: Photo | None, body: Body | None) -> UInt8[np.ndarray, "h w 3"]:
    """The person's picture between two columns of joint names."""
    view = person_view(sample, image, TILE)
    photo = view.photo.copy()
    if body is not None:
        photo = with_sample_body(photo, sample, body, view)
    draw_keypoints(photo, np.nan_to_num(sample.keypoints_2d), view.points)
    page = np.full((TILE, TILE + 2 * _NAMES, 3), PAPER, np.uint8)
    page[:, _NAMES : _NAMES + TILE] = photo
    places = _places(sample, view)
    by_x = sorted(places, key=lambda name: float(places[name][0]))
    half = len(by_x) // 2
    for left, names in ((True, by_x[:half]), (False, by_x[half:])):
        page = _labelled(page, {name: places[name] for name in names}, left=left)
    return page


def _places(sample: Sample, view: View) -> dict[str, np.ndarray]:
    """Where the tile has the joints; OpenPose's only where the annotated ones lack them."""
    names = [*GT_24, *(name for name in SMPL_49 if name not in GT_24)]
    places: dict[str, np.ndarray] = {}
    for name, row in zip(names, indices(names, SMPL_49), strict=True):
        joint = sample.keypoints_2d[row]
        twin = name.removeprefix(OPENPOSE_PREFIX)
        if joint[2] > 0 and np.isfinite(joint).all() and (twin == name or twin not in places):
            places[name] = view.points(joint[:2])
    return places


def _label(name: str) -> str:
    twin = name.removeprefix(OPENPOSE_PREFIX)
    return twin.replace("_", " ") + (" (OP)" if twin != name else "")


def _labelled(
    page: np.ndarray, places: dict[str, np.ndarray], *, left: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """The page with the joints' names in one of its margins, each joined to its joint."""
    names = sorted(places, key=lambda name: float(places[name][1]))
    rows = _spread([float(places[name][1]) for name in names])
    edge = _NAMES - 4 if left else _NAMES + TILE + 3
    for name, row in zip(names, rows, strict=True):
        x, y = np.clip(places[name], 0, TILE - 1) + np.array([_NAMES, 0])
        cv2.line(
            page, (edge, round(row)), (round(x), round(y)), joint_colour(name, name), 1, cv2.LINE_AA
        )
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    for name, row in zip(names, rows, strict=True):
        text = _label(name)
        font = fitting_font(text, _TEXT, _NAMES - 8)
        where = ((edge - 3, row), "rm") if left else ((edge + 4, row), "lm")
        draw.text(where[0], text, _darker(joint_colour(name, name)), font=font, anchor=where[1])
    return np.array(picture, np.uint8)


def _darker(colour: Rgb) -> Rgb:
    """A colour that can be read on paper."""
    brightness = float(np.dot(colour, (0.30, 0.59, 0.11)))
    share = min(0.72, 90 / max(brightness, 1.0))
    red, green, blue = (int(share * part) for part in colour)
    return red, green, blue


def _spread(rows: Sequence[float]) -> list[float]:
    """Sorted heights at least a line apart and inside the tile, each near where it was."""
    line = min(_LINE, TILE / max(len(rows), 1))
    placed: list[float] = []
    for row in rows:
        least = placed[-1] + line if placed else line / 2
        placed.append(max(row, least))
    limit = TILE - line / 2
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - line
    return placed
