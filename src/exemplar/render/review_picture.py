"""The picture of a lifted person by which a reviewer accepts or rejects the fit."""

import textwrap

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from exemplar.bodies import Body
from exemplar.bodies.body import BodyParams
from exemplar.files.image_files import crop_image
from exemplar.geometry.crops import Box
from exemplar.render.drawing import (
    BACKDROP,
    INK,
    PAPER,
    View,
    draw_keypoints,
    from_the_side,
    with_body,
)
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import SMPL_24

SIDE_ASPECT = 0.62
"""Width of the side view over its height."""

_MARGIN = 1.15
_KEYPOINTS_MARGIN = 1.35
_LEAST_SIDE = 16.0
_LARGEST_SIDE = 20_000.0
_GREY = (112, 117, 122)
_OPACITY = 0.8
_NEAREST = 0.05
_FILLED = 0.9


def picture_width(size: int) -> int:
    """Width, px, of a `review_picture` of this height."""
    return 2 * size + round(SIDE_ASPECT * size) + 2 * _gap(size)


def review_picture(
    sample: Sample,
    image: UInt8[np.ndarray, "rows columns 3"] | None,
    body: Body,
    size: int,
    *,
    reason: str = "",
) -> UInt8[np.ndarray, "h w 3"]:
    """Keypoints on the photo, the body on the photo, and the body from the image's left.

    The photo is shown about the sample's box: what is beyond its edge is black. Without an image
    everything is drawn on grey. Without a body that can be drawn the keypoints stand alone,
    beside `reason` and what is wrong with the body.

    Args:
        sample: the person, with the fitted body. Broken boxes and numbers are no errors.
        image: RGB photo; None if it cannot be read.
        body: the body model that `sample.body` is for.
        size: height of the picture, px; it is `picture_width(size)` wide.
        reason: why there is no body.

    Raises:
        ValueError: `size` is too small to show anything.
    """
    if size < _LEAST_SIDE:
        raise ValueError(f"a picture of {size} px is too small, expected {_LEAST_SIDE:.0f} or more")
    view = person_view(sample, image, size)
    page = np.full((size, picture_width(size), 3), PAPER, np.uint8)
    page[:, :size] = view.photo
    draw_keypoints(page[:, :size], _finite(sample.keypoints_2d), view.points)
    second, third = size + _gap(size), 2 * (size + _gap(size))
    posed = posed_mesh(sample.body, body)
    if isinstance(posed, str):
        text = ". ".join(part for part in (reason, posed) if part)
        page[:, second:] = _text_panel(text, page.shape[1] - second, size)
        return page
    vertices, pelvis = posed
    faces = body.faces.cpu().numpy()
    seen = _seen(sample, vertices, view)
    if seen is None:
        page[:, second : second + size] = _text_panel("no camera for the body", size, size)
    else:
        points, depth, scale = seen
        page[:, second : second + size] = with_body(
            view.photo, points, depth, faces, pixels_per_metre=scale, opacity=_OPACITY
        )
    page[:, third:] = _side_view(vertices, pelvis, faces, page.shape[1] - third, size)
    return page


def _text_size(size: int) -> int:
    return max(11, size // 16)


def _gap(size: int) -> int:
    return max(2, size // 80)


def _finite(keypoints_2d: np.ndarray) -> Float[np.ndarray, "49 3"]:
    """The keypoints without those that are not numbers."""
    return np.where(np.isfinite(keypoints_2d).all(1, keepdims=True), keypoints_2d, 0.0)


def person_view(sample: Sample, image: np.ndarray | None, size: int) -> View:
    """The photo about the person, `size` px wide and high."""
    centre, side = _square(sample, image)
    if image is None:
        photo = _no_photo(size)
    else:
        place = torch.from_numpy(centre).float()
        box = Box(place, torch.tensor(side, dtype=place.dtype), torch.zeros_like(place[0]))
        photo = crop_image(image, box, size)
    return View(centre - side / 2, np.full(2, size / side), photo)


def _no_photo(size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Grey, which says what is missing at its foot."""
    page = Image.new("RGB", (size, size), _GREY)
    font = ImageFont.load_default(_text_size(size))
    ImageDraw.Draw(page).text((size / 2, 0.98 * size), "no image", PAPER, font=font, anchor="mb")
    return np.asarray(page, np.uint8)


def _square(sample: Sample, image: np.ndarray | None) -> tuple[Float[np.ndarray, "2"], float]:
    """Centre and side of what is shown, px: the box; if that is broken, what else there is."""
    centre, side = np.asarray(sample.box_centre, np.float64), sample.box_size
    if np.isfinite(centre).all() and _LEAST_SIDE <= side <= _LARGEST_SIDE:
        return centre, side * _MARGIN
    points = _finite(sample.keypoints_2d)
    known = points[points[:, 2] > 0, :2]
    if len(known):
        low, high = known.min(0), known.max(0)
        side = float((high - low).max()) * _KEYPOINTS_MARGIN
        return (low + high) / 2, float(np.clip(side, 4 * _LEAST_SIDE, _LARGEST_SIDE))
    height, width = (256, 256) if image is None else image.shape[:2]
    return np.array([width / 2, height / 2]), float(max(width, height))


@torch.no_grad()
def posed_mesh(
    truth: BodyTruth | None, body: Body
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "3"]] | str:
    """The mesh about the body's origin and its pelvis, metres, as the camera sees them; or why
    there is none."""
    if truth is None:
        return ""
    if not body.takes(len(truth.betas)):
        return f"its body has {len(truth.betas)} betas, {body.name} has {body.num_betas}"
    template = body.v_template
    pose = torch.from_numpy(np.array(truth.pose)).to(template)[None]
    betas = torch.from_numpy(np.array(truth.betas)).to(template)[None]
    output = body(BodyParams(pose[:, 0], pose[:, 1:], betas))
    vertices = output.vertices[0].double().cpu().numpy()
    if not np.isfinite(vertices).all():
        return "its body is not finite"
    return vertices, output.joints[0, SMPL_24.index("pelvis")].double().cpu().numpy()


def _seen(
    sample: Sample, vertices: np.ndarray, view: View
) -> tuple[Float[np.ndarray, "v 2"], Float[np.ndarray, " v"], float] | None:
    """The mesh in the view: points (px), depth (m) and px per metre; None without a camera.

    By the weak camera of the sample's box, which is what a fit moves; else by the full camera.
    """
    truth = sample.body
    assert truth is not None
    zoom = float(view.scale[0])
    if truth.weak_camera is not None:
        half, (scale, *shift) = sample.box_size / 2, truth.weak_camera
        points = sample.box_centre + (scale * vertices[:, :2] + np.array(shift)) * half
        return view.points(points), vertices[:, 2], abs(float(scale)) * half * zoom
    if truth.translation is None or sample.intrinsics is None:
        return None
    placed = vertices + truth.translation
    if not placed[:, 2].min() > _NEAREST:
        return None
    homogeneous = placed @ sample.intrinsics.T
    points = homogeneous[:, :2] / homogeneous[:, 2:]
    scale = float(sample.intrinsics[0, 0] / placed[:, 2].mean())
    return view.points(points), placed[:, 2], scale * zoom


def with_sample_body(
    picture: UInt8[np.ndarray, "h w 3"], sample: Sample, body: Body, view: View
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the view with the sample's body over it; without one, the picture."""
    posed = posed_mesh(sample.body, body)
    seen = None if isinstance(posed, str) else _seen(sample, posed[0], view)
    if seen is None:
        return picture
    points, depth, scale = seen
    faces = body.faces.cpu().numpy()
    return with_body(picture, points, depth, faces, pixels_per_metre=scale, opacity=_OPACITY)


def _side_view(
    vertices: np.ndarray, pelvis: np.ndarray, faces: np.ndarray, width: int, height: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The whole body from the image's left, as large as the panel allows."""
    turned = from_the_side(vertices, pelvis)
    low, high = turned[:, :2].min(0), turned[:, :2].max(0)
    scale = _FILLED * float((np.array([width, height]) / np.maximum(high - low, 1e-3)).min())
    points = (turned[:, :2] - (low + high) / 2) * scale + np.array([width, height]) / 2
    empty = np.full((height, width, 3), BACKDROP, np.uint8)
    return with_body(empty, points, turned[:, 2], faces, pixels_per_metre=scale, opacity=1.0)


def _text_panel(text: str, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """The text in the middle of a plain panel, in as many lines as it takes."""
    page = Image.new("RGB", (width, height), BACKDROP)
    font = ImageFont.load_default(_text_size(height))
    letters = max(8, int(0.9 * width / font.getlength("n")))
    lines = textwrap.wrap(text or "no body", letters, max_lines=8, placeholder=" ...")
    middle = (width / 2, height / 2)
    draw = ImageDraw.Draw(page)
    draw.multiline_text(middle, "\n".join(lines), INK, font=font, anchor="mm", align="center")
    return np.asarray(page, np.uint8)
