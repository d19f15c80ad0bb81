"""Pictures of a fitted photo: the figure of before and after, and the fit as an animation.

Bodies are drawn with each person's weak camera: the picture shows exactly what was fitted. (The
photo's full camera, in the files, sees close-ups up to tens of px elsewhere; the summary says so.)
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from exemplar.files.atomic_files import replacing
from exemplar.geometry.cameras import NEAREST
from exemplar.render.drawing import (
    BACKDROP,
    INK,
    LEFT,
    PAPER,
    RIGHT,
    SOFT_INK,
    View,
    draw_keypoints,
    fitting_font,
    from_the_side,
    view_of,
    with_body,
)
from exemplar.results import NOTHING_TO_FIT, OK, BodyState, FitResult, PersonFit
from exemplar.skeletons import SMPL_24

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

_GAP, _STRIP, _CAPTION = 12, 64, 32
_ASPECTS = (0.6, 4 / 3)
_PELVIS = SMPL_24.index("pelvis")


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
        return _figure([(view_of(result.image, region, height).photo, "no person", "")])
    side_aspect = min(0.55 + 0.25 * (len(people) - 1), 1.3)
    room = FIGURE_WIDTH - 6 * _GAP
    height = room / (3 * region[2] / region[3] + 2 * side_aspect)
    height = int(min(np.clip(region[3], *PANEL_HEIGHTS), height))
    view, side_width = view_of(result.image, region, height), int(side_aspect * height)
    before = [person.before for person in people]
    after = [person.after for person in people]
    sides = _side_views(people, result.faces, side_width, height)
    errors = (_outcome(people, before), _outcome(people, after))
    return _figure(
        [
            (_with_keypoints(view, people), "keypoints", "left|right"),
            (_with_bodies(result, view, people, before), "regressor", errors[0]),
            (_with_bodies(result, view, people, after), fit_name, errors[1]),
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
    last = max(len(person.steps) for person in result.people) - 1
    shown = np.unique(np.linspace(0, last, min(last + 1, GIF_FRAMES)).round().astype(int))
    region = _region(result)
    height = int(min(GIF_SIDE - _CAPTION, GIF_SIDE * region[3] / region[2]))
    view = view_of(result.image, region, height)
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


def _with_bodies(
    result: FitResult, view: View, people: Sequence[PersonFit], states: Sequence[BodyState]
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with one body a person, the farthest painted first."""
    picture = view.photo
    for index in _far_to_near(states):
        person, state = people[index], states[index]
        points = view.points(_seen(result, person, state))
        scale = abs(float(state.weak_camera[0])) * person.box_size / 2
        picture = with_body(
            picture,
            points,
            state.vertices[:, 2],
            result.faces,
            pixels_per_metre=scale * float(view.scale.mean()),
            person=index,
        )
    return picture


def _seen(result: FitResult, person: PersonFit, state: BodyState) -> Float[np.ndarray, "v 2"]:
    """Vertices in the photo, px: by its camera or by the weak one, whichever shows the joints
    nearer to where the fit has them."""
    scale, shift, half = state.weak_camera[0], state.weak_camera[1:], person.box_size / 2

    def weakly(points: np.ndarray) -> np.ndarray:
        about = points[:, :2] - state.translation[:2]
        return person.box_centre + (scale * about + shift) * half

    def gap(see: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(np.linalg.norm(see(state.joints_3d) - state.joints_2d, axis=1).mean())

    is_in_front = state.vertices[:, 2].min() > NEAREST
    if is_in_front and gap(result.reprojected) < gap(weakly):
        return result.reprojected(state.vertices)
    return weakly(state.vertices)


def _far_to_near(states: Sequence[BodyState]) -> list[int]:
    return sorted(range(len(states)), key=lambda i: -float(states[i].translation[2]))


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
    pictures = [np.full((height, width, 3), BACKDROP, np.uint8) for _ in range(2)]
    left = (width - scale * needed) / 2 + scale * gap
    for person, (b, h) in enumerate(zip(low, high, strict=True)):
        pelvis = np.array([left - scale * b[0], middle])
        for i, body in enumerate(turned[person]):
            points = body[:, :2] * scale + pelvis
            pictures[i] = with_body(
                pictures[i],
                points,
                body[:, 2],
                faces,
                pixels_per_metre=scale,
                person=person,
                opacity=1.0,
            )
        left += scale * (h[0] - b[0] + gap)
    return pictures[0], pictures[1]


def _from_the_side(state: BodyState) -> Float[np.ndarray, "v 3"]:
    return from_the_side(state.vertices, state.kinematic_joints[_PELVIS])


def _with_keypoints(view: View, people: Sequence[PersonFit]) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with everyone's keypoints and the bones between them."""
    picture = view.photo.copy()
    for person in people:
        draw_keypoints(picture, person.keypoints_2d, view.points)
    return picture


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
    page = Image.new("RGB", (width, _STRIP + height + _GAP), PAPER)
    draw = ImageDraw.Draw(page)
    x = _GAP
    for panel, title, second in panels:
        room = panel.shape[1] - 4
        draw.text((x + 2, 8), title, INK, font=fitting_font(title, 22, room))
        _second_line(draw, (x + 2, 36), second, room)
        page.paste(Image.fromarray(panel), (x, _STRIP))
        x += panel.shape[1] + _GAP
    return np.asarray(page, np.uint8)


def _second_line(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room: int) -> None:
    """A line under a title; the legend's words wear the colours of the keypoints."""
    x, y = float(place[0]), float(place[1])
    font, colours = fitting_font(text, 17, room), {"left": LEFT, "right": RIGHT}
    for part in text.split("|"):
        draw.text((x, y), part, colours.get(part, SOFT_INK), font=font)
        x += draw.textlength(part + "  ", font=font)


def _step_frame(result: FitResult, view: View, step: int, last: int) -> UInt8[np.ndarray, "h w 3"]:
    states = [person.steps[: step + 1][-1] for person in result.people]
    picture = _with_bodies(result, view, result.people, states)
    error = _mean_error(result.people, states).removeprefix("mean 2D ")
    return _captioned(picture, f"iteration {step} of {last}", error)


def _captioned(picture: np.ndarray, left: str, right: str) -> UInt8[np.ndarray, "h w 3"]:
    """The picture under a strip with a text at either end."""
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + _CAPTION), PAPER)
    page.paste(Image.fromarray(picture), (0, _CAPTION))
    draw, font = ImageDraw.Draw(page), fitting_font(f"{left}    {right}", 17, width - 16)
    middle = _CAPTION / 2
    draw.text((8, middle), left, INK, font=font, anchor="lm")
    draw.text((width - 8, middle), right, INK, font=font, anchor="rm")
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
