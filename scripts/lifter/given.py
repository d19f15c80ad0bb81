"""2D keypoints as people are given with: of annotators and detectors, with their errors."""

import torch
from torch import Tensor

from exemplar.skeletons import LIMBS_12, LIMBS_IN_49, flip_permutation, indices
from scripts.lifter.people import People

_MIRRORED = torch.tensor(flip_permutation(LIMBS_12))
_LEGS = indices([n for n in LIMBS_12 if n.endswith(("knee", "ankle"))], LIMBS_12)

EXACT, ROUGH = 0.003, 0.03
"""Errors' size over the person's extent, the same for a whole person: half of them the first, the
others between both, evenly on a logarithmic scale."""


def given_to(people: People, generator: torch.Generator) -> Tensor:
    """Keypoints (b, 49, 3) made of the true ones, in their units; only limb joints are known.

    Half of the people lack some joints, one in ten the legs; one in twenty has joints that are
    anywhere, and one in fifty has left and right exchanged.
    """
    count, device = len(people), people.points.device

    def uniform(*sizes: int) -> Tensor:
        return torch.rand(*sizes, generator=generator, device=device)

    limbs = people.points[:, LIMBS_IN_49]
    flat, known = limbs[..., :2], limbs[..., 2]
    size = EXACT * (ROUGH / EXACT) ** (2.0 * uniform(count, 1, 1) - 1.0).clamp_min(0.0)
    flat = flat + size * torch.randn(flat.shape, generator=generator, device=device)
    wrong = (uniform(count, 1) < 1 / 20) & (uniform(*known.shape) < 0.15)
    flat = torch.where(wrong[..., None], 2.4 * uniform(*flat.shape) - 1.2, flat)
    exchanged = uniform(count, 1) < 1 / 50
    flat = torch.where(exchanged[..., None], flat[:, _MIRRORED], flat)
    known = torch.where(exchanged, known[:, _MIRRORED], known)
    share = (2.0 * uniform(count, 1)).clamp(0.2, 1.0)
    known = known * (uniform(*known.shape) < share)
    legless = uniform(count, 1) < 0.1
    known[:, _LEGS] = torch.where(legless, 0.0, known[:, _LEGS])
    sure = torch.where(uniform(count, 1) < 0.5, 1.0, 0.3 + 0.7 * uniform(*known.shape))
    out = torch.zeros_like(people.points)
    out[:, LIMBS_IN_49] = torch.cat((flat, (known * sure)[..., None]), -1)
    return out
