"""The camera of a photo, and bodies moved from their crops into it."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from exemplar.bodies import Body
from exemplar.files.image_files import focal_35mm
from exemplar.fitting.perspective import BELIEVED_DEPTH
from exemplar.fitting.projections import placed
from exemplar.fitting.trace import Iterate
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box
from exemplar.results import BodyState

FIELD_OF_VIEW = 55.0
"""Angle of view that a photo is taken to have along its longer side where nothing tells, degrees:
between a phone's main lens (about 67) and a standard lens (40)."""

ASSUMED = "assumed"
"""How the words begin that say where a focal length is from, if nothing tells it."""

FILM_DIAGONAL = math.hypot(36.0, 24.0)
"""Of 35 mm film, mm: what EXIF's equivalent focal length refers to."""

FOCAL_RANGE = (0.01, 1000.0)
"""Focal lengths that lenses have, and crops of their photos: times the photo's longer side."""


def focal_of(
    image: str | Path | np.ndarray,
    height: int,
    width: int,
    camera_model: CameraModel,
    given: float | None = None,
) -> tuple[float, str]:
    """`focal_from` of a photo and its EXIF."""
    equivalent = None if isinstance(image, np.ndarray) else focal_35mm(image)
    return focal_from(equivalent, "EXIF", height, width, camera_model, given)


def focal_from(
    equivalent: float | None,
    teller: str,
    height: int,
    width: int,
    camera_model: CameraModel,
    given: float | None = None,
) -> tuple[float, str]:
    """Focal length (px), and where it is from: a `given` one, or the one on 35 mm film (mm) that
    `teller` tells, if it does. ValueError for a given one that no lens has; a told one is passed
    over then."""
    least, most = (share * max(height, width) for share in FOCAL_RANGE)
    if given is not None:
        if not least <= given <= most:
            raise ValueError(
                f"a focal length of {given:g} px: expected {least:g} to {most:g} for an image of"
                f" {width} x {height} px"
            )
        return given, "given"
    focal = (equivalent or 0.0) / FILM_DIAGONAL * math.hypot(height, width)
    if least <= focal <= most:
        return focal, f"{teller}, {equivalent:g} mm on 35 mm film"
    if camera_model == "full_perspective":
        return math.hypot(height, width), f"{ASSUMED}, the diagonal, as the network was trained"
    focal = max(height, width) / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))
    return focal, f"{ASSUMED}, {FIELD_OF_VIEW:g} degrees along the longer side"


def believed_depth(focal_source: str) -> float:
    """How near people may be by a camera's perspective (`projections.placed`), metres."""
    return BELIEVED_DEPTH if focal_source.startswith(ASSUMED) else 0.0


@torch.no_grad()
def on_photo(
    body: Body,
    iterates: Iterate,
    box: Box,
    camera_model: CameraModel,
    resolution: int,
    seen: Bool[np.ndarray, "49"] | None = None,
    *,
    perspective: float | None = None,
) -> tuple[BodyState, ...]:
    """Iterates (K, ...) moved from their turned crops to the photo's camera frame.

    `box` (K) has the photo's camera; `camera_model` and `resolution` are the regressor's. The
    camera's translation is that of the joints that are `seen`, if it is known which are. If
    `perspective` is given, bodies are made to suit that camera (`projections.placed`).
    """
    shown = None if seen is None else torch.from_numpy(seen).expand(len(box.size), -1)
    found = placed(
        body, iterates.prediction, box, camera_model, resolution, shown, perspective=perspective
    )
    prediction, away = found.prediction, found.translation[:, None]
    posed = body(prediction.body_params())
    columns = {
        "global_orient": prediction.global_orient,
        "body_pose": prediction.body_pose,
        "betas": prediction.betas,
        "weak_camera": prediction.camera,
        "translation": found.translation,
        "joints_3d": found.joints + away,
        "joints_2d": found.joints_2d,
        "kinematic_joints": posed.joints + away,
        "vertices": posed.vertices + away,
    }
    arrays = {name: value.cpu().numpy() for name, value in columns.items()}
    errors = iterates.evaluation.error_px.tolist()
    return tuple(
        BodyState(**{name: value[k] for name, value in arrays.items()}, error_px=error)
        for k, error in enumerate(errors)
    )
