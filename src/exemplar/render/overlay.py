"""Pictures of a fitted photo: the figure of before and after, and the fit as an animation.

Bodies are drawn with each person's weak camera: the picture shows exactly what was fitted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from exemplar.atomic_files import replacing
from exemplar.render.raster import render_projected_mesh
from exemplar.results import NOTHING_TO_FIT, OK, BodyState, FitResult, PersonFit
from exemplar.skeletons import ALIASES, BONES, OPENPOSE_PREFIX, SMPL_24, SMPL_49

FIGURE_WIDTH = 2400
"""The figure is at most this wide, px."""

PANEL_HEIGHTS = (480, 640)
"""Least and greatest height of the panels, px, where the figure's width allows it."""

GIF_SIDE = 480
"""The longer side of an animation is at most this, px."""

GIF_FRAMES = 40
"""Longer fits are shown by this many of their iterates."""

HOLD_SECONDS = 1.5
"""How long an animation rests on the fit."""

BODY_COLOURS = (
    (0.56, 0.72, 0.95), (0.97, 0.63, 0.53), (0.58, 0.83, 0.60), (0.98, 0.81, 0.46),
    (0.77, 0.65, 0.92), (0.47, 0.82, 0.82), (0.96, 0.67, 0.80), (0.83, 0.76, 0.65),
)  # fmt: skip
"""Colour of each person's body, RGB in 0..1; people beyond the last start again."""

LEFT, RIGHT, MIDDLE = (30, 136, 229), (245, 124, 0), (255, 224, 102)
"""Colours of keypoints of the person's left, right and middle, RGB."""

_BACKDROP, _PAPER, _INK, _SOFT_INK = (244, 245, 247), (255, 255, 255), (33, 37, 41), (108, 117, 125)
_GAP, _STRIP, _CAPTION, _OPACITY = 12, 64, 32, 0.93
_ASPECTS = (0.6, 4 / 3)
_PELVIS = SMPL_24.index("pelvis")

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class _View:
    """A part of the photo, resized."""

    corner: Float[np.ndarray, "2"]
    """Its top left corner, image px."""
    scale: Float[np.ndarray, "2"]
    """View px per image px, along x and y."""
    photo: UInt8[np.ndarray, "h w 3"]
    """What it shows."""

    def points(self, image_points: np.ndarray) -> np.ndarray:
        """Image px to view px."""
        return (image_points - self.corner) * self.scale


def overlay_picture(result: FitResult, *, fit_name: str = "EFT") -> UInt8[np.ndarray, "h w 3"]:
    """The figure of a fitted photo: keypoints, both sets of bodies on the photo and from the side.

    The photo is shown where its people are. The side view is a parallel projection from the
    image's left, so that a person who faces the camera looks to the right; errors are
    mean 2D errors in px of a 224 crop. Without people the figure is the photo alone.
    """
    region = _region(result)
    people = result.people
    if not people:
        height = int(np.clip(region[3], *PANEL_HEIGHTS))
        return _figure([(_view(result.image, region, height).photo, "no person", "")])
    side_aspect = min(0.55 + 0.25 * (len(people) - 1), 1.3)
    room = FIGURE_WIDTH - 6 * _GAP
    height = room / (3 * region[2] / region[3] + 2 * side_aspect)
    height = int(min(np.clip(region[3], *PANEL_HEIGHTS), height))
    view, side_width = _view(result.image, region, height), int(side_aspect * height)
    before = [person.before for person in people]
    after = [person.after for person in people]
    sides = _side_views(people, result.faces, side_width, height)
    errors = (_outcome(people, before), _outcome(people, after))
    return _figure(
        [
            (_with_keypoints(view, people), "keypoints", "left|right"),
            (_with_bodies(view, people, before, result.faces), "regressor", errors[0]),
            (_with_bodies(view, people, after, result.faces), fit_name, errors[1]),
            (sides[0], "regressor, side", ""),
            (sides[1], f"{fit_name}, side", ""),
        ]
    )


def steps_gif(result: FitResult, path: str | Path, *, fps: float = 8.0) -> None:
    """Write the fit's iterates, drawn over the photo, as an animated GIF at `path`.

    The last frame is held for `HOLD_SECONDS`. ValueError for a result without people or a rate
    that is not positive; OSError when the file cannot be written.
    """
    if not result.people:
        raise ValueError("the result has no people, so there is nothing to animate")
    if not 0 < fps <= 50:
        raise ValueError(f"expected 0 < fps <= 50, got {fps}")
    last = max(person.iterations for person in result.people)
    shown = np.unique(np.linspace(0, last, min(last + 1, GIF_FRAMES)).round().astype(int))
    region = _region(result)
    height = int(min(GIF_SIDE - _CAPTION, GIF_SIDE * region[3] / region[2]))
    view = _view(result.image, region, height)
    frames = [_step_frame(result, view, int(step), last) for step in shown]
    pictures = _indexed(frames, _captioned(view.photo, "", ""))
    durations = [round(1000 / fps)] * len(pictures)
    durations[-1] = round(1000 * HOLD_SECONDS)
    with replacing(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
        )


def _region(result: FitResult) -> tuple[int, int, int, int]:
    """The part of the photo with the people: x, y, width, height in whole px, of pleasant shape."""
    size = np.array([result.image.shape[1], result.image.shape[0]], np.float64)
    if not result.people:
        return 0, 0, int(size[0]), int(size[1])
    lows, highs = [], []
    for person in result.people:
        reach = abs(math.cos(person.box_angle)) + abs(math.sin(person.box_angle))
        half = person.box_size / 2 * min(reach, 1.2)
        lows.append(np.clip(person.box_centre - half, 0, size - 1))
        highs.append(np.clip(person.box_centre + half, 1, size))
    low, high = np.floor(np.min(lows, 0)), np.ceil(np.max(highs, 0))
    extent = np.maximum(high - low, np.minimum(size, 32))
    wanted = np.array([extent[1] * _ASPECTS[0], extent[0] / _ASPECTS[1]])
    extent = np.ceil(np.minimum(np.maximum(extent, wanted), size))
    corner = np.floor(np.clip((low + high - extent) / 2, 0, size - extent))
    return int(corner[0]), int(corner[1]), int(extent[0]), int(extent[1])


def _view(image: np.ndarray, region: tuple[int, int, int, int], height: int) -> _View:
    x, y, region_width, region_height = region
    height = max(height, 1)
    width = max(1, round(region_width * height / region_height))
    part = np.ascontiguousarray(image[y : y + region_height, x : x + region_width])
    shrinks = height < region_height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    photo = np.asarray(cv2.resize(part, (width, height), interpolation=method), np.uint8)
    scale = np.array([width / region_width, height / region_height])
    return _View(np.array([x, y], np.float64), scale, photo)


def _with_bodies(
    view: _View, people: Sequence[PersonFit], states: Sequence[BodyState], faces: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with one body a person, the farthest painted first."""
    picture = view.photo
    for index in _far_to_near(states):
        person, state = people[index], states[index]
        half = person.box_size / 2
        body = state.vertices - state.translation
        scale, shift = state.weak_camera[0], state.weak_camera[1:]
        points = view.points(person.box_centre + (scale * body[:, :2] + shift) * half)
        pixels_per_metre = abs(float(scale)) * half * float(view.scale.mean())
        picture = _paint(picture, points, body[:, 2], faces, pixels_per_metre, index, _OPACITY)
    return picture


def _far_to_near(states: Sequence[BodyState]) -> list[int]:
    return sorted(range(len(states)), key=lambda i: -float(states[i].translation[2]))


def _paint(
    picture: np.ndarray,
    points: np.ndarray,
    depth: np.ndarray,
    faces: np.ndarray,
    pixels_per_metre: float,
    person: int,
    opacity: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a body drawn over it; only the part under the body is rendered."""
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


def _side_views(
    people: Sequence[PersonFit], faces: np.ndarray, width: int, height: int
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
    """All bodies turned by 90 degrees about their pelvis, next to each other: before and after.

    Both pictures share the places and the scale, so they can be compared.
    """
    turned = [[_from_the_side(state) for state in (one.before, one.after)] for one in people]
    low = [np.min([body[:, :2].min(0) for body in bodies], 0) for bodies in turned]
    high = [np.max([body[:, :2].max(0) for body in bodies], 0) for bodies in turned]
    gap = 0.15
    needed = sum(h[0] - b[0] for b, h in zip(low, high, strict=True)) + gap * (len(people) + 1)
    top, bottom = min(b[1] for b in low), max(h[1] for h in high)
    scale = float(min(0.9 * height / max(bottom - top, 1e-3), width / max(needed, 1e-3)))
    middle = height / 2 - scale * (top + bottom) / 2
    pictures = [np.full((height, width, 3), _BACKDROP, np.uint8) for _ in range(2)]
    left = (width - scale * needed) / 2 + scale * gap
    for person, (b, h) in enumerate(zip(low, high, strict=True)):
        pelvis = np.array([left - scale * b[0], middle])
        for i, body in enumerate(turned[person]):
            points = body[:, :2] * scale + pelvis
            pictures[i] = _paint(pictures[i], points, body[:, 2], faces, scale, person, 1.0)
        left += scale * (h[0] - b[0] + gap)
    return pictures[0], pictures[1]


def _from_the_side(state: BodyState) -> Float[np.ndarray, "v 3"]:
    """Vertices about the pelvis, metres, seen by a camera on the image's left."""
    x, y, z = (state.vertices - state.kinematic_joints[_PELVIS]).T
    return np.stack([-z, y, x], axis=1)


def _with_keypoints(view: _View, people: Sequence[PersonFit]) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with everyone's keypoints and the bones between them."""
    picture = view.photo.copy()
    thickness = max(2, round(view.photo.shape[0] / 160))
    for person in people:
        places = {name: view.points(point) for name, point in _visible(person.keypoints_2d).items()}
        for width, dark in ((thickness + 2, True), (thickness, False)):
            for a, b in BONES:
                ends = [ALIASES.get(name, name) for name in (a, b)]
                if ends[0] in places and ends[1] in places:
                    colour = (20, 20, 20) if dark else _colour(a, b)
                    _line(picture, places[ends[0]], places[ends[1]], colour, width)
        for name, place in places.items():
            _dot(picture, place, (20, 20, 20), thickness + 2)
            _dot(picture, place, _colour(name, name), thickness + 1)
    return picture


def _visible(keypoints_2d: np.ndarray) -> dict[str, np.ndarray]:
    """Places of the joints with a confidence, image px; annotated joints before OpenPose's."""
    places: dict[str, np.ndarray] = {}
    for name, (x, y, confidence) in zip(SMPL_49, keypoints_2d, strict=True):
        if confidence > 0:
            places[name.removeprefix(OPENPOSE_PREFIX)] = np.array([x, y])
    return places


def _colour(a: str, b: str) -> Rgb:
    """The colour of a bone between two joints, or of one joint given twice."""
    left, right = "left" in a or "left" in b, "right" in a or "right" in b
    if left == right:
        return MIDDLE
    return LEFT if left else RIGHT


_SUBPIXEL_BITS = 4


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


def _mean_error(people: Sequence[PersonFit], states: Sequence[BodyState]) -> str:
    """The 2D error averaged over the people who have one."""
    errors = [
        state.error_px
        for person, state in zip(people, states, strict=True)
        if person.status != NOTHING_TO_FIT and math.isfinite(state.error_px)
    ]
    return f"mean 2D error {np.mean(errors):.1f} px" if errors else ""


def _outcome(people: Sequence[PersonFit], states: Sequence[BodyState]) -> str:
    """The error, and what went wrong with anyone."""
    wrong = dict.fromkeys(person.status for person in people if person.status != OK)
    parts = [_mean_error(people, states), *(status.replace("_", " ") for status in wrong)]
    return ", ".join(part for part in parts if part)


def _figure(panels: Sequence[tuple[np.ndarray, str, str]]) -> UInt8[np.ndarray, "h w 3"]:
    """Panels of equal height side by side, each under its title and a second line."""
    height = max(panel.shape[0] for panel, _, _ in panels)
    width = sum(panel.shape[1] for panel, _, _ in panels) + _GAP * (len(panels) + 1)
    page = Image.new("RGB", (width, _STRIP + height + _GAP), _PAPER)
    draw = ImageDraw.Draw(page)
    x = _GAP
    for panel, title, second in panels:
        room = panel.shape[1] - 4
        draw.text((x + 2, 8), title, _INK, font=_font(title, 22, room))
        _second_line(draw, (x + 2, 36), second, room)
        page.paste(Image.fromarray(panel), (x, _STRIP))
        x += panel.shape[1] + _GAP
    return np.asarray(page, np.uint8)


def _second_line(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room: int) -> None:
    """A line under a title; the legend's words wear the colours of the keypoints."""
    x, y = float(place[0]), float(place[1])
    font, colours = _font(text, 17, room), {"left": LEFT, "right": RIGHT}
    for part in text.split("|"):
        draw.text((x, y), part, colours.get(part, _SOFT_INK), font=font)
        x += draw.textlength(part + "  ", font=font)


def _font(text: str, size: int, room: int):
    """The default font, smaller than `size` where `text` would be wider than `room` px."""
    fonts = (ImageFont.load_default(smaller) for smaller in range(size, 8, -1))
    return next((f for f in fonts if f.getlength(text) <= room), ImageFont.load_default(8))


def _step_frame(result: FitResult, view: _View, step: int, last: int) -> UInt8[np.ndarray, "h w 3"]:
    states = [person.steps[min(step, person.iterations)] for person in result.people]
    picture = _with_bodies(view, result.people, states, result.faces)
    error = _mean_error(result.people, states).removeprefix("mean 2D ")
    return _captioned(picture, f"iteration {step} of {last}", error)


def _captioned(picture: np.ndarray, left: str, right: str) -> UInt8[np.ndarray, "h w 3"]:
    """The picture under a strip with a text at either end."""
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + _CAPTION), _PAPER)
    page.paste(Image.fromarray(picture), (0, _CAPTION))
    draw, font = ImageDraw.Draw(page), _font(f"{left}    {right}", 17, width - 16)
    middle = _CAPTION / 2
    draw.text((8, middle), left, _INK, font=font, anchor="lm")
    draw.text((width - 8, middle), right, _INK, font=font, anchor="rm")
    return np.asarray(page, np.uint8)


def _indexed(frames: Sequence[np.ndarray], backdrop: np.ndarray) -> list[Image.Image]:
    """Frames with one common palette; the still backdrop is dithered once, so it does not flicker.

    What differs from the backdrop is not dithered: noise there would move and cost bytes. One of
    the 256 colours stays free, so that the encoder can leave out pixels that do not change.
    """
    sources = np.concatenate([backdrop, frames[0], frames[-1]])
    palette = Image.fromarray(sources).quantize(255, method=Image.Quantize.MEDIANCUT)
    no, yes = Image.Dither.NONE, Image.Dither.FLOYDSTEINBERG
    still = np.asarray(Image.fromarray(backdrop).quantize(palette=palette, dither=yes))
    pictures = []
    for frame in frames:
        flat = np.asarray(Image.fromarray(frame).quantize(palette=palette, dither=no))
        moving = (frame != backdrop).any(axis=2)
        picture = Image.fromarray(np.where(moving, flat, still))
        picture.putpalette(palette.getpalette() or [])
        pictures.append(picture)
    return pictures
