"""AMASS's `.npz`: a person's motion under the keys that motion models and add-ons read."""

from pathlib import Path

import numpy as np
import torch

from exemplar.bodies import Body
from exemplar.files.atomic_files import replacing
from exemplar.geometry.rotations import rotmat_to_axis_angle
from exemplar.motion import Motion, steady, turned, y_up
from exemplar.skeletons import SMPL_24, SMPLH_52

SHAPES = 16
"""Shape coefficients of a file of AMASS; further ones are 0."""

DMPLS = 8
"""Coefficients of soft tissue, which are 0."""

_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From y up to z up: (x, y, z) to (x, -z, y)."""


def write_amass(motion: Motion, body: Body, path: str | Path) -> None:
    """Write a person's motion with AMASS's keys. Metres, z up, T frames of `steady`:

    - `poses` (T, 156): axis-angle of SMPL+H's 52 joints, radians, root first; fingers are 0;
    - `trans` (T, 3), `betas` (16,), `dmpls` (T, 8) of zeros, `gender` "neutral",
      `mocap_framerate`;
    - `body`: the model that poses and betas are for, which AMASS has not. Betas of the open body
      mean nothing to SMPL.

    ValueError if no frame has a body, OSError when the file cannot be written.
    """
    moving = steady(y_up(motion, body))
    global_orient, translation = turned(moving, body, _Z_UP)
    kept = [i for i, name in enumerate(SMPL_24) if name in SMPLH_52]
    rotmats = np.concatenate([global_orient[:, None], moving.body_pose], axis=1)[:, kept]
    poses = np.zeros((len(rotmats), len(SMPLH_52), 3))
    poses[:, : len(kept)] = rotmat_to_axis_angle(torch.from_numpy(rotmats)).numpy()
    betas = np.zeros(max(SHAPES, len(motion.betas)))
    betas[: len(motion.betas)] = motion.betas
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            poses=poses.reshape(len(poses), -1),
            trans=translation,
            betas=betas,
            dmpls=np.zeros((len(poses), DMPLS)),
            gender=np.array("neutral"),
            mocap_framerate=np.array(moving.fps),
            body=np.array(motion.body),
        )
