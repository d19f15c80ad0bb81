"""The trunk's errors as a model that can be drawn from, and how it is fitted to real readings.

A reading of true landmarks is

    points = true points + s (r_2D + b_2D)
    world  = tilt (scale true landmarks, limbs' depths mirrored now and then) + s (r_3D + b_3D)

with r from one Gaussian over all 33 x 5 numbers, so that errors go together along limbs and
between 2D and 3D; s for each person from a bank of real people, larger for landmarks of low
visibility; tilt and scales (across, in depth) from another Gaussian. Visibility and spread, which
the head sees, are those of the same row of the bank.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exemplar.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import frame_of
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, indices

COUNT = len(BLAZEPOSE_33)
HIPS = indices(("left_hip", "right_hip"), BLAZEPOSE_33)
LIMB_ROWS = indices(LIMBS_12, BLAZEPOSE_33)
_HAND = ("wrist", "pinky", "index", "thumb")
_FOOT = ("ankle", "heel", "foot_index")
CHAINS = tuple(
    (BLAZEPOSE_33.index(f"{side}_{start}"), indices([f"{side}_{n}" for n in names], BLAZEPOSE_33))
    for side in ("left", "right")
    for start, names in (
        ("shoulder", ("elbow", *_HAND)),
        ("elbow", _HAND),
        ("hip", ("knee", *_FOOT)),
        ("knee", _FOOT),
    )
)
"""(root, members) of the chains whose depth may be mirrored about their root."""

FLIP_DEPTH = 0.12
"""A chain is mirrored where its depth is of the wrong sign, both by more than this, metres."""


LEAST_FLIPS = 0.02
"""Lifted people hide flips, as they follow the trunk: on the calibrated sequences 1 to 5 % of the
readings have a limb or the whole body front for back."""


@dataclass(frozen=True)
class NoiseModel:
    """See the module."""

    bias: Tensor
    """(165,): 66 of the points in units of the extent, then 99 of `world`, metres."""
    cholesky: Tensor
    """(165, 165) of the Gaussian about it."""
    align_mean: Tensor
    """(5,): logarithm of the scale across, scale in depth, tilt about x, y, z, radians."""
    align_cholesky: Tensor
    """(5, 5)."""
    flips: Tensor
    """(8,): probability that each of `CHAINS` is mirrored."""
    scales: Tensor
    """(n,): s of each person of the bank."""
    visibility: Tensor
    """(n, 33) of the bank."""
    spread: Tensor
    """(n, 33), metres."""
    hidden: Tensor
    """(11,): factor on the error at visibility 0, 0.1, ..., 1."""

    def save(self, path: Path, *, half: bool = False) -> None:
        """Write the model as .npz, in float32 or in `half` of its bytes."""
        kind = np.float16 if half else np.float32
        np.savez_compressed(path, **{k: v.numpy().astype(kind) for k, v in vars(self).items()})

    @classmethod
    def load(cls, path: Path) -> "NoiseModel":
        """Read what `save` wrote."""
        with np.load(path) as file:
            return cls(**{key: torch.from_numpy(file[key]).float() for key in file.files})

    def read(self, points: Tensor, world: Tensor, generator: torch.Generator) -> Landmarks:
        """A reading of true landmarks: points (b, 33, 2) over the extent, world (b, 33, 3) m."""
        count = len(points)
        rows = torch.randint(len(self.scales), (count,), generator=generator)
        visibility, spread = self.visibility[rows], self.spread[rows]
        size = self.scales[rows, None] * factor(self.hidden, visibility)
        drawn = torch.randn(count, len(self.bias), generator=generator) @ self.cholesky.T
        error = (
            drawn * torch.cat((size.repeat_interleave(2, 1), size.repeat_interleave(3, 1)), 1)
            + self.bias
        )
        align = torch.randn(count, 5, generator=generator) @ self.align_cholesky.T + self.align_mean
        mirrored = torch.rand(count, len(CHAINS), generator=generator) < self.flips
        world = with_flips(world, mirrored)
        world = world * torch.stack((align[:, 0].exp(), align[:, 0].exp(), align[:, 1]), 1)[:, None]
        world = world @ axis_angle_to_rotmat(align[:, 2:]).transpose(1, 2)
        return Landmarks(
            points=points + error[:, : 2 * COUNT].unflatten(1, (COUNT, 2)),
            world=world + error[:, 2 * COUNT :].unflatten(1, (COUNT, 3)),
            visibility=visibility,
            spread=spread,
        )


def with_levels(
    model: NoiseModel, *, flat: float, metric: float, depth: float, tilt: float
) -> NoiseModel:
    """The model without bias and with other levels of 2D errors, metric ones, their depth and tilt.

    Chains are mirrored 5 % of the time or more.
    """
    level = torch.ones(5 * COUNT)
    level[: 2 * COUNT] = flat
    level[2 * COUNT :] = metric
    level[2 * COUNT + 2 :: 3] = metric * depth
    turned = torch.tensor([1.0, 1.0, tilt, tilt, 1.0])
    return replace(
        model,
        bias=torch.zeros_like(model.bias),
        cholesky=model.cholesky * level[:, None],
        align_cholesky=model.align_cholesky * turned[:, None],
        flips=model.flips.clamp_min(0.05),
    )


def factor(hidden: Tensor, visibility: Tensor) -> Tensor:
    """The factor on errors at some visibility (..., 33), from `NoiseModel.hidden`."""
    place = visibility.clamp(0, 1) * (len(hidden) - 1)
    low = place.long().clamp_max(len(hidden) - 2)
    return hidden[low] + (place - low) * (hidden[low + 1] - hidden[low])


def with_flips(world: Tensor, mirrored: Tensor) -> Tensor:
    """Landmarks with the depth of some chains (b, 8) mirrored about their roots."""
    world = world.clone()
    for chain, (root, members) in enumerate(CHAINS):
        about = 2 * world[:, [root], 2] - world[:, members, 2]
        world[:, members, 2] = torch.where(mirrored[:, [chain]], about, world[:, members, 2])
    return world


def guessed(visibility: Tensor, spread: Tensor, seed: int = 0) -> NoiseModel:
    """Before anybody has been lifted: errors that grow towards hands and feet."""
    reach = torch.ones(COUNT)
    for root, members in CHAINS:
        reach[members] = torch.maximum(reach[members], reach[root] + 0.6)
    sd = torch.cat(
        (
            0.018 * torch.ones(2 * COUNT),
            (torch.tensor([0.02, 0.02, 0.045]) * reach[:, None]).flatten(),
        )
    )
    generator = torch.Generator().manual_seed(seed)
    align = torch.tensor([0.06, 0.2, 0.12, 0.22, 0.03])
    count = len(visibility)
    return NoiseModel(
        bias=torch.zeros(5 * COUNT),
        cholesky=torch.diag(sd),
        align_mean=torch.tensor([0.0, 0.85, 0.0, 0.0, 0.0]),
        align_cholesky=torch.diag(align),
        flips=torch.full((len(CHAINS),), 0.05),
        scales=(0.4 * torch.randn(count, generator=generator)).exp(),
        visibility=visibility,
        spread=spread,
        hidden=torch.linspace(2.5, 0.9, 11),
    )


def fitted(
    read: Landmarks, points: Tensor, world: Tensor, hidden: Tensor, *, depth: float = 1.0
) -> NoiseModel:
    """The model of some readings, given the true points (over the extent) and landmarks (metres).

    `depth` multiplies the errors' depth and the tilt, for truth that followed the readings: lifted
    people err with the trunk where 2D annotation cannot tell.
    """
    middle, extent = frame_of(points)
    ours = (read.points - middle) / extent
    points = (points - middle) / extent
    centred = read.world - read.world[:, HIPS].mean(1, keepdim=True)
    world = world - world[:, HIPS].mean(1, keepdim=True)
    align, straight = _aligned(centred, world)
    mirrored = torch.stack([_is_mirrored(straight, world, *chain) for chain in CHAINS], 1)
    # a forearm or shin that moves with its mirrored limb is not mirrored itself
    for chain in range(0, len(CHAINS), 2):
        mirrored[:, chain + 1] &= ~mirrored[:, chain]
    explained = with_flips(world, mirrored)
    scale = torch.stack((align[:, 0].exp(), align[:, 0].exp(), align[:, 1]), 1)[:, None]
    model = explained * scale @ axis_angle_to_rotmat(align[:, 2:]).transpose(1, 2)
    error = torch.cat(((ours - points).flatten(1), (centred - model).flatten(1)), 1)
    bias = error.median(0).values
    shape = factor(hidden, read.visibility)
    shape = torch.cat((shape.repeat_interleave(2, 1), shape.repeat_interleave(3, 1)), 1)
    plain = (error - bias) / shape
    usual = plain.abs().median(0).values / 0.6745
    scales = (plain / usual).square().clamp_max(36.0).mean(1).sqrt()
    whitened = (plain / scales[:, None]).clamp(-5 * usual, 5 * usual)
    covariance = whitened.T @ whitened / len(whitened)
    deep = torch.ones(5 * COUNT)
    deep[2 * COUNT + 2 :: 3] = depth
    covariance = covariance * deep[:, None] * deep + 1e-8 * torch.eye(5 * COUNT)
    spread_out = align.quantile(0.5, 0)
    around = (align - spread_out).clamp(-1.0, 1.0)
    around[:, 2:] = around[:, 2:] * depth
    return NoiseModel(
        bias=bias,
        cholesky=torch.linalg.cholesky(covariance),
        align_mean=spread_out,
        align_cholesky=torch.linalg.cholesky(around.T @ around / len(around) + 1e-8 * torch.eye(5)),
        flips=mirrored.float().mean(0).clamp_min(LEAST_FLIPS),
        scales=scales,
        visibility=read.visibility,
        spread=read.spread,
        hidden=hidden,
    )


def _aligned(read: Tensor, world: Tensor) -> tuple[Tensor, Tensor]:
    """(scale across, in depth, tilt) of each reading, and the reading with the tilt undone."""
    u, _, vt = torch.linalg.svd(read.transpose(1, 2) @ world)
    sign = torch.linalg.det(u @ vt).sign()
    fix = torch.diag_embed(torch.stack((torch.ones_like(sign), torch.ones_like(sign), sign), 1))
    tilt = u @ fix @ vt
    vector = rotmat_to_axis_angle(tilt)
    # a reading that is the other way round is an outlier, not a tilt
    usual = vector.norm(dim=1, keepdim=True) < 1.0
    vector = torch.where(usual, vector, torch.zeros_like(vector))
    straight = read @ axis_angle_to_rotmat(vector)
    across = (straight[..., :2] * world[..., :2]).sum((1, 2)) / world[..., :2].square().sum((1, 2))
    deep = (straight[..., 2] * world[..., 2]).sum(1) / world[..., 2].square().sum(1).clamp_min(0.05)
    return torch.cat((across.clamp_min(0.2).log()[:, None], deep[:, None], vector), 1), straight


def _is_mirrored(straight: Tensor, world: Tensor, root: int, members: list[int]) -> Tensor:
    """Whether the first member's depth about the root is of the wrong sign."""
    ours = straight[:, members[0], 2] - straight[:, root, 2]
    theirs = world[:, members[0], 2] - world[:, root, 2]
    return (ours * theirs < 0) & (ours.abs() > FLIP_DEPTH) & (theirs.abs() > FLIP_DEPTH)
