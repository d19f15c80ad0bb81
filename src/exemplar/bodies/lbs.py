"""Linear blend skinning: the only one. Pure functions of tensors (Loper et al. 2015, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear


def tree_levels(parents: Sequence[int]) -> list[list[int]]:
    """Joints of a kinematic tree by depth, the root alone first."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]


def subtrees(parents: Sequence[int]) -> Float[Tensor, "joints joints"]:
    """1 where the second joint is the first or one of its ancestors, else 0."""
    ancestry = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            ancestry[joint] += ancestry[parent]
    return ancestry


@dataclass(frozen=True)
class _Tree:
    """A kinematic tree as tensors."""

    order: Tensor | None
    """Joints level by level; None when they already are."""
    back: Tensor | None
    """Where each joint lies in `order`."""
    levels: tuple[tuple[int, int, Tensor], ...]
    """From the second level on: first and last + 1 place in `order`, and the parents' places
    within the level above."""
    parents: Tensor
    """Parent of each joint; the root's is itself."""
    ancestry: Tensor
    """(joints, joints): 1 where the second joint is the first or one of its ancestors."""


@lru_cache(maxsize=64)
def _tree(parents: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> _Tree:
    levels = tree_levels(parents)
    order = [joint for level in levels for joint in level]
    spans, begin = [], 1
    for above, level in pairwise(levels):
        places = torch.tensor([above.index(parents[joint]) for joint in level], device=device)
        spans.append((begin, begin + len(level), places))
        begin += len(level)
    ancestry = subtrees(parents).to(dtype)
    in_order = order == list(range(len(order)))
    return _Tree(
        None if in_order else torch.tensor(order, device=device),
        None if in_order else torch.tensor(order, device=device).argsort(),
        tuple(spans),
        torch.tensor([max(parent, 0) for parent in parents], device=device),
        ancestry.to(device),
    )


def forward_kinematics(
    rotmats: Float[Tensor, "*batch joints 3 3"],
    rest_joints: Float[Tensor, "*batch joints 3"],
    parents: Sequence[int],
) -> tuple[Float[Tensor, "*batch joints 3 3"], Float[Tensor, "*batch joints 3"]]:
    """World rotations and positions (metres) of the joints, from rotations relative to the parent.

    The root stays at its rest position.
    """
    tree = _tree(tuple(parents), rotmats.dtype, rotmats.device)
    local = rotmats if tree.order is None else rotmats.index_select(-3, tree.order)
    blocks = [local[..., :1, :, :]]
    for begin, end, places in tree.levels:
        above = blocks[-1].index_select(-3, places)
        blocks.append(above @ local[..., begin:end, :, :])
    world = torch.cat(blocks, dim=-3)
    world = world if tree.back is None else world.index_select(-3, tree.back)
    # a joint lies at the root plus the turned bones on the way: no need to walk the tree again
    bones = rest_joints - rest_joints.index_select(-2, tree.parents)
    turned = apply(world.index_select(-3, tree.parents), bones)
    return world, rest_joints[..., :1, :] + mix(tree.ancestry, turned)


def apply(
    matrices: Float[Tensor, "*batch n 3 3"], vectors: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch n 3"]:
    """Each matrix times its vector; several times faster here than as batched products."""
    return (matrices * vectors[..., None, :]).sum(-1)


def mix(
    weights: Float[Tensor, "k n"], points: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch k 3"]:
    """Linear combinations of points, as one matrix product for the whole batch."""
    return linear(points.mT, weights).mT


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
