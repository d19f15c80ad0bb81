"""Make the documentation's moving figures and its pictures of axes, joints and crops.

pip install . && python scripts/docs_figures.py [NAME ...]

Everything is drawn from what the program makes of its demo photo and of a drawn person.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from exemplar import FitOptions, Fitter
from exemplar.assets import asset_path
from exemplar.bodies import Body, BodyParams, load_open_body
from exemplar.files.image_files import write_image
from exemplar.regressors.checkpoints import save_regressor
from exemplar.render.drawing import (
    BACKDROP,
    INK,
    LEFT,
    RIGHT,
    SOFT_INK,
    draw_keypoints,
    joint_colour,
    with_body,
)
from exemplar.render.overlay import overlay_picture
from exemplar.results import BodyState, FitResult, PersonFit
from exemplar.skeletons import SMPL_24
from exemplar.synth import draw_samples

IMAGES = Path(__file__).parent.parent / "docs/images"
PELVIS = SMPL_24.index("pelvis")
SEED, NUMBER = 22, 3
"""The drawn person."""
UPDATES = 40
"""Of EFT on the drawn person: twice the usual, so that one sees where it goes."""
TURNS = 24
"""Pictures of a body that turns once."""
RATE = 8
"""Frames a second."""


@dataclass(frozen=True)
class Drawn:
    """A drawn person, and the truth about the pelvis in the camera frame, metres."""

    image: np.ndarray
    keypoints: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    faces: np.ndarray


def drawn_person() -> Drawn:
    """The drawn person of the figures."""
    batch, body = draw_samples(1, seed=SEED, start=NUMBER), load_open_body()
    params = (batch.global_orient, batch.body_pose, batch.betas)
    posed = body(BodyParams(*(torch.from_numpy(part).float() for part in params)))
    root = posed.joints[0, PELVIS]
    return Drawn(
        batch.images[0],
        batch.keypoints_2d[0],
        (posed.vertices[0] - root).numpy(),
        (posed.joints[0] - root).numpy(),
        body.faces.numpy(),
    )


def demo_fit() -> FitResult:
    """What `exemplar fit --demo` fits."""
    with asset_path("demo.jpg") as path:
        return Fitter(options=FitOptions(stop_px=0.0)).fit(path)


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The default font."""
    return ImageFont.load_default(size)


def about_pelvis(state: BodyState) -> np.ndarray:
    """A body's vertices about its pelvis, metres."""
    return state.vertices - state.kinematic_joints[PELVIS]


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points turned about the vertical axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def standing(
    picture: np.ndarray, vertices: np.ndarray, faces: np.ndarray, scale: float, who: int = 0
) -> np.ndarray:
    """A body about its pelvis (metres) drawn in the middle of a picture."""
    middle = np.array([picture.shape[1] / 2, picture.shape[0] / 2])
    points = vertices[:, :2] * scale + middle
    return with_body(
        picture, points, vertices[:, 2], faces, pixels_per_metre=scale, person=who, opacity=1.0
    )


def on_photo(
    photo: np.ndarray, person: PersonFit, state: BodyState, faces: np.ndarray, zoom: float
) -> np.ndarray:
    """The fitted body over a photo that was resized by `zoom`."""
    half = person.box_size / 2
    body = state.vertices - state.translation
    scale, shift = state.weak_camera[0], state.weak_camera[1:]
    points = (person.box_centre + (scale * body[:, :2] + shift) * half) * zoom
    metre = float(scale) * half * zoom
    return with_body(photo, points, body[:, 2], faces, pixels_per_metre=metre, opacity=0.9)


def titled(picture: np.ndarray, title: str, strip: int = 34) -> Image.Image:
    """A picture under its title."""
    page = Image.new("RGB", (picture.shape[1], picture.shape[0] + strip), "white")
    page.paste(Image.fromarray(picture), (0, strip))
    ImageDraw.Draw(page).text((4, strip / 2), title, INK, font=font(16), anchor="lm")
    return page


def row(pictures: Sequence[Image.Image], gap: int = 10) -> Image.Image:
    """Pictures side by side."""
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    page = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    x = 0
    for picture in pictures:
        page.paste(picture, (x, 0))
        x += picture.width + gap
    return page


def curves(
    lines: Sequence[tuple[str, Sequence[float], tuple[int, int, int]]],
    step: int,
    size: tuple[int, int],
) -> np.ndarray:
    """Curves over the updates, each in units of its first value, drawn up to `step`."""
    width, height = size
    page = Image.new("RGB", size, BACKDROP)
    pen = ImageDraw.Draw(page)
    left, right, top, bottom = 14, width - 14, 14 + 26 * len(lines), height - 30
    pen.line([(left, top), (left, bottom), (right, bottom)], SOFT_INK, 1)
    pen.text((right, bottom + 6), "updates", SOFT_INK, font=font(14), anchor="ra")
    highest = max(max(values) / values[0] for _, values, _ in lines)
    for number, (name, values, colour) in enumerate(lines):
        places = [
            (
                left + (right - left) * i / (len(values) - 1),
                bottom - (bottom - top) * value / values[0] / highest,
            )
            for i, value in enumerate(values)
        ][: step + 1]
        if len(places) > 1:
            pen.line(places, colour, 3)
        x, y = places[-1]
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], colour)
        pen.text((left, 10 + 26 * number), name.format(values[step]), colour, font=font(16))
    return np.asarray(page)


def write_moving(frames: Sequence[Image.Image], name: str, hold: int = 10) -> None:
    """An endless animation that rests on its last frame."""
    path = IMAGES / name
    frames = [*frames, *[frames[-1]] * hold]
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=1000 // RATE,
        loop=0,
        quality=72,
        method=6,
    )
    print(f"{path} {path.stat().st_size / 1e3:.0f} kB, {frames[0].size}")


def readme() -> None:
    """The demo photo: keypoints, the body moving into place, and the body turning."""
    result = demo_fit()
    overlay = Image.fromarray(overlay_picture(result))
    overlay.thumbnail((1600, 1600))
    write_image(np.asarray(overlay), IMAGES / "demo.jpg")
    (person,) = result.people
    height = 360
    zoom = height / result.image.shape[0]
    photo = cv2.resize(result.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    marked = photo.copy()
    draw_keypoints(marked, person.keypoints_2d, lambda point: point * zoom)
    backdrop = np.full((*photo.shape[:2], 3), BACKDROP, np.uint8)
    states = [person.before] * 4 + list(person.steps) + [person.after] * TURNS
    frames = []
    for number, state in enumerate(states):
        angle = max(0, number - 4 - person.iterations) * 360 / TURNS
        body = standing(backdrop, turned(about_pelvis(state), angle), result.faces, height / 2.1)
        title = "the body, turning" if angle else f"the fit: {state.error_px:.1f} px off"
        frames.append(
            row(
                [
                    titled(marked, "photo and 2D keypoints"),
                    titled(on_photo(photo, person, state, result.faces, zoom), "body"),
                    titled(body, title),
                ]
            )
        )
    write_moving(frames, "demo.webp", hold=4)


def joint_error_mm(state: BodyState, truth: np.ndarray) -> float:
    """Mean distance of the 24 joints from the truth, both about the pelvis."""
    joints = state.kinematic_joints - state.kinematic_joints[PELVIS]
    return 1000 * float(np.linalg.norm(joints - truth, axis=1).mean())


def eft() -> None:
    """EFT on the drawn person: over the photo, from the side with the truth, and the errors."""
    person = drawn_person()
    options = FitOptions(stop_px=0.0, iterations=UPDATES, looks=False)
    result = Fitter(options=options).fit(person.image, person.keypoints[None])
    (fit,) = result.people
    zoom = 400 / person.image.shape[0]
    photo = cv2.resize(person.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    side = np.full((400, 260, 3), BACKDROP, np.uint8)
    truth = standing(side, turned(person.vertices, 90), person.faces, 190, who=2)
    pixels = [state.error_px for state in fit.steps]
    metres = [joint_error_mm(state, person.joints) for state in fit.steps]
    frames = []
    for step in range(0, fit.iterations + 1, 2):
        over = on_photo(photo, fit, fit.steps[step], result.faces, zoom)
        draw_keypoints(over, fit.keypoints_2d, lambda point: point * zoom)
        body = standing(side, turned(about_pelvis(fit.steps[step]), 90), result.faces, 190)
        lines = [("2D error {:.1f} px", pixels, LEFT), ("3D error {:.0f} mm", metres, RIGHT)]
        frames.append(
            row(
                [
                    titled(over, f"update {step} of {fit.iterations}"),
                    titled(body, "from the side"),
                    titled(truth, "the truth"),
                    titled(curves(lines, step, (250, 400)), "errors"),
                ]
            )
        )
    write_moving(frames, "eft.webp")


STAGES = (
    ("1  The main network looks at the picture and guesses a body.", (0, 1)),
    ("2  The auxiliary network looks too. Its body stands in for the truth.", (0, 2)),
    (
        "3  Exemplar step: this person's own weights move towards both.",
        (0, 2, 3),
    ),
    ("4  Training: the new body is compared with the truth, and the shared weights learn.", (3, 4)),
)
"""What the dual networks' figure says, and which of its panels it is about."""


def dual() -> None:
    """One training iteration of dual networks, in four stages, on the drawn person."""
    person = drawn_person()
    points = person.keypoints[None]
    with tempfile.TemporaryDirectory() as folder:
        auxiliary = Path(folder) / "auxiliary.safetensors"
        small = Fitter("mobile", FitOptions(iterations=0, looks=False))
        save_regressor(small.regressor, small.info, auxiliary)
        other = small.fit(person.image, points).people[0].before
        moved = Fitter(options=FitOptions(auxiliary=auxiliary, looks=False))
        result = moved.fit(person.image, points)
    (fit,) = result.people
    zoom = 340 / person.image.shape[0]
    photo = cv2.resize(person.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    draw_keypoints(photo, fit.keypoints_2d, lambda point: point * zoom)
    side = np.full((340, 220, 3), BACKDROP, np.uint8)
    bodies = [
        ("main network", about_pelvis(fit.before), 0),
        ("auxiliary network", about_pelvis(other), 1),
        ("after the step", about_pelvis(fit.after), 0),
        ("the truth", person.vertices, 2),
    ]
    panels = [titled(photo, "picture and keypoints")] + [
        titled(standing(side, turned(vertices, 90), person.faces, 160, who), name)
        for name, vertices, who in bodies
    ]
    frames = []
    for text, active in STAGES:
        faded = [
            panel if i in active else Image.blend(panel, Image.new("RGB", panel.size, "white"), 0.7)
            for i, panel in enumerate(panels)
        ]
        figure = row(faded)
        page = Image.new("RGB", (figure.width, figure.height + 44), "white")
        page.paste(figure, (0, 0))
        place = (4, figure.height + 22)
        ImageDraw.Draw(page).text(place, text, INK, font=font(20), anchor="lm")
        frames += [page] * (3 * RATE)
    write_moving(frames, "dual.webp", hold=0)


def label(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, anchor: str
) -> None:
    """Text on a white plate."""
    box = pen.textbbox(place, text, font=font(20), anchor=anchor)
    pen.rounded_rectangle([box[0] - 5, box[1] - 3, box[2] + 5, box[3] + 3], 5, "white")
    pen.text(place, text, colour, font=font(20), anchor=anchor)


def arrow(
    pen: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, colour: str, text: str
) -> None:
    """An arrow with a name at its head."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    across = np.array([-along[1], along[0]])
    pen.line([*start, *end], colour, 5)
    tip = [end + 6 * along, end - 12 * along + 8 * across, end - 12 * along - 8 * across]
    pen.polygon([tuple(point) for point in tip], colour)
    label(pen, tuple(end + 26 * along), text, colour, "mm")


def rest_body() -> tuple[Body, np.ndarray, np.ndarray]:
    """The open body at rest: itself, vertices and joints."""
    body = load_open_body()
    eye = torch.eye(3)
    rest = body(BodyParams(eye[None], eye.expand(1, 23, 3, 3), torch.zeros(1, body.num_betas)))
    return body, rest.vertices[0].numpy(), rest.joints[0].numpy()


def axes() -> None:
    """The camera frame on the demo photo, and the body's frame at rest."""
    result = demo_fit()
    (person,) = result.people
    photo = Image.fromarray(
        on_photo(result.image, person, person.after, result.faces, 1.0)
    ).convert("RGB")
    pen = ImageDraw.Draw(photo)
    corner = np.array([60.0, 60.0])
    arrow(pen, corner, corner + np.array([110, 0]), "#c92a2a", "x")
    arrow(pen, corner, corner + np.array([0, 110]), "#2b8a3e", "y")
    arrow(pen, corner, corner + np.array([58, 48]), "#1864ab", "z, into the photo")
    body, vertices, joints = rest_body()
    down = np.array([1.0, -1.0, -1.0])
    size = photo.height
    picture = np.full((size, 560, 3), BACKDROP, np.uint8)
    shown = turned((vertices - joints[PELVIS]) * down, 0)
    rest = Image.fromarray(standing(picture, shown, body.faces.numpy(), 270))
    pen = ImageDraw.Draw(rest)
    middle = np.array([280.0, size / 2])
    arrow(pen, middle, middle + np.array([120, 0]), "#c92a2a", "x")
    arrow(pen, middle, middle + np.array([0, -120]), "#2b8a3e", "y")
    arrow(pen, middle, middle + np.array([-48, 62]), "#1864ab", "z, out of the picture")
    page = row(
        [
            titled(np.asarray(photo), "camera frame"),
            titled(np.asarray(rest), "the body's own frame"),
        ]
    )
    write_image(np.asarray(page), IMAGES / "axes.jpg")


def legs(name: str) -> bool:
    """Whether a joint is one of the legs."""
    return name.split("_")[-1] in ("hip", "knee", "ankle", "foot")


def joints() -> None:
    """The 24 joints of SMPL by name, on the body at rest."""
    body, vertices, places = rest_body()
    down, scale = np.array([1.0, -1.0, -1.0]), 520
    picture = np.full((1000, 1300, 3), BACKDROP, np.uint8)
    centre = (vertices.max(0) + vertices.min(0)) / 2
    shown = Image.fromarray(
        standing(picture, (vertices - centre) * down, body.faces.numpy(), scale)
    )
    pen = ImageDraw.Draw(shown)
    points = ((places - centre) * down)[:, :2] * scale + (650, 500)
    for side, x, anchor in (("left", 1290, "rm"), ("right", 10, "lm"), ("", 880, "lm")):
        mine = [
            i
            for i, name in enumerate(SMPL_24)
            if (name.startswith(side) if side else name.split("_")[0] not in ("left", "right"))
        ]
        mine.sort(key=lambda i: (legs(SMPL_24[i]), i) if side else (False, -i))
        for rank, i in enumerate(mine):
            colour = joint_colour(SMPL_24[i], SMPL_24[i]) if side else (90, 90, 90)
            y = (60 if side else 380) + rank * (100 if side else 40)
            edge = x - 190 if anchor == "rm" else x + (190 if side else -6)
            pen.line([edge, y, *points[i]], colour, 1)
            pen.ellipse([*(points[i] - 6), *(points[i] + 6)], colour, "black")
            pen.text((x, y), f"{i} {SMPL_24[i]}", colour, font=font(20), anchor=anchor)
    write_image(np.asarray(shown), IMAGES / "joints.jpg")


def crop() -> None:
    """The square crop of the demo's person, its units, and what 10 px of a 224 crop are."""
    result = demo_fit()
    (person,) = result.people
    border = 60
    wide = ((border, border), (border, border), (0, 0))
    photo = Image.fromarray(np.pad(result.image, wide, constant_values=210))
    pen = ImageDraw.Draw(photo)
    c, s = np.cos(person.box_angle), np.sin(person.box_angle)
    turn = np.array([[c, -s], [s, c]])
    half = person.box_size / 2

    def place(u: float, v: float) -> tuple[float, float]:
        x, y = person.box_centre + turn @ np.array([u, v]) * half + border
        return float(x), float(y)

    corners = [place(-1, -1), place(1, -1), place(1, 1), place(-1, 1)]
    pen.line([*corners, corners[0]], "#e03131", 4)
    for (u, v), anchor in (((-0.97, -0.97), "la"), ((0.97, 0.97), "rd"), ((0.04, 0.0), "lm")):
        text = "(0, 0)" if u == 0.04 else f"({round(u)}, {round(v)})"
        label(pen, place(u, v), text, "#e03131", anchor)
    x, y = place(0, 0)
    pen.ellipse([x - 5, y - 5, x + 5, y + 5], "#e03131")
    ten = 10 / 224 * person.box_size
    pen.line([x, y + 40, x + ten, y + 40], "white", 6)
    label(pen, (x + ten + 14, y + 40), "10 px of a 224 crop", "black", "lm")
    write_image(np.asarray(photo), IMAGES / "crop.jpg")


FIGURES = {
    "readme": readme, "eft": eft, "dual": dual, "axes": axes, "joints": joints, "crop": crop,
}  # fmt: skip


def main() -> None:
    """The figures that are named, or all."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main()
