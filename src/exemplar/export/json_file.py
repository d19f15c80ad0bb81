"""`fit.json`: a fitted photo without its meshes, for programs in any language."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exemplar.environment import code_version
from exemplar.files.atomic_files import replacing
from exemplar.results import BodyState, FitResult, PersonFit
from exemplar.skeletons import SMPL_49

DIGITS = 7
"""Significant digits of the numbers."""

_VECTOR = re.compile(r'\[\n([^\[\]{}"]+)\]')
"""A list of numbers as `json` indents it; it is written on one line."""


def write_json(result: FitResult, path: str | Path) -> None:
    """Write `fit_to_dict(result)` as JSON; OSError when the file cannot be written."""
    text = json.dumps(fit_to_dict(result), allow_nan=False, indent=1)
    text = _VECTOR.sub(lambda match: f"[{' '.join(match[1].split())}]", text)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def fit_to_dict(result: FitResult) -> dict[str, Any]:
    """The result as plain values: what `fit.json` holds.

    - `version`, `body`, `regressor`: the program's version and the models' names.
    - `image`: `width` and `height`, px.
    - `camera`: `focal_length` and `principal_point` [x, y] of the full image, px;
      `focal_source`, where the focal length is from, in words.
    - `overlaps`: who runs through whom by more than a hand's width: `people`, their two numbers,
      and `depth`, metres.
    - `people`: for each, in the result's order,
        - `status`, `error_px_before`, `error_px_after` (px of a 224 crop), `seconds`;
        - `quality`: probability that a fit to the built-in keypoints is right, and `quality_word`
          (good, doubtful, poor); null and "" where it is not known;
        - `iterations`: updates behind the fit; `iterations_made`: those that were made, more where
          the guard kept an earlier iterate, null where that is not known;
        - `given`: `age` (years), `gender` and `height` (metres), those that were said of the
          person and made a prior on the shape; `height` of the fitted body at rest, metres, null
          where it is not known;
        - `size_factor`: by what size and distance were multiplied to stand with the others;
        - `aligned`: whether feet, hands and head were put where the picture shows them after that;
        - `joints_3d`: [x, y, z] by name, metres in the camera frame (x right, y down, z forward);
        - `joints_2d`: [x, y] by name, image px, as the weak camera projects them;
        - `keypoints_2d`: [x, y, confidence] by name, image px, of those that were given;
        - `global_orient` (3 x 3), `body_pose` (23 x 3 x 3), `betas`;
        - `camera`: `weak_camera` [s, tx, ty], `translation` (metres), `focal_length` and
          `principal_point`; `misfit_px`, how far the full camera sees `joints_3d` from `joints_2d`
          on average, image px, of joints with a keypoint;
        - `box`: `centre` and `size` (image px) and `angle` (radians) of the crop.

    Numbers have `DIGITS` significant digits; one that is not finite is null.
    """
    height, width = result.image.shape[:2]
    camera = {"focal_length": result.focal, "principal_point": result.principal_point}
    plain = _plain(
        {
            "version": code_version(),
            "body": result.body,
            "regressor": result.regressor,
            "image": {"width": width, "height": height},
            "camera": camera | {"focal_source": result.focal_source},
            "overlaps": [vars(overlap) for overlap in result.overlaps],
            "people": [
                _person(person, camera | {"misfit_px": result.camera_misfit_px(person)})
                for person in result.people
            ],
        }
    )
    assert isinstance(plain, dict)
    return plain


def _person(person: PersonFit, camera: Mapping[str, Any]) -> dict[str, Any]:
    after: BodyState = person.after
    given = zip(SMPL_49, person.keypoints_2d, strict=True)
    return {
        "status": person.status,
        "quality": person.quality,
        "quality_word": person.quality_word,
        "error_px_before": person.before.error_px,
        "error_px_after": after.error_px,
        "iterations": person.iterations,
        "iterations_made": person.made,
        "aligned": person.aligned,
        "seconds": person.seconds,
        "given": person.traits.said,
        "height": person.height,
        "size_factor": person.size_factor,
        "joints_3d": dict(zip(SMPL_49, after.joints_3d, strict=True)),
        "joints_2d": dict(zip(SMPL_49, after.joints_2d, strict=True)),
        "keypoints_2d": {name: keypoint for name, keypoint in given if keypoint[2] > 0},
        "global_orient": after.global_orient,
        "body_pose": after.body_pose,
        "betas": after.betas,
        "camera": {
            "weak_camera": after.weak_camera,
            "translation": after.translation,
            **camera,
        },
        "box": {"centre": person.box_centre, "size": person.box_size, "angle": person.box_angle},
    }


def _plain(value: Any) -> Any:
    """Arrays as lists and numbers rounded, down to what JSON has."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
