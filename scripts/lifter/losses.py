"""What a head in training is corrected by."""

import torch
from torch import Tensor

from exemplar.bodies import Body
from exemplar.data.crops import Box
from exemplar.geometry.cameras import project_weak
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import SMPL_49
from scripts.lifter.people import People

PELVIS = SMPL_49.index("op_mid_hip")
NO_BOX = Box(torch.zeros(1, 2), torch.ones(1), torch.zeros(1))
"""The head does not look at the box."""

WEIGHTS = {
    "joints": 10.0,
    "own_frame": 10.0,
    "rotations": 0.5,
    "points": 5.0,
    "betas": 0.02,
}
"""Factors of the terms."""


def terms_of(body: Body, predicted: Prediction, people: People) -> dict[str, Tensor]:
    """Each term for each person, unweighted: metres, radians squared, and units of the extent.

    `own_frame` compares the joints in the frames of the two bodies' roots: a turn of the whole
    body, of which landmarks tell the least, does not hide an error of a limb there.
    """
    found = body.keypoints(predicted.body_params())
    ours = _centred(found)
    theirs = _centred(body.keypoints(people.params()))
    mine = ours @ predicted.global_orient
    own = theirs @ people.global_orient
    rotations = torch.cat(
        (
            (predicted.global_orient - people.global_orient)[:, None],
            predicted.body_pose - people.body_pose,
        ),
        1,
    )
    flat = project_weak(found, predicted.camera)
    weight = people.points[..., 2]
    off = (flat - people.points[..., :2]).abs().sum(-1)
    return {
        "joints": (ours - theirs).norm(dim=-1).mean(1) * people.weight,
        "own_frame": (mine - own).norm(dim=-1).mean(1) * people.weight,
        "rotations": rotations.square().sum((1, 2, 3)) / rotations.shape[1] * people.weight,
        "points": (off * weight).sum(1) / weight.sum(1).clamp_min(1.0),
        "betas": (predicted.betas - people.betas).square().mean(1) * people.weight,
    }


def loss_of(terms: dict[str, Tensor]) -> Tensor:
    """Their weighted mean over the batch."""
    return torch.stack([WEIGHTS[name] * term.mean() for name, term in terms.items()]).sum()


def _centred(joints: Tensor) -> Tensor:
    return joints - joints[:, [PELVIS]]
