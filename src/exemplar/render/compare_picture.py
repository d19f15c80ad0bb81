"""Pictures of a blind comparison: a photo, and bodies as it sees them and from the side.

EFT's study (section 4.2, appendix I) shows bodies on white from the photo's viewpoint and from the
side: on the photo a voter would judge how well the outline is covered, which is the 2D error.
"""

import numpy as np
from jaxtyping import Float, UInt8

from exemplar.bodies import Body
from exemplar.render.drawing import PAPER, from_the_side, with_body
from exemplar.render.review_picture import person_view, posed_mesh, with_sample_body
from exemplar.samples import Sample

_FILLED = 0.92
_LEAST_EXTENT = 0.1


def person_photo(
    sample: Sample, image: UInt8[np.ndarray, "rows columns 3"] | None, size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The photo about the person's box, without keypoints; grey without an image."""
    return person_view(sample, image, size).photo


def views_of(sample: Sample, body: Body) -> Float[np.ndarray, "2 v 3"]:
    """The mesh as the camera sees it and from the photo's left, metres, the middle of each at 0.

    ValueError if the sample has no body that can be drawn.
    """
    posed = posed_mesh(sample.body, body)
    if isinstance(posed, str):
        raise ValueError(f"{sample.image} cannot be drawn: {posed or 'it has no body'}")
    vertices, pelvis = posed
    views = np.stack([vertices - pelvis, from_the_side(vertices, pelvis)])
    return views - (views.min(1, keepdims=True) + views.max(1, keepdims=True)) / 2


def extent_of(views: Float[np.ndarray, "2 v 3"]) -> float:
    """The longer side, metres, of what both views cover."""
    return max(2 * float(views[..., :2].max()), _LEAST_EXTENT)


def plain_picture(
    views: Float[np.ndarray, "2 v 3"], faces: np.ndarray, size: int, *, extent: float
) -> UInt8[np.ndarray, "size width 3"]:
    """Both views beside each other on white, twice as wide as high.

    Args:
        views: of `views_of`.
        faces: the body's triangles.
        size: height, px.
        extent: metres that fill a view: one number for the bodies that are compared, so that
            they are drawn to one scale.
    """
    return np.concatenate([_view(vertices, faces, size, extent) for vertices in views], axis=1)


def overlay_picture(
    sample: Sample,
    image: UInt8[np.ndarray, "rows columns 3"] | None,
    body: Body,
    size: int,
    *,
    extent: float,
) -> UInt8[np.ndarray, "size width 3"]:
    """Like `plain_picture`, with the body over the photo in place of the first view."""
    view = person_view(sample, image, size)
    _, side = views_of(sample, body)
    front = with_sample_body(view.photo, sample, body, view)
    return np.concatenate([front, _view(side, body.faces.cpu().numpy(), size, extent)], axis=1)


def _view(
    vertices: np.ndarray, faces: np.ndarray, size: int, extent: float
) -> UInt8[np.ndarray, "size size 3"]:
    scale = _FILLED * size / extent
    empty = np.full((size, size, 3), PAPER, np.uint8)
    points = vertices[:, :2] * scale + size / 2
    return with_body(empty, points, vertices[:, 2], faces, pixels_per_metre=scale, opacity=1.0)
