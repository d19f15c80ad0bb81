"""People to train a head on: bodies with what the trunk reads of them, or a simulation of it."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from exemplar.bodies import Body, BodyParams
from exemplar.geometry.crops import turn
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotation_about_z
from exemplar.regressors.landmark_reader import Landmarks, unmirrored
from exemplar.skeletons import BLAZEPOSE_33, SMPL_49, flip_permutation, indices
from scripts.lifter.noise import HIPS, LIMB_ROWS, NoiseModel
from scripts.lifter.poses import FLIP_JOINTS, TO_CAMERA, PosePool, mirrored

_FLIP_49 = flip_permutation(SMPL_49)
_SHOULDERS = indices(("left_shoulder", "right_shoulder"), BLAZEPOSE_33)


@dataclass(frozen=True)
class People:
    """A batch to learn from."""

    landmarks: Landmarks
    """What the head sees."""
    global_orient: Tensor
    """(b, 3, 3) in the crop's frame."""
    body_pose: Tensor
    """(b, 23, 3, 3)."""
    betas: Tensor
    """(b, 10)."""
    points: Tensor
    """(b, 49, 3): the 49 joints in the points' units, and their weight."""
    weight: Tensor
    """(b,): how far the body is believed."""

    def __len__(self) -> int:
        return len(self.betas)

    def __getitem__(self, rows: Tensor) -> "People":
        """Some of the people."""
        return self._each(lambda x: x[rows])

    def to(self, device: torch.device) -> "People":
        """The people on another device."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "People":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        landmarks = Landmarks(*(change(x) for x in values.pop("landmarks")))
        return People(landmarks, **{name: change(x) for name, x in values.items()})

    def params(self) -> BodyParams:
        """The bodies."""
        return BodyParams(self.global_orient, self.body_pose, self.betas)


def together(parts: list[People]) -> People:
    """Several batches as one."""
    landmarks = Landmarks(
        *(torch.cat(x) for x in zip(*(part.landmarks for part in parts), strict=True))
    )
    rest = [f.name for f in fields(People) if f.name != "landmarks"]
    return People(landmarks, *(torch.cat([getattr(p, name) for p in parts]) for name in rest))


def mirror_image(people: People) -> People:
    """The people in a mirror."""
    across = people.points.new_tensor([-1.0, 1.0, 1.0])
    return People(
        landmarks=unmirrored(people.landmarks),
        global_orient=mirrored(people.global_orient),
        body_pose=mirrored(people.body_pose)[:, FLIP_JOINTS],
        betas=people.betas,
        points=people.points[:, _FLIP_49] * across,
        weight=people.weight,
    )


@torch.no_grad()
def simulated(
    count: int, pool: PosePool, noise: NoiseModel, body: Body, generator: torch.Generator
) -> People:
    """Bodies posed afresh, seen by a camera of their own, and read with the trunk's errors."""

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    def uniform(*sizes: int) -> Tensor:
        return torch.rand(*sizes, generator=generator)

    drawn = pool.draw(count, generator)
    zero = torch.zeros(count)
    yaw = axis_angle_to_rotmat(torch.stack((zero, 2 * torch.pi * uniform(count), zero), 1))
    # most cameras are level; some look from far above or below
    wide = torch.where(uniform(count) < 0.25, 0.7, 0.22)
    pitch = axis_angle_to_rotmat(torch.stack((0.08 + wide * normal(count), zero, zero), 1))
    orient = pitch @ TO_CAMERA @ yaw @ drawn.orient
    betas = 0.9 * normal(count, 10)
    params = BodyParams(orient, drawn.body_pose, betas)
    marks = body.keypoints(params, "blazepose33")
    joints = body.keypoints(params, "smpl49")
    middle = marks[:, HIPS].mean(1, keepdim=True)
    distance = 2.0 + 8.0 * uniform(count, 1, 1).square()
    aside = 0.15 * distance * normal(count, 1, 2) * (uniform(count, 1, 1) < 0.5)

    def seen(points: Tensor) -> Tensor:
        points = points - middle
        return (points[..., :2] + aside) / (points[..., 2:] + distance).clamp_min(0.3) * distance

    flat, flat_joints = seen(marks), seen(joints)
    centre = flat[:, HIPS].mean(1, keepdim=True)
    up = flat[:, _SHOULDERS].mean(1) - centre[:, 0]
    angle = torch.atan2(up[:, 0], -up[:, 1]) + 0.08 * normal(count)
    extent = (flat[:, LIMB_ROWS] - centre).norm(dim=-1).amax(1)[:, None, None]
    flat, flat_joints = ((turn(x - centre, -angle) / extent) for x in (flat, flat_joints))
    turned = rotation_about_z(-angle)
    world = (marks - middle) @ turned.transpose(1, 2)
    return People(
        landmarks=noise.read(flat, world, generator),
        global_orient=turned @ orient,
        body_pose=drawn.body_pose,
        betas=betas,
        points=torch.cat((flat_joints, torch.ones_like(flat_joints[..., :1])), -1),
        weight=torch.ones(count),
    )
