"""Poses to train on: motion capture, joint-limited families and lifted people, and new ones made of
their limbs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exemplar.bodies import Body
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import SMPL_24, flip_permutation
from exemplar.synth.config import PoseConfig
from exemplar.synth.poses import JOINTS, draw_pose

FLIP_JOINTS = flip_permutation(JOINTS)
_FLIP = torch.tensor([1.0, -1.0, -1.0])
"""A rotation in a mirror is F R F, F = diag(-1, 1, 1): entry ij changes as _FLIP_i _FLIP_j."""

TO_CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""Body at rest, y up and facing +z, to a camera that it faces: y down."""

LIMBS: Mapping[str, tuple[str, ...]] = {
    "left_arm": ("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    "right_arm": ("right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    "left_leg": ("left_hip", "left_knee", "left_ankle", "left_foot"),
    "right_leg": ("right_hip", "right_knee", "right_ankle", "right_foot"),
    "trunk": ("spine1", "spine2", "spine3", "neck", "head"),
}
"""What is exchanged between poses."""

assert sorted(n for limb in LIMBS.values() for n in limb) == sorted(JOINTS)


@dataclass(frozen=True)
class PoseSource:
    """Poses of one kind, plain and mirrored."""

    body_pose: Tensor
    """(n, 23, 3, 3)."""
    orient: Tensor
    """(n, 3, 3): body frame to a frame with y up."""


def mirrored(rotmats: Tensor) -> Tensor:
    """Rotations (..., 3, 3) seen in a mirror across x."""
    return rotmats * _FLIP[:, None] * _FLIP


def with_mirrored(body_pose: Tensor, orient: Tensor) -> PoseSource:
    """The poses and their mirror images."""
    other = mirrored(body_pose)[:, FLIP_JOINTS]
    return PoseSource(torch.cat((body_pose, other)), torch.cat((orient, mirrored(orient))))


def motion_capture(axis_angle: np.ndarray) -> PoseSource:
    """Poses (n, 24, 3) of a capture. Where it stood is not used: upright, give or take."""
    pose = axis_angle_to_rotmat(torch.from_numpy(axis_angle[:, 1:].astype(np.float32)))
    tilt = torch.randn(len(pose), 3, generator=torch.Generator().manual_seed(0))
    orient = axis_angle_to_rotmat(tilt * torch.tensor([0.25, 0.0, 0.15]))
    return with_mirrored(pose, orient)


def families(count: int, seed: int, body: Body) -> PoseSource:
    """`count` draws of the joint-limited families."""
    rng = np.random.default_rng(seed)
    rest = body.joints_template.double().numpy()
    config = PoseConfig()
    draws = [draw_pose(rng, rest, config) for _ in range(count)]
    pose = torch.from_numpy(np.stack([d.body_pose for d in draws]).astype(np.float32))
    orient = torch.from_numpy(np.stack([d.world_orient for d in draws]).astype(np.float32))
    return with_mirrored(axis_angle_to_rotmat(pose), orient)


def lifted(global_orient: Tensor, body_pose: Tensor) -> PoseSource:
    """Poses of lifted people; their camera is taken to be level."""
    return with_mirrored(body_pose, TO_CAMERA @ global_orient)


class PosePool:
    """Draws from several sources, exchanging limbs."""

    def __init__(
        self,
        sources: Sequence[PoseSource],
        weights: Sequence[float],
        *,
        exchange: float = 0.15,
        jitter: float = 0.07,
    ) -> None:
        self.sources, self.weights = list(sources), torch.tensor(weights)
        self.exchange, self.jitter = exchange, jitter
        self._limbs = torch.zeros(len(LIMBS), len(JOINTS), dtype=torch.bool)
        for row, names in enumerate(LIMBS.values()):
            self._limbs[row, [JOINTS.index(name) for name in names]] = True

    def draw(self, count: int, generator: torch.Generator) -> PoseSource:
        """`count` poses: each limb comes from another pose with probability `exchange`."""
        pose, orient = self._plain(count, generator)
        other, _ = self._plain(count, generator)
        chosen = torch.rand(count, len(LIMBS), generator=generator) < self.exchange
        takes = (chosen.float() @ self._limbs.float()) > 0
        pose = torch.where(takes[..., None, None], other, pose)
        noise = torch.randn(count, len(JOINTS), 3, generator=generator) * self.jitter
        return PoseSource(pose @ axis_angle_to_rotmat(noise), orient)

    def _plain(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kinds = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        pose = torch.empty(count, len(SMPL_24) - 1, 3, 3)
        orient = torch.empty(count, 3, 3)
        for kind, source in enumerate(self.sources):
            rows = (kinds == kind).nonzero()[:, 0]
            picked = torch.randint(len(source.orient), (len(rows),), generator=generator)
            pose[rows], orient[rows] = source.body_pose[picked], source.orient[picked]
        return pose, orient
