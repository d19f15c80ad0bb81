"""Linear blend skinning: the only one. Pure functions of tensors (Loper et al. 2015, section 3)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def tree_levels(parents: Sequence[int]) -> list[list[int]]:
    """Joints of a kinematic tree by depth, the root alone first."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]


def forward_kinematics(
    rotmats: Float[Tensor, "*batch joints 3 3"],
    rest_joints: Float[Tensor, "*batch joints 3"],
    parents: Sequence[int],
) -> tuple[Float[Tensor, "*batch joints 3 3"], Float[Tensor, "*batch joints 3"]]:
    """World rotations and positions (metres) of the joints, from rotations relative to the parent.

    The root stays at its rest position.
    """
    world: list[Tensor | None] = [None] * len(parents)
    position: list[Tensor | None] = [None] * len(parents)
    for level in tree_levels(parents):
        if parents[level[0]] < 0:
            (root,) = level
            world[root], position[root] = rotmats[..., root, :, :], rest_joints[..., root, :]
            continue
        above = [parents[j] for j in level]
        parent_world = torch.stack([_some(world[p]) for p in above], dim=-3)
        parent_position = torch.stack([_some(position[p]) for p in above], dim=-2)
        bones = rest_joints[..., level, :] - rest_joints[..., above, :]
        level_world = parent_world @ rotmats[..., level, :, :]
        level_position = parent_position + (parent_world @ bones[..., None])[..., 0]
        for i, j in enumerate(level):
            world[j], position[j] = level_world[..., i, :, :], level_position[..., i, :]
    return (
        torch.stack([_some(x) for x in world], dim=-3),
        torch.stack([_some(x) for x in position], dim=-2),
    )


def _some(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "a joint precedes its parent"
    return tensor


def skin(
    points: Float[Tensor, "*batch v 3"],
    weights: Float[Tensor, "v joints"],
    world: Float[Tensor, "*batch joints 3 3"],
    offsets: Float[Tensor, "*batch joints 3"],
) -> Float[Tensor, "*batch v 3"]:
    """Rest-pose points moved by the weighted joint transforms x -> world x + offset."""
    transforms = torch.cat((world, offsets[..., None]), dim=-1).flatten(-2)
    blended = (weights @ transforms).unflatten(-1, (3, 4))
    return (blended[..., :3] @ points[..., None])[..., 0] + blended[..., 3]
