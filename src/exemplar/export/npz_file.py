"""`fit.npz`: everything of a fitted photo but its pixels, as plain arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from exemplar.files.atomic_files import replacing
from exemplar.results import BodyState, FitResult, PersonFit
from exemplar.skeletons import SMPL_24, SMPL_49

_POSE = len(SMPL_24) - 1


def write_npz(result: FitResult, path: str | Path) -> None:
    """Write `fit_to_arrays(result)` to `path`; OSError when the file cannot be written."""
    arrays = fit_to_arrays(result)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def fit_to_arrays(result: FitResult) -> dict[str, np.ndarray]:
    """The result as named arrays, none of objects: what `fit.npz` holds.

    P people, K = 49 joints, J = 24 kinematic joints, V vertices, B betas, S iterates of all people
    together. The camera frame is x right, y down, z forward, metres.

    - `image_size` (2,): width and height, px; `focal` (), `principal_point` (2,), px;
      `focal_source` (), where the focal length is from, in words.
    - `body`, `regressor` (): names; `faces` (F, 3).
    - Of each person: `status` (P,), `keypoints_2d` (P, K, 3), `fitted` (P, K), `box_centre` (P, 2),
      `box_size` (P,), `box_angle` (P,), `seconds` (P,), `size_factor` (P,).
    - `overlap_people` (O, 2), `overlap_depth` (O,): who runs through whom, and how far, metres.
    - The fit: `global_orient` (P, 3, 3), `body_pose` (P, 23, 3, 3), `betas` (P, B), `weak_camera`
      (P, 3), `translation` (P, 3), `joints_3d` (P, K, 3), `joints_2d` (P, K, 2), `kinematic_joints`
      (P, J, 3), `vertices` (P, V, 3), `error_px` (P,).
    - All iterates, the regressor's answer first: `step_person` (S,) and `step_iteration` (S,) say
      whose and which; `step_global_orient`, `step_body_pose`, `step_betas`, `step_weak_camera`,
      `step_translation`, `step_error_px` are as above with S rows.
    - `joint_names` (K,) and `kinematic_joint_names` (J,).
    """
    people = result.people
    fits = [person.after for person in people]
    steps = [(i, k, state) for i, one in enumerate(people) for k, state in enumerate(one.steps)]
    states = [state for _, _, state in steps]
    parameters = _parameters(fits)
    return {
        "image_size": np.array([result.image.shape[1], result.image.shape[0]]),
        "focal": np.array(result.focal),
        "focal_source": np.array(result.focal_source),
        "principal_point": np.asarray(result.principal_point),
        "body": np.array(result.body),
        "regressor": np.array(result.regressor),
        "faces": np.asarray(result.faces),
        "status": np.array([person.status for person in people], dtype=np.str_),
        **_crops(people),
        "overlap_people": _rows(result.overlaps, lambda overlap: overlap.people, (2,)),
        "overlap_depth": _rows(result.overlaps, lambda overlap: overlap.depth, ()),
        **parameters,
        "joints_3d": _rows(fits, lambda state: state.joints_3d, (len(SMPL_49), 3)),
        "joints_2d": _rows(fits, lambda state: state.joints_2d, (len(SMPL_49), 2)),
        "kinematic_joints": _rows(fits, lambda state: state.kinematic_joints, (len(SMPL_24), 3)),
        "vertices": _rows(fits, lambda state: state.vertices, (0, 3)),
        "step_person": np.array([i for i, _, _ in steps], np.int64),
        "step_iteration": np.array([k for _, k, _ in steps], np.int64),
        **{f"step_{name}": rows for name, rows in _parameters(states).items()},
        "joint_names": np.array(SMPL_49),
        "kinematic_joint_names": np.array(SMPL_24),
    }


def _crops(people: tuple[PersonFit, ...]) -> dict[str, np.ndarray]:
    joints = len(SMPL_49)
    return {
        "keypoints_2d": _rows(people, lambda person: person.keypoints_2d, (joints, 3)),
        "fitted": _rows(people, lambda person: person.fitted, (joints,)),
        "box_centre": _rows(people, lambda person: person.box_centre, (2,)),
        "box_size": _rows(people, lambda person: person.box_size, ()),
        "box_angle": _rows(people, lambda person: person.box_angle, ()),
        "seconds": _rows(people, lambda person: person.seconds, ()),
        "size_factor": _rows(people, lambda person: person.size_factor, ()),
    }


def _parameters(states: list[BodyState]) -> dict[str, np.ndarray]:
    return {
        "global_orient": _rows(states, lambda state: state.global_orient, (3, 3)),
        "body_pose": _rows(states, lambda state: state.body_pose, (_POSE, 3, 3)),
        "betas": _rows(states, lambda state: state.betas, (0,)),
        "weak_camera": _rows(states, lambda state: state.weak_camera, (3,)),
        "translation": _rows(states, lambda state: state.translation, (3,)),
        "error_px": _rows(states, lambda state: state.error_px, ()),
    }


def _rows(items, value: Callable, shape: tuple[int, ...]) -> np.ndarray:
    """One row an item; `shape` is a row's when there are none."""
    rows = [np.asarray(value(item)) for item in items]
    return np.stack(rows) if rows else np.zeros((0, *shape))
