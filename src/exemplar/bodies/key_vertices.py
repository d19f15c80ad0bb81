"""Vertices that stand for keypoints on a mesh of any topology, told from its shape at rest."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from exemplar.skeletons import SMPL_24


def key_vertices(
    v_template: Float[Tensor, "v 3"], skinning_weights: Float[Tensor, "v 24"]
) -> dict[str, int]:
    """Nose, ears, toes and heels of a body at rest (y up, facing +z) with SMPL's joints.

    The nose is the foremost vertex of the head, ears the outermost; a big toe is the foremost of a
    foot beyond its ball, a small toe the outermost, a heel the hindmost of foot and ankle. Those
    whose part has no vertices are left out.
    """
    owner = skinning_weights.argmax(1)
    x, _, z = v_template.unbind(1)

    def furthest(along: Float[Tensor, " v"], *joints: str) -> Int[Tensor, " few"]:
        part = torch.isin(owner, torch.tensor([SMPL_24.index(joint) for joint in joints]))
        (places,) = part.nonzero(as_tuple=True)
        return places[along[places].argmax()[None]] if len(places) else places

    found = {"nose": furthest(z, "head")}
    for side, outwards in (("left", x), ("right", -x)):
        foot, ankle = f"{side}_foot", f"{side}_ankle"
        found[f"{side}_ear"] = furthest(outwards, "head")
        found[f"{side}_big_toe"] = furthest(z, foot)
        found[f"{side}_small_toe"] = furthest(outwards, foot)
        found[f"{side}_heel"] = furthest(-z, foot, ankle)
    return {name: int(vertex) for name, vertex in found.items() if len(vertex)}
